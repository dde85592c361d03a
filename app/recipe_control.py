"""The window's commands that change the recipe of the shown model: it is replayed from the first line that differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from graftwerk.backend.document import History
from graftwerk.backend.operations.recipe_lines import edited
from graftwerk.backend.operations.registry import Operation
from graftwerk.backend.operations.step import Step

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window


class RecipeControl:
    """Replays recipes beside the window's thread, and shows what came of it."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def change(self, steps: Sequence[Step], parameters: Mapping[str, Any]) -> None:
        """Gives the shown model another recipe."""
        tab = self.window.need_tab()
        self.rewrite(tab, lambda: tab.document.rewritten(steps, parameters), "Changed the recipe")

    def edit(self, row: int) -> None:
        """Shows the form of a step of the shown model's recipe, counted from 1, and replays with what became of it."""
        from graftwerk.widgets.panels.form import OperationDialog

        tab = self.window.need_tab()
        history = tab.document.history
        steps = self.window.docks.history.steps()
        step = steps[row - 1]
        before = history.revisions[min(row, len(history.revisions)) - 1].graph
        dialog = OperationDialog(step.operation(history.parameters), before, self.window)

        def take(operation: Operation) -> None:
            if tab is self.window.tab and tab.document.history.same_edits(history):
                self.change([*steps[: row - 1], edited(step, operation, history.parameters), *steps[row:]],
                            history.parameters)  # fmt: skip
            else:
                self.window.say("The model was edited meanwhile; edit the step again", error=True)

        dialog.accepted_operation.connect(take)
        tab.destroyed.connect(dialog.close)
        dialog.show()

    def put_back(self, index: int) -> None:
        """Replays steps that were set aside behind the shown revision."""
        tab = self.window.need_tab()
        document, steps = tab.document, tab.document.aside[index]

        def forget() -> None:
            document.forget_aside(*(number for number, one in enumerate(document.aside) if one is steps))

        said = f"Put back {len(steps)} step{'s' * (len(steps) != 1)}"
        self.rewrite(tab, lambda: document.with_aside(index), said, forget)

    def rewrite(
        self, tab: Tab, work: Callable[[], History], done: str, then: Callable[[], None] = lambda: None
    ) -> None:
        """Shows the history that `work` makes, and calls `then`; a Fault changes nothing, a step that can't be done
        stops there."""
        before = tab.document.history

        def show(ready: Future[History]) -> None:
            if not (self.window.attempt(ready.result) and tab in self.window.tabs()):
                return
            if not tab.document.history.same_edits(before):
                self.window.say("The model was edited while the recipe was replayed; do it again", error=True)
                return
            history = ready.result()
            tab.document.rewrite(history)
            then()
            if history.stopped is None:
                self.window.say(done)
            else:
                self.window.say(f"{history.stopped.where}: {history.stopped.message}", error=True)
                self.window.docks.show("recipe")

        self.window.say("Replaying the recipe …")
        self.window.jobs.compute(work, show)  # a recipe may fold constants, which takes its time
