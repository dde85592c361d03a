"""A recipe: the edits that were made to a model, as readable JSON that replays on the model's next export."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault, Settled
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.recipe_files import check_files, resolved, stored
from graftwerk.backend.operations.registry import Operation, apply
from graftwerk.backend.operations.step import Step

#: 1 had steps alone: no parameters, and a dollar sign that meant itself.
FORMAT = 2
_HINT = "Recipes are JSON that the window saves (File, Save Recipe)"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps in the order in which they are applied, and the file name of the model they were made on.

    `parameters` are names with values, which steps may use as `$NAME`. `files` are the SHA-256 of what steps read from
    files, by path.
    """

    steps: tuple[Step, ...]
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, operations: Iterable[Operation], model: str = "") -> Recipe:
        return cls(tuple(map(Step.of, operations)), model)

    def dumps(self) -> str:
        data: dict[str, Any] = {"graftwerk_recipe": FORMAT, "model": self.model}
        if self.parameters:
            data["parameters"] = dict(self.parameters)
        if self.files:
            data["files"] = dict(self.files)
        data["steps"] = [step.to_json() for step in self.steps]
        return json.dumps(data, indent=2, ensure_ascii=False)

    @classmethod
    def loads(cls, text: str, where: str = "recipe") -> Recipe:
        """Raises Fault that names the step where the text is not a recipe or a step does not fit its operation."""
        data = _parsed(text, where)
        steps = []
        for number, value in enumerate(data["steps"], 1):
            try:
                step = Step.from_json(value, literal=data["graftwerk_recipe"] == 1)
                step.operation(data["parameters"])
            except Fault as fault:
                place = ", ".join(filter(None, [where, f"step {number}", fault.where]))
                raise Fault(fault.message, place, fault.hint) from None
            steps.append(step)
        return cls(tuple(steps), str(data.get("model", "")), data["parameters"], data["files"])

    def operations(self, given: Mapping[str, Any] | None = None) -> tuple[Operation, ...]:
        """The operations of the enabled steps. `given` replaces values of `parameters`."""
        values = self.filled(given)
        return tuple(step.operation(values) for step in self.steps if step.enabled)

    def filled(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The parameters with some values replaced. Raises Fault for a name that the recipe doesn't have."""
        for name in given or ():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise Fault(f"The recipe has no parameter {name}", name, f"It has: {known}")
        return {**self.parameters, **(given or {})}

    def save(self, path: Path) -> None:
        """Writes the recipe; files that it reads are named relative to it, and their hashes noted."""
        try:
            text = stored(self, path).dumps()
            with atomic(path) as file:
                file.write((text + "\n").encode())
        except OSError as error:
            hint = "Choose a folder that exists, is writable and has space left"
            raise Fault(f"Can't write: {error.strerror}", str(path), hint) from error

    @classmethod
    def load(cls, path: Path) -> Recipe:
        try:
            return resolved(cls.loads(path.read_text(encoding="utf-8"), path.name), path)
        except OSError as error:
            hint = "Does it exist, and may you read it?"
            raise Fault(f"Can't read the recipe: {error.strerror}", str(path), hint) from error
        except UnicodeDecodeError as error:
            raise Fault("Not a recipe: it is no UTF-8 text", str(path), _HINT) from error


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise Fault(f"Not JSON: {error.msg}", f"{where}, line {error.lineno}", _HINT) from None
    except (RecursionError, ValueError) as error:  # or a number of more digits than Python reads
        raise Fault(f"Not a recipe: {error}", where, _HINT) from None
    if not isinstance(data, dict) or "graftwerk_recipe" not in data or not isinstance(data.get("steps"), list):
        raise Fault("Not a recipe", where, "A recipe is JSON with graftwerk_recipe and a list of steps")
    if data["graftwerk_recipe"] not in (1, FORMAT):
        newer = isinstance(data["graftwerk_recipe"], int) and data["graftwerk_recipe"] > FORMAT
        hint = "A newer Graftwerk wrote it: update this one" if newer else f"This Graftwerk reads formats 1 to {FORMAT}"
        raise Fault(f"Recipe format {data['graftwerk_recipe']} is not known here", where, hint)
    for name in ("parameters", "files"):
        if not isinstance(data.setdefault(name, {}), dict):
            raise Fault(f"{name} is no object", where, f'Such as "{name}": {{"batch": 8}}')
    return data


def replay(
    recipe: Recipe,
    graph: Graph,
    given: Mapping[str, Any] | None = None,
    on_step: Callable[[int, Operation], None] | None = None,
    on_settled: Callable[[int, Settled], None] | None = None,
) -> Graph:
    """The graph after all enabled steps; see `revisions`."""
    check_files(recipe)
    for _, made in revisions(recipe.steps, graph, recipe.filled(given), on_step=on_step, on_settled=on_settled):
        graph = made
    return graph


def revisions(
    steps: Iterable[Step],
    graph: Graph,
    given: Mapping[str, Any],
    done: int = 0,
    on_step: Callable[[int, Operation], None] | None = None,
    on_settled: Callable[[int, Settled], None] | None = None,
) -> Iterator[tuple[Operation | None, Graph]]:
    """Applies the steps one after the other: the operation and the graph after it; for a step that is not enabled
    None and the graph as it was. A step that finds nothing to do (`on_settled` is told) leaves the graph as it was.
    Raises Fault that names the step that can't be done, counted from `done` on.

    Types that a step made wrong are inferred again before the next one, as the window does between two edits.
    """
    known = graph.types
    for number, step in enumerate(steps, done + 1):
        if not step.enabled:
            yield None, graph
            continue
        graph = _typed(graph, known)
        known = graph.types
        try:
            operation = step.operation(given)
            if on_step is not None:
                on_step(number, operation)
            graph = apply(operation, graph)
        except Settled as nothing:
            if on_settled is not None:
                on_settled(number, nothing)
        except Fault as fault:
            raise _at_step(fault, number, step, graph) from fault
        yield operation, graph


def _at_step(fault: Fault, number: int, step: Step, graph: Graph) -> Fault:
    """The Fault with its place in the recipe, and what in the graph comes closest to a name that isn't there."""
    from graftwerk.backend.operations.closest import closest  # not needed where all goes well

    place = f"step {number} ({step.id})" + (f", {fault.where}" if fault.where not in ("", step.id) else "")
    return Fault(fault.message, place, " ".join(filter(None, [closest(fault.where, graph), fault.hint])))


def _typed(graph: Graph, known: Mapping[str, TensorType]) -> Graph:
    """The graph with the types that were known before the last step, if it made any of them wrong."""
    if not any(tensor in graph.producers and tensor not in graph.types for tensor in known):
        return graph
    from graftwerk.backend.graph.shapes import infer  # not needed to open a model

    try:
        return graph.with_types(infer(graph))
    except Fault:
        return graph  # operations say themselves what they can't know
