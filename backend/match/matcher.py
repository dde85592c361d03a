"""Finds the occurrences of a pattern in a graph.

The search starts at the rarest operator of the pattern and follows edges from there: a tensor has one producer and
few consumers, so a match of 60 nodes takes 60 steps, not a search over the graph. The rules are those of an induced
subgraph isomorphism with ports: see `Search`. tests/backend/match compares them with networkx's matcher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.match.facts import Facts
from graftwerk.backend.match.pattern import ABSENT, REST, Constant, Pattern, PatternNode

#: Inputs of a commutative operator that are still tried in all orders.
_MOST_PERMUTED = 4
#: Steps from one starting node before it is given up: far more than a match needs, even with many symmetries.
_MOST_STEPS = 20_000
#: Nodes of a pattern: each is a level of recursion.
_MOST_NODES = 300


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a pattern is. `nodes` are in the pattern's order; `tensors` has the tensor of every value and constant.

    `mismatch` is empty, or the one thing that keeps it from being an occurrence.
    """

    pattern: Pattern
    nodes: tuple[NodeId, ...]
    tensors: dict[str, str]
    mismatch: str = ""

    @property
    def key(self) -> frozenset[NodeId]:
        return frozenset(self.nodes)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.tensors[name] for name in self.pattern.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.tensors[name] for name in self.pattern.outputs)


@dataclass(slots=True)
class Found:
    """What a search found: occurrences, in the graph's order, each set of nodes once; near misses; and whether it
    was stopped, or gave up somewhere because too many ways lead on."""

    occurrences: list[Occurrence] = field(default_factory=list)
    near: list[Occurrence] = field(default_factory=list)
    stopped: bool = False
    gave_up: int = 0

    def apart(self) -> tuple[list[Occurrence], list[Occurrence]]:
        """Occurrences that share no node, the first ones first, and those that overlap with one of them."""
        taken: set[NodeId] = set()
        chosen, overlapping = [], []
        for one in self.occurrences:
            if taken.isdisjoint(one.nodes):
                chosen.append(one)
                taken.update(one.nodes)
            else:
                overlapping.append(one)
        return chosen, overlapping


def find(
    patterns: Iterable[Pattern],
    graph: Graph,
    near: bool = False,
    go_on: Callable[[int, int], bool] = lambda done, total: True,
    facts: Facts | None = None,
) -> Found:
    """All occurrences of some patterns. `near`: near misses too, which differ in one thing.

    `go_on` is told how many of how many starting nodes were looked at, and stops the search by answering False.
    Raises Fault where a pattern is not connected.
    """
    facts = facts if facts is not None else Facts(graph)
    forms = [form for pattern in patterns for form in pattern.forms()]
    strict = [Search(form, graph, facts) for form in forms]
    # A near miss may differ in the very operator that the search starts from: so it starts from another one too.
    soft = [Search(form, graph, facts, rank) for form in forms for rank in range(min(2, len(form.nodes)))]
    plan = [(search, False) for search in strict] + [(search, True) for search in soft if near]
    total = sum(len(search.starts) for search, _ in plan)
    found, done = Found(), 0
    known: dict[frozenset[NodeId], Occurrence] = {}
    for search, is_soft in plan:
        taken = {node for key in known for node in key} if is_soft else set()
        for start in search.starts:
            if not go_on(done, total):
                found.stopped = True
                break
            done += 1
            if start not in taken:
                for one in search.at(start, is_soft):
                    if one.key not in known and not (is_soft and not _new(one, known)):
                        known[one.key] = one
                found.gave_up += search.gave_up
    place = {node: at for at, node in enumerate(graph.nodes)}
    ordered = sorted(known.values(), key=lambda one: sorted(place[node] for node in one.nodes))
    found.occurrences = _largest([one for one in ordered if not one.mismatch])
    found.near = [one for one in ordered if one.mismatch]
    return found


def _largest(occurrences: list[Occurrence]) -> list[Occurrence]:
    """Without those that are part of another one: a form in which optional nodes are missing, beside them."""
    by_node: dict[NodeId, list[frozenset[NodeId]]] = {}
    for one in occurrences:
        for node in one.nodes:
            by_node.setdefault(node, []).append(one.key)
    return [one for one in occurrences if not any(one.key < other for other in by_node[one.nodes[0]])]


