"""Which nodes of two graphs are the same: by what they compute and what stands around them, and by name only where
names agree with that.

After GumTree (Falleri et al., 2014), for graphs: sure pairs first (all above and all below alike), then what surrounds
them, then weaker evidence, and at the end nodes that changed their operator or their place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from onnx import NodeProto, ValueInfoProto

from graftwerk.backend.compare.labels import Labels, Wiring, labels
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.types import TensorType

#: Names are trusted where at least this share of the sure pairs have the same one.
_TRUSTED = 0.7
#: Elements that a weight needs to identify the node that reads it.
_TELLING = 16


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs of nodes, inputs and outputs, from the first graph to the second. `placed` are first nodes that were found
    again with none of their neighbours: moved to another place."""

    nodes: Mapping[NodeId, NodeId]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    placed: frozenset[NodeId] = frozenset()


def align(before: Graph, after: Graph) -> Alignment:
    """Pairs the nodes of two graphs; no node is in two pairs."""
    inputs = pair_infos(before.inputs, after.inputs)
    outputs = pair_infos(before.outputs, after.outputs)
    work = _Work(before, after)
    if work.shared():
        work.pair_shared()
    if work.open():
        work.look(_ends(before.inputs, before.outputs, {}, {}),
                  _ends(after.inputs, after.outputs, _inverse(inputs), _inverse(outputs)))
        work.pair_all()
    return Alignment(work.forward, inputs, outputs, frozenset(work.placed))


def pair_infos(before: Iterable[ValueInfoProto], after: Iterable[ValueInfoProto]) -> dict[str, str]:
    """Graph inputs or outputs that are the same: by name, the others in their order where they are of one type."""
    new = {info.name: TensorType.of(info.type) for info in after}
    old = {info.name: TensorType.of(info.type) for info in before}
    found = {name: name for name in old if name in new}
    free = [name for name in new if name not in found]
    for name, kind in old.items():
        if name not in found:
            match = next((other for other in free if _alike(kind, new[other])), None)
            if match is not None:
                found[name] = match
                free.remove(match)
    return found


def _alike(one: TensorType, other: TensorType) -> bool:
    ranks = [None if kind.shape is None else len(kind.shape) for kind in (one, other)]
    return one.dtype == other.dtype and (ranks[0] == ranks[1] or None in ranks)


def _inverse(pairs: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in pairs.items()}


def _ends(
    inputs: Iterable[ValueInfoProto], outputs: Iterable[ValueInfoProto],
    input_names: Mapping[str, str], output_names: Mapping[str, str],
) -> dict[str, int]:  # fmt: skip
    found = {info.name: hash(("output", output_names.get(info.name, info.name))) for info in outputs}
    return found | {info.name: hash(("input", input_names.get(info.name, info.name))) for info in inputs}


