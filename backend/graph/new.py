"""A model from nothing: inputs and outputs, and no node but one that stands for what is still to be built."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import GraphProto, ModelProto, ValueInfoProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.check import PLACEHOLDER, PLACEHOLDER_DOMAIN, incompleteness
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import DTYPE_NAMES, Dim, TensorType

#: The opset of a new model: what TensorRT 10, TensorRT-RTX and ONNX Runtime all read.
OPSET = 21
_SYMBOL = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a model; `dims` is what `parse_port` reads."""

    name: str
    dtype: int
    dims: tuple[Dim, ...]

    def value_info(self) -> ValueInfoProto:
        return TensorType(self.dtype, self.dims).value_info(self.name)


def new_model(
    name: str, inputs: Sequence[Port], outputs: Sequence[Port] = (), *, opset: int = OPSET, ir: int = 0,
    producer: str = "Graftwerk",
) -> Graph:  # fmt: skip
    """A model with these inputs and outputs, which passes onnx's checker and can be edited.

    Outputs that are no inputs are made by one node `graftwerk::Placeholder`, which reads all inputs; the model is
    marked as incomplete then. `ir` 0 means the oldest IR that can hold the opset. Raises Fault for a bad or doubled
    name, and for versions that are not known.
    """
    newest = onnx.defs.onnx_opset_version()
    if not 7 <= opset <= newest:
        raise Fault(f"Opset {opset} is not one of 7 to {newest}", "opset", "Older ones are read, but not begun")
    least = least_ir(opset)
    ir = ir or least
    if not least <= ir <= onnx.IR_VERSION:
        raise Fault(f"IR version {ir} is not one of {least} to {onnx.IR_VERSION}", "ir", f"Opset {opset} needs {least}")
    if not name.strip():
        raise Fault("The model needs a name", "name")
    _check_names(inputs, "input")
    _check_names(outputs, "output")
    known = {port.name: port for port in inputs}
    for port in outputs:
        if port.name in known and known[port.name] != port:
            raise Fault("An input of this name has another type", port.name, "Give the output a name of its own")
    missing = [port.name for port in outputs if port.name not in known]
    model = ModelProto(ir_version=ir, producer_name=producer)
    model.opset_import.add(domain="", version=opset)
    model.graph.CopyFrom(GraphProto(name=name.strip()))
    model.graph.input.extend(port.value_info() for port in inputs)
    model.graph.output.extend(port.value_info() for port in outputs)
    if missing:
        model.opset_import.add(domain=PLACEHOLDER_DOMAIN, version=1)
        node = onnx.helper.make_node(PLACEHOLDER, list(known), missing, name=PLACEHOLDER, domain=PLACEHOLDER_DOMAIN)
        model.graph.node.append(node)
    graph = decode(model.SerializeToString(), None, None)
    return replace(graph, incomplete=incompleteness(graph.model.opset_import, graph.nodes.values(), ()))


def least_ir(opset: int) -> int:
    """The oldest IR version that an opset came with; 4 at least, with which weights need not be inputs."""
    rows = (row for row in onnx.helper.VERSION_TABLE if row[2] >= opset)
    return max(4, int(min(row[1] for row in rows)))


def _check_names(ports: Iterable[Port], what: str) -> None:
    seen: set[str] = set()
    for port in ports:
        if not port.name:
            raise Fault(f"An {what} needs a name", what)
        if port.name in seen:
            raise Fault(f"Two {what}s have this name", port.name, "Every one needs a name of its own")
        seen.add(port.name)


def parse_port(text: str) -> Port:
    """An input or output as people write it: `x:float32:1x3x224x224`, with names for open dimensions
    (`batchx3x224x224`) and ? for unknown ones, or `scalar`. Raises Fault that says what is wrong."""
    parts = text.rsplit(":", 2)
    if len(parts) != 3 or not parts[0]:
        raise Fault(f"{text!r} is not NAME:DATATYPE:SHAPE", text, "Such as x:float32:1x3x224x224")
    return Port(parts[0], parse_dtype(parts[1]), parse_shape(parts[2]))


def parse_dtype(text: str) -> int:
    """A datatype by its name in TensorRT (FP16), numpy (float16) or ONNX (FLOAT16)."""
    word = text.strip()
    for number, short in DTYPE_NAMES.items():
        names = {short.lower()}
        if number in onnx.TensorProto.DataType.values():
            names.add(onnx.TensorProto.DataType.Name(number).lower())
            if number != onnx.TensorProto.STRING:
                names.add(onnx.helper.tensor_dtype_to_np_dtype(number).name)
        if word.lower() in names:
            return number
    known = ", ".join(DTYPE_NAMES.values())
    raise Fault(f"{text!r} is no datatype", text, f"It is one of {known}, or numpy's name such as float32")


def parse_shape(text: str) -> tuple[Dim, ...]:
    """Dimensions with x, × or commas between them. Raises Fault that names the part which is none."""
    word = text.strip().strip("[]()").strip()
    if word in ("scalar", ""):
        return ()
    parts = re.split(r"[,×]", word) if "," in word or "×" in word else re.split(r"x(?=[\w?])", word)
    return tuple(_dim(part.strip(), text) for part in parts)


def _dim(part: str, text: str) -> Dim:
    if part == "?":
        return None
    if part.isdecimal() and len(part) < 19:
        return int(part)
    if _SYMBOL.fullmatch(part):
        return part
    raise Fault(f"{part!r} is neither a size, nor a name, nor ?", text, "Such as batch,3,224,224")
