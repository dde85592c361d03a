"""Selecting along the graph: upstream, downstream, between two nodes; and the two search boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from graftwerk.backend.graph.graph import Graph, NodeId, reads
from graftwerk.backend.operations.registry import Selection

if TYPE_CHECKING:
    from graftwerk.app.window import Window


class SelectControl:
    """The window's commands about the selection."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def all(self) -> None:
        tab = self.window.need_tab()
        tab.select(Selection(tuple(tab.graph.nodes)))

    def upstream(self) -> None:
        self._spread(producers_of)

    def downstream(self) -> None:
        self._spread(consumers_of)

    def between(self) -> None:
        """All nodes on paths from the one selected node to the other, whichever comes first."""
        tab = self.window.need_tab()
        one, other = tab.selection.nodes[:2]
        for start, end in ((one, other), (other, one)):
            found = reachable(tab.graph, [start], consumers_of) & reachable(tab.graph, [end], producers_of)
            if found:
                tab.select(Selection(tuple(node for node in tab.graph.nodes if node in found)))
                return
        self.window.say("There is no path between the two nodes")

    def _spread(self, step: Callable[[Graph, NodeId], Iterable[NodeId]]) -> None:
        tab = self.window.need_tab()
        graph = tab.graph
        start = list(tab.selection.nodes)
        for tensor in tab.selection.tensors:
            made = graph.producer(tensor)
            start += [made] if made is not None else graph.consumers(tensor)
        found = reachable(graph, start, step)
        tab.select(Selection(tuple(node for node in graph.nodes if node in found)))


def producers_of(graph: Graph, node: NodeId) -> Iterable[NodeId]:
    """The nodes whose results a node reads."""
    made = (graph.producer(tensor) for tensor in reads(graph.nodes[node]))
    return (node for node in made if node is not None)


def consumers_of(graph: Graph, node: NodeId) -> Iterable[NodeId]:
    """The nodes that read a node's results."""
    return (user for output in graph.nodes[node].output if output for user in graph.consumers(output))


def reachable(
    graph: Graph, start: Iterable[NodeId], step: Callable[[Graph, NodeId], Iterable[NodeId]]
) -> set[NodeId]:
    """The nodes that can be reached by a step any number of times, the start included."""
    found = set(start)
    queue = list(found)
    while queue:
        for other in step(graph, queue.pop()):
            if other not in found:
                found.add(other)
                queue.append(other)
    return found
