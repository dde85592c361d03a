"""Shapes and types of the shown revision, inferred in the background after each edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer

from graftwerk.app.jobs import Jobs, Task
from graftwerk.backend.document import Document
from graftwerk.backend.graph.graph import Graph, Problem
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.jobs.protocol import Failed, Finished

if TYPE_CHECKING:
    from graftwerk.backend.graph.shapes import InferShapes

#: Waits for a pause in editing, milliseconds.
PAUSE = 150

Types = tuple[Mapping[str, TensorType], tuple[Problem, ...]]


class Inference(QObject):
    """Gives a document its types: first what onnx knows at once, then what takes symbols to find out.

    `problems` are declarations in the file that inference contradicts. `done` is called when nothing more will come
    for the shown revision.
    """

    def __init__(self, document: Document, jobs: Jobs, done: Callable[[], None], parent: QObject) -> None:
        super().__init__(parent)
        self.problems: tuple[Problem, ...] = ()
        self._document, self._jobs, self._tell = document, jobs, done
        self._inferred = -1
        self._task: Task | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(lambda: self._infer(symbolic=False))

    @property
    def known(self) -> bool:
        """Whether inference has run, or failed, for the shown revision."""
        return self._inferred == self._document.graph.revision

    def graph_changed(self) -> None:
        """To be called for every revision shown."""
        if not self.known:
            self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
        if self._task is not None and not self._task.over:
            self._jobs.drop(self._task)
        self._task = None

    def _infer(self, symbolic: bool) -> None:
        from graftwerk.backend.graph import shapes

        self.stop()
        graph = self._document.graph

        def done(outcome: Finished | Failed) -> None:
            if isinstance(outcome, Finished):
                self._jobs.compute(partial(_read, graph, outcome.result), partial(self._take, task, graph, symbolic))
            else:
                self._inferred = graph.revision  # final: the same graph fails again
                self._tell()

        def prepare(folder: Path) -> InferShapes:
            return replace(shapes.prepare(graph, folder), symbolic=symbolic)

        self._task = task = self._jobs.submit("Infer shapes", prepare, done, listed=False)

    def _take(self, task: Task, graph: Graph, symbolic: bool, ready: Future[Types]) -> None:
        self._jobs.discard(task)
        if self._task is not task or graph.revision != self._document.graph.revision:
            return  # stopped, or of a revision that is shown no more
        types, self.problems = ready.result()
        self._inferred = graph.revision
        self._document.set_types(graph, types)
        if symbolic:
            self._tell()
        else:
            self._inferred = -1
            self._infer(symbolic=True)


def _read(graph: Graph, result: Mapping[str, Any]) -> Types:
    from graftwerk.backend.graph import shapes

    types = shapes.read(result)
    return types, tuple(shapes.contradictions(graph, types))
