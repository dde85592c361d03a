"""Changing the values of weights: single elements, all of them, by arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.convert import converted, is_float, limits, numpy_type
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.weight_values import (
    NOTHING,
    OnWeights,
    checked_value,
    no_values,
    only_weight,
    selected_weights,
    weight_of,
    with_values,
)

#: Elements that one edit may name: more belong into a file.
_MOST = 100_000


@operation("weights.set", title="Set elements", menu="Weights")
@dataclass(frozen=True)
class SetElements(Operation):
    """Set single elements of a weight by their indices.

    Values are JSON: `{"0,3": 1.5, "2,1": "-inf"}`. A scalar's index is empty. An index may count from the end, as in
    Python. A value that the datatype can't hold is refused.
    """

    tensor: TensorName = param(label="Weight")
    values: dict[str, Any] = param(label="Elements", help='{"0,3": 1.5}')

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> SetElements | Reason:
        name = only_weight(graph, selection)
        return name if isinstance(name, Reason) else cls(name, {})

    def blocked(self, graph: Graph) -> Reason | None:
        weight = weight_of(graph, self.tensor)
        if not self.values:
            return Reason("No element is given", 'Such as {"0,3": 1.5}')
        if len(self.values) > _MOST:
            return Reason(f"These are {len(self.values)} elements; at most {_MOST} can be set at once",
                          "Replace the weight from a .npy file")  # fmt: skip
        for index, value in self.values.items():
            _place(index, weight)
            checked_value(value, weight.dtype, f"{self.tensor}[{index}]")
        return no_values(weight)

    def apply(self, edit: Edit) -> None:
        weight = weight_of(edit, self.tensor)
        values = np.array(weight.array())
        for index, value in self.values.items():
            values[_place(index, weight)] = checked_value(value, weight.dtype, f"{self.tensor}[{index}]")
        edit.set_initializer(with_values(weight, values))

    def summary(self) -> str:
        count = len(self.values)
        return f"Set {count} element{'s' * (count != 1)} of {self.tensor}"


def _place(index: str, weight: Initializer) -> tuple[int, ...]:
    """An index as it is written, `0,3`. Raises Fault where it lies outside of the weight."""
    text = index.strip().strip("[]")
    try:
        place = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise Fault(f"{index!r} is not an index", weight.name, "Such as 0,3") from None
    if len(place) != len(weight.dims):
        raise Fault(f"{index!r} has {len(place)} indices; the weight has {len(weight.dims)} dimensions", weight.name)
    for at, size in zip(place, weight.dims, strict=True):
        if not -size <= at < size:
            raise Fault(f"{index!r} lies outside of the shape {list(weight.dims)}", weight.name)
    return place


@operation("weights.fill", title="Fill with a value", menu="Weights")
@dataclass(frozen=True)
class Fill(OnWeights):
    """Set all elements of weights to one value. A value that a datatype can't hold is refused."""

    value: float = param(0.0)

    def blocked_for(self, graph: Graph, weight: Initializer) -> Reason | None:
        if weight.dtype == 8:
            return Reason(f"{weight.name} holds texts")
        checked_value(self.value, weight.dtype, weight.name)
        return None

    def apply(self, edit: Edit) -> None:
        for name in self.tensors:
            weight = weight_of(edit, name)
            value = checked_value(self.value, weight.dtype, name)
            edit.set_initializer(with_values(weight, np.full(weight.dims, value, numpy_type(weight.dtype))))


@operation("weights.scale", title="Scale and shift", menu="Weights")
@dataclass(frozen=True)
class Scale(OnWeights):
    """Compute x · factor + offset for all elements x of weights, in double precision, rounded to the weight's datatype.

    A result that the datatype can't hold is refused, with how many elements that are.
    """

    factor: float = param()
    offset: float = param(0.0)

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Scale | Reason:
        names = selected_weights(graph, selection)
        return cls(names, 1.0) if names else NOTHING

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.tensors:
            return NOTHING
        if self.factor == 1 and self.offset == 0:
            return Reason("That changes nothing", "Give a factor or an offset")
        return super().blocked(graph)

    def apply(self, edit: Edit) -> None:
        for name in self.tensors:
            weight = weight_of(edit, name)
            values = weight.array()
            wide = _whole(values, self.factor, self.offset)
            if wide is None:
                wide = np.asarray(values.astype(np.float64) * self.factor + self.offset)
            edit.set_initializer(with_values(weight, _held(wide, weight)))


def _whole(values: NDArray[np.generic], factor: float, offset: float) -> NDArray[np.int64] | None:
    """The same in integers, exactly, where all of it fits 63 bits; None where it is not."""
    if values.dtype.kind not in "iu" or factor != int(factor) or offset != int(offset):
        return None
    largest = float(np.max(np.abs(values.astype(np.float64)), initial=0.0)) * abs(factor) + abs(offset)
    if largest >= 1 << 62:
        return None
    return np.asarray(values.astype(np.int64) * int(factor) + int(offset))


def _held(wide: NDArray[Any], weight: Initializer) -> NDArray[np.generic]:
    """Results in the weight's datatype. Raises Fault where it can't hold them."""
    made, loss = converted(wide, weight.dtype)
    if loss.overflow:
        low, high = limits(weight.dtype)
        raise Fault(
            f"{loss.overflow:,} of {loss.count:,} results are too large for {DTYPE_NAMES[weight.dtype]}, which holds "
            f"{low:g} to {high:g} (the largest is {loss.largest:g})",
            weight.name,
            "Clip the weight first, or give it a larger datatype",
        )
    return made


@operation("weights.clip", title="Clip", menu="Weights")
@dataclass(frozen=True)
class Clip(OnWeights):
    """Hold all elements of weights between two bounds, both included. NaN stays as it is."""

    minimum: float = param(label="Lower bound")
    maximum: float = param(label="Upper bound")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Clip | Reason:
        names = selected_weights(graph, selection)
        return cls(names, -1.0, 1.0) if names else NOTHING

    def blocked(self, graph: Graph) -> Reason | None:
        if self.minimum > self.maximum:
            return Reason(f"The lower bound {self.minimum:g} is above the upper bound {self.maximum:g}")
        return super().blocked(graph)

    def blocked_for(self, graph: Graph, weight: Initializer) -> Reason | None:
        low, high = limits(weight.dtype) if weight.dtype not in (8, 14, 15) else (-inf, inf)
        whole = not is_float(weight.dtype)
        if self.minimum > high or self.maximum < low or (whole and ceil(self.minimum) > floor(self.maximum)):
            return Reason(f"No {DTYPE_NAMES[weight.dtype]} lies between the bounds", f"{weight.name} would be empty")
        return super().blocked_for(graph, weight)

    def apply(self, edit: Edit) -> None:
        for name in self.tensors:
            weight = weight_of(edit, name)
            low, high = limits(weight.dtype)
            values = weight.array()
            if is_float(weight.dtype):
                made, _ = converted(np.clip(values.astype(np.float64), self.minimum, self.maximum), weight.dtype)
            else:  # the whole numbers between the bounds, exactly
                ends = int(max(low, np.ceil(self.minimum))), int(min(high, np.floor(self.maximum)))
                wide = values.astype(np.int64) if values.dtype.isbuiltin != 1 else values
                made, _ = converted(np.clip(wide, *ends), weight.dtype)
            edit.set_initializer(with_values(weight, made))
