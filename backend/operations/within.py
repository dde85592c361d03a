"""Any edit, made inside a body of If, Loop or Scan, or inside a local function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.nested import Place, first_place, labels, path_to, view
from graftwerk.backend.graph.nested_edit import put_back
from graftwerk.backend.operations.registry import (
    Operation,
    Selection,
    apply,
    make,
    operation,
    param,
    parameters,
    why_blocked,
)


@operation("graph.within", title="Edit inside", menu="Subgraph")
@dataclass(frozen=True)
class Within(Operation):
    """Do another operation inside a body of If, Loop or Scan, or inside a local function.

    The path names a node and its body (`choice`, `then_branch`), again for a body in that body, or a function as
    `function::DOMAIN::NAME`; a function is changed for all who call it. The step is the operation as a recipe has it:
    `{"operation": "node.rename", "node": "a", "name": "b"}`.

    A body reads tensors of the graphs around it as it reads its own, and new ones where the step names them; it can't
    define their names anew, nor change them. Its inputs and outputs keep their number, because its node passes them.
    """

    path: tuple[str, ...] = param(help="Node and body, again for each level; or function::DOMAIN::NAME")
    step: dict[str, Any] = param(label="Operation", help='{"operation": "node.rename", "node": "a", "name": "b"}')

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        hint = "Or double-click it: each edit that is made inside becomes one of these"
        if len(selection.nodes) != 1:
            return Reason("Select one node that has a graph inside", hint)
        there = labels(graph, selection.nodes[0])
        if not there:
            op_type = graph.nodes[selection.nodes[0]].op_type
            return Reason(f"{op_type} has no graph inside", "Select an If, Loop or Scan, or a call of a function")
        return cls(path_to(graph, (), selection.nodes[0], there[0]), {})

    @classmethod
    def of(cls, path: tuple[str, ...], step: Operation) -> Within:
        """The operation that does `step` in the graph at `path`."""
        return cls(path, {"operation": step.info.id, **parameters(step)})

    @property
    def contained(self) -> Operation:
        """The operation that is done inside. Raises Fault where the step is none."""
        id = self.step.get("operation")
        if not isinstance(id, str):
            raise Fault("The step needs the name of its operation", "step", "`graftwerk ops` lists the operations")
        return make(id, {key: value for key, value in self.step.items() if key != "operation"})

    def blocked(self, graph: Graph) -> Reason | None:
        place, rest = first_place(graph, self.path)
        step = self._next(rest)
        return why_blocked(step, _view(graph, place, step))

    def apply(self, edit: Edit) -> None:
        place, rest = first_place(edit.base, self.path)
        step = self._next(rest)
        before = _view(edit.base, place, step)
        put_back(edit, place, before, apply(step, before))

    def _next(self, rest: tuple[str, ...]) -> Operation:
        return replace(self, path=rest) if rest else self.contained

    def summary(self) -> str:
        return f"{self.contained.summary()} in {self.path[-1].removeprefix('function::')}"


def _view(graph: Graph, place: Place, step: Operation) -> Graph:
    """The view, with the tensors of the graphs around it that the step names."""
    found = view(graph, place)
    if place.function is not None:
        return found
    named = [tensor for tensor in _tensors(step) if not found.defines(tensor) and graph.defines(tensor)]
    return view(graph, place, named) if named else found


def _tensors(step: Operation) -> Iterator[str]:
    """The tensors that an operation names; for one inside, those that its own step names."""
    if isinstance(step, Within):
        yield from _tensors(step.contained)
        return
    for parameter in step.info.parameters:
        value = getattr(step, parameter.name)
        if parameter.kind == "tensor" and value:
            yield value
        elif parameter.kind == "tensors":
            yield from value


def is_slow(step: Operation) -> bool:
    """Whether an operation is run in a job; one inside is what it contains."""
    return step.info.slow or (isinstance(step, Within) and is_slow(step.contained))
