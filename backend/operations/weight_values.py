"""What the operations on weights have in common; no operation of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.constants import View
from graftwerk.backend.graph.convert import is_float, limits, numpy_type
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.tensors import STRIPPED, STRIPPED_HASH, Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES
from graftwerk.backend.operations.registry import Operation, Selection, param

NOTHING = Reason("Select one or more weights, or nodes that read them")
_NUMBERS = {name: number for number, name in DTYPE_NAMES.items()}


@dataclass(frozen=True)
class OnWeights(Operation):
    """Base of operations that do the same to several weights."""

    tensors: tuple[TensorName, ...] = param(label="Weights")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        names = selected_weights(graph, selection)
        if not names:
            return NOTHING
        rest = {p.name: p.initial for p in cls.info.parameters if p.required}
        return cls(**{**rest, "tensors": names})

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.tensors:
            return NOTHING
        for name in self.tensors:
            reason = self.blocked_for(graph, weight_of(graph, name))
            if reason is not None:
                return reason
        return None

    def blocked_for(self, graph: Graph, weight: Initializer) -> Reason | None:
        """Why it can't be done to one of the weights; cheap."""
        return no_numbers(weight)


def weight_of(view: View, name: str) -> Initializer:
    """The weight of a name. Raises Fault where there is none."""
    weight = view.initializers.get(name)
    if weight is not None:
        return weight
    made = view.producer(name)
    if made is not None and view.nodes[made].op_type == "Constant":
        hint = "Weights › Constants to weights (weights.from_constants) makes it a weight"
        raise Fault("A Constant node makes this tensor", name, hint)
    raise Fault("There is no such weight", name, "Weights are the graph's initializers")


def selected_weights(graph: Graph, selection: Selection) -> tuple[TensorName, ...]:
    """The selected weights, and those that the selected nodes read; each once."""
    read = (name for node in selection.nodes for name in graph.nodes[node].input)
    return tuple(TensorName(name) for name in dict.fromkeys((*selection.tensors, *read)) if name in graph.initializers)


def only_weight(graph: Graph, selection: Selection) -> TensorName | Reason:
    """The one weight that is selected, or that the selected nodes read."""
    names = selected_weights(graph, selection)
    if len(names) == 1:
        return names[0]
    if not names:
        return Reason("Select a weight, or a node that reads one")
    shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return Reason(f"Select one weight; here are {len(names)}: {shown}", "Click its name in the inspector")


def no_values(weight: Initializer) -> Reason | None:
    """Why the values of a weight can't be read; cheap."""
    if weight.missing:
        assert weight.span is not None
        return Reason(f"The values of {weight.name} lie in {weight.span.location}, which is missing",
                      "Put the file beside the model, and open it again")  # fmt: skip
    wrong = weight.wrong()
    return Reason(f"{weight.name}: {wrong}") if wrong is not None else None


def no_numbers(weight: Initializer) -> Reason | None:
    """Why a weight can't be computed with; cheap."""
    if weight.dtype in (TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        return Reason(f"{weight.name} is {DTYPE_NAMES[weight.dtype]}", "Only numbers can be worked on")
    return no_values(weight)


def with_values(weight: Initializer, values: NDArray[np.generic]) -> Initializer:
    """A weight with other values under the same name, documentation and place; no longer stripped."""
    made = Initializer.from_array(values, weight.name)
    proto = made.proto
    proto.doc_string = weight.proto.doc_string
    kept = [entry for entry in weight.proto.metadata_props if entry.key not in (STRIPPED, STRIPPED_HASH)]
    proto.metadata_props.extend(kept)
    return Initializer(proto, None, weight.file)


def number_of(dtype_name: str) -> int:
    """TensorProto.DataType of a short name such as FP16."""
    return _NUMBERS[dtype_name]


def checked_value(value: Any, dtype: int, where: str) -> Any:
    """A value that somebody gave for an element, as numpy takes it.

    Numbers may be texts (`nan`, `-inf`, `0x10`). Raises Fault where the datatype can't hold it.
    """
    name = DTYPE_NAMES.get(dtype, str(dtype))
    if dtype == TensorProto.STRING:
        if not isinstance(value, str):
            raise Fault(f"{value!r} is not a text", where, "This weight holds texts")
        return value.encode()
    number = _parsed(value, name, where)
    low, high = limits(dtype)
    if is_float(dtype):
        with np.errstate(over="ignore"):
            held = float(np.asarray(float(number), np.float64).astype(numpy_type(dtype)))
        if abs(number) != float("inf") and number == number and not abs(held) <= high:
            raise Fault(f"{value} is larger than {name} can hold ({high:g})", where)
        return float(number)
    if number != number or number in (float("inf"), float("-inf")) or number != int(number):
        raise Fault(f"{value} is not a whole number; {name} holds no others", where)
    if not low <= number <= high:
        raise Fault(f"{value} is out of range: {name} holds {int(low)} to {int(high)}", where)
    return bool(number) if dtype == TensorProto.BOOL else int(number)


def _parsed(value: Any, name: str, where: str) -> float | int:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("true", "false"):
            return text == "true"
        for read in (lambda t: int(t, 0), float):
            try:
                return read(text)
            except ValueError:
                continue
    raise Fault(f"{value!r} is not a number", where, f"This weight is {name}")
