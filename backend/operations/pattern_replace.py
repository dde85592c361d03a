"""One node for each occurrence of a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal, Self

import networkx as nx

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.convex import breaking_path, shown
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.match.facts import Facts
from graftwerk.backend.match.library import forms_of
from graftwerk.backend.match.matcher import Occurrence, find
from graftwerk.backend.match.selection import pattern_of
from graftwerk.backend.operations.plugin import ReplaceWithPlugin
from graftwerk.backend.operations.registry import Lines, Operation, Selection, operation, param, why_blocked
from graftwerk.backend.operations.replace_node import ReplaceWithNode

_TAKEN = re.compile(r"=(\[)?\s*(\w+)(?:\.(\w+))?\s*(?(1)\])")
_HELP = '"=c" takes the constant c, "=[c]" as a list, "=y.axis" the attribute axis of what makes y; "==" is a plain ='


@operation("pattern.replace", title="Replace all like this", menu="Subgraph", slow=True)
@dataclass(frozen=True)
class ReplacePattern(Operation):
    """Put one node in the place of each occurrence of a pattern: a plugin, or a node of an operator or local function.

    The pattern is the name of one in the library, or text (see the guide to patterns). Of occurrences that share a
    node the first is replaced. One that would close a cycle, by itself or with others, stays. Attributes are taken
    from each occurrence: `{"epsilon": "=epsilon"}`. *Inputs* and *outputs* are names of the pattern in the order of
    the new node's ports; where none are given, inputs are what the nodes read, but for constants of up to 16 elements.
    """

    pattern: Lines = param(help="The name of a pattern in the library, or lines such as y = Add(x, #c:scalar)")
    op_type: str = param(label="Operator type", help="The plugin's, operator's or function's name")
    kind: Literal["plugin", "operator"] = param("plugin", label="Replace with")
    domain: str = param("", help="Empty: trt.plugins for a plugin, the standard one for an operator")
    attributes: dict[str, Any] = param({}, help=f"JSON; {_HELP}")
    inputs: tuple[str, ...] = param((), help="Names of the pattern, such as x, scale; only constants may be left out")
    outputs: tuple[str, ...] = param((), help="Names of the pattern")
    plugin_version: str = param("1", help="As TensorRT's registry has it")
    plugin_namespace: str = param("", help="As TensorRT's registry has it")
    within: tuple[NodeRef, ...] = param((), label="Only among", help="Only occurrences of these nodes; empty: all")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        if not selection.nodes:
            return Reason("Select one occurrence of the nodes to replace", "Or open Patterns for named ones")
        try:
            return cls(Lines(str(pattern_of(graph, selection.nodes))), "CustomPlugin")
        except Fault as fault:
            return Reason(fault.message, fault.hint)

    def blocked(self, graph: Graph) -> Reason | None:
        for form in forms_of(self.pattern):
            made = (name for node in form.nodes for name in node.outputs)
            known = {*form.inputs, *(one.name for one in form.constants), *made}
            for name in (*self.inputs, *self.outputs, *self._names_taken()):
                if name not in known:
                    hint = f"It has {', '.join(sorted(name for name in known if not name.startswith('_')))}"
                    return Reason(f"The pattern has nothing called {name}", hint)
        return None

    def _names_taken(self) -> Iterable[str]:
        texts = (value for value in self.attributes.values() if isinstance(value, str))
        return (found[2] for text in texts if (found := _TAKEN.fullmatch(text)))

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        plan = self._plan(graph)
        facts = Facts(graph)
        for one in plan.chosen:
            step = self._step(graph, one, facts, edit)
            reason = why_blocked(step, graph)
            if reason is not None:
                raise Fault(f"{reason.text} (occurrence at {graph.ref(one.nodes[0])})", "", reason.hint)
            step.apply(edit)

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        return self._plan(before).left

    def _plan(self, graph: Graph) -> Plan:
        found = find(forms_of(self.pattern), graph)
        if not found.occurrences:
            near = find(forms_of(self.pattern), graph, near=True).near
            hint = f"The closest is not one: {near[0].mismatch}" if near else "Nothing is like it"
            raise Fault("The pattern is nowhere in the model", self.pattern.splitlines()[0], hint)
        if self.within:
            inside = {graph.find(ref) for ref in self.within}
            found.occurrences = [one for one in found.occurrences if one.key <= inside]
            if not found.occurrences:
                hint = "Leave 'Only among' empty for all"
                raise Fault("The pattern is not among the given nodes", self.within[0], hint)
        chosen, overlapping = found.apart()
        left = [f"{graph.ref(one.nodes[0])} stays: it overlaps with an occurrence before it" for one in overlapping]
        read = [one for one in chosen if any(graph.is_output(name) or graph.consumers(name) for name in one.outputs)]
        left += [f"{graph.ref(one.nodes[0])} stays: nothing reads what it makes" for one in chosen if one not in read]
        return _acyclic(graph, read, left)

    def _step(self, graph: Graph, one: Occurrence, facts: Facts, edit: Edit) -> ReplaceWithPlugin | ReplaceWithNode:
        nodes = tuple(graph.ref(node) for node in one.nodes)
        values = {key: _taken(graph, one, facts, value) for key, value in self.attributes.items()}
        inputs = tuple(TensorName(_tensor(graph, one, name)) for name in self.inputs)
        outputs = tuple(TensorName(_tensor(graph, one, name)) for name in self.outputs)
        root = "/" if graph.nodes[one.nodes[0]].name.startswith("/") else ""
        name = edit.fresh_node(root + "/".join((*_scope(graph, one.nodes), self.op_type)))
        if self.kind == "operator":
            return ReplaceWithNode(nodes, self.op_type, values, self.domain, name, inputs, outputs)
        domain = self.domain or ReplaceWithPlugin.domain
        versions = self.plugin_version, self.plugin_namespace
        return ReplaceWithPlugin(nodes, self.op_type, domain, values, *versions, name, inputs, outputs)

    def summary(self) -> str:
        lines = self.pattern.strip().splitlines() or [""]
        shown_pattern = f"{lines[0]} …" if len(lines) > 1 else lines[0]
        return f"Replace all {shown_pattern} with {self.op_type}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The occurrences to replace, and why others are left, a sentence each."""

    chosen: tuple[Occurrence, ...]
    left: tuple[str, ...]


