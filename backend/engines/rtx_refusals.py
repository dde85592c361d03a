"""Why TensorRT-RTX would not take a model, in words for people, with the node that it stopped at.

The library's own words are for its developers: `Assertion failed: shiftIsAllZeros(zeroPoint): Non-zero zero point is
not supported.`, `ITensor::getDimensions: Error Code 4: API Usage Error (node_of_y: last dimension … In validate at …)`.

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from graftwerk.backend.engines.rtx_names import LogNames
from graftwerk.backend.engines.source import SourceGraph
from graftwerk.backend.fault import Fault

#: Where the library's own words are.
LOG_PLACE = "job's log; `graftwerk build --verbose` prints it"


@dataclass(frozen=True)
class Refusal:
    """One error of the ONNX parser: the index and name of the node, its operator, what holds it, and the reason.

    `holders` are the functions and bodies that the node is in, outermost first, as `name (Type)`; index and name are
    then those inside the innermost.
    """

    index: int
    name: str
    op_type: str
    holders: tuple[str, ...]
    reason: str


#: A part of the library's reason, what it means (None: the reason itself says it), and what to do about it.
_KNOWN = (
    (
        "Plugin not found",
        "TensorRT-RTX has no operator {op}",
        "Replace it by operators that it has; a plugin node needs its original subgraph to be compiled in its place.",
    ),
    (
        "Non-zero zero point",
        "Only symmetric quantization is supported: the zero point is not 0",
        "Quantize to INT8 with a zero point of 0.",
    ),
    ("Failed to parse the ONNX model", "This is not an ONNX model, or it is cut short", "Export it again."),
    ("must match", None, "Shapes that meet here don't fit: look at the shapes on the edges into this node."),
)
#: What the parser's `convertDtype` takes, in ONNX's words.
_DATATYPES = (
    "FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT4E2M1", "INT64", "INT32", "INT8", "UINT8",
    "INT4", "BOOL",
)  # fmt: skip
_NO_GPU = re.compile(r"CUDA_SUCCESS|cudaError|libcuda|CUDA driver")
_CUDA_NOISE = re.compile(r"catchCudaError.*(cudaError 35|no CUDA-capable device)|^Thread context has not been set")
_DATATYPE = re.compile(r"target\(s\) (?P<targets>[^:]*), because .* datatypes: (?P<types>.*?)\.? (?:In |\()")
_OPERATION = re.compile(r"Cannot compile operation '(?P<name>.*)' for (?P<target>[^:]*): (?P<reason>.*?)\.? (?:In |\()")


def is_noise(text: str) -> bool:
    """Whether a message is no news: that this machine has no GPU, or a remark of the library on its own logging."""
    return bool(_CUDA_NOISE.search(text))


def parser_fault(refusals: Sequence[Refusal], source: SourceGraph) -> Fault:
    """The parser's first refusal as a Fault whose `where` is a node's reference, or a weight's name."""
    if not refusals:
        return Fault("TensorRT-RTX can't read the model", hint=f"Its words are in the {LOG_PLACE}.")
    first = refusals[0]
    weight = re.search(r"Failed to import initializer: (?P<name>(?!In node).*)$", first.reason)
    if weight:
        if _unsupported(weight["name"], source):
            return _datatype_fault("weight", weight["name"], source)
        hint = "If its values lie in a file of their own, put that beside the model."
        return Fault("The values of this weight are missing, or don't fit its shape", weight["name"], hint)
    if "convertDtype" in first.reason:
        for name, _ in source.inputs:
            if _unsupported(name, source):
                return _datatype_fault("input", name, source)
    own_name = re.escape(first.name) if first.name else r"node_of_\S+"
    reason = re.sub(f"^{own_name}: ", "", clear_reason(first.reason))
    if " " not in reason:  # a C++ expression such as "false"
        reason = f"TensorRT-RTX does not support {first.op_type or 'a part of the model'} as it is used here"
    inside = f" (inside {' in '.join(reversed(first.holders))})" if first.holders else ""
    where = _where(first, source)
    for part, meaning, hint in _KNOWN:
        if part in first.reason:
            return Fault((meaning or reason).format(op=first.op_type) + inside, where, hint)
    hint = "Change or replace this node. " if where else ""
    return Fault(reason + inside, where, hint + f"The parser's own words are in the {LOG_PLACE}.")


def _unsupported(tensor: str, source: SourceGraph) -> bool:
    return source.datatypes.get(tensor, "FLOAT") not in _DATATYPES


def _datatype_fault(what: str, tensor: str, source: SourceGraph) -> Fault:
    message = f"TensorRT-RTX does not support the datatype {source.datatypes[tensor]} of this {what}"
    return Fault(message, tensor, f"Use one of {', '.join(_DATATYPES)}.")


def build_fault(errors: Sequence[str], source: SourceGraph) -> Fault:
    """Why the builder made no engine, from the error messages of its log."""
    errors = [text for text in errors if not is_noise(text)]
    if not errors:
        return Fault("TensorRT-RTX made no engine and did not say why", hint=f"Its words are in the {LOG_PLACE}.")
    text = errors[-1]
    names = LogNames(source)
    operation = _OPERATION.search(text)
    if operation:
        message = f"{operation['reason']} on {operation['target']}"
        hint = "Choose another target, or another datatype for this node."
        return Fault(message, names.only(operation["name"]), hint)
    datatype = _DATATYPE.search(text)
    if datatype:
        message = f"The model has datatypes that {datatype['targets']} does not compute: {datatype['types']}"
        return Fault(message, hint="Choose a newer target, or another datatype.")
    if "libnvinfer_lean" in text:
        return Fault("This TensorRT-RTX brings no lean runtime", "flag.VERSION_COMPATIBLE", "Switch this option off.")
    if _NO_GPU.search(text):
        return Fault(
            "An option chosen for this build needs a GPU on the machine that builds",
            hint="Switch REFIT, REFIT_IDENTICAL and STRIP_PLAN off, or build where there is a GPU.",
        )
    named = re.match(r"(?P<name>.*?): ", clear_reason(text))
    where = names.only(named["name"]) if named else ""
    return Fault(clear_reason(text), where, f"The builder's own words are in the {LOG_PLACE}.")


def clear_reason(text: str) -> str:
    """The message in the library's words without its source code and places in it."""
    lines = [line for line in text.splitlines() if line and not is_noise(line)]
    if len(lines) > 1 and lines[0].startswith("Invalid Node - "):
        lines = lines[1:]
    line = lines[0] if lines else text
    line = re.sub(r"^Assertion failed: .*?\)?: (?=[A-Z])", "", line)
    wrapped = re.search(r"Error Code \d+: [\w ]+\((?P<message>.*?)\.? +In \w+ at \S+\)$", line)
    line = wrapped["message"] if wrapped else line
    line = re.sub(r"\.? In \w+ at \S+:\d+$", "", line)
    return re.sub(r"^\[\S+ \w+\] ", "", line).strip()


def _where(refusal: Refusal, source: SourceGraph) -> str:
    names = LogNames(source)
    if refusal.holders:
        return names.only(re.sub(r" \([^()]*\)$", "", refusal.holders[0]))
    if 0 <= refusal.index < len(source.nodes):
        node = source.nodes[refusal.index]
        if (node.name, node.op_type) == (refusal.name, refusal.op_type):
            return node.ref
    return names.only(refusal.name)
