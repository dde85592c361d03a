"""A pattern made of selected nodes, strict at first: equal attributes, equal small constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.match.facts import Facts
from graftwerk.backend.match.pattern import ABSENT, Constant, Input, Pattern, PatternNode

#: Lists of integers up to this length are compared by value: axes, shapes. Lists of floats are weights.
_COMPARED = 8


def pattern_of(graph: Graph, nodes: Sequence[NodeId]) -> Pattern:
    """The pattern that some nodes are an occurrence of. Constant nodes among them count as constants.

    Raises Fault where nothing is left, or nodes hold bodies.
    """
    facts = Facts(graph)
    chosen = {node for node in nodes if facts.op(node) != "Constant"}
    if not chosen:
        raise Fault("Constants alone are no pattern", "", "Select nodes that compute something")
    held = next((node for node in chosen if node in graph.holders), None)
    if held is not None:
        raise Fault("A node with a body can't be part of a pattern", graph.ref(held), "Leave it out")
    ordered = [node for node in graph.nodes if node in chosen]
    made = {tensor for node in ordered for tensor in facts.outputs(node) if tensor}
    names: dict[str, str] = {}
    count = {"x": 0, "v": 0, "c": 0}

    def name(tensor: str, kind: str) -> str:
        if tensor not in names:
            names[tensor] = f"{kind}{count[kind]}"
            count[kind] += 1
        return names[tensor]

    def read(tensor: str) -> Input:
        if not tensor:
            return ABSENT
        if tensor in made:
            return name(tensor, "v")
        if facts.is_constant(tensor):
            value = facts.constant(tensor)
            count["c"] += 1
            kept = not isinstance(value, str | list) or (isinstance(value, list) and _structural(value))
            return Constant(f"c{count['c'] - 1}", value if kept else None)
        return name(tensor, "x")

    found: list[PatternNode] = []
    outputs: list[str] = []
    for node in ordered:
        inputs = tuple(read(tensor) for tensor in facts.inputs(node))
        results = tuple(name(tensor, "v") if tensor else f"none{node}_{at}"
                        for at, tensor in enumerate(facts.outputs(node)))  # fmt: skip
        record = graph.nodes[node]
        values = {one.name: facts.attribute(node, one.name) for one in record.attribute}
        compared = {key: value for key, value in values.items() if value is not None}
        found.append(PatternNode((facts.op(node),), inputs, results, compared))
        outputs += [
            names[tensor] for tensor in facts.outputs(node)
            if tensor and (graph.is_output(tensor) or not set(graph.consumers(tensor)) <= chosen
                           or not graph.consumers(tensor))
        ]  # fmt: skip
    return Pattern(tuple(found), tuple(outputs))


def _structural(values: list[Any]) -> bool:
    return 0 < len(values) <= _COMPARED and all(isinstance(one, int) for one in values)
