"""Which box of a diagram shows a node: a box of its own, the pill of its Q/DQ pair, a collapsed scope, or none."""

from __future__ import annotations

from onnx import NodeProto

from graftwerk.backend.graph.constants import stored
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE, pair_at

Path = tuple[str, ...]
#: The key of the box that shows a node: the node that the box is named after, a scope, or None where the node is
#: folded into the boxes of its consumers.
Owner = NodeId | Path | None

SPECIAL = frozenset({"Constant", QUANTIZE, DEQUANTIZE})


def owner_of(graph: Graph, node: NodeId, record: NodeProto, collapsed: frozenset[Path]) -> Owner:
    if collapsed:
        path = collapsed_scope(record, collapsed)
        if path is not None:
            return path
    op_type = record.op_type
    if op_type not in SPECIAL:
        return node
    if folded(graph, record):
        return None
    if op_type == DEQUANTIZE:
        quantize = graph.producers.get(record.input[0])
        if quantize is not None and pill(graph, quantize):
            return quantize
    return node


def collapsed_scope(record: NodeProto, collapsed: frozenset[Path]) -> Path | None:
    """The outermost collapsed scope around a node."""
    path = scope_of(record)
    for length in range(1, len(path) + 1):
        if path[:length] in collapsed:
            return path[:length]
    return None


def folded(graph: Graph, record: NodeProto) -> bool:
    """Whether a node is part of its consumers' boxes: a Constant, or the Q and DQ between a weight and its reader."""
    output = record.output[0] if record.output else ""
    if not graph.consumers(output) or graph.is_output(output):
        return False
    if record.op_type == "Constant":
        return True
    if record.op_type == QUANTIZE:
        return stored(graph, record.input[0]) is not None and _only_dequantized(graph, output)
    if record.op_type != DEQUANTIZE:
        return False
    if stored(graph, record.input[0]) is not None:
        return True
    made = graph.producers.get(record.input[0])
    return made is not None and graph.nodes[made].op_type == QUANTIZE and folded(graph, graph.nodes[made])


def pill(graph: Graph, quantize: NodeId) -> bool:
    """Whether a QuantizeLinear and all that read it are drawn as one pill: each of those is its matching half."""
    record = graph.nodes[quantize]
    if record.op_type != QUANTIZE or graph.is_output(record.output[0]) or folded(graph, record):
        return False
    users = graph.consumers(record.output[0])
    return bool(users) and all(pair_at(graph, user) is not None for user in users)


def _only_dequantized(graph: Graph, tensor: str) -> bool:
    return all(graph.nodes[user].op_type == DEQUANTIZE for user in graph.consumers(tensor))
