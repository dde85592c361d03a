"""Editing what a model takes and gives: its graph inputs and outputs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from onnx import ValueInfoProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.types import DTYPE_NAMES, Dim, TensorType
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.retype import fits

Dtype = Literal[
    "unchanged", "FP32", "FP16", "BF16", "FP64", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64",
    "UINT64", "BOOL", "STRING", "FP8", "FP8E5M2", "INT4", "UINT4", "FP4",
]  # fmt: skip
_NUMBERS = {name: number for number, name in DTYPE_NAMES.items()}
_SYMBOL = re.compile(r"[^\W\d][\w.]*( *[-+*/] *\w+)*")


def parse_dims(text: str) -> tuple[Dim, ...]:
    """Dimensions as people write them: sizes, symbols and `?` for unknown, separated by commas or ×; or `scalar`.

    Raises Fault that names the part which is none of these.
    """
    if text.strip() == "scalar":
        return ()
    return tuple(_dim(part.strip()) for part in re.split(r"[,×]", text.strip().strip("[]()")))


def _dim(part: str) -> Dim:
    if part.isdecimal():
        digits = part.lstrip("0") or "0"
        if len(digits) > 19 or int(digits) >= 1 << 63:
            raise Fault(f"{part[:24]} is larger than a size can be", "dims", "Sizes are 64-bit integers")
        return int(digits)
    if part == "?":
        return None
    symbol = part.strip("\"'")
    if _SYMBOL.fullmatch(symbol):
        return symbol
    raise Fault(f"{part!r} is neither a size, nor a symbol, nor ?", "dims", "Such as batch,3,224,224")


def format_dims(kind: TensorType | None) -> str:
    """As `parse_dims` reads them; empty where the shape is not known."""
    if kind is None or kind.shape is None:
        return ""
    return ",".join("?" if size is None else str(size) for size in kind.shape) or "scalar"


def _changed(info: ValueInfoProto, dtype: str, dims: str) -> ValueInfoProto:
    """A copy of a declaration with another datatype or shape; everything else that it says is kept."""
    copy = ValueInfoProto()
    copy.CopyFrom(info)
    tensor = copy.type.tensor_type
    if dtype != "unchanged":
        tensor.elem_type = _NUMBERS[dtype]
    if dims.strip():
        fresh = TensorType(0, parse_dims(dims)).value_info("")
        for old, new in zip(tensor.shape.dim, fresh.type.tensor_type.shape.dim, strict=False):
            new.denotation = old.denotation
        tensor.shape.CopyFrom(fresh.type.tensor_type.shape)
    return copy


def find(infos: tuple[ValueInfoProto, ...], name: str, what: str) -> ValueInfoProto:
    found = next((info for info in infos if info.name == name), None)
    if found is None:
        raise Fault(f"There is no such graph {what}", name, f"It has: {', '.join(info.name for info in infos)}")
    return found


def _why_not(graph: Graph, info: ValueInfoProto, name: str, dtype: str, dims: str) -> Reason | None:
    """What speaks against a change of an input or an output alike."""
    if dims.strip():
        parse_dims(dims)
    plain = dtype == "unchanged" and not dims.strip()
    if plain and name in ("", info.name):
        return Reason("Nothing is changed", "Give a name, a datatype or dimensions")
    if not plain and info.type.WhichOneof("value") not in ("tensor_type", None):
        return Reason(f"{info.name} is a {TensorType.of(info.type).kind}, not a tensor")
    if name and name != info.name and graph.defines(name):
        return Reason(f"Another tensor is called {name!r}", "Choose another name")
    return None


def suggested(graph: Graph, selection: Selection, infos: tuple[ValueInfoProto, ...]) -> ValueInfoProto | None:
    """The input or output that is selected, or the only one that there is."""
    chosen = [info for info in infos if info.name in selection.tensors]
    if not selection.tensors and len(infos) == 1:
        return infos[0]
    return chosen[0] if len(chosen) == 1 else None


@operation("interface.set_input", title="Edit graph input", menu="Interface")
@dataclass(frozen=True)
class SetInput(Operation):
    """Change a graph input's name, datatype or dimensions; what is left empty or unchanged stays.

    Dimensions are sizes, symbols or ?: `batch,3,224,224`, or `scalar`. Types that were inferred from the input are
    forgotten, and inferred again.
    """

    tensor: TensorName = param(label="Graph input")
    name: str = param("", label="New name")
    dtype: Dtype = param("unchanged", label="Datatype")
    dims: str = param("", label="Dimensions", help="batch,3,224,224")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> SetInput | Reason:
        info = suggested(graph, selection, graph.inputs)
        if info is None:
            return Reason("Select one graph input")
        return cls(TensorName(info.name), info.name, dims=format_dims(TensorType.of(info.type)))

    def blocked(self, graph: Graph) -> Reason | None:
        info = find(graph.inputs, self.tensor, "input")
        weight = graph.initializers.get(self.tensor)
        new = TensorType.of(_changed(info, self.dtype, self.dims).type)
        if weight is not None and not fits(TensorType(weight.dtype, weight.dims), new):
            return Reason("This input has a default value of another type", "Its datatype and dimensions must fit it")
        return _why_not(graph, info, self.name, self.dtype, self.dims)

    def apply(self, edit: Edit) -> None:
        old = find(edit.base.inputs, self.tensor, "input")
        new = _changed(old, self.dtype, self.dims)
        if new != old:
            edit.set_inputs(new if info.name == self.tensor else info for info in edit.inputs)
            edit.forget_types([self.tensor])
        if self.name and self.name != self.tensor:
            edit.rename_tensor(self.tensor, self.name)


@operation("interface.set_output", title="Edit graph output", menu="Interface", preserves=True)
@dataclass(frozen=True)
class SetOutput(Operation):
    """Change a graph output's name, or the datatype or dimensions that are declared for it.

    A declaration changes no value: another datatype than the one that is computed is refused, insert a Cast for
    that. Dimensions are sizes, symbols or ?: `batch,1000`, or `scalar`.
    """

    tensor: TensorName = param(label="Graph output")
    name: str = param("", label="New name")
    dtype: Dtype = param("unchanged", label="Datatype")
    dims: str = param("", label="Dimensions", help="batch,1000")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> SetOutput | Reason:
        info = suggested(graph, selection, graph.outputs)
        if info is None:
            return Reason("Select one graph output")
        return cls(TensorName(info.name), info.name, dims=format_dims(TensorType.of(info.type)))

    def blocked(self, graph: Graph) -> Reason | None:
        info = find(graph.outputs, self.tensor, "output")
        reason = _why_not(graph, info, self.name, self.dtype, self.dims)
        if reason is not None:
            return reason
        computed = graph.types.get(self.tensor)
        if computed is None and graph.producer(self.tensor) is None:  # a weight or an input that is given out as it is
            computed = graph.type_of(self.tensor)
        if not fits(computed, TensorType.of(_changed(info, self.dtype, self.dims).type)):
            return Reason(f"What is computed there is {computed}", "Insert a Cast or a Reshape to change it")
        return None

    def apply(self, edit: Edit) -> None:
        old = find(edit.base.outputs, self.tensor, "output")
        new = _changed(old, self.dtype, self.dims)
        edit.set_outputs(new if info.name == self.tensor else info for info in edit.outputs)
        if self.name and self.name != self.tensor:
            edit.rename_tensor(self.tensor, self.name)


@operation("interface.remove_input", title="Remove graph input", menu="Interface", preserves=True)
@dataclass(frozen=True)
class RemoveInput(Operation):
    """Remove a graph input that nothing reads, or one that is a weight's default value: it is a plain weight then."""

    tensor: TensorName = param(label="Graph input")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> RemoveInput | Reason:
        info = suggested(graph, selection, graph.inputs)
        return cls(TensorName(info.name)) if info is not None else Reason("Select one graph input")

    def blocked(self, graph: Graph) -> Reason | None:
        find(graph.inputs, self.tensor, "input")
        if self.tensor in graph.initializers:
            return None
        users = graph.consumers(self.tensor)
        if users:
            return Reason(f"{graph.ref(users[0])} reads it", "Rewire or delete what reads it first")
        if graph.is_output(self.tensor):
            return Reason("It is a graph output as well", "Unmark the output first")
        return None

    def apply(self, edit: Edit) -> None:
        edit.set_inputs(info for info in edit.inputs if info.name != self.tensor)
        if self.tensor in edit.initializers:
            edit.require_ir(4)  # before, every weight was a graph input as well
