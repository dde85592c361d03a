"""A question that is answered on a thread while the window goes on; an answer that nobody waits for is dropped."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QRunnable, QThreadPool, Signal, Slot

from graftwerk.backend.fault import Fault


class Background(QObject):
    """`answered` carries what the last function that was asked returned, or the Fault that it raised."""

    answered = Signal(object)
    _done = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stop = Event()
        self.busy = False
        self._done.connect(self._take)
        application = QCoreApplication.instance()
        if application is not None:  # it waits for its threads when it ends
            application.aboutToQuit.connect(self.cancel)

    def ask(self, function: Callable[[Callable[[], bool]], Any]) -> None:
        """Calls a function on a thread, in place of what was asked before; it is given what says whether to stop."""
        self.cancel()
        self.busy = True
        QThreadPool.globalInstance().start(_Call(self, function, self._stop))

    def cancel(self) -> None:
        self._stop.set()
        self._stop = Event()
        self.busy = False

    @Slot(object, object)
    def _take(self, answer: Any, stop: Event) -> None:
        if stop is self._stop:
            self.busy = False
            self.answered.emit(answer)


class _Call(QRunnable):
    def __init__(self, owner: Background, function: Callable[[Callable[[], bool]], Any], stop: Event) -> None:
        super().__init__()
        self._owner, self._function, self._stop = owner, function, stop

    def run(self) -> None:
        if self._stop.is_set():
            return
        try:
            answer = self._function(self._stop.is_set)
        except Fault as fault:
            answer = fault
        if not self._stop.is_set():
            try:
                self._owner._done.emit(answer, self._stop)
            except RuntimeError:  # Qt has deleted the owner between the question and the answer
                return
