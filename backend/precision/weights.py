"""Weights in another float: large ones are converted when they are read or written, one at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from graftwerk.backend.graph.convert import Loss, converted, limits, numpy_type
from graftwerk.backend.graph.tensors import BITS, Initializer, Span

#: Weights of more bytes than this, in a file, are not read before somebody needs them.
LAZY = 1 << 20
_PIECE = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class Converted(Span):
    """A run of bytes that is made of a weight's values when it is read."""

    origin: Initializer | None = None
    dtype: int = 0

    def read(self) -> NDArray[np.uint8]:
        assert self.origin is not None
        return clamped(self.origin.array(), self.dtype).reshape(-1).view(np.uint8)


def clamped(values: NDArray[np.generic], dtype: int) -> NDArray[np.generic]:
    """Rounded to the nearest; what is finite stays so: a mask of -3.4e38 becomes -65504 in FP16, not -inf."""
    low, high = limits(dtype)
    flat = np.ascontiguousarray(values).reshape(-1)
    made = np.empty(flat.shape, numpy_type(dtype))
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE].astype(np.float64 if flat.dtype == np.float64 else np.float32)
        held = np.where(np.isfinite(piece), np.clip(piece, low, high), piece)
        made[start : start + piece.size] = held.astype(made.dtype)
    return made.reshape(values.shape)


def retyped(weight: Initializer, dtype: int, name: str = "") -> Initializer:
    """A weight in another float, under a name of its own if one is given; where it lies and goes stays the same.

    Its values are read now where they are few, else when they are used: a model of many gigabytes is converted weight
    by weight while it is written.
    """
    if weight.dtype == dtype:
        return weight.renamed(name) if name else weight
    proto = TensorProto(name=name or weight.name, data_type=dtype, dims=weight.dims)
    proto.doc_string = weight.proto.doc_string
    proto.metadata_props.extend(weight.proto.metadata_props)
    if weight.span is None or weight.span.source is None or weight.nbytes <= LAZY:
        proto.raw_data = clamped(weight.array(), dtype).tobytes()
        return Initializer(proto, None, weight.file)
    length = weight.size * BITS[dtype] // 8
    # Not beside the old values in their file: that one is copied as it is where something else still lies in it.
    file = weight.file or (f"{weight.span.location}.{numpy_type(dtype).name}" if weight.span.location else "")
    # The offset tells it from other weights of the file.
    return Initializer(proto, Converted(weight.span.source, weight.span.offset, length, "", weight, dtype), file)


def vanishes(weight: Initializer, dtype: int) -> bool:
    """Whether a small constant that is not zero becomes zero, such as an epsilon of 1e-12 in FP16."""
    if weight.size > 4096 or weight.size == 0 or weight.missing or weight.stripped is not None:
        return False
    values = weight.array().astype(np.float32)
    return bool(np.any(values != 0)) and not np.any(clamped(values, dtype).astype(np.float32))


@dataclass(frozen=True, slots=True)
class WeightLoss:
    """What a conversion changed: `subnormal` values are kept with less precision than the datatype's usual."""

    name: str
    loss: Loss
    subnormal: int


def loss_of(weight: Initializer, dtype: int) -> WeightLoss:
    """Reads the weight, and nothing of it stays in memory. Raises Fault where it can't be read."""
    values = weight.array()
    made, loss = converted(values, dtype)
    least = 2.0**-14 if dtype == TensorProto.FLOAT16 else 2.0**-126
    small = np.abs(made.astype(np.float32))
    return WeightLoss(weight.name, loss, int(np.count_nonzero((small > 0) & (small < least))))
