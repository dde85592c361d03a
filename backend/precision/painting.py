"""Precisions painted onto nodes: what a node can be given, and the fewest Casts and Q/DQ pairs that give it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.precision.plan import Plan, settled
from graftwerk.backend.precision.ports import (
    MOVING,
    PRECISIONS,
    Ports,
    float_of,
    index_nodes,
    is_float_cast,
    ports,
    precision_of,
)
from graftwerk.backend.quantize.insertion import automatic, differs, existing, insert_pair, prune, why_not
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE, UNCALIBRATED, QdqPair, pair_at
from graftwerk.backend.quantize.scales import COMPUTE, QuantizedType

#: What can be painted with Q/DQ, as those are called there.
QUANTIZED: dict[str, QuantizedType] = {"INT8": "int8", "FP8": "fp8e4m3fn"}
BRUSHES = (*PRECISIONS, *QUANTIZED)


def why_not_painted(graph: Graph, node: NodeId, precision: str) -> Reason | None:
    """Why a node can't be computed in a precision; None where it can."""
    record = graph.nodes[node]
    if precision in QUANTIZED:
        if record.op_type not in COMPUTE or record.domain not in ("", "ai.onnx"):
            return Reason(f"{record.op_type} has no {precision} form: {', '.join(COMPUTE)} have")
        for tensor in _factors(graph, node):
            pair = _pair(graph, tensor)
            if pair is None or pair.quantize is not None:
                reason = why_not(graph, pair.source if pair is not None else tensor, QUANTIZED[precision])
            elif differs(graph, pair, QUANTIZED[precision], ()):
                reason = Reason(f"{pair.source} is stored quantized to another datatype")
            else:
                reason = None
            if reason is not None:
                return reason
        return None
    if record.op_type in (QUANTIZE, DEQUANTIZE) or is_float_cast(graph, record):
        return Reason(f"{record.op_type} follows the nodes around it")
    found = ports(graph, node, PRECISIONS[precision])
    if found is None:
        return Reason(f"{record.op_type} computes no floats here")
    if isinstance(found, Reason):
        return found
    if record.op_type in COMPUTE:
        stored = next((p for t in _factors(graph, node) if (p := _pair(graph, t)) and p.quantize is None), None)
        if stored is not None:
            return Reason(f"{stored.source} is stored quantized: its float values are not there any more")
    return None


def _factors(view: Graph | Edit, node: NodeId) -> list[str]:
    record = view.nodes[node]
    return list(dict.fromkeys(record.input[at] for at in COMPUTE[record.op_type]))


def _pair(view: Graph | Edit, tensor: str) -> QdqPair | None:
    made = view.producer(tensor)
    return pair_at(view, made) if made is not None else None


def paint_plan(graph: Graph, paint: Mapping[NodeId, str]) -> Plan:
    """The floats behind a painting. What is painted has its own; what is not stays, but for nodes that only move
    values and for quantized ones, which have what needs the fewest Casts."""
    labels: dict[NodeId, int] = {}
    free: set[NodeId] = set()
    sizes = index_nodes(graph)
    loose = (graph.opset() or 0) >= 19  # before, Q and DQ know FP32 alone
    for node, record in graph.nodes.items():
        wanted = paint.get(node, "")
        if is_float_cast(graph, record):
            continue
        now = PRECISIONS[wanted] if wanted in PRECISIONS else precision_of(graph, node) or PRECISIONS["FP32"]
        moves = record.op_type in MOVING or record.op_type in (QUANTIZE, DEQUANTIZE)
        if not isinstance(ports(graph, node, now), Ports):
            continue
        labels[node] = now
        if wanted in QUANTIZED and not loose:
            labels[node] = PRECISIONS["FP32"]
        elif wanted in QUANTIZED or (moves and not wanted and node not in sizes):
            free.add(node)
    return settled(graph, labels, _possible(graph, free, set(labels.values())), {}, {}, {})


def _possible(graph: Graph, free: set[NodeId], dtypes: set[int]) -> set[NodeId]:
    """Those that can have any of the datatypes that there are."""
    return {node for node in free if all(isinstance(ports(graph, node, dtype), Ports) for dtype in dtypes)}


def write_painting(edit: Edit, paint: Mapping[NodeId, str], scales: Mapping[str, float]) -> None:
    """Does it. `scales` are of activations, in units per step; what they lack is a guess that is marked as one."""
    before = Edit(edit.base)
    for each in (before, edit):  # what is planned has to see the graph without those pairs
        for node, precision in paint.items():
            if each.nodes[node].op_type in COMPUTE:
                _strip(each, node, QUANTIZED.get(precision))
    graph = before.commit()
    paint_plan(graph, paint).write(edit, graph)
    for node, precision in paint.items():
        if precision in QUANTIZED:
            _quantize(edit, node, QUANTIZED[precision], scales)


def _strip(edit: Edit, node: NodeId, dtype: QuantizedType | None) -> None:
    """Takes a node off the Q/DQ pairs that its precision has no use for; a pair that nobody reads goes."""
    for tensor in _factors(edit, node):
        pair = _pair(edit, tensor)
        if pair is None or pair.quantize is None or (dtype is not None and not differs(edit, pair, dtype, ())):
            continue
        edit.rewire(tensor, pair.source, only=[node])
        if not edit.consumers(tensor) and not edit.is_output(tensor):
            edit.remove_node(pair.dequantize)
            if not edit.consumers(pair.quantized) and not edit.is_output(pair.quantized):
                edit.remove_node(pair.quantize)
            prune(edit, pair.scale, pair.zero_point)


def _quantize(edit: Edit, node: NodeId, dtype: QuantizedType, scales: Mapping[str, float]) -> None:
    for tensor in _factors(edit, node):
        if _pair(edit, tensor) is not None:
            continue
        pair = existing(edit, tensor)
        given = scales.get(tensor) or scales.get(_root(edit, tensor))
        if pair is not None and not differs(edit, pair, dtype, [given] if given else []):
            edit.rewire(tensor, pair.output, only=[node])
            continue
        axis, guessed = None, False
        if given:
            scale = np.asarray(given, np.float32)
        else:
            scale, axis, guessed = automatic(edit, tensor, [node], dtype, None)
        insert_pair(edit, tensor, [node], scale, dtype, axis, {UNCALIBRATED: "guess"} if guessed else {})


def _root(edit: Edit, tensor: str) -> str:
    """What a Cast between floats is of: scales are given for the tensors that the user sees."""
    made = edit.producer(tensor)
    while made is not None and edit.nodes[made].op_type == "Cast" and float_of(edit, edit.nodes[made].input[0]):
        tensor = edit.nodes[made].input[0]
        made = edit.producer(tensor)
    return tensor
