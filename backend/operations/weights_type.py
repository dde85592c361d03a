"""Datatype and shape of weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from onnx import TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.convert import converted
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.schema import accepts, schema_of
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES, TensorType
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.weight_values import (
    NOTHING,
    OnWeights,
    no_numbers,
    no_values,
    number_of,
    only_weight,
    selected_weights,
    weight_of,
    with_values,
)

Dtype = Literal[
    "FP32", "FP16", "BF16", "FP64", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL",
    "FP8", "FP8E5M2", "INT4", "UINT4", "FP4",
]  # fmt: skip
#: Elements whose loss is computed while the form is open.
_AT_ONCE = 1 << 16


@operation("weights.set_dtype", title="Change datatype", menu="Weights")
@dataclass(frozen=True)
class SetDtype(OnWeights):
    """Store weights in another datatype. What is lost is said, and has to be accepted.

    With *Cast back*, a Cast behind each weight gives its readers the datatype that they had: the model stays valid,
    and only the values change. Without it, the readers see the new datatype.
    """

    dtype: Dtype = param(label="Datatype")
    cast_back: bool = param(True, help="Insert a Cast to the old datatype for the readers")
    accept_loss: bool = param(False, help="Do it although values change")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> SetDtype | Reason:
        names = selected_weights(graph, selection)
        if not names:
            return NOTHING
        return cls(names, "FP32" if graph.initializers[names[0]].dtype != TensorProto.FLOAT else "FP16")

    def blocked_for(self, graph: Graph, weight: Initializer) -> Reason | None:
        target = number_of(self.dtype)
        if weight.dtype == target:
            return Reason(f"{weight.name} is {self.dtype} already")
        reason = no_numbers(weight) or _fixed(graph, weight)
        if reason is not None:
            return reason
        cast = schema_of(graph, "Cast", "")
        if self.cast_back and cast is not None and not accepts(cast, 0, target):
            return Reason(f"Cast doesn't take {self.dtype} in opset {graph.opset()}", "Convert the model's opset first")
        if not self.accept_loss and weight.size <= _AT_ONCE:
            self._check_loss(weight)
        return None

    def _check_loss(self, weight: Initializer) -> Initializer:
        values, loss = converted(weight.array(), number_of(self.dtype))
        if loss.changed and not self.accept_loss:
            hint = "Turn on Accept loss (--accept-loss) to do it all the same"
            raise Fault(f"As {self.dtype}, {loss}", weight.name, hint)
        return with_values(weight, values)

    def apply(self, edit: Edit) -> None:
        for name in self.tensors:
            weight = weight_of(edit, name)
            edit.set_initializer(self._check_loss(weight))
            if not self.cast_back:
                edit.forget_types([name])
            elif edit.consumers(name):
                back = edit.fresh_tensor(f"{name}_{DTYPE_NAMES[weight.dtype]}")
                edit.rewire(name, back)
                edit.add_node("Cast", [name], [back], name=edit.fresh_node(f"{name}/Cast"),
                              attributes={"to": weight.dtype})  # fmt: skip
                edit.set_type(back, TensorType(weight.dtype, weight.dims))


def _fixed(graph: Graph, weight: Initializer) -> Reason | None:
    """Why the type of a weight can't change: it is declared as that of an input or output."""
    if graph.is_input(weight.name):
        return Reason(f"{weight.name} is the default of a graph input", "Remove that graph input first")
    if graph.is_output(weight.name):
        return Reason(f"{weight.name} is a graph output", "Unmark the output first")
    return None


@operation("weights.reshape", title="Reshape weight", menu="Weights")
@dataclass(frozen=True)
class ReshapeWeight(Operation):
    """Give a weight other dimensions with the same number of elements, in the same order.

    Dimensions are sizes, one of them may be -1: `64,-1`; or `scalar`. What its readers make of it is inferred again.
    """

    tensor: TensorName = param(label="Weight")
    dims: str = param(label="Dimensions", help="64,-1")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> ReshapeWeight | Reason:
        name = only_weight(graph, selection)
        if isinstance(name, Reason):
            return name
        return cls(name, ",".join(map(str, graph.initializers[name].dims)) or "scalar")

    def blocked(self, graph: Graph) -> Reason | None:
        weight = weight_of(graph, self.tensor)
        if new_dims(self.dims, weight) == weight.dims:
            return Reason(f"{self.tensor} has these dimensions already")
        return no_values(weight) or _fixed(graph, weight)

    def apply(self, edit: Edit) -> None:
        weight = weight_of(edit, self.tensor)
        proto = TensorProto()
        proto.CopyFrom(weight.proto)
        proto.ClearField("dims")
        proto.dims.extend(new_dims(self.dims, weight))
        edit.set_initializer(Initializer(proto, weight.span, weight.file))
        edit.forget_types([self.tensor])


def new_dims(text: str, weight: Initializer) -> tuple[int, ...]:
    """Dimensions as somebody wrote them for a weight. Raises Fault where they don't hold its elements."""
    if text.strip() == "scalar":
        dims: list[int] = []
    else:
        try:
            dims = [int(part) for part in text.replace("×", ",").strip("[]() ").split(",")]
        except ValueError:
            raise Fault(f"{text!r} are no dimensions", "dims", "Such as 64,-1, or scalar") from None
    if dims.count(-1) > 1 or any(size < -1 for size in dims):
        raise Fault(f"{text!r} are no dimensions", "dims", "At most one may be -1")
    rest = prod(size for size in dims if size != -1)
    if -1 in dims and rest and weight.size % rest == 0:
        dims[dims.index(-1)] = weight.size // rest
    if -1 in dims or prod(dims) != weight.size:
        raise Fault(f"{list(dims)} can't hold the {weight.size:,} elements of {list(weight.dims)}", "dims")
    return tuple(dims)
