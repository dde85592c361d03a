"""Values in another datatype, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.types import DTYPE_NAMES

_PIECE = 1 << 20
_FLOATS = frozenset({
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.FLOAT8E4M3FN,
    TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E5M2FNUZ, TensorProto.FLOAT4E2M1, 24,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Loss:
    """What a conversion of `count` elements changed: how many values are others now, how many of those were too large
    (`overflow`) or became zero (`underflow`), and the largest error among the rest."""

    count: int
    changed: int = 0
    overflow: int = 0
    underflow: int = 0
    error: float = 0.0
    largest: float = 0.0

    def __str__(self) -> str:
        if not self.changed:
            return f"none of {self.count:,} values changes"
        parts = [f"{self.changed:,} of {self.count:,} values change"]
        if self.overflow:
            parts.append(f"{self.overflow:,} are out of range (the largest is {self.largest:.4g})")
        if self.underflow:
            parts.append(f"{self.underflow:,} become zero")
        if self.error:
            parts.append(f"the largest error is {self.error:.3g}")
        return ", ".join(parts)


def numpy_type(dtype: int) -> np.dtype[Any]:
    """numpy's datatype for a TensorProto.DataType; ml_dtypes' for those that numpy has none for."""
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(dtype))


def is_float(dtype: int) -> bool:
    return dtype in _FLOATS


def limits(dtype: int) -> tuple[float, float]:
    """The smallest and largest finite value of a number's datatype."""
    kind = numpy_type(dtype)
    if is_float(dtype):
        info: Any = ml_dtypes.finfo(kind)  # type: ignore[no-untyped-call]
        return float(info.min), float(info.max)
    if kind == np.bool_:
        return 0, 1
    whole: Any = ml_dtypes.iinfo(kind)  # type: ignore[no-untyped-call]
    return int(whole.min), int(whole.max)


def converted(values: NDArray[np.generic], dtype: int) -> tuple[NDArray[np.generic], Loss]:
    """The values in another datatype: rounded to the nearest, integers held at the ends of their range, as ONNX's
    QuantizeLinear does; floats that are too large become infinite, or NaN where the datatype has no infinity.

    Raises Fault for texts and complex numbers.
    """
    if values.dtype.kind in "OSUc" or dtype in (TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        raise Fault("Only numbers can be converted", DTYPE_NAMES.get(dtype, str(dtype)))
    flat = np.ascontiguousarray(values).reshape(-1)
    result = np.empty(flat.shape, numpy_type(dtype))
    totals = Loss(0)
    for start, piece in _pieces(flat):
        made = _cast(piece, dtype)
        result[start : start + piece.size] = made
        totals = _joined(totals, _loss(piece, made))
    return result.reshape(values.shape), totals


def _pieces(flat: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    for start in range(0, flat.size, _PIECE):
        yield start, flat[start : start + _PIECE]


def _cast(piece: NDArray[Any], dtype: int) -> NDArray[Any]:
    kind = numpy_type(dtype)
    if is_float(dtype):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(piece.astype(kind))
    if kind == np.bool_:
        return np.asarray(piece.astype(np.float64) != 0)
    low, high = limits(dtype)
    if piece.dtype.kind in "iub" and piece.dtype.isbuiltin == 1:
        return _whole(piece, int(low), int(high)).astype(kind)
    wide = np.rint(piece.astype(np.float64))
    wide = np.where(np.isnan(wide), 0, wide)
    # The largest 64-bit integers are no doubles: what is above is set after the conversion.
    top = wide >= high
    made = np.clip(wide, low, np.nextafter(high, 0) if high > 1 << 53 else high)
    whole = made.astype(np.uint64 if low == 0 else np.int64)
    whole[top] = int(high)
    return np.asarray(whole.astype(kind))


def _whole(piece: NDArray[Any], low: int, high: int) -> NDArray[Any]:
    """Integers held within a range that may lie outside of their own."""
    if piece.dtype.kind == "b":
        return piece.astype(np.uint8)
    own = np.iinfo(piece.dtype)
    return np.asarray(np.clip(piece, max(low, int(own.min)), min(high, int(own.max))))


def _loss(before: NDArray[Any], after: NDArray[Any]) -> Loss:
    old, new = before.astype(np.float64), after.astype(np.float64)
    differs = ~((old == new) | (np.isnan(old) & np.isnan(new)))
    if before.dtype.kind in "iu" and before.dtype.isbuiltin == 1 and _beyond_doubles(before):
        whole = [int(value) if np.isfinite(value) else None for value in after.tolist()]
        differs = np.array([one != other for one, other in zip(before.tolist(), whole, strict=True)])
    if not differs.any():
        return Loss(before.size)
    finite = np.isfinite(old)
    low, high = limits(onnx.helper.np_dtype_to_tensor_dtype(after.dtype))
    over = differs & finite & (~np.isfinite(new) | (old > high) | (old < low))
    under = differs & (new == 0) & ~over
    rest = differs & finite & ~over & ~under
    error = float(np.max(np.abs(old - new)[rest], initial=0.0))
    largest = float(np.max(np.abs(old[over]), initial=0.0))
    return Loss(before.size, int(differs.sum()), int(over.sum()), int(under.sum()), error, largest)


def _beyond_doubles(values: NDArray[Any]) -> bool:
    return bool(values.size and np.abs(values.astype(np.float64)).max() > 1 << 53)


def _joined(one: Loss, other: Loss) -> Loss:
    return Loss(
        one.count + other.count, one.changed + other.changed, one.overflow + other.overflow,
        one.underflow + other.underflow, max(one.error, other.error), max(one.largest, other.largest),
    )  # fmt: skip