def _acyclic(graph: Graph, chosen: Sequence[Occurrence], left: list[str]) -> Plan:
    """Without occurrences that can't become one node each. Raises Fault where none is left."""
    convex = []
    for one in chosen:
        path = breaking_path(graph, one.nodes)
        if path is None:
            convex.append(one)
        else:
            left.append(f"{graph.ref(one.nodes[0])} stays: a path leaves it and comes back: {shown(graph, path)}")
    while convex and (cycle := _cycle(graph, convex)):
        last = max(cycle)
        left.append(f"{graph.ref(convex[last].nodes[0])} stays: with the others replaced it would close a cycle")
        del convex[last]
    if not convex:
        raise Fault("One node can take the place of no occurrence", "", left[0] if left else "")
    return Plan(tuple(convex), tuple(left))


def _cycle(graph: Graph, occurrences: Sequence[Occurrence]) -> set[int]:
    """Occurrences on a cycle that replacing all of them would close: each by itself closes none, two may."""
    group: dict[NodeId, int] = {node: at for at, one in enumerate(occurrences) for node in one.nodes}
    contracted = nx.DiGraph()
    for node, record in graph.nodes.items():
        source = -1 - group[node] if node in group else node
        users = {user for output in record.output if output for user in graph.consumers(output)}
        targets = (-1 - group[user] if user in group else user for user in users)
        contracted.add_edges_from((source, target) for target in targets if target != source)
    try:
        return {-1 - edge[0] for edge in nx.find_cycle(contracted) if edge[0] < 0}
    except nx.NetworkXNoCycle:
        return set()


def _scope(graph: Graph, nodes: Iterable[NodeId]) -> tuple[str, ...]:
    """The innermost scope around all nodes."""
    levels = zip(*(scope_of(graph.nodes[node]) for node in nodes), strict=False)
    return tuple(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))


def _tensor(graph: Graph, one: Occurrence, name: str) -> str:
    if name not in one.tensors:  # of a node that may be missing
        raise Fault(f"The occurrence at {graph.ref(one.nodes[0])} has no {name}", name)
    return one.tensors[name]


def _taken(graph: Graph, one: Occurrence, facts: Facts, value: Any) -> Any:
    """An attribute's value, taken from an occurrence where it says so."""
    if not isinstance(value, str) or not value.startswith("="):
        return value
    if value.startswith("=="):
        return value[1:]
    asked = _TAKEN.fullmatch(value)
    if asked is None:
        raise Fault(f"{value!r} takes nothing of an occurrence", "attributes", _HELP)
    as_list, name, attribute = asked.groups()
    tensor = _tensor(graph, one, name)
    if attribute:
        makers = [node for node, wanted in zip(one.nodes, one.pattern.nodes, strict=True) if name in wanted.outputs]
        found = facts.attribute(makers[0], attribute) if makers else None
    else:
        found = facts.exact(tensor)
    if found is None:
        what = f"{name} has no attribute {attribute}" if attribute else f"{name} is no small constant"
        raise Fault(f"{what} (occurrence at {graph.ref(one.nodes[0])})", "attributes", _HELP)
    return found if not as_list or isinstance(found, list) else [found]
