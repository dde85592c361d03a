"""An open model: its revisions, what is saved, and the recipe that leads from the file to what is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.recipe import Recipe
from graftwerk.backend.operations.registry import Operation, apply


@dataclass(frozen=True, slots=True)
class Revision:
    """A graph, and the operation that made it of the revision before; None for the model as it was opened."""

    graph: Graph
    operation: Operation | None = None


class Document:
    """Revisions with undo and redo. Belongs to one thread; graphs handed out may go to any.

    `origin` is the name of the file that was opened, which the recipe starts from, wherever it is saved since.
    `listeners` are called with no arguments after every change of what is shown (revision, types, path).
    """

    def __init__(self, graph: Graph, path: Path | None = None) -> None:
        self.path = path
        self.origin = path.name if path is not None else ""
        self.listeners: list[Callable[[], None]] = []
        self._revisions = [Revision(graph)]
        self._at = 0
        self._saved: int | None = 0

    @classmethod
    def open(cls, path: Path) -> Document:
        """Raises Fault as `load` does."""
        return cls(load(path), path)

    @property
    def graph(self) -> Graph:
        return self._revisions[self._at].graph

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """All revisions that undo and redo can reach, oldest first."""
        return tuple(self._revisions)

    @property
    def at(self) -> int:
        """The index of the shown revision."""
        return self._at

    @property
    def dirty(self) -> bool:
        return self._saved != self._at

    @property
    def can_undo(self) -> bool:
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        return self._at + 1 < len(self._revisions)

    @property
    def recipe(self) -> Recipe:
        steps = tuple(r.operation for r in self._revisions[1 : self._at + 1] if r.operation is not None)
        return Recipe(steps, self.origin)

    def apply(self, operation: Operation) -> Graph:
        """Makes a new revision and shows it; what could be redone is gone. Raises Fault where it can't be done."""
        graph = apply(operation, self.graph)
        self.push(operation, graph)
        return graph

    def push(self, operation: Operation, graph: Graph) -> None:
        """Shows a revision that was made of the shown one elsewhere (a slow operation, in a job)."""
        self.extend([Revision(graph, operation)])

    def extend(self, revisions: Sequence[Revision]) -> None:
        """Shows the last of some revisions, the first of which was made of the shown one."""
        if self._saved is not None and self._saved > self._at:
            self._saved = None  # the saved revision can't be reached any more
        del self._revisions[self._at + 1 :]
        self._revisions.extend(revisions)
        self._at += len(revisions)
        self._changed()

    def go(self, index: int) -> None:
        """Shows one of `revisions`."""
        if not 0 <= index < len(self._revisions):
            raise IndexError(index)
        if index != self._at:
            self._at = index
            self._changed()

    def undo(self) -> None:
        self.go(self._at - 1)

    def redo(self) -> None:
        self.go(self._at + 1)

    def set_types(self, graph: Graph, types: Mapping[str, TensorType]) -> bool:
        """Takes what shape inference found for a revision, if it is still here; says whether it was."""
        for index, revision in enumerate(self._revisions):
            if revision.graph.revision == graph.revision:
                self._revisions[index] = Revision(graph.with_types(types), revision.operation)
                self._changed()
                return True
        return False

    def save(self, path: Path | None = None) -> None:
        """Saves the shown revision. Raises Fault where it can't be written, and is dirty then as before."""
        target = path or self.path
        if target is None:
            raise ValueError("a document that was never saved needs a path")
        save(self.graph, target)
        self.path = target
        self._saved = self._at
        self._changed()

    def _changed(self) -> None:
        for listener in tuple(self.listeners):
            listener()
