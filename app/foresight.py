"""What the operation in a form would do to the model, worked out beside the window while the form is open."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from graftwerk.app.jobs import Task
from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.jobs.protocol import Failed, Finished
from graftwerk.backend.operations.effect import Effect, effect
from graftwerk.backend.operations.registry import Operation, apply, named
from graftwerk.backend.operations.within import Within, is_slow
from graftwerk.widgets.panels.effect_view import EffectView

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.widgets.panels.form import OperationDialog

#: Milliseconds between two looks at a job's clock.
_TICK = 500


class Foresight(QObject):
    """Follows a form: whenever the operation in it or the model changes, what that would do is worked out anew, a slow
    one in a job. What was worked out is the revision that the operation makes once it is applied."""

    def __init__(self, dialog: OperationDialog, tab: Tab, path: tuple[str, ...], window: Window) -> None:
        super().__init__(dialog)
        self._window, self._path, self._form = window, path, dialog.form
        self._tab = tab
        self._asked: tuple[Graph, Operation] | None = None
        self._after: Graph | None = None
        self._task: Task | None = None
        self._done: Task | None = None
        self._result: Finished | None = None
        self.view = EffectView()
        self.view.cancelled.connect(self._cancel)
        self._clock = QTimer(self, interval=_TICK)
        self._clock.timeout.connect(self._tick)
        dialog.add_below(self.view)
        dialog.form.checked.connect(self._on_checked)
        dialog.finished.connect(self._drop)
        tab.changed.connect(self._on_model)
        self._on_checked(dialog.form.check())

    def result_for(self, graph: Graph, operation: Operation) -> Finished | None:
        """What the job made of a revision, where it is done and was about this operation."""
        if not self._is_asked(graph, operation):
            return None
        self._done = None  # its files are the revision's now
        return self._result

    def revision_for(self, graph: Graph, operation: Operation) -> Graph | None:
        """The revision that was worked out on a thread, where it is done and was about this operation."""
        return self._after if self._is_asked(graph, operation) else None

    def _is_asked(self, graph: Graph, operation: Operation) -> bool:
        return self._asked is not None and self._asked[0] is graph and self._asked[1] == operation

    def _on_model(self) -> None:
        """The model was edited, or more is known of its types."""
        if self._asked is not None and self._asked[0] is not self._tab.document.graph and self._tab.path == self._path:
            self._form.graph = self._tab.graph
            self._form.check()

    def _on_checked(self, reason: Reason | None) -> None:
        if reason is not None:  # the form says it
            self._drop()
            self.view.say("")
            return
        step = self._form.operation()
        operation = Within.of(self._path, step) if self._path else step
        graph = self._tab.document.graph
        if self._is_asked(graph, operation):
            return
        self._drop()
        self._asked = graph, operation
        self.view.wait("Working it out")
        if is_slow(operation):
            self._start(graph, operation)
        else:
            self._compute(graph, operation)

    def _compute(self, graph: Graph, operation: Operation) -> None:
        asked = self._asked

        def work() -> tuple[Graph, Effect]:
            after = apply(operation, graph)
            return after, effect(graph, after, named(operation, graph).remarks(graph, after))

        def show(ready: Future[tuple[Graph, Effect]]) -> None:
            if self._asked is not asked:
                return
            error = ready.exception()
            if isinstance(error, Fault):
                self._show_fault(error.message, error.hint)
            else:
                self._after, found = ready.result()
                self.view.show_effect(found)

        self._window.jobs.compute(work, show)

    def _start(self, graph: Graph, operation: Operation) -> None:
        from graftwerk.backend.operations.in_job import apply_job

        def done(outcome: Finished | Failed) -> None:
            self._clock.stop()
            if isinstance(outcome, Finished):
                self._result, self._done = outcome, self._task
                self.view.show_effect(as_effect(outcome.result["effect"]))
            elif outcome.cancelled:
                self.view.say("Not worked out: cancelled")
            else:
                self._show_fault(outcome.message, outcome.hint)
            self._task = None

        title = f"Work out {operation.info.title}"
        self._task = self._window.jobs.submit(title, lambda folder: apply_job(graph, operation, folder), done, False)
        self._clock.start()

    def _tick(self) -> None:
        if self._task is not None:
            self.view.wait(f"Working it out · {self._task.view.line}")

    def _show_fault(self, message: str, hint: str) -> None:
        self.view.say("\n".join(filter(None, [message, hint])), "warning")

    def _cancel(self) -> None:
        if self._task is not None:
            self._window.jobs.cancel(self._task)
        else:  # on a thread, that ends by itself
            self._asked = None
            self.view.say("Not worked out: cancelled")

    def _drop(self) -> None:
        """What is being worked out is of no use any more, or the form is closed, and nothing is asked again then."""
        self._clock.stop()
        self._asked = self._after = None
        if self._task is not None:
            self._window.jobs.drop(self._task)
            self._task = None
        if self._done is not None:
            self._window.jobs.discard(self._done)
            self._done = self._result = None


def as_effect(fields: dict[str, object]) -> Effect:
    """An Effect from a job's result, where tuples came back as they do from JSON."""
    import msgspec

    return msgspec.convert(fields, Effect)
