"""Checks the shown revision in the background after each edit: onnx's checker, our own checks, TensorRT's parser."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from graftwerk.backend.graph.graph import Graph, Problem
from graftwerk.backend.jobs.protocol import Failed, Finished, Job

if TYPE_CHECKING:
    from graftwerk.app.jobs import Task
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window

#: Waits for a pause in editing, milliseconds; shape inference, which shows more, goes first.
PAUSE = 600
#: Bytes of weights that are written for the parser after every edit; of larger models only a build tells.
MOST_BYTES = 1 << 29

Prepare = Callable[[Path], Job]


class Validation(QObject):
    """Belongs to one tab. `problems` are what has been found of the revision `checked`; None before the first."""

    def __init__(self, tab: Tab, window: Window) -> None:
        super().__init__(tab)
        self.problems: tuple[Problem, ...] | None = None
        self.parser: tuple[Problem, ...] = ()
        self.checked = -1
        self._tab, self._window = tab, window
        self._asked = -1
        self._tasks: list[Task] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(self.check)

    @property
    def known(self) -> bool:
        """Whether the shown revision has been checked; the parser may still be at it."""
        return self.checked == self._tab.document.graph.revision

    @property
    def busy(self) -> bool:
        return self._timer.isActive() or any(not task.over for task in self._tasks)

    def errors(self) -> tuple[Problem, ...]:
        """What makes the shown revision invalid, as far as that is known."""
        return tuple(one for one in self.problems or () if one.severity == "error") if self.known else ()

    def graph_changed(self) -> None:
        """To be called for every revision shown, and again for the same one as often as its types change."""
        revision = self._tab.document.graph.revision
        if revision != self._asked:
            self.stop()
            self._asked = revision
            self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
        for task in self._tasks:
            if not task.over:
                self._window.jobs.drop(task)
        self._tasks.clear()

    def check(self) -> None:
        """Checks the shown revision now."""
        from graftwerk.backend.validate import prepare

        self.stop()
        graph = self._tab.document.graph
        self._asked = graph.revision
        self._start("Check the model", partial(prepare, graph), partial(self._take, graph))

    def _start(self, title: str, prepare: Prepare, take: Callable[[Finished | Failed], None]) -> None:
        def done(outcome: Finished | Failed) -> None:
            self._window.jobs.discard(task)
            if task in self._tasks:
                take(outcome)

        task = self._window.jobs.submit(title, prepare, done, listed=False)
        self._tasks.append(task)

    def _take(self, graph: Graph, outcome: Finished | Failed) -> None:
        from graftwerk.backend.validate import problems

        if graph.revision != self._tab.document.graph.revision:
            return
        if isinstance(outcome, Finished):
            self.problems = problems(outcome.result)
        else:
            self.problems = (Problem(outcome.message, outcome.where, outcome.hint, "error"),)
        self.checked = graph.revision
        self.parser = ()
        self._ask_parser(graph)
        self._tab.changed.emit()

    def _ask_parser(self, graph: Graph) -> None:
        """What TensorRT-RTX says of every node, where it is installed."""
        weights = sum(weight.nbytes for weight in graph.initializers.values() if not weight.external)
        if not self._window.engines.library or weights > MOST_BYTES:
            return
        from graftwerk.backend.engine_jobs import parse_job

        self._start("Ask TensorRT-RTX", partial(parse_job, graph), partial(self._take_parsed, graph))

    def _take_parsed(self, graph: Graph, outcome: Finished | Failed) -> None:
        if graph.revision != self._tab.document.graph.revision:
            return
        if isinstance(outcome, Finished):
            name = f"TensorRT-RTX {outcome.result['version']}: "
            refused = outcome.result["refused"]
            self.parser = tuple(Problem(name + one["message"], one["where"], one["hint"]) for one in refused)
        elif not outcome.cancelled:
            self.parser = (Problem(f"TensorRT-RTX: {outcome.message}", outcome.where, outcome.hint),)
        self._tab.changed.emit()
