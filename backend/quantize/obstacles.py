"""Q/DQ pairs that keep a layer from taking in what stands behind it: between a convolution and its activation, on the
way from a convolution into the Add that it could compute, between a first convolution and its MaxPool.

TensorRT's developer guide says so of all three ("Q/DQ layer-placement recommendations"); what each cost was measured
on an H200 with TensorRT 8.6, see `forecast`.
"""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.quantize.forecast import ACTIVATIONS, CONVOLUTIONS, is_first
from graftwerk.backend.quantize.pairs import QdqPair, find_pairs
from graftwerk.backend.quantize.scales import COMPUTE


@dataclass(frozen=True)
class Obstacle:
    """A pair, and the node behind it that would be fused without it. `kind` is activation, add or pool."""

    kind: str
    pair: QdqPair
    behind: NodeId


def obstacles(graph: Graph) -> list[Obstacle]:
    """All of them, in the order of the nodes."""
    pairs = find_pairs(graph)
    found = []
    for pair in pairs.values():
        users = graph.consumers(pair.output)
        made = graph.producer(pair.source)
        alone = pair.quantize is not None and graph.consumers(pair.source) == (pair.quantize,)
        if made is None or not alone or len(users) != 1 or graph.is_output(pair.source) or graph.is_output(pair.output):
            continue
        kind = _kind(graph, pairs, made, pair, users[0])
        if kind:
            found.append(Obstacle(kind, pair, users[0]))
    return found


def _kind(graph: Graph, pairs: dict[NodeId, QdqPair], made: NodeId, pair: QdqPair, behind: NodeId) -> str:
    before, after = graph.nodes[made], graph.nodes[behind]
    if after.op_type in ACTIVATIONS and (before.op_type in COMPUTE or before.op_type == "Add"):
        return "activation"
    if after.op_type == "Add" and before.op_type in CONVOLUTIONS and _computes(graph, pairs, behind) == made:
        return "add"
    if after.op_type == "MaxPool" and before.op_type in ACTIVATIONS and is_first(graph, made):
        return "pool"
    return ""


def _computes(graph: Graph, pairs: dict[NodeId, QdqPair], add: NodeId) -> NodeId | None:
    """The convolution that computes an Add, of two the one on the main branch; None where none does."""
    found = []
    for name in dict.fromkeys(graph.nodes[add].input):
        made = graph.producer(name)
        read = pairs[made].source if made in pairs else name
        maker = graph.producer(read)
        if maker is not None and graph.nodes[maker].op_type in CONVOLUTIONS and len(graph.consumers(read)) == 1:
            found.append(maker)
    if len(graph.nodes[add].input) != 2 or not found:
        return None
    return min(found, key=lambda node: _shared(graph, pairs, node))


def _shared(graph: Graph, pairs: dict[NodeId, QdqPair], node: NodeId) -> bool:
    """A convolution on a shortcut: others read its input too."""
    name = graph.nodes[node].input[0]
    made = graph.producer(name)
    source = pairs[made].source if made in pairs else name
    return len(graph.consumers(name)) > 1 or len(graph.consumers(source)) > 1
