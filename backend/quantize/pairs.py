"""Q/DQ pairs: QuantizeLinear with the DequantizeLinear behind it, found as the one thing that they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.constants import View, constant, stored
from graftwerk.backend.graph.graph import Graph, NodeId

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"

#: Metadata on a QuantizeLinear whose scale nobody measured.
UNCALIBRATED = "graftwerk.uncalibrated"


@dataclass(frozen=True, slots=True)
class QdqPair:
    """One DequantizeLinear and what feeds it: a QuantizeLinear with the same scale and zero point, or a weight that
    is stored quantized (`quantize` is None then).

    `source` is the float tensor that goes in (the stored weight without a `quantize`), `quantized` the one between
    the two, `output` the one that comes out. `scale` and `zero_point` name tensors; an absent zero point is "".
    `axis` is the node's attribute and means something only where the scale is a vector, see `per_channel`.
    """

    quantize: NodeId | None
    dequantize: NodeId
    source: str
    quantized: str
    output: str
    scale: str
    zero_point: str
    axis: int

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        return (self.dequantize,) if self.quantize is None else (self.quantize, self.dequantize)


def find_pairs(view: View) -> dict[NodeId, QdqPair]:
    """All pairs by their DequantizeLinear, in the order of the nodes. One pass over them."""
    found = (pair_at(view, node) for node, record in view.nodes.items() if record.op_type == DEQUANTIZE)
    return {pair.dequantize: pair for pair in found if pair is not None}


def pair_at(view: View, dequantize: NodeId) -> QdqPair | None:
    """The pair that ends in a node; None where the node is no DequantizeLinear, or what feeds it is not its match."""
    record = view.nodes[dequantize]
    if not _is(record, DEQUANTIZE):
        return None
    quantized, scale, zero_point = _operands(record)
    axis = _axis(record)
    made = view.producer(quantized)
    if made is None:
        if quantized not in view.initializers:
            return None
        return QdqPair(None, dequantize, quantized, quantized, record.output[0], scale, zero_point, axis)
    before = view.nodes[made]
    if not _is(before, QUANTIZE):
        return None
    source, its_scale, its_zero = _operands(before)
    if not (_same(view, scale, its_scale) and _same(view, zero_point, its_zero)):
        return None
    if axis != _axis(before) and per_channel_scale(view, scale):
        return None
    return QdqPair(made, dequantize, source, quantized, record.output[0], scale, zero_point, axis)


def pairs_on(view: View, tensor: str) -> Iterator[QdqPair]:
    """The pairs that quantize a float tensor."""
    for node in view.consumers(tensor):
        record = view.nodes[node]
        if _is(record, QUANTIZE) and record.input[0] == tensor:
            for user in view.consumers(record.output[0]):
                pair = pair_at(view, user)
                if pair is not None:
                    yield pair


def pair_of(graph: Graph, node: NodeId) -> QdqPair:
    """The pair that a node, either of the two, belongs to. Raises Fault where it belongs to none, or to several."""
    record = graph.nodes[node]
    if _is(record, DEQUANTIZE):
        found = [pair for pair in [pair_at(graph, node)] if pair is not None]
    elif _is(record, QUANTIZE):
        users = (pair_at(graph, user) for user in graph.consumers(record.output[0]))
        found = [pair for pair in users if pair is not None]
    else:
        raise Fault(f"{record.op_type} is not part of a Q/DQ pair", graph.ref(node), "Select a pair")
    if not found:
        raise Fault(
            "This node has no partner with the same scale and zero point", graph.ref(node),
            "A pair is a QuantizeLinear and the DequantizeLinear that reads it",
        )  # fmt: skip
    if len(found) > 1:
        raise Fault(
            f"{len(found)} DequantizeLinear nodes read this one", graph.ref(node), "Name the pair by one of those"
        )
    return found[0]


def per_channel(view: View, pair: QdqPair) -> bool:
    """Whether a pair has a scale for every channel along its axis."""
    return per_channel_scale(view, pair.scale)


def per_channel_scale(view: View, scale: str) -> bool:
    weight = stored(view, scale)
    return weight is not None and weight.size > 1


def scales(view: View, pair: QdqPair) -> NDArray[np.float64] | None:
    """The pair's scales as a vector, one element where it is per tensor; None where they are computed."""
    values = constant(view, pair.scale)
    return None if values is None else values.astype(np.float64).reshape(-1)


def quantized_dtype(view: View, pair: QdqPair) -> int:
    """TensorProto.DataType that the pair quantizes to; 0 where its zero point is computed. Without one it is UINT8."""
    weight = stored(view, pair.zero_point if pair.quantize is not None else pair.source)
    if weight is not None:
        return weight.dtype
    return 0 if pair.zero_point else int(TensorProto.UINT8)


def calibrated(view: View, pair: QdqPair) -> bool:
    """Whether somebody gave the pair its scale, or a weight's values did; False for a scale that was guessed."""
    if pair.quantize is None:
        return True
    return all(entry.key != UNCALIBRATED for entry in view.nodes[pair.quantize].metadata_props)


def alike(view: View, one: QdqPair, other: QdqPair) -> bool:
    """Whether two pairs quantize to the same grid."""
    same = _same(view, one.scale, other.scale) and _same(view, one.zero_point, other.zero_point)
    return same and (one.axis == other.axis or not per_channel(view, one))


def _is(record: NodeProto, op_type: str) -> bool:
    return record.op_type == op_type and record.domain in ("", "ai.onnx")


def _operands(record: NodeProto) -> tuple[str, str, str]:
    inputs = record.input
    return inputs[0], inputs[1] if len(inputs) > 1 else "", inputs[2] if len(inputs) > 2 else ""


def _axis(record: NodeProto) -> int:
    return next((int(attribute.i) for attribute in record.attribute if attribute.name == "axis"), 1)


def _same(view: View, one: str, other: str) -> bool:
    """Whether two names mean the same values: exporters write a Constant of its own for Q and for DQ."""
    if one == other:
        return True
    first, second = stored(view, one), stored(view, other)
    if first is None or second is None or first.dtype != second.dtype or first.size != second.size:
        return False
    return bool(np.array_equal(first.array().reshape(-1), second.array().reshape(-1)))
