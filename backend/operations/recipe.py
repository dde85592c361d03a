"""A recipe: the edits that were made to a model, as readable JSON that replays on the model's next export."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.registry import Operation, apply, make, parameters

FORMAT = 1
_HINT = "Recipes are JSON that the window saves (History, Save recipe)"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps in the order in which they are applied, and the file name of the model they were made on."""

    steps: tuple[Operation, ...]
    model: str = ""

    def dumps(self) -> str:
        steps = [{"operation": step.info.id, **parameters(step)} for step in self.steps]
        data = {"graftwerk_recipe": FORMAT, "model": self.model, "steps": steps}
        return json.dumps(data, indent=2, ensure_ascii=False)

    @classmethod
    def loads(cls, text: str, where: str = "recipe") -> Recipe:
        """Raises Fault that names the step where the text is not a recipe or a step does not fit its operation."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise Fault(f"Not JSON: {error.msg}", f"{where}, line {error.lineno}", _HINT) from None
        except (RecursionError, ValueError) as error:  # or a number of more digits than Python reads
            raise Fault(f"Not a recipe: {error}", where, _HINT) from None
        if not isinstance(data, dict) or "graftwerk_recipe" not in data or not isinstance(data.get("steps"), list):
            raise Fault("Not a recipe", where, "A recipe is JSON with graftwerk_recipe and a list of steps")
        if data["graftwerk_recipe"] != FORMAT:
            raise Fault(f"Recipe format {data['graftwerk_recipe']} is not known here", where, "Update Graftwerk")
        steps = []
        for number, step in enumerate(data["steps"], 1):
            if not isinstance(step, dict) or not isinstance(step.get("operation"), str):
                hint = "`graftwerk ops` lists the operations"
                raise Fault("A step needs the name of its operation", f"{where}, step {number}", hint)
            try:
                steps.append(make(step["operation"], {key: value for key, value in step.items() if key != "operation"}))
            except Fault as fault:
                raise Fault(fault.message, f"{where}, step {number}", fault.hint) from None
        return cls(tuple(steps), str(data.get("model", "")))

    def save(self, path: Path) -> None:
        try:
            with atomic(path) as file:
                file.write((self.dumps() + "\n").encode())
        except OSError as error:
            hint = "Choose a folder that exists, is writable and has space left"
            raise Fault(f"Can't write: {error.strerror}", str(path), hint) from error

    @classmethod
    def load(cls, path: Path) -> Recipe:
        try:
            return cls.loads(path.read_text(encoding="utf-8"), path.name)
        except OSError as error:
            hint = "Does it exist, and may you read it?"
            raise Fault(f"Can't read the recipe: {error.strerror}", str(path), hint) from error
        except UnicodeDecodeError as error:
            raise Fault("Not a recipe: it is no UTF-8 text", str(path), _HINT) from error


def replay(
    steps: Iterable[Operation], graph: Graph, on_step: Callable[[int, Operation], None] | None = None
) -> Graph:
    """The graph after all steps; see `revisions`."""
    for made in revisions(steps, graph, on_step):
        graph = made
    return graph


def revisions(
    steps: Iterable[Operation], graph: Graph, on_step: Callable[[int, Operation], None] | None = None
) -> Iterator[Graph]:
    """Applies the steps one after the other: the graph after each. Raises Fault that names the step that can't be done.

    Types that a step made wrong are inferred again before the next one, as the window does between two edits.
    """
    known = graph.types
    for number, step in enumerate(steps, 1):
        graph = _typed(graph, known)
        known = graph.types
        if on_step is not None:
            on_step(number, step)
        try:
            graph = apply(step, graph)
        except Fault as fault:
            place = f"step {number} ({step.info.id})" + (f", {fault.where}" if fault.where else "")
            raise Fault(fault.message, place, fault.hint) from fault
        yield graph


def _typed(graph: Graph, known: Mapping[str, TensorType]) -> Graph:
    """The graph with the types that were known before the last step, if it made any of them wrong."""
    if not any(tensor in graph.producers and tensor not in graph.types for tensor in known):
        return graph
    from graftwerk.backend.graph.shapes import infer  # not needed to open a model

    try:
        return graph.with_types(infer(graph))
    except Fault:
        return graph  # operations say themselves what they can't know
