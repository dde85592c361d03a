"""The indexes over a graph's nodes: who makes a tensor, who reads it, which nodes have a name."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from onnx import NodeProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId, holds_bodies, reads


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
    def of(cls, nodes: Mapping[NodeId, NodeProto], holders: Iterable[NodeId]) -> Index:
        """The index over all nodes at once, as `add` for each would make it. Raises Fault as `add` does.

        Column by column, which takes half the time of a loop over the nodes.
        """
        index = cls(holders=holders)
        outputs = [record.output[:] for record in nodes.values()]
        index.producers = {output: node for node, made in zip(nodes, outputs, strict=True) for output in made if output}
        if len(index.producers) < sum(map(len, outputs)):
            index._check_outputs(nodes, outputs)
        held = index.holders
        inputs = [reads(record) if node in held else record.input[:] for node, record in nodes.items()]
        index.users = _several(nodes, inputs)
        index.names = _several(nodes, ((record.name,) for record in nodes.values()))
        return index

    def _check_outputs(self, nodes: Iterable[NodeId], outputs: Iterable[Iterable[str]]) -> None:
        """Raises Fault where a tensor is made twice, by two nodes: of two, `producers` has the last."""
        for node, made in zip(nodes, outputs, strict=True):
            for output in made:
                if output and self.producers[output] != node:
                    raise _made_twice(output)

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


def _several(nodes: Iterable[NodeId], keys: Iterable[Iterable[str]]) -> dict[str, tuple[NodeId, ...]]:
    """The nodes of each key that is not empty, in their order; `keys` are those of every node."""
    found: dict[str, tuple[NodeId, ...]] = {}
    more: dict[str, list[NodeId]] = {}  # a tuple that grows by one at a time would cost its length squared
    for node, names in zip(nodes, keys, strict=True):
        alone = (node,)
        for name in names:
            if name and found.setdefault(name, alone) is not alone:
                others = more.setdefault(name, [])
                if not others or others[-1] != node:
                    others.append(node)
    found.update((name, (*found[name], *others)) for name, others in more.items())
    return found


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
