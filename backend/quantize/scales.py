"""Scales: from a weight's values along the right axis, from a measured range, or as a guess that says it is one.

Symmetric quantization throughout, zero point 0: TensorRT knows no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from graftwerk.backend.graph.constants import View, constant, stored
from graftwerk.backend.graph.graph import NodeId
from graftwerk.backend.graph.tensors import Initializer

QuantizedType = Literal["int8", "fp8e4m3fn"]
DTYPES: dict[str, int] = {"int8": TensorProto.INT8, "fp8e4m3fn": TensorProto.FLOAT8E4M3FN}

#: The largest magnitude that a datatype holds on both sides of zero.
LARGEST: dict[str, float] = {"int8": 127.0, "fp8e4m3fn": 448.0}

#: Nodes whose arithmetic TensorRT does in INT8 or FP8, with the positions of their two factors.
COMPUTE: dict[str, tuple[int, int]] = {"Conv": (0, 1), "ConvTranspose": (0, 1), "Gemm": (0, 1), "MatMul": (0, 1)}

#: The largest magnitude an activation can take, where the operator that makes it bounds it.
_BOUNDS = {
    "Softmax": 1.0, "Sigmoid": 1.0, "HardSigmoid": 1.0, "Tanh": 1.0, "Erf": 1.0, "Sin": 1.0, "Cos": 1.0,
    "Softsign": 1.0,
}  # fmt: skip

#: What an activation is taken to stay within when nothing is known: six standard deviations of a normalized layer,
#: the bound of ReLU6. A guess to start from, to be replaced by a measured range.
GUESSED_RANGE = 6.0


@dataclass(frozen=True, slots=True)
class Weight:
    """A stored weight as a node sees it: behind Identity nodes, and transposed by Transpose nodes on the way."""

    stored: Initializer
    permutation: tuple[int, ...]

    @property
    def dtype(self) -> int:
        return self.stored.dtype

    @property
    def dims(self) -> tuple[int, ...]:
        return tuple(self.stored.dims[axis] for axis in self.permutation)

    def array(self) -> NDArray[np.generic]:
        return self.stored.array().transpose(self.permutation)


def weight(view: View, tensor: str) -> Weight | None:
    """The stored weight behind a tensor; None where it is computed. No values are read yet."""
    permutations: list[tuple[int, ...]] = []
    while True:
        found = stored(view, tensor)
        if found is not None:
            order = tuple(range(len(found.dims)))
            for permutation in reversed(permutations):
                order = tuple(order[axis] for axis in permutation or reversed(range(len(order))))
            return Weight(found, order)
        made = view.producer(tensor)
        if made is None or view.nodes[made].op_type not in ("Identity", "Transpose"):
            return None
        record = view.nodes[made]
        if record.op_type == "Transpose":
            permutations.append(next((tuple(a.ints) for a in record.attribute if a.name == "perm"), ()))
        tensor = record.input[0]


def channel_axis(record: NodeProto, tensor: str, rank: int) -> int | None:
    """The axis of a weight's output channels as a node reads it; None where it can only be quantized per tensor.

    TensorRT's developer guide, "Q/DQ Layer-Placement": Conv K of KCRS, deconvolution K of CKRS, and of a matrix
    product the axis that is not summed over.
    """
    if record.op_type == "Conv":
        return 0
    if record.op_type == "ConvTranspose":
        group = next((attribute.i for attribute in record.attribute if attribute.name == "group"), 1)
        return 1 if group == 1 else None
    if record.op_type == "Gemm" and len(record.input) > 1 and record.input[1] == tensor:
        transposed = any(attribute.name == "transB" and attribute.i for attribute in record.attribute)
        return 0 if transposed else 1
    if record.op_type == "MatMul" and record.input[1] == tensor and rank >= 2:
        return rank - 1
    return None


def common_axis(view: View, tensor: str, readers: Iterable[NodeId]) -> int | None:
    """The channel axis on which all readers of a weight agree; None for a weight to be quantized per tensor."""
    found = weight(view, tensor)
    if found is None:
        return None
    rank = len(found.dims)
    axes = {channel_axis(view.nodes[node], tensor, rank) for node in readers}
    return axes.pop() if len(axes) == 1 else None


def scale_of(largest: float, dtype: str = "int8") -> float:
    """The scale at which a magnitude is just held; 1 for a tensor of zeros, whose scale is of no account.

    NaN where the magnitude is NaN.
    """
    return largest / LARGEST[dtype] if largest != 0 else 1.0


def weight_scales(values: NDArray[np.generic], axis: int | None, dtype: str = "int8") -> NDArray[np.float32]:
    """max|w| over the largest magnitude of the datatype: a scalar, or a vector along `axis`."""
    magnitudes = np.abs(values.astype(np.float32, copy=False))
    if axis is None:
        return np.asarray(scale_of(float(magnitudes.max(initial=0.0)), dtype), np.float32)
    others = tuple(at for at in range(magnitudes.ndim) if at != axis % magnitudes.ndim)
    largest = magnitudes.max(axis=others, initial=0.0)
    return np.where(largest != 0, largest / np.float32(LARGEST[dtype]), np.float32(1)).astype(np.float32)


def guessed_scale(view: View, tensor: str, dtype: str = "int8") -> float:
    """A scale for an activation that nobody measured: the bound of the operator that makes it, else `GUESSED_RANGE`."""
    made = view.producer(tensor)
    if made is None:
        return scale_of(GUESSED_RANGE, dtype)
    record = view.nodes[made]
    if record.op_type == "Clip":
        bounds = [constant(view, name) for name in record.input[1:] if name]
        given = [abs(float(bound.reshape(-1)[0])) for bound in bounds if bound is not None and bound.size]
        given += [abs(attribute.f) for attribute in record.attribute if attribute.name in ("min", "max")]
        if len(given) == 2:
            return scale_of(max(given), dtype)
    return scale_of(_BOUNDS.get(record.op_type, GUESSED_RANGE), dtype)
