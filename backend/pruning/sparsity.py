"""2:4 sparsity: which weights have two zeros in every four along what a layer sums over, and making it so.

TensorRT's rule (developer guide, "Structured sparsity"): for each output channel and each place in the kernel, of every
four input channels at least two are zero; of a fully connected layer, of every four along the axis that is summed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.constants import View
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.precision.ports import FLOATS

_PIECE = 1 << 22


@dataclass(frozen=True)
class LayerWeight:
    """A weight that a layer multiplies with: `axis` is what is summed over, `out` the axis of the output channels."""

    node: NodeId
    weight: Initializer
    axis: int
    out: int


@dataclass(frozen=True)
class Sparsity:
    """How a weight stands to 2:4. `groups` of four, of which `bad` have fewer than two zeros; `error` is what pruning
    by magnitude would change: |w - w'| / |w|, Frobenius."""

    node: str
    weight: str
    dims: tuple[int, ...]
    groups: int
    bad: int
    error: float
    reason: str = ""

    @property
    def satisfied(self) -> bool:
        return not self.bad and not self.reason


def layer_weights(view: View) -> Iterator[LayerWeight]:
    """The weights of Conv, Gemm and MatMul that lie in the model as floats."""
    for node, record in view.nodes.items():
        if record.domain not in ("", "ai.onnx") or record.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weight = view.initializers.get(record.input[1])
        if weight is None or weight.dtype not in FLOATS or len(weight.dims) < 2 or weight.stripped is not None:
            continue
        if record.op_type == "Conv":
            yield LayerWeight(node, weight, 1, 0)
        else:
            turned = record.op_type == "Gemm" and any(a.name == "transB" and a.i for a in record.attribute)
            rank = len(weight.dims)
            yield LayerWeight(node, weight, rank - 1 if turned else rank - 2, rank - 2 if turned else rank - 1)


def why_not(layer: LayerWeight) -> Reason | None:
    """Why a weight can't be 2:4, whatever its values."""
    size = layer.weight.dims[layer.axis]
    if size % 4:
        return Reason(f"It sums over {size}, which is no multiple of 4")
    return Reason("Its values are missing") if layer.weight.missing else None


def sparsity_of(graph: Graph, layer: LayerWeight) -> Sparsity:
    """Reads the weight. Raises Fault where it can't be read."""
    reason = why_not(layer)
    name = (graph.ref(layer.node), layer.weight.name, layer.weight.dims)
    if reason is not None:
        return Sparsity(*name, 0, 0, 0.0, reason.text)
    fours = np.moveaxis(layer.weight.array(), layer.axis, -1).reshape(-1, 4)
    bad, lost, whole = 0, 0.0, 0.0
    for start in range(0, len(fours), _PIECE):
        piece = np.abs(fours[start : start + _PIECE].astype(np.float32))
        bad += int((np.count_nonzero(piece, axis=1) > 2).sum())
        small = np.sort(piece, axis=1)[:, :2].astype(np.float64)
        lost += float(np.square(small).sum())
        whole += float(np.square(piece.astype(np.float64)).sum())
    return Sparsity(*name, len(fours), bad, float(np.sqrt(lost / whole)) if whole else 0.0)


def pruned(values: NDArray[np.generic], axis: int) -> NDArray[np.generic]:
    """A copy in which of every four along an axis the two smallest magnitudes are zero; of equal ones the later go.

    The length of the axis is a multiple of four.
    """
    moved = np.moveaxis(values, axis, -1)
    fours = moved.reshape(-1, 4)
    made = fours.copy()
    for start in range(0, len(fours), _PIECE):
        piece = np.abs(fours[start : start + _PIECE].astype(np.float32))
        order = np.argsort(-piece, axis=1, kind="stable")[:, 2:]
        np.put_along_axis(made[start : start + len(piece)], order, np.zeros((), made.dtype), axis=1)
    return np.ascontiguousarray(np.moveaxis(made.reshape(moved.shape), -1, axis))


def uneven_channels(
    graph: Graph, multiples: tuple[int, ...] = (8, 32, 64)
) -> list[tuple[str, int, int, tuple[int, ...]]]:
    """Layers whose channels leave tensor cores idle: reference, channels in, channels out, and the multiples that one
    of the two misses. Depthwise convolutions, which tensor cores don't compute, are left out."""
    found = []
    for layer in layer_weights(graph):
        record = graph.nodes[layer.node]
        groups = next((int(a.i) for a in record.attribute if a.name == "group"), 1)
        inside, outside = layer.weight.dims[layer.axis], layer.weight.dims[layer.out]
        if groups > 1 and inside == 1:
            continue
        missed = tuple(each for each in multiples if inside % each or (outside // groups) % each)
        if missed:
            found.append((str(graph.ref(layer.node)), inside, outside, missed))
    return found