class _Work:
    """The pairs found so far, and the steps that find more."""

    def __init__(self, before: Graph, after: Graph) -> None:
        self.before, self.after = before, after
        self.forward: dict[NodeId, NodeId] = {}
        self.backward: dict[NodeId, NodeId] = {}
        self.placed: set[NodeId] = set()
        self._fresh: deque[tuple[NodeId, NodeId]] = deque()

    # Revisions of one document

    def shared(self) -> bool:
        """Whether both are revisions of one opened file: then a number means the same node in both."""
        new = self.after.nodes
        return any(new.get(node) is record for node, record in self.before.nodes.items())

    def pair_shared(self) -> None:
        new = self.after.nodes
        for node, record in self.before.nodes.items():
            other = new.get(node)
            if other is record or (other is not None and _op(other) == _op(record)):
                self.pair(node, node)
        self._fresh.clear()

    # Any two graphs

    def look(self, ends: Mapping[str, int], other_ends: Mapping[str, int]) -> None:
        self.old, self.new = Wiring.of(self.before), Wiring.of(self.after)
        self.exact = (labels(self.old, ends, True), labels(self.new, other_ends, True))
        self.loose = (labels(self.old, ends, False), labels(self.new, other_ends, False))

    def pair_all(self) -> None:
        """From the surest evidence to the weakest."""
        exact, loose = self.exact, self.loose
        alike = _same(exact, lambda one: one.near[0])
        similar = _same(loose, lambda one: one.near[0])
        above, below = (_keys(exact, lambda one: (one.up,)), _keys(exact, lambda one: (one.down,)))
        weights = (self._weights(self.old), self._weights(self.new))
        self.unique(_keys(exact, lambda one: (one.up, one.down)))
        trusted = self._trusted(above, weights)
        if trusted:
            self.unique((_names(self.before), _names(self.after)))
        for keys in (above, weights, below):
            self.unique(keys)
        self._requeue()
        self.spread(_same(exact, lambda one: one.near[1]))
        for radius in (3, 2, 1):
            self.unique(_keys(exact, lambda one, r=radius: (one.near[r],)))  # type: ignore[misc]
        self._requeue()
        self.spread(alike)
        self.symmetric(_keys(exact, lambda one: (one.up, one.down)), alike)
        self.unique(_keys(loose, lambda one: (one.up, one.down)))
        if trusted is None:
            self.unique((_names(self.before, loose[0].near[1]), _names(self.after, loose[1].near[1])))
            self.unique((_names(self.before), _names(self.after)))
        for radius in (3, 2):
            self.unique(_keys(loose, lambda one, r=radius: (one.near[r],)))  # type: ignore[misc]
        self.spread(similar)
        self.symmetric(_keys(loose, lambda one: (one.near[2],)), similar)
        self._requeue()
        self.spread(similar)
        self.spread_between(_same_op(self.before, self.after))
        self.spread_between(lambda one, other: True)
        self.place(_keys(exact, lambda one: (one.near[0],)))

    def open(self) -> bool:
        """Whether nodes are left on both sides."""
        return len(self.forward) < len(self.before.nodes) and len(self.backward) < len(self.after.nodes)

    def pair(self, node: NodeId, other: NodeId) -> None:
        self.forward[node] = other
        self.backward[other] = node
        self._fresh.append((node, other))

    def unique(self, keys: Keys) -> None:
        """Pairs the nodes that alone have their key on each side."""
        for node, other in self._alone(keys):
            self._pair_open(node, other)

    def symmetric(self, keys: Keys, alike: Alike) -> None:
        """Pairs nodes of which several look the same: by name, else in their order; each pair settles what hangs on it
        before the next is chosen."""
        for mine, theirs in self._groups(keys):
            if len(mine) != len(theirs):
                continue
            named = {self.after.nodes[other].name: other for other in theirs}
            for node in mine:
                if node not in self.forward:
                    same = named.get(self.before.nodes[node].name, -1)
                    free = same if same in self.after.nodes and same not in self.backward else None
                    other = free if free is not None else next((o for o in theirs if o not in self.backward), None)
                    if other is not None:
                        self.pair(node, other)
                        self.spread(alike)

    def spread(self, alike: Alike) -> None:
        """Pairs the neighbours of pairs, where they are alike and it is clear which belongs to which."""
        while self._fresh:
            node, other = self._fresh.popleft()
            mine, theirs = self.before.nodes[node], self.after.nodes[other]
            for tensor, its in zip(mine.input, theirs.input, strict=False):
                made, its_made = self.before.producer(tensor), self.after.producer(its)
                if made is not None and its_made is not None and alike(made, its_made):
                    self._pair_open(made, its_made)
            for tensor, its in zip(mine.output, theirs.output, strict=False):
                self._spread_below(tensor, its, alike)

    def _spread_below(self, tensor: str, its: str, alike: Alike) -> None:
        mine = [use for use in self.old.users.get(tensor, ()) if use[0] not in self.forward]
        theirs = [use for use in self.new.users.get(its, ()) if use[0] not in self.backward]
        if not mine or not theirs:
            return
        if len(mine) * len(theirs) > 4096:  # a mask that every layer reads: its readers are found from elsewhere
            return
        partners = {
            (node, at): [other for other, its_at in theirs if its_at == at and alike(node, other)] for node, at in mine
        }
        wanted: dict[NodeId, int] = {}
        for others in partners.values():
            for other in others:
                wanted[other] = wanted.get(other, 0) + 1
        for (node, _), others in partners.items():
            if len(others) == 1 and wanted[others[0]] == 1:
                self._pair_open(node, others[0])

    def spread_between(self, alike: Alike) -> None:
        """Pairs nodes left over between pairs: what is read and who reads it are the same, at least on one side each
        where there is any."""
        changed = True
        while changed and self.open():
            changed = False
            slots = self._slots()
            for node in [node for node in self.before.nodes if node not in self.forward]:
                found = {other for place in self._places(node) for other in slots.get(place, ())}
                fits = [other for other in found if other not in self.backward and alike(node, other)]
                if len(fits) == 1 and self._enclosed(node, fits[0]):
                    self._pair_open(node, fits[0])
                    changed = True
            self._fresh.clear()

    def place(self, keys: Keys) -> None:
        """Pairs what is left over and looks the same at another place."""
        for mine, theirs in self._groups(keys):
            if len(mine) == len(theirs) == 1 and self._pair_open(mine[0], theirs[0]):
                self.placed.add(mine[0])

    # Inner workings

    def _pair_open(self, node: NodeId, other: NodeId) -> bool:
        if node in self.forward or other in self.backward:
            return False
        self.pair(node, other)
        return True

    def _requeue(self) -> None:
        self._fresh = deque(self.forward.items())

    def _groups(self, keys: Keys) -> Iterable[tuple[list[NodeId], list[NodeId]]]:
        key, other_key = keys
        mine: dict[Hashable, list[NodeId]] = {}
        for node in self.old.order:
            if node not in self.forward and node in key:
                mine.setdefault(key[node], []).append(node)
        theirs: dict[Hashable, list[NodeId]] = {}
        for node in self.new.order:
            if node not in self.backward and node in other_key and other_key[node] in mine:
                theirs.setdefault(other_key[node], []).append(node)
        return [(mine[key], found) for key, found in theirs.items()]

    def _alone(self, keys: Keys) -> list[tuple[NodeId, NodeId]]:
        """Open nodes that alone have their key on each side."""
        return [(mine[0], theirs[0]) for mine, theirs in self._groups(keys) if len(mine) == len(theirs) == 1]

    def _weights(self, wiring: Wiring) -> dict[NodeId, Hashable]:
        """Nodes by the weights that they read, where those are large enough to tell one from another."""
        weights = wiring.graph.initializers
        found: dict[NodeId, Hashable] = {}
        for node, record in wiring.graph.nodes.items():
            read = tuple(
                (slot, wiring.weights[name])
                for slot, name in enumerate(record.input)
                if name in weights and weights[name].size >= _TELLING
            )
            if read:
                found[node] = (record.op_type, record.domain, read)
        return found

    def _trusted(self, *evidence: Keys) -> bool | None:
        """Whether names mean something: whether nodes that compute the same, or read the same large weights, are called
        the same too. None where there are too few of them to say."""
        pairs = {**self.forward}
        for keys in evidence:
            pairs.update(self._alone(keys))
        if 10 * len(pairs) < min(len(self.before.nodes), len(self.after.nodes)):
            return None
        same = sum(self.before.nodes[node].name == self.after.nodes[other].name for node, other in pairs.items())
        return same >= _TRUSTED * len(pairs)

    def _slots(self) -> dict[Hashable, list[NodeId]]:
        """The second graph's nodes that are left over, by the places beside pairs where they stand."""
        found: dict[Hashable, list[NodeId]] = {}
        for node, record in self.after.nodes.items():
            if node in self.backward:
                continue
            for tensor in record.input:
                made = self.after.producer(tensor)
                if made in self.backward:
                    slot = list(self.after.nodes[made].output).index(tensor)
                    found.setdefault(("below", self.backward[made], slot), []).append(node)
            for tensor in record.output:
                for user, at in self.new.users.get(tensor, ()):
                    if user in self.backward:
                        found.setdefault(("above", self.backward[user], at), []).append(node)
        return found

    def _places(self, node: NodeId) -> list[Hashable]:
        record = self.before.nodes[node]
        found: list[Hashable] = []
        for tensor in record.input:
            made = self.before.producer(tensor)
            if made in self.forward:
                found.append(("below", made, list(self.before.nodes[made].output).index(tensor)))
        found += [
            ("above", user, at)
            for tensor in record.output
            for user, at in self.old.users.get(tensor, ())
            if user in self.forward
        ]
        return found

    def _enclosed(self, node: NodeId, other: NodeId) -> bool:
        """Whether both stand between the same: some source and some reader in common, or one where there is no other
        side, or most of all neighbours."""
        mine, theirs = self.before.nodes[node], self.after.nodes[other]
        sources = {self.forward.get(made, -1) for t in mine.input if (made := self.before.producer(t)) is not None}
        its_sources = {made for t in theirs.input if (made := self.after.producer(t)) is not None}
        users = {self.forward.get(user, -1) for t in mine.output for user, _ in self.old.users.get(t, ())}
        its_users = {user for t in theirs.output for user, _ in self.new.users.get(t, ())}
        above = bool(sources & its_sources) or not (sources or its_sources)
        below = bool(users & its_users) or not (users or its_users)
        same_op = _op(mine) == _op(theirs)
        return (above and below) or (same_op and (above or below) and mine.name == theirs.name)


Keys = tuple[Mapping[NodeId, Hashable], Mapping[NodeId, Hashable]]
Alike = Callable[[NodeId, NodeId], bool]


def _op(record: NodeProto) -> tuple[str, str]:
    return record.op_type, record.domain


def _same_op(before: Graph, after: Graph) -> Alike:
    return lambda node, other: _op(before.nodes[node]) == _op(after.nodes[other])


def _keys(both: tuple[Labels, Labels], parts: Callable[[Labels], tuple[Mapping[NodeId, int], ...]]) -> Keys:
    first, second = ({node: tuple([one[node] for one in parts(of)]) for node in of.up} for of in both)
    return first, second


def _same(both: tuple[Labels, Labels], part: Callable[[Labels], Mapping[NodeId, int]]) -> Alike:
    first, second = part(both[0]), part(both[1])
    return lambda node, other: first[node] == second[other]


def _names(graph: Graph, near: Mapping[NodeId, int] | None = None) -> dict[NodeId, Hashable]:
    """Nodes by operator and name, where the name is their own."""
    return {
        node: (record.op_type, record.domain, record.name, near[node] if near is not None else 0)
        for node, record in graph.nodes.items()
        if record.name and len(graph.names[record.name]) == 1
    }