def _new(one: Occurrence, known: dict[frozenset[NodeId], Occurrence]) -> bool:
    """Whether a near miss is one: not most of an occurrence, or of another near miss."""
    return bool(one.mismatch) and all(2 * len(one.key & key) <= len(one.key) for key in known)


class Search:
    """The occurrences of one form of a pattern, from one starting node each: the rarest operator, or the next rarest.

    Nodes of the pattern stand for different nodes of the graph, values for tensors; two values from outside are two
    tensors, constants may be shared. Every input of a node is compared, so nothing connects the nodes but what the
    pattern says. A tensor that is no output of the pattern is read inside alone.
    """

    def __init__(self, pattern: Pattern, graph: Graph, facts: Facts, rank: int = 0) -> None:
        if len(pattern.nodes) > _MOST_NODES:
            raise Fault(f"The pattern has more than {_MOST_NODES} nodes", "", "Look for a part of it")
        self.pattern, self.graph, self.facts = pattern, graph, facts
        counts = [facts.count(node.ops) for node in pattern.nodes]
        anchor = sorted(range(len(counts)), key=counts.__getitem__)[rank]
        self.starts = facts.of(pattern.nodes[anchor].ops)
        self._order = _order(pattern, anchor)
        self._inputs = set(pattern.inputs)
        self._outputs = set(pattern.outputs)
        self.gave_up = 0

    def at(self, start: NodeId, soft: bool = False) -> Iterator[Occurrence]:
        """Occurrences in which the rarest operator is `start`. `soft`: near misses alone."""
        self._nodes: dict[int, NodeId] = {}
        self._used: set[NodeId] = set()
        self._tensors: dict[str, str] = {}
        self._mismatch = ""
        self._soft = soft
        self._steps = 0
        self.gave_up = 0
        yield from self._extend(0, [start])

    def _extend(self, step: int, starts: list[NodeId]) -> Iterator[Occurrence]:
        if step == len(self._order):
            yield from self._complete()
            return
        at, value, down = self._order[step]
        if not value:
            candidates: Iterable[NodeId] = starts
        elif down:
            candidates = dict.fromkeys(self.graph.consumers(self._tensors[value]))
        else:
            made = self.graph.producer(self._tensors[value])
            candidates = () if made is None else (made,)
        for node in candidates:
            if node in self._used:
                continue
            self._steps += 1
            if self._steps > _MOST_STEPS:
                self.gave_up = 1
                return
            self._nodes[at] = node
            self._used.add(node)
            before, mismatch = dict(self._tensors), self._mismatch
            for _ in self._bound(self.pattern.nodes[at], node):
                yield from self._extend(step + 1, starts)
                self._tensors, self._mismatch = dict(before), mismatch
            self._tensors, self._mismatch = before, mismatch
            self._used.discard(node)
            del self._nodes[at]

    def _differs(self, reason: str) -> bool:
        """Whether a difference ends the attempt: the first one does not, where near misses are looked for."""
        if not self._soft or self._mismatch:
            return True
        self._mismatch = reason
        return False

    def _bound(self, wanted: PatternNode, node: NodeId) -> Iterator[None]:
        """Each way in which the values of a pattern's node can be the tensors of a graph's node."""
        facts = self.facts
        op = facts.op(node)
        another = op not in wanted.ops and "*" not in wanted.ops
        if another and self._differs(f"{self.graph.ref(node)} is {op}, the pattern has {'|'.join(wanted.ops)}"):
            return
        for name, value in wanted.attributes.items():
            there = facts.attribute(node, name)
            if not facts.equal(there, value):
                shown = "not there" if there is None else there
                text = f"{name} of {self.graph.ref(node)} is {shown}, the pattern has {value}"
                if self._differs(text):
                    return
        outputs = facts.outputs(node)
        if len(wanted.outputs) > len(outputs):
            return
        before, mismatch = dict(self._tensors), self._mismatch
        for inputs in _orders(wanted, facts.inputs(node)):
            self._tensors, self._mismatch = dict(before), mismatch
            made = all(self._is(name, tensor) for name, tensor in zip(wanted.outputs, outputs, strict=False))
            if made and self._reads(wanted, node, inputs):
                yield None

    def _reads(self, wanted: PatternNode, node: NodeId, inputs: tuple[str, ...]) -> bool:
        rest = wanted.inputs[-1:] == (REST,)
        pattern = wanted.inputs[: len(wanted.inputs) - rest]
        if len(inputs) > len(pattern) and not rest:
            return False
        for at, one in enumerate(pattern):
            tensor = inputs[at] if at < len(inputs) else ""
            if one == ABSENT:
                if tensor:
                    return False
            elif not tensor:
                return False
            elif isinstance(one, Constant):
                if not self._constant(one, tensor, node):
                    return False
            elif not self._is(one, tensor):
                return False
        return True

    def _constant(self, wanted: Constant, tensor: str, node: NodeId) -> bool:
        if not self.facts.is_constant(tensor):
            return False
        self._tensors[wanted.name] = tensor
        if wanted.scalar and self.facts.size(tensor) != 1:
            there = self.facts.constant(tensor)
            if self._differs(f"A constant of {self.graph.ref(node)} is {there}, the pattern has a scalar"):
                return False
        if wanted.value is None:
            return True
        there = self.facts.constant(tensor)
        if self.facts.equal(there, wanted.value):
            return True
        return not self._differs(f"A constant of {self.graph.ref(node)} is {there}, the pattern has {wanted.value}")

    def _is(self, name: str, tensor: str) -> bool:
        """Binds a value to a tensor, or sees that it is that one."""
        there = self._tensors.get(name)
        if there is not None:
            return there == tensor
        if name in self._inputs and any(self._tensors.get(other) == tensor for other in self._inputs):
            return False  # the same tensor twice is another pattern: Mul(x, x)
        self._tensors[name] = tensor
        return True

    def _complete(self) -> Iterator[Occurrence]:
        before = self._mismatch
        for name in self._inputs:
            if self.graph.producer(self._tensors[name]) in self._used:
                return
        for node in self._used:
            for tensor in self.facts.outputs(node):
                if tensor and tensor not in self._visible() and not self._inside(tensor):
                    users = [self.graph.ref(user) for user in self.graph.consumers(tensor) if user not in self._used]
                    also = f"also feeds {users[0]}" if users else "is a graph output"
                    if self._differs(f"{tensor} is inside the pattern, and {also}"):
                        self._mismatch = before
                        return
        if bool(self._mismatch) == self._soft:
            nodes = tuple(self._nodes[at] for at in range(len(self.pattern.nodes)))
            yield Occurrence(self.pattern, nodes, dict(self._tensors), self._mismatch)
        self._mismatch = before

    def _visible(self) -> set[str]:
        return {self._tensors[name] for name in self._outputs if name in self._tensors}

    def _inside(self, tensor: str) -> bool:
        return not self.graph.is_output(tensor) and all(user in self._used for user in self.graph.consumers(tensor))


