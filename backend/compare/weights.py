"""How far the values of two weights are apart, a piece at a time: weights of any size, over mapped files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from graftwerk.backend.compare.result import Change, Magnitude
from graftwerk.backend.graph.tensors import BITS, Initializer, Span
from graftwerk.backend.graph.types import TensorType

#: Elements that are looked at at once.
_PIECE = 1 << 20


def type_changes(before: Initializer, after: Initializer) -> list[Change]:
    """Another datatype or shape; says nothing of the values."""
    old, new = (TensorType(weight.dtype, weight.dims) for weight in (before, after))
    return [Change("changed", "type", str(old), str(new))] if old != new else []


def magnitude(before: Initializer, after: Initializer) -> Magnitude | None:
    """How far two weights of the same shape are apart; None where all values are the same, or shapes differ.

    Values of different datatypes are compared as real numbers. Raises Fault where a weight can't be read.
    """
    if before.dims != after.dims or _same_place(before, after):
        return None
    if before.dtype == after.dtype and before.span is not None and after.span is not None and BITS[before.dtype] >= 8:
        before.array(), after.array()  # refuses a weight whose bytes don't fit its shape
        width = BITS[before.dtype] // 8 * _PIECE
        if all(np.array_equal(old, new) for old, new in _stored(before.span, after.span, width)):
            return None
        kind = onnx.helper.tensor_dtype_to_np_dtype(before.dtype)
        found = _Sum()
        for old, new in _stored(before.span, after.span, width):
            found.add(old.view(kind), new.view(kind))
        return found.magnitude()
    return arrays_magnitude(before.array(), after.array())


def arrays_magnitude(before: NDArray[np.generic], after: NDArray[np.generic]) -> Magnitude | None:
    """As `magnitude`, of arrays of the same shape; of texts, which are only equal or not, with no distance."""
    old, new = before.reshape(-1), after.reshape(-1)
    if old.dtype.kind in "OSU" or new.dtype.kind in "OSU":
        count = int(np.count_nonzero(old != new))
        return Magnitude(old.size, count, 0.0, None, count) if count else None
    found = _Sum()
    for start in range(0, old.size, _PIECE):
        found.add(old[start : start + _PIECE], new[start : start + _PIECE])
    return found.magnitude()


def _same_place(before: Initializer, after: Initializer) -> bool:
    """Whether both are the same bytes of the same file, or the same record."""
    if before.dtype != after.dtype:
        return False
    if before is after or (before.span is None and after.span is None and before.proto == after.proto):
        return True
    one, other = before.span, after.span
    if one is None or other is None or one.source is None or other.source is None:
        return False
    places = [(span.source.path.resolve(), span.source.size, span.source.modified_ns, span.offset, span.length)
              for span in (one, other) if span.source is not None]  # fmt: skip
    return places[0] == places[1]


def _stored(before: Span, after: Span, size: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Pieces of both, mapped one after the other: what was looked at needs no memory any more."""
    for start in range(0, min(before.length, after.length), size):
        yield _piece(before, start, size), _piece(after, start, size)


def _piece(span: Span, start: int, size: int) -> NDArray[np.uint8]:
    if type(span) is not Span:  # its bytes are made when they are read
        return span.read()[start : start + size]
    return Span(span.source, span.offset + start, min(size, span.length - start), span.location).read()


class _Sum:
    """Collects pieces of two tensors."""

    def __init__(self) -> None:
        self.elements = self.differing = self.not_finite = 0
        self.most = self.squares = self.base = 0.0

    def add(self, old: NDArray[np.generic], new: NDArray[np.generic]) -> None:
        one, other = _numbers(old), _numbers(new)
        self.elements += one.size
        with np.errstate(invalid="ignore", over="ignore"):
            away = np.abs(other - one)
            unequal = (one != other) & ~(np.isnan(one) & np.isnan(other))
        finite = np.isfinite(away)
        self.differing += int(np.count_nonzero(unequal))
        self.not_finite += int(np.count_nonzero(unequal & ~finite))
        self.most = max(self.most, float(away[finite].max(initial=0.0)))
        self.squares += _squares(away)
        self.base += _squares(one)

    def magnitude(self) -> Magnitude | None:
        if not self.differing:
            return None
        relative = float(np.sqrt(self.squares / self.base)) if self.base else None
        return Magnitude(self.elements, self.differing, self.most, relative, self.not_finite)


def _numbers(array: NDArray[np.generic]) -> NDArray[Any]:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _squares(numbers: NDArray[Any]) -> float:
    sizes = np.abs(numbers)
    return float(np.sum(np.square(sizes[np.isfinite(sizes)])))
