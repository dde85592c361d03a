"""Ways through a graph."""

from __future__ import annotations

from collections import deque

from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId


def path_between(graph: Graph | Edit, start: NodeId, goal: NodeId) -> list[NodeId] | None:
    """A shortest way along the data from one node to another, both included; None where there is none."""
    before: dict[NodeId, NodeId] = {start: start}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        if node == goal:
            way = [node]
            while way[-1] != start:
                way.append(before[way[-1]])
            return way[::-1]
        for output in graph.nodes[node].output:
            for user in graph.consumers(output):
                if user not in before:
                    before[user] = node
                    waiting.append(user)
    return None
