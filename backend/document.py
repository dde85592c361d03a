"""An open model: its revisions, what is saved, and the recipe that leads from the file to what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.recipe import Recipe, revisions
from graftwerk.backend.operations.recipe_files import check_files
from graftwerk.backend.operations.registry import Operation, apply
from graftwerk.backend.operations.step import Step

if TYPE_CHECKING:
    from graftwerk.backend.engines.verify_change import Verdict


@dataclass(frozen=True, slots=True)
class Revision:
    """A graph, and the operation that made it of the revision before; None for the model as it was opened, and for a
    step that is not enabled. `step` is the line of the recipe, where it says more than the operation."""

    graph: Graph
    operation: Operation | None = None
    step: Step | None = None

    @property
    def line(self) -> Step | None:
        """The line of the recipe; None for the model as it was opened."""
        return self.step or (Step.of(self.operation) if self.operation is not None else None)


@dataclass(frozen=True, slots=True)
class History:
    """The revisions that undo and redo reach, oldest first, and which is shown. Where a step of the recipe can't be
    done, `stopped` says why, and `waiting` are that step and those behind it.

    Where another recipe made it of the history `before`, undo at revision `base` leads back to that; and redo at
    revision `turn` leads on to the history `after` that was undone there."""

    revisions: tuple[Revision, ...]
    at: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    waiting: tuple[Step, ...] = ()
    stopped: Fault | None = None
    before: History | None = None
    base: int = 0
    after: History | None = None
    turn: int = 0

    @property
    def earlier(self) -> History | None:
        """What undo leads to from here, where that is another history."""
        return self.before if self.at == self.base else None

    @property
    def later(self) -> History | None:
        """What redo leads to from here, where that is another history."""
        return self.after if self.at == self.turn else None

    @property
    def undone(self) -> tuple[Step, ...]:
        """The steps that redo would bring, and that an edit made here takes the place of."""
        lines = _lines(self.revisions)
        if self.later is None:
            return lines[self.at :]
        theirs = _lines(self.later.revisions)
        return next((theirs[i:] for i, step in enumerate(theirs) if lines[i : i + 1] != (step,)), ())

    def same_edits(self, other: History) -> bool:
        """Whether it holds the same revisions; what is known of their types, and which is shown, may differ."""
        mine, others = ([one.graph.revision for one in history.revisions] for history in (self, other))
        return mine == others and self.waiting == other.waiting


#: No revision has this number.
_NEVER = -1
#: How many edits are remembered that were made in place of undone steps.
_ASIDE = 20


class Document:
    """Revisions with undo and redo. Belongs to one thread; graphs handed out may go to any.

    `origin` is the name of the file that was opened, which the recipe starts from, wherever it is saved since; or the
    `name` of one that was never saved, which is dirty until it is.
    `listeners` are called with no arguments after every change of what is shown (revision, types, path).
    """

    def __init__(self, graph: Graph, path: Path | None = None, name: str = "") -> None:
        self.path = path
        self.origin = path.name if path is not None else name
        self.listeners: list[Callable[[], None]] = []
        self._history = History((Revision(graph),), 0)
        self._saved = graph.revision if path is not None or not name else _NEVER
        #: The undone steps that edits took the place of, the last ones first: see `with_aside`.
        self.aside: tuple[tuple[Step, ...], ...] = ()
        #: What came of verifying the step that made a revision, by the revision's number.
        self.verdicts: dict[int, Verdict] = {}

    @classmethod
    def open(cls, path: Path) -> Document:
        """Raises Fault as `load` does."""
        return cls(load(path), path)

    @property
    def history(self) -> History:
        return self._history

    @property
    def graph(self) -> Graph:
        return self._history.revisions[self._history.at].graph

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """All revisions that undo and redo can reach, oldest first."""
        return self._history.revisions

    @property
    def at(self) -> int:
        """The index of the shown revision."""
        return self._history.at

    @property
    def dirty(self) -> bool:
        return self._saved != self.graph.revision

    @property
    def can_undo(self) -> bool:
        return self.at > 0 or self._history.earlier is not None

    @property
    def can_redo(self) -> bool:
        return self.at + 1 < len(self.revisions) or self._history.later is not None

    @property
    def recipe(self) -> Recipe:
        """The steps up to the shown revision, and those that wait because one can't be done."""
        done = _lines(self.revisions[: self.at + 1])
        return Recipe(done + self._history.waiting, self.origin, self._history.parameters)

    def apply(self, operation: Operation) -> Graph:
        """Makes a new revision and shows it; what could be redone is set `aside`. Raises Fault where it can't be
        done."""
        graph = apply(operation, self.graph)
        self.push(operation, graph)
        return graph

    def push(self, operation: Operation, graph: Graph) -> None:
        """Shows a revision that was made of the shown one elsewhere (a slow operation, in a job)."""
        self.extend([Revision(graph, operation)])

    def extend(self, made: Sequence[Revision]) -> None:
        """Shows the last of some revisions, the first of which was made of the shown one."""
        kept = self.revisions[: self.at + 1]
        if undone := self._history.undone:
            self.aside = (undone, *self.aside)[:_ASIDE]
        reached = self._history.before is not None and self.at >= self._history.base
        self._show(replace(self._history, revisions=(*kept, *made), at=self.at + len(made), after=None,
                           before=self._history.before if reached else None))  # fmt: skip

    def rewritten(self, steps: Sequence[Step], parameters: Mapping[str, Any]) -> History:
        """What the document's history is with another recipe, from the first step on that differs. Takes as long as
        its steps do, and may run in any thread; `rewrite` then shows it.

        A step that can't be done stops it: see `History.stopped`.
        """
        kept = [self.revisions[0]]
        for revision, step in zip(self.revisions[1:], steps, strict=False):
            same = step.enabled and revision.operation is not None and _made(step, parameters) == revision.operation
            if not same and (step.enabled or revision.operation is not None):
                break
            kept.append(replace(revision, step=step))
        done, rest = len(kept) - 1, steps[len(kept) - 1 :]
        made, stopped = kept, None
        try:
            for step, (operation, graph) in zip(rest, revisions(rest, kept[-1].graph, parameters, done), strict=True):
                made.append(Revision(graph, operation, step))
        except Fault as fault:
            stopped = fault
        waiting = tuple(steps[len(made) - 1 :])
        return History(tuple(made), len(made) - 1, dict(parameters), waiting, stopped)

    def with_recipe(self, recipe: Recipe) -> History:
        """What the document's history is with a recipe's steps behind the shown revision; see `rewritten`.

        Raises Fault where a parameter of the recipe has another value here already.
        """
        known = self._history.parameters
        for name, value in recipe.parameters.items():
            if known.get(name, value) != value:
                hint = "Rename one of them, or give them the same value"
                raise Fault(f"The parameter {name} is {known[name]} here and {value} in the recipe", name, hint)
        check_files(recipe)
        here = self.recipe
        return self.rewritten((*here.steps, *recipe.steps), {**known, **recipe.parameters})

    def with_aside(self, index: int) -> History:
        """What the document's history is with steps set `aside` behind the shown revision; see `rewritten`."""
        here = self.recipe
        return self.rewritten((*here.steps, *self.aside[index]), here.parameters)

    def forget_aside(self, *indices: int) -> None:
        """Forgets steps that were set `aside`."""
        self.aside = tuple(steps for index, steps in enumerate(self.aside) if index not in indices)
        self._changed()

    def rewrite(self, history: History) -> None:
        """Shows a history that `rewritten` made of the shown one; undo brings back the one before."""
        self._show(replace(history, before=self._history, base=history.at))

    def take(self, history: History) -> None:
        """Shows a history that `rewritten` made of the shown one, with nothing before it for undo to bring back."""
        self._show(history)

    def go(self, index: int) -> None:
        """Shows one of `revisions`."""
        if not 0 <= index < len(self.revisions):
            raise IndexError(index)
        if index != self.at:
            self._show(replace(self._history, at=index))

    def undo(self) -> None:
        earlier = self._history.earlier
        if earlier is None:
            self.go(self.at - 1)
        else:
            self._show(replace(earlier, after=self._history, turn=earlier.at))

    def redo(self) -> None:
        later = self._history.later
        if later is None:
            self.go(self.at + 1)
        else:
            self._show(later)

    def set_types(self, graph: Graph, types: Mapping[str, TensorType]) -> bool:
        """Takes what shape inference found for a revision, if it is still here; says whether it was."""
        known = [revision.graph.revision == graph.revision for revision in self.revisions]
        if not any(known):
            return False
        typed = graph.with_types(types)
        found = tuple(
            replace(revision, graph=typed) if same else revision
            for revision, same in zip(self.revisions, known, strict=True)
        )
        self._history = replace(self._history, revisions=found)
        self._changed()
        return True

    def set_verdict(self, revision: int, verdict: Verdict) -> None:
        """Takes what came of verifying the step that made a revision."""
        self.verdicts[revision] = verdict
        self._changed()

    def save(self, path: Path | None = None) -> str:
        """Saves the shown revision; gives what `files.save` does. Raises Fault where it can't be written, and is dirty
        then as before."""
        target = path or self.path
        if target is None:
            raise ValueError("a document that was never saved needs a path")
        moved = save(self.graph, target)
        self.path = target
        self._saved = self.graph.revision
        self._changed()
        return moved

    def _show(self, history: History) -> None:
        self._history = history
        self._changed()

    def _changed(self) -> None:
        for listener in tuple(self.listeners):
            listener()


def _lines(revisions: Iterable[Revision]) -> tuple[Step, ...]:
    return tuple(line for revision in revisions if (line := revision.line) is not None)


def _made(step: Step, parameters: Mapping[str, Any]) -> Operation | None:
    try:
        return step.operation(parameters)
    except Fault:
        return None  # the replay says so, at its place
