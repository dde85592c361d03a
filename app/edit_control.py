"""Editing the shown model: operations with their forms, slow ones in a job, undo and redo."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.diagram_picture import redraw
from graftwerk.backend.graph.diff import diff
from graftwerk.backend.jobs.protocol import Failed, Finished
from graftwerk.backend.operations.registry import Operation, OperationInfo, apply

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.document import Revision
    from graftwerk.backend.graph.diagram_picture import Picture
    from graftwerk.backend.graph.graph import Graph

#: Nodes of a model of which edits are made on a thread; and seconds for which the window waits for one all the same.
LARGE, MOMENT = 5_000, 0.03


class EditControl:
    """The window's commands that change the model. Forms and jobs are imported when the first one is used."""

    def __init__(self, window: Window) -> None:
        self.window = window
        #: The tabs of which an edit is being made on a thread, and which.
        self.making: dict[Tab, Operation] = {}

    def undo(self) -> None:
        document = self.window.need_tab().document
        if document.can_undo:
            history = document.history
            undone = "the change of the recipe" if history.earlier else _summary(history.revisions[history.at])
            document.undo()
            self.window.say(f"Undone: {undone}")

    def redo(self) -> None:
        document = self.window.need_tab().document
        if document.can_redo:
            later = document.history.later
            document.redo()
            done = "the change of the recipe" if later else _summary(document.revisions[document.at])
            self.window.say(f"Redone: {done}")

    def start(self, found: OperationInfo) -> None:
        """Starts an operation on the selection: at once where it has no parameters, else with its form."""
        tab = self.window.need_tab()
        suggested = found.cls.suggest(tab.graph, tab.selection)
        if isinstance(suggested, Reason):
            self.window.show_fault(suggested.fault(), found.title)
        elif self.window.nodes.begin(suggested):
            pass
        elif found.id == "graph.within":  # it holds another operation, which is made where the user sees what it is for
            tab.open_nested(tab.selection.nodes[0])
            self.window.say("Edits that are made here are steps inside it; Backspace leads back")
        elif found.parameters or found.tells:
            self.ask(suggested)
        else:
            self.apply(suggested)

    def ask(self, operation: Operation) -> None:
        """Shows an operation's form, and applies what the user made of it."""
        from graftwerk.widgets.panels.form import OperationDialog

        tab = self.window.need_tab()
        path = tab.path
        dialog = self.window.nodes.dialog_for(tab, operation) or OperationDialog(operation, tab.graph, self.window)
        # The form stays open beside the window: by then another tab or graph may be shown, or this one be gone.
        if operation.info.tells and isinstance(dialog, OperationDialog):
            self.window.cleanup.watch(dialog, tab, path)
        dialog.accepted_operation.connect(lambda made: self.apply_to(tab, made, path))
        tab.destroyed.connect(dialog.close)
        dialog.show()

    def apply(self, operation: Operation, then: Callable[[], None] = lambda: None) -> None:
        """Applies an operation to the shown model, and calls `then` once that is shown, unless it is a slow one, done
        in a job. A Fault is shown, and changes nothing."""
        tab = self.window.need_tab()
        self.apply_to(tab, operation, tab.path, then)

    def apply_to(
        self, tab: Tab, operation: Operation, path: tuple[str, ...], then: Callable[[], None] = lambda: None
    ) -> None:
        """As `apply`; `path` leads to the body or function that the operation is meant for; empty is the model."""
        from graftwerk.backend.operations.within import Within, is_slow

        if path:
            operation = Within.of(path, operation)
        if tab in self.making:
            busy = self.making[tab].summary()
            self.window.say(f"{busy} is still being worked out; edit again when it is done", error=True)
            return
        if is_slow(operation):
            self._apply_in_job(tab, operation)
            return
        before = tab.document.graph
        foreseen = self.window.cleanup.foreseen_revision(before, operation)
        make = (lambda: foreseen) if foreseen is not None else (lambda: apply(operation, before))
        self._make(tab, operation, make, then)

    def _show(self, tab: Tab, operation: Operation, after: Graph) -> None:
        """Shows what an operation made of the shown revision."""
        before, undone = tab.document.graph, len(tab.document.history.undone)
        tab.document.push(operation, after)
        aside = f". {undone} undone step{'s' * (undone != 1)} set aside: see Recipe" if undone else ""
        self.window.say(operation.summary() + aside)
        self.window.cleanup.verify(tab, before, operation)

    def _make(
        self, tab: Tab, operation: Operation, make: Callable[[], Graph], then: Callable[[], None] = lambda: None
    ) -> None:
        """Makes a revision and shows it. That of a large model, and its picture, is made on a thread; what takes a
        moment is awaited, so that most edits are done when this returns."""
        before, canvas = tab.document.graph, tab.canvas
        if len(before.nodes) < LARGE:
            if self.window.attempt(lambda: self._show(tab, operation, make())):
                then()
            return
        shown, moved = canvas.picture, dict(canvas.moved)
        self.making[tab] = operation
        over = False

        def work() -> tuple[Graph, Picture | None]:
            after = make()
            if shown.diagram.graph is not before:  # something inside the model is shown
                return after, None
            return after, redraw(shown, after, diff(before, after), moved)

        def take(made: tuple[Graph, Picture | None]) -> None:
            after, picture = made
            if picture is not None:
                canvas.take_picture(picture)
            self._show(tab, operation, after)

        def show(ready: Future[tuple[Graph, Picture | None]]) -> None:
            nonlocal over
            if over:
                return  # it was awaited
            over = True
            self.making.pop(tab)
            if tab not in self.window.tabs():
                return
            if ready.exception() is None and tab.document.graph.revision != before.revision:
                self.window.say(f"{operation.info.title}: the model was edited meanwhile; do it again", error=True)
            elif self.window.attempt(lambda: take(ready.result())):
                then()

        ready = self.window.jobs.compute(work, show)
        wait([ready], MOMENT)
        if ready.done():
            show(ready)
        else:
            self.window.say(f"{operation.summary()} …")

    def _apply_in_job(self, tab: Tab, operation: Operation) -> None:
        from graftwerk.backend.operations.in_job import apply_job, take_result

        graph = tab.document.graph
        foreseen = self.window.cleanup.foreseen(graph, operation)

        def done(outcome: Finished | Failed) -> None:
            if tab not in self.window.tabs():
                return
            if isinstance(outcome, Failed):
                if not outcome.cancelled:
                    fault = Fault(outcome.message, outcome.where, outcome.hint)
                    self.window.show_fault(fault, operation.info.title, outcome.details)
            elif tab.document.graph.revision != graph.revision:
                self.window.say(f"{operation.info.title}: the model was edited meanwhile; do it again", error=True)
            else:
                path = Path(outcome.result["model"])
                self._make(tab, operation, lambda: take_result(graph, path))

        if foreseen is not None:  # its form has shown what it does, and so it is done
            done(foreseen)
            return
        title = f"{operation.info.title} in {tab.title}"
        self.window.jobs.submit(title, lambda folder: apply_job(graph, operation, folder), done)


def _summary(revision: Revision) -> str:
    return revision.operation.summary() if revision.operation is not None else ""
