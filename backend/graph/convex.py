"""Whether a set of nodes can become one node: it can unless a path leaves it and comes back."""

from __future__ import annotations

from collections.abc import Collection

from graftwerk.backend.graph.check import UNORDERED
from graftwerk.backend.graph.graph import Graph, NodeId


def breaking_path(graph: Graph, nodes: Collection[NodeId]) -> list[NodeId] | None:
    """A shortest path that leaves a set of nodes and comes back to it, with the two nodes of the set at its ends.

    None where there is none: the set is convex, and one node in its place makes no cycle. Looks at no node that comes
    after the last one of the set in the graph's order.
    """
    chosen = set(nodes)
    if len(chosen) < 2:
        return None
    place = {node: at for at, node in enumerate(graph.nodes)}
    last = max(place[node] for node in chosen)
    if any(problem.message == UNORDERED for problem in graph.problems):
        last = len(place)  # as the file was opened; an edit may have put it right since
    came_from: dict[NodeId, NodeId] = {}
    frontier = list(chosen)
    while frontier:
        reached = []
        for node in frontier:
            for output in graph.nodes[node].output:
                for user in graph.consumers(output) if output else ():
                    if user in chosen:
                        if node not in chosen:
                            return _path(came_from, node, user)
                    elif user not in came_from and place[user] < last:
                        came_from[user] = node
                        reached.append(user)
        frontier = reached
    return None


def _path(came_from: dict[NodeId, NodeId], node: NodeId, end: NodeId) -> list[NodeId]:
    path = [end, node]
    while path[-1] in came_from:
        path.append(came_from[path[-1]])
    return path[::-1]


def shown(graph: Graph, path: list[NodeId]) -> str:
    """A path as text: the references of its nodes, the middle of a long one left out."""
    names = [str(graph.ref(node)) for node in path]
    return " → ".join(names if len(names) < 9 else [*names[:4], "…", *names[-4:]])
