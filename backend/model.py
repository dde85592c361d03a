"""A model as Python scripts and notebooks have it: operations are functions, undo and recipe come with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault, Settled
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.recipe import Recipe
from graftwerk.backend.operations.registry import OperationInfo, make, operations
from graftwerk.backend.operations.selectors import is_selector, select_nodes
from graftwerk.backend.operations.step import Step


class Model:
    """A model and its edits. Operations are functions by their id: `model.ops.node.delete(nodes=["/conv1/Conv"])`.

    Every method that edits returns the model itself. Raises `Fault`, which says what and where, and what to do; the
    model is then as it was.
    """

    def __init__(self, graph: Graph, path: Path | None = None) -> None:
        self._document = Document(_typed(graph), path)

    @classmethod
    def open(cls, path: str | Path) -> Model:
        """Raises Fault where the file can't be read."""
        model = cls.__new__(cls)
        model._document = Document.open(Path(path))
        model._infer()
        return model

    @property
    def graph(self) -> Graph:
        """The graph as it is now: a value, which later edits leave as it is."""
        return self._document.graph

    @property
    def recipe(self) -> Recipe:
        """The edits so far. `model.recipe.save(Path("edits.json"))` writes them."""
        return self._document.recipe

    @property
    def ops(self) -> Operations:
        """All operations: `model.ops.qdq.insert(...)` applies the one with the id `qdq.insert`."""
        return Operations(self)

    def nodes(self, selector: str = "") -> list[str]:
        """References of nodes: of all, or of those that a selector means, such as `@op=Conv & scope=/layer1`."""
        if not selector:
            return [self.graph.ref(node) for node in self.graph.nodes]
        if not is_selector(selector):
            return [self.graph.ref(self.graph.find(selector))]
        return [self.graph.ref(node) for node in select_nodes(selector, self.graph)]

    def type_of(self, tensor: str) -> TensorType | None:
        """Datatype and shape of a tensor, as far as they are known."""
        return self.graph.type_of(tensor)

    def apply(self, operation: str, /, **parameters: Any) -> Model:
        """Applies an operation by its id, such as `"node.delete"`; `graftwerk.operations()` lists them. One that finds
        nothing to do changes nothing."""
        with suppress(Settled):
            self._document.apply(make(operation, _plain(parameters)))
        self._infer()
        return self

    def replay(self, recipe: Recipe | str | Path, parameters: Mapping[str, Any] | None = None) -> Model:
        """Applies all steps of a recipe, or none where one can't be done. `parameters` replace the recipe's own."""
        if not isinstance(recipe, Recipe):
            recipe = Recipe.load(Path(recipe))
        given = recipe.filled(parameters)
        steps = tuple(Step.of(operation) for operation in recipe.operations(given))
        made = self._document.with_recipe(Recipe(steps, recipe.model, {}, recipe.files))
        if made.stopped is not None:
            raise made.stopped
        self._document.rewrite(made)
        self._infer()
        return self

    def undo(self) -> Model:
        """Takes the last edit back. Raises Fault where there is none."""
        if not self._document.can_undo:
            raise Fault("There is nothing to undo")
        self._document.undo()
        return self

    def redo(self) -> Model:
        """Does an edit again that was undone. Raises Fault where there is none."""
        if not self._document.can_redo:
            raise Fault("There is nothing to redo")
        self._document.redo()
        return self

    def save(self, path: str | Path | None = None) -> Model:
        """Saves the model, where it was opened unless a path is given."""
        if path is None and self._document.path is None:
            raise Fault("This model was never saved", hint="Give a path: model.save('model.onnx')")
        self._document.save(Path(path) if path is not None else None)
        return self

    def _infer(self) -> None:
        graph = self._document.graph
        self._document.set_types(graph, _typed(graph).types)

    def __repr__(self) -> str:
        graph = self.graph
        name = self._document.origin or "new model"
        edits = len(self._document.recipe.steps)
        return f"<Model {name}: {len(graph.nodes)} nodes, {edits} edit{'s' * (edits != 1)}>"

    def _repr_html_(self) -> str:
        """How notebooks show it: its inputs and outputs, and the edits so far."""
        ends = [("input", info) for info in self.graph.inputs if info.name not in self.graph.initializers]
        ends += [("output", info) for info in self.graph.outputs]
        rows = [(side, info.name, str(self.type_of(info.name) or "")) for side, info in ends]
        rows += [("edit", step.id, ", ".join(f"{k}={v}" for k, v in step.values.items())) for step in self.recipe.steps]
        cells = ("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
        return f"<b>{escape(repr(self)[1:-1])}</b><table>{''.join(cells)}</table>"


class Operations:
    """The operations of a model by family, as editors complete them."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getattr__(self, name: str) -> _Family:
        if name in dir(self):
            return _Family(self._model, name)
        raise AttributeError(f"there is no family of operations {name}; there are {', '.join(dir(self))}")

    def __dir__(self) -> list[str]:
        return list(dict.fromkeys(id.partition(".")[0] for id in operations()))


class _Family:
    """The operations whose ids begin alike: `model.ops.qdq` has insert, move, remove."""

    def __init__(self, model: Model, name: str) -> None:
        self._model, self._name = model, name

    def __getattr__(self, name: str) -> Callable[..., Model]:
        found = operations().get(f"{self._name}.{name}")
        if found is None:
            known = ", ".join(dir(self))
            raise AttributeError(f"there is no operation {self._name}.{name}; {self._name} has {known}")
        return _function(self._model, found)

    def __dir__(self) -> list[str]:
        return [id.partition(".")[2] for id in operations() if id.partition(".")[0] == self._name]


def _function(model: Model, found: OperationInfo) -> Callable[..., Model]:
    """An operation as a function, with the signature and the text that an editor shows."""

    def call(**parameters: Any) -> Model:
        return model.apply(found.id, **parameters)

    call.__name__ = found.id.rpartition(".")[2]
    helps = "\n".join(f"{one.name}: {one.help or one.label}" for one in found.parameters)
    call.__doc__ = f"{found.doc}\n\n{helps}".rstrip()
    keyword, empty = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
    shown = [inspect.Parameter(p.name, keyword, default=empty if p.required else p.initial) for p in found.parameters]
    call.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return call


def _typed(graph: Graph) -> Graph:
    """The graph with the types that operations ask for, as far as they can be inferred."""
    try:
        return graph.with_types(infer(graph))
    except Fault:
        return graph  # operations say themselves what they can't know


def _plain(value: Any) -> Any:
    """What a recipe can hold: paths as texts, tuples as lists, numbers of numpy as Python's."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.tolist() if hasattr(value, "tolist") else value
