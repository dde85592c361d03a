"""Changes of a recipe's lines: their order, values that become parameters, names that become selectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.generalize import selectors_for
from graftwerk.backend.operations.registry import Operation, operations, parameters
from graftwerk.backend.operations.step import Step


def moved(steps: Sequence[Step], start: int, end: int) -> list[Step]:
    """The steps with the one at `start` at the place `end`."""
    found = list(steps)
    found.insert(end, found.pop(start))
    return found


def as_parameter(step: Step, name: str, known: Mapping[str, Any]) -> tuple[Step, dict[str, Any]]:
    """The step with `$NAME` for one of its values, and the recipe's parameters with that value in them."""
    value = step.values[name]
    free = next(each for each in _names(name) if known.get(each, value) == value)
    return step.with_values({**step.values, name: f"${free}"}), {**known, free: value}


def _names(name: str) -> Any:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def with_selector(step: Step, graph: Graph) -> list[Step]:
    """The step with selectors in place of its nodes' names, for each selector that means the same nodes in `graph`."""
    found = operations().get(step.id)
    for parameter in found.parameters if found is not None else ():
        value = step.values.get(parameter.name)
        if parameter.kind == "node" and isinstance(value, str) and value and value[0] not in "@$":
            return [step.with_values({**step.values, parameter.name: text}) for text in selectors_for([value], graph)]
        if parameter.kind == "nodes" and value and not any(text[0] in "@$" for text in value):
            return [step.with_values({**step.values, parameter.name: [text]}) for text in selectors_for(value, graph)]
    return []


def edited(step: Step, operation: Operation, given: Mapping[str, Any]) -> Step:
    """The step as an edit of its form leaves it: what was not changed there is still written as it was, `$NAME` too."""
    made = Step.of(operation)
    try:
        before = parameters(step.operation(given))
    except Fault:
        before = {}
    now = parameters(operation)
    values = {
        name: step.values[name] if name in step.values and before.get(name) == now.get(name) else value
        for name, value in made.values.items()
    }
    return Step(made.id, values, step.comment, step.enabled)
