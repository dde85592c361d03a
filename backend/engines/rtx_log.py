"""TensorRT-RTX's VERBOSE log, read: the layers of the engine as the builder lists them when it is done.

The list is one message: `Layers:`, then a record a line (a name in it may hold a line break), then an empty line and
`I/O Tensors:`. It is only written when the profiling verbosity is DETAILED. Learned from the logs of 1.7:

    Name: /conv1/Conv_myl0_2, LayerType: correlation, Inputs: [ { Name: x, Dimensions: [-1,4], Strides: [4,1],
    StrideOrder: [1,0], Datatype: Int8, Format: (Linear) Row major linear format }], Constants: [], Outputs: [ … ],
    TacticName: …, StreamId: 0, Metadata: [ONNX Layer: /conv1/Conv]\\x1f[ONNX Layer: /conv1/Relu]

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from graftwerk.backend.engines.report import Layer, LayerTensor

#: The log's names of datatypes where they are not simply ours in another case.
_DTYPES = {"Float": "FP32", "Half": "FP16", "BFloat16": "BF16"}

# A list is empty or ends in " }": a bare "], " also stands behind every Dimensions and Strides.
_RECORD = re.compile(
    r"Name: (?P<name>.*), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>|.*? \})\], "
    r"(?:Constants: \[(?P<constants>|.*? \})\], )?Outputs: \[(?P<outputs>|.*? \})\], (?P<rest>\w+: .*)",
    re.DOTALL,
)
_TENSOR = re.compile(
    r"Name: (?P<name>.*), (?:Location: \w+, )?Dimensions: \[(?P<dims>[-\d,]*)\].*, "
    r"Datatype: (?P<dtype>\w+)(?:, Format: (?P<format>.*))?",
    re.DOTALL,
)
_TACTIC = re.compile(r"Tactic(?:Name|Value): (.*?), StreamId: ", re.DOTALL)
_ORIGIN = "[ONNX Layer: "
_BETWEEN_ORIGINS = re.compile(r"\](?:[\x1e\x1f]|(?=\[ONNX Layer: ))")
_SHAPE_OF = re.compile(r".* \[(?:Shape|Size)\] inputs: \[(?P<tensor>.*) -> \((?P<dims>[\d, ]*)\)\[\w+\]\], ")


def engine_layers(lines: Iterable[str]) -> list[Layer]:
    """The layers in the order in which they run. `onnx_nodes` are the log's own names of nodes, `precision` is empty.

    `lines` are lines or whole messages of the log, the parser's and the builder's. Empty where the log has no list.
    Raises ValueError for a record of another form: a version of the library that this was not written for.
    """
    return [_layer(record) for record in _records(lines)]


def static_tensors(lines: Iterable[str]) -> set[str]:
    """Tensors whose dimensions are all known to the parser, of those that a Shape or Size node reads."""
    matches = (_SHAPE_OF.fullmatch(line) for line in lines if "] inputs: [" in line)
    return {match["tensor"] for match in matches if match}


def _records(lines: Iterable[str]) -> Iterator[str]:
    inside, record = False, ""
    for line in (line for message in lines for line in message.split("\n")):
        if not inside:
            inside = line == "Layers:"
        elif line.startswith("Name: ") or line == "I/O Tensors:":
            if record:
                yield record.rstrip("\n")
            inside, record = line != "I/O Tensors:", line
        elif record:
            record += "\n" + line
    if inside and record:
        raise ValueError("the builder's log ends inside the list of layers")


def _layer(record: str) -> Layer:
    found = _RECORD.fullmatch(record)
    if found is None:
        raise ValueError(f"not a layer as this program knows it: {record[:200]}")
    rest, _, metadata = found["rest"].partition("Metadata: ")
    tactic = _TACTIC.match(rest)
    return Layer(
        found["name"],
        found["kind"],
        inputs=_tensors(found["inputs"]),
        outputs=_tensors(found["outputs"]),
        constants=_tensors(found["constants"] or ""),
        tactic=tactic[1] if tactic else "",
        onnx_nodes=_origins(metadata),
    )


def _tensors(text: str) -> tuple[LayerTensor, ...]:
    """Of ` { Name: …, Dimensions: [-1,4], …, Datatype: Half, Format: … }, { … }`."""
    return tuple(_tensor(item) for item in text[len(" { ") : -len(" }")].split(" }, { ")) if text else ()


def _tensor(text: str) -> LayerTensor:
    found = _TENSOR.fullmatch(text)
    if found is None:
        raise ValueError(f"not a tensor as this program knows it: {text[:200]}")
    dims = tuple(int(size) for size in found["dims"].split(",") if size)
    dtype = _DTYPES.get(found["dtype"], found["dtype"].upper())
    return LayerTensor(found["name"], dtype, found["format"] or "", dims)


def _origins(metadata: str) -> tuple[str, ...]:
    """Of `[ONNX Layer: a]\\x1f[ONNX Layer: b]`; a name may itself hold brackets."""
    if not metadata.startswith(_ORIGIN):
        return ()
    return tuple(item[len(_ORIGIN) :] for item in _BETWEEN_ORIGINS.split(metadata[:-1]))
