"""Editing the shown model: operations with their forms, slow ones in a job, undo and redo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.jobs.protocol import Failed, Finished
from graftwerk.backend.operations.registry import Operation, OperationInfo

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.document import Revision


class EditControl:
    """The window's commands that change the model. Forms and jobs are imported when the first one is used."""

    def __init__(self, window: Window) -> None:
        self.window = window

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

    def apply(self, operation: Operation) -> None:
        """Applies an operation to the shown model. A Fault is shown, and changes nothing."""
        tab = self.window.need_tab()
        self.apply_to(tab, operation, tab.path)

    def apply_to(self, tab: Tab, operation: Operation, path: tuple[str, ...]) -> None:
        """`path` leads to the body or function that the operation is meant for; empty is the model itself."""
        from graftwerk.backend.operations.within import Within, is_slow

        if path:
            operation = Within.of(path, operation)
        if is_slow(operation):
            self._apply_in_job(tab, operation)
        else:
            before = tab.document.graph
            after = self.window.cleanup.foreseen_revision(before, operation)

            undone = len(tab.document.history.undone)

            def work() -> None:
                if after is not None:
                    tab.document.push(operation, after)
                else:
                    tab.document.apply(operation)

            aside = f". {undone} undone step{'s' * (undone != 1)} set aside: see Recipe" if undone else ""
            if self.window.attempt(work, operation.summary() + aside):
                self.window.cleanup.verify(tab, before, operation)

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
                if self.window.attempt(
                    lambda: tab.document.push(operation, take_result(graph, path)), operation.summary()
                ):
                    self.window.cleanup.verify(tab, graph, operation)

        if foreseen is not None:  # its form has shown what it does, and so it is done
            done(foreseen)
            return
        title = f"{operation.info.title} in {tab.title}"
        self.window.jobs.submit(title, lambda folder: apply_job(graph, operation, folder), done)


def _summary(revision: Revision) -> str:
    return revision.operation.summary() if revision.operation is not None else ""
