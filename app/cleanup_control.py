"""Clean-up in the window: its form tells what it would do, and once it is done it is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftwerk.app.jobs import Task
from graftwerk.backend.graph.graph import Graph, Problem
from graftwerk.backend.jobs.protocol import Failed, Finished
from graftwerk.backend.operations.registry import Operation

if TYPE_CHECKING:
    from graftwerk.app.foresight import Foresight
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.engines.verify_change import Verdict
    from graftwerk.widgets.panels.form import OperationDialog

#: The name under which what a verification found stands among a model's problems.
_SOURCE = "clean-up"


class CleanupControl:
    """Tells and verifies. What it needs is imported when the first form opens."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._last: Foresight | None = None

    def watch(self, dialog: OperationDialog, tab: Tab, path: tuple[str, ...]) -> None:
        """Shows in a form, under its parameters, what the operation would do as it stands."""
        from graftwerk.app.foresight import Foresight

        self._last = Foresight(dialog, tab, path, self.window)

    def foreseen(self, graph: Graph, operation: Operation) -> Finished | None:
        """What a job made of a revision when the form told what the operation would do; None where none has."""
        last = self._last
        return last.result_for(graph, operation) if last is not None else None

    def foreseen_revision(self, graph: Graph, operation: Operation) -> Graph | None:
        """As `foreseen`, where it was worked out on a thread."""
        return self._last.revision_for(graph, operation) if self._last is not None else None

    def verify(self, tab: Tab, before: Graph, operation: Operation) -> Task | None:
        """Runs the shown revision and the one before it, if a clean-up made it, on random inputs and on those of the
        profile settings; what came of it stands with the step."""
        from graftwerk.backend.engine_jobs import change_job
        from graftwerk.backend.engines.verify_change import Verdict

        if not tells(operation):
            return None
        after, data = tab.document.graph, self.window.engines.data_of(tab)
        settings: dict[str, Any] = {key: data[key] for key in ("files", "shapes") if key in data}
        if "seed" in data:
            settings["seeds"] = tuple(dict.fromkeys((data["seed"], 0, 1)))[:2]
        tab.document.set_verdict(after.revision, Verdict("running", "verifying with ONNX Runtime"))

        def done(outcome: Finished | Failed) -> None:
            if isinstance(outcome, Finished):
                found = Verdict(**outcome.result)
            else:
                why = "cancelled" if outcome.cancelled else outcome.message
                found = Verdict("not verified", f"not verified: {why}")
            self.window.jobs.discard(task)
            if tab in self.window.tabs():
                self._tell(tab, after, operation, found)

        title = f"Verify {operation.info.title} in {tab.title}"
        task = self.window.jobs.submit(title, lambda folder: change_job(before, after, folder, **settings), done)
        return task

    def _tell(self, tab: Tab, after: Graph, operation: Operation, found: Verdict) -> None:
        from graftwerk.backend.fault import Fault

        tab.document.set_verdict(after.revision, found)
        text = f"{operation.summary()}: {found.text}"
        self.window.say(text, error=found.state != "verified")
        if found.state != "differs":
            return
        hint = "Undo it, and do less at once; the recipe marks the step"
        if tab.document.graph.revision == after.revision:
            tab.set_refusal(Problem(text, "", hint, "error"), _SOURCE)
        self.window.show_fault(Fault(text, tab.title, hint), "The model does not compute the same any more")


def tells(operation: Operation) -> bool:
    """Whether an operation is told and verified; one inside is what it contains."""
    from graftwerk.backend.operations.within import Within

    return operation.info.tells or (isinstance(operation, Within) and tells(operation.contained))
