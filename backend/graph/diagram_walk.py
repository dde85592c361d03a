"""Sets of nodes that belong together by the way data flows: what feeds a node, what it feeds, what lies between two."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from graftwerk.backend.graph.graph import Graph, NodeId, reads


def upstream(graph: Graph, nodes: Iterable[NodeId]) -> set[NodeId]:
    """The nodes and all that they depend on."""
    def feeding(node: NodeId) -> Iterable[NodeId]:
        made = (graph.producers.get(tensor) for tensor in reads(graph.nodes[node]))
        return (node for node in made if node is not None)

    return _reached(nodes, feeding)


def downstream(graph: Graph, nodes: Iterable[NodeId]) -> set[NodeId]:
    """The nodes and all that depends on them."""
    def fed(node: NodeId) -> Iterable[NodeId]:
        return (user for tensor in graph.nodes[node].output for user in graph.consumers(tensor))

    return _reached(nodes, fed)


def between(graph: Graph, one: NodeId, other: NodeId) -> set[NodeId]:
    """Every node on some way from one of the two to the other, both included; empty where neither feeds the other."""
    for first, last in ((one, other), (other, one)):
        found = downstream(graph, [first]) & upstream(graph, [last])
        if found:
            return found
    return set()


def _reached(nodes: Iterable[NodeId], step: Callable[[NodeId], Iterable[NodeId]]) -> set[NodeId]:
    found = set(nodes)
    waiting = list(found)
    while waiting:
        for node in step(waiting.pop()):
            if node not in found:
                found.add(node)
                waiting.append(node)
    return found