def _orders(wanted: PatternNode, inputs: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if wanted.commutative and 1 < len(inputs) <= _MOST_PERMUTED:
        yield from dict.fromkeys(permutations(inputs))
    else:
        yield inputs


def _order(pattern: Pattern, anchor: int) -> list[tuple[int, str, bool]]:
    """The pattern's nodes from the anchor on, each with the value that leads to it and whether it reads that value;
    producers first, since a tensor has one."""
    maker = {name: at for at, node in enumerate(pattern.nodes) for name in node.outputs}
    order: list[tuple[int, str, bool]] = [(anchor, "", False)]
    reached = {anchor}
    while len(order) < len(pattern.nodes):
        step = _next(pattern, maker, reached)
        if step is None:
            hint = "Select nodes that are connected, or look for one part at a time"
            raise Fault("The pattern is in pieces", "", hint)
        order.append(step)
        reached.add(step[0])
    return order


def _next(pattern: Pattern, maker: dict[str, int], reached: set[int]) -> tuple[int, str, bool] | None:
    for at in reached:
        for one in pattern.nodes[at].inputs:
            if isinstance(one, str) and one in maker and maker[one] not in reached:
                return maker[one], one, False
    for at, node in enumerate(pattern.nodes):
        if at not in reached:
            for one in node.inputs:
                if isinstance(one, str) and one in maker and maker[one] in reached:
                    return at, one, True
    # siblings that share an input from outside alone, such as the products for q, k and v
    known = {one for at in reached for one in pattern.nodes[at].inputs if one in pattern.inputs}
    for at, node in enumerate(pattern.nodes):
        shared = next((one for one in node.inputs if isinstance(one, str) and one in known), None)
        if at not in reached and shared is not None:
            return at, shared, True
    return None
