"""The indexes over a graph's nodes: who makes a tensor, who reads it, which nodes have a name."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from onnx import NodeProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import BODY_TYPES, Graph, NodeId, holds_bodies, reads


class Index:
    """The indexes while they are being made or edited; a finished graph holds them and changes them no more.

    `holders` are the nodes that have bodies, which are few: whoever looks into bodies need not look at all nodes.
    """

    def __init__(
        self,
        producers: Mapping[str, NodeId] | None = None,
        users: Mapping[str, tuple[NodeId, ...]] | None = None,
        names: Mapping[str, tuple[NodeId, ...]] | None = None,
        holders: Iterable[NodeId] = (),
    ) -> None:
        self.producers = dict(producers or {})
        self.users = dict(users or {})
        self.names = dict(names or {})
        self.holders = set(holders)

    @classmethod
    def of(cls, nodes: Mapping[NodeId, NodeProto]) -> Index:
        """The index over all nodes at once, as `add` for each would make it. Raises Fault as `add` does."""
        index = cls()
        producers, users, names = index.producers, index.users, index.names
        more_users: dict[str, list[NodeId]] = {}  # a tuple that grows by one at a time would cost its length squared
        more_names: dict[str, list[NodeId]] = {}
        for node, record in nodes.items():
            alone = (node,)
            for output in record.output[:]:
                if output and producers.setdefault(output, node) != node:
                    raise _made_twice(output)
            for attribute in record.attribute:
                if attribute.type in BODY_TYPES:
                    index.holders.add(node)
                    break
            for tensor in reads(record) if node in index.holders else record.input[:]:
                if tensor and users.setdefault(tensor, alone) is not alone:
                    others = more_users.setdefault(tensor, [])
                    if not others or others[-1] != node:
                        others.append(node)
            name = record.name
            if name and names.setdefault(name, alone) is not alone:
                more_names.setdefault(name, []).append(node)
        for table, more in ((users, more_users), (names, more_names)):
            table.update((key, (*table[key], *later)) for key, later in more.items())
        return index

    def add(self, node: NodeId, record: NodeProto) -> None:
        """Raises Fault where a tensor that the node makes is made already."""
        for output in record.output:
            if output and self.producers.setdefault(output, node) != node:
                raise _made_twice(output)
        for tensor in reads(record):
            self.users[tensor] = (*self.users.get(tensor, ()), node)
        if record.name:
            self.names[record.name] = (*self.names.get(record.name, ()), node)
        if holds_bodies(record):
            self.holders.add(node)

    def remove(self, node: NodeId, record: NodeProto) -> None:
        for output in record.output:
            if output:
                del self.producers[output]
        for tensor in reads(record):
            self._drop(self.users, tensor, node)
        if record.name:
            self._drop(self.names, record.name, node)
        self.holders.discard(node)

    @staticmethod
    def _drop(table: dict[str, tuple[NodeId, ...]], key: str, node: NodeId) -> None:
        rest = tuple(other for other in table[key] if other != node)
        if rest:
            table[key] = rest
        else:
            del table[key]


def _made_twice(tensor: str) -> Fault:
    return Fault("Two nodes make the same tensor", tensor, "Every tensor has one producer; rename one")


def ordered(index: Index | Graph, order: Iterable[NodeId]) -> bool:
    """Whether every producer comes before its consumers in `order`."""
    place = {node: at for at, node in enumerate(order)}
    users = index.users
    for tensor, made in index.producers.items():
        if tensor in users:
            at = place[made]
            for user in users[tensor]:
                if place[user] <= at:
                    return False
    return True


def topological(nodes: Mapping[NodeId, NodeProto], index: Index, order: Sequence[NodeId]) -> list[NodeId]:
    """The nodes with every producer before its consumers; of those that are ready, the first in `order` comes first.

    So an order which is right already stays as it is. Raises Fault where the nodes form a cycle, with its nodes.
    """
    place = {node: at for at, node in enumerate(order)}
    waiting = dict.fromkeys(order, 0)
    unlocks: dict[NodeId, list[NodeId]] = {}
    for tensor, made in index.producers.items():
        readers = index.users.get(tensor)
        if readers:
            unlocks.setdefault(made, []).extend(readers)
            for user in readers:
                waiting[user] += 1
    ready = [place[node] for node, missing in waiting.items() if not missing]
    result: list[NodeId] = []
    while ready:
        node = order[heapq.heappop(ready)]
        result.append(node)
        for user in unlocks.get(node, ()):
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, place[user])
    if len(result) < len(order):
        cycle = _cycle(nodes, index.producers, set(order) - set(result))
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
