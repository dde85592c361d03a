"""What TensorRT would refuse, or lose by, in the Q/DQ that a model already carries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from graftwerk.backend.graph.constants import constant
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.types import DTYPE_NAMES
from graftwerk.backend.quantize.pairs import (
    DEQUANTIZE,
    QUANTIZE,
    QdqPair,
    calibrated,
    find_pairs,
    per_channel,
    quantized_dtype,
    scales,
)
from graftwerk.backend.quantize.scales import DTYPES, weight

_SYMMETRIC = frozenset((*DTYPES.values(), TensorProto.INT4, TensorProto.FLOAT4E2M1))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a node or a tensor. `rule` is asymmetric, bias, alone, channels, twice, junction or guess;
    `repair` says whether `qdq.make_symmetric` puts it right."""

    rule: str
    text: str
    where: str
    hint: str = ""
    repair: bool = False


def audit(graph: Graph) -> list[Finding]:
    """Everything that is found, in the order of the nodes. Reads scales, zero points and no large weight."""
    pairs = find_pairs(graph)
    found = [finding for pair in pairs.values() for finding in _of_pair(graph, pair, pairs)]
    return [*found, *_alone(graph, pairs), *_junctions(graph, pairs)]


def asymmetric(graph: Graph, pair: QdqPair) -> bool:
    """Whether TensorRT refuses the pair: an unsigned or wide integer, or a zero point that is not 0."""
    dtype = quantized_dtype(graph, pair)
    if dtype not in _SYMMETRIC:
        return dtype != 0
    zero = constant(graph, pair.zero_point) if pair.zero_point else None
    return zero is not None and bool(np.any(zero.astype(np.float32)))


def _of_pair(graph: Graph, pair: QdqPair, pairs: dict[NodeId, QdqPair]) -> Iterator[Finding]:
    ref = graph.ref(pair.dequantize)
    dtype = quantized_dtype(graph, pair)
    if pair.quantize is None and dtype == TensorProto.INT32:
        yield Finding("bias", f"The bias {pair.source} is stored in INT32: TensorRT wants it in float", ref,
                      "Make it symmetric stores its values as they are", True)  # fmt: skip
    elif asymmetric(graph, pair):
        kind = DTYPE_NAMES.get(dtype, str(dtype))
        shifted = f"{kind} with a zero point" if dtype in _SYMMETRIC else kind
        yield Finding("asymmetric", f"{pair.source} is quantized to {shifted}: TensorRT takes symmetric INT8 and FP8",
                      ref, "Make it symmetric gives the range that covers it", True)  # fmt: skip
    if pair.quantize is not None and per_channel(graph, pair) and weight(graph, pair.source) is None:
        yield Finding("channels", f"The activation {pair.source} has a scale for each channel", ref,
                      "TensorRT quantizes only weights per channel: insert a pair per tensor instead")  # fmt: skip
    made = graph.producer(pair.source) if pair.quantize is not None else None
    if made in pairs:
        yield Finding("twice", f"{pair.source} is quantized twice in a row", ref, "Remove one of the two pairs")
    if not calibrated(graph, pair):
        yield Finding("guess", f"The scale of {pair.source} is a guess", ref, "Calibrate, or give it a scale")


def _alone(graph: Graph, pairs: dict[NodeId, QdqPair]) -> Iterator[Finding]:
    paired = {node for pair in pairs.values() for node in pair.nodes}
    for node, record in graph.nodes.items():
        if record.op_type in (QUANTIZE, DEQUANTIZE) and record.domain in ("", "ai.onnx") and node not in paired:
            text = f"{record.op_type} has no partner with the same scale and zero point"
            yield Finding("alone", text, graph.ref(node),
                          "TensorRT fuses pairs: remove it, or give it its partner")  # fmt: skip


def _junctions(graph: Graph, pairs: dict[NodeId, QdqPair]) -> Iterator[Finding]:
    """A Concat whose inputs have different scales: the engine converts between them. (An Add computes in float.)"""
    for node, record in graph.nodes.items():
        if record.op_type != "Concat" or record.domain not in ("", "ai.onnx"):
            continue
        makers = [graph.producer(name) for name in dict.fromkeys(record.input)]
        read = [pairs[made] for made in makers if made in pairs]
        steps = {float(values[0]) for pair in read
                 if (values := scales(graph, pair)) is not None and values.size == 1}  # fmt: skip
        if len(steps) > 1:
            text = f"Concat joins {len(makers)} tensors with {len(steps)} different scales: each is requantized"
            yield Finding("junction", text, graph.ref(node), "Give them one scale, the largest")
