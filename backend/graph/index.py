"""The indexes over a graph's nodes: who makes a tensor, who reads it, which nodes have a name."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from onnx import NodeProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import NodeId, reads


class Index:
    """The three indexes while they are being made or edited; a finished graph holds them and changes them no more."""

    def __init__(
        self,
        producers: Mapping[str, NodeId] | None = None,
        users: Mapping[str, tuple[NodeId, ...]] | None = None,
        names: Mapping[str, tuple[NodeId, ...]] | None = None,
    ) -> None:
        self.producers = dict(producers or {})
        self.users = dict(users or {})
        self.names = dict(names or {})

    def add(self, node: NodeId, record: NodeProto) -> None:
        """Raises Fault where a tensor that the node makes is made already."""
        for output in record.output:
            if output and self.producers.setdefault(output, node) != node:
                raise Fault("Two nodes make the same tensor", output, "Every tensor has one producer; rename one")
        for tensor in reads(record):
            self.users[tensor] = (*self.users.get(tensor, ()), node)
        if record.name:
            self.names[record.name] = (*self.names.get(record.name, ()), node)

    def remove(self, node: NodeId, record: NodeProto) -> None:
        for output in record.output:
            if output:
                del self.producers[output]
        for tensor in reads(record):
            self._drop(self.users, tensor, node)
        if record.name:
            self._drop(self.names, record.name, node)

    @staticmethod
    def _drop(table: dict[str, tuple[NodeId, ...]], key: str, node: NodeId) -> None:
        rest = tuple(other for other in table[key] if other != node)
        if rest:
            table[key] = rest
        else:
            del table[key]


def ordered(nodes: Mapping[NodeId, NodeProto], producers: Mapping[str, NodeId], order: Iterable[NodeId]) -> bool:
    """Whether every producer comes before its consumers in `order`."""
    seen: set[NodeId] = set()
    for node in order:
        for tensor in reads(nodes[node]):
            made = producers.get(tensor)
            if made is not None and made not in seen:
                return False
        seen.add(node)
    return True


def topological(
    nodes: Mapping[NodeId, NodeProto], producers: Mapping[str, NodeId], order: Sequence[NodeId]
) -> list[NodeId]:
    """The nodes with every producer before its consumers; of those that are ready, the first in `order` comes first.

    So an order which is right already stays as it is. Raises Fault where the nodes form a cycle, with its nodes.
    """
    position = {node: at for at, node in enumerate(order)}
    waiting: dict[NodeId, int] = {}
    unlocks: dict[NodeId, list[NodeId]] = {}
    for node in order:
        needs = {made for tensor in reads(nodes[node]) if (made := producers.get(tensor)) is not None}
        waiting[node] = len(needs)
        for made in needs:
            unlocks.setdefault(made, []).append(node)
    ready = [position[node] for node in order if not waiting[node]]
    result: list[NodeId] = []
    while ready:
        node = order[heapq.heappop(ready)]
        result.append(node)
        for user in unlocks.get(node, ()):
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, position[user])
    if len(result) < len(order):
        cycle = _cycle(nodes, producers, set(order) - set(result))
        raise Fault("The nodes form a cycle", cycle, "Cut one of its edges")
    return result


def _cycle(nodes: Mapping[NodeId, NodeProto], producers: Mapping[str, NodeId], stuck: set[NodeId]) -> str:
    """One cycle among nodes that all wait for each other, in the order of the data."""
    node, path = min(stuck), list[NodeId]()
    while node not in path:
        path.append(node)
        node = next(made for tensor in reads(nodes[node]) if (made := producers.get(tensor, -1)) in stuck)
    cycle = [*path[path.index(node) :], node]
    names = [nodes[member].name or next(iter(nodes[member].output), "?") for member in reversed(cycle)]
    return " → ".join(names if len(names) < 9 else [*names[:4], "…", *names[-4:]])
