"""The one bridge between worker processes and the window: events arrive on pool threads and leave as signals."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.protocol import Event, Failed, Finished, Job
from graftwerk.widgets.panels.job_view import JobView

if TYPE_CHECKING:
    from graftwerk.backend.jobs.pool import JobHandle, JobPool

#: Workers: one for what the user asked for, one for the live preview and shape inference beside it.
WORKERS = 2

Done = Callable[[Finished | Failed], None]


class Task:
    """A job that the window asked for: its view, and how to stop it. It may still be preparing its files."""

    def __init__(self, view: JobView, done: Done, listed: bool) -> None:
        self.view = view
        self.done = done
        self.listed = listed
        self.folder: Path | None = None
        self.handle: JobHandle | None = None
        self.dropped = False

    @property
    def over(self) -> bool:
        return self.view.state not in ("waiting", "running")


class Jobs(QObject):
    """Starts jobs and tells the window's thread what they report.

    `changed` carries the Task after each of its events; `done` of a Task is called once, in the window's thread,
    unless the task was dropped.
    """

    changed = Signal(object)
    _event = Signal(object, object)
    _prepared = Signal(object, object, object)
    _computed = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.tasks: list[Task] = []
        self._pool: JobPool | None = None
        self._closed = False
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="prepare")
        self._event.connect(self._on_event)
        self._prepared.connect(self._on_prepared)
        self._computed.connect(self._on_computed)

    def warm_up(self) -> None:
        """Starts the workers, so that the first job finds them ready."""
        if self._pool is None:
            from graftwerk.backend.jobs.pool import JobPool

            self._pool = JobPool(WORKERS, preload=("tensorrt_rtx", "graftwerk.backend.engines.tensorrt_rtx"), nice=5)

    def submit(self, title: str, prepare: Callable[[Path], Job], done: Done, listed: bool = True) -> Task:
        """Runs `prepare(folder)` on a thread (it writes the model there and makes the job), then the job.

        `listed` tasks are kept for the jobs panel; the others (shape inference) come and go unseen.
        """
        self.warm_up()
        assert self._pool is not None
        task = Task(JobView(title), done, listed)
        if listed:
            self.tasks.append(task)
        task.folder = folder = self._pool.new_folder()
        future = self._threads.submit(prepare, folder)
        future.add_done_callback(lambda ready: self._prepared.emit(task, folder, ready))
        self.changed.emit(task)
        return task

    def compute(self, function: Callable[[], Any], then: Callable[[Future[Any]], None]) -> Future[Any]:
        """Calls a function on a thread, and `then` with its future, that is given back, in the window's thread."""
        started = self._threads.submit(function)
        started.add_done_callback(lambda ready: self._computed.emit(then, ready))
        return started

    def cancel(self, task: Task) -> None:
        """Asks a task to stop; it is killed after three seconds. Harmless when it is over."""
        if task.handle is not None:
            task.handle.cancel()
            task.view.cancelling = True
            self.changed.emit(task)
        elif not task.over:
            self._on_event(task, Failed("Cancelled", cancelled=True))

    def drop(self, task: Task) -> None:
        """Cancels a task whose result nobody wants any more."""
        task.dropped = True
        self.cancel(task)

    def discard(self, task: Task) -> None:
        """Removes the folder of a task that is over and whose files nobody reads any more."""
        if task.folder is not None and not self._closed:
            self._threads.submit(shutil.rmtree, task.folder, ignore_errors=True)

    def close(self) -> None:
        """Ends all workers; nothing is reported after it."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @Slot(object, object, object)
    def _on_prepared(self, task: Task, folder: Path, ready: Future[Job]) -> None:
        if self._pool is None:
            return
        if task.over:
            self.discard(task)
            return
        error = ready.exception()
        if isinstance(error, Fault):
            self._on_event(task, Failed(error.message, error.where, error.hint))
        elif error is not None:
            details = "".join(traceback.format_exception(error))
            self._on_event(task, Failed(f"Internal error: {error}", details=details))
        else:
            task.handle = self._pool.submit(ready.result(), lambda event: self._event.emit(task, event), folder)

    @Slot(object, object)
    def _on_computed(self, then: Callable[[Future[Any]], None], ready: Future[Any]) -> None:
        if not self._closed:
            then(ready)

    @Slot(object, object)
    def _on_event(self, task: Task, event: Event) -> None:
        if self._closed:
            return
        task.view.take(event)
        self.changed.emit(task)
        if isinstance(event, Finished | Failed):
            if not task.dropped:
                task.done(event)
            elif task.handle is not None:  # else its files are still being written
                self.discard(task)
