"""Statistics of weights, read on a thread while the window goes on; what nobody looks at any more is dropped."""

from __future__ import annotations

from collections import OrderedDict
from threading import Event

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal, Slot

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.statistics import Statistics, statistics
from graftwerk.backend.graph.tensors import Initializer

_KEPT = 64


class WeightLoader(QObject):
    """`loaded` carries the weight that was asked for last, and its Statistics or the Fault that kept them from it."""

    loaded = Signal(object, object)
    _done = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: OrderedDict[Initializer, Statistics | Fault] = OrderedDict()
        self._wanted: Initializer | None = None
        self._stop = Event()
        self._done.connect(self._take)
        self.destroyed.connect(self._stop.set)

    def known(self, weight: Initializer) -> Statistics | Fault | None:
        return self._known.get(weight)

    def ask(self, weight: Initializer | None) -> None:
        """Asks for a weight's statistics in place of what was asked for before; None for nothing any more."""
        if weight is self._wanted:
            return
        self._stop.set()
        self._stop = Event()
        self._wanted = weight
        if weight is not None:
            QThreadPool.globalInstance().start(_Reading(self, weight, self._stop))

    @Slot(object, object, object)
    def _take(self, weight: Initializer, found: Statistics | Fault, stop: Event) -> None:
        self._known[weight] = found
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        if stop is self._stop:
            self._wanted = None
            self.loaded.emit(weight, found)


class _Reading(QRunnable):
    def __init__(self, loader: WeightLoader, weight: Initializer, stop: Event) -> None:
        super().__init__()
        self._loader, self._weight, self._stop = loader, weight, stop

    def run(self) -> None:
        found: Statistics | Fault | None
        try:
            found = statistics(self._weight, self._stop.is_set)
        except Fault as fault:
            found = fault
        if found is not None and not self._stop.is_set():
            try:
                self._loader._done.emit(self._weight, found, self._stop)
            except RuntimeError:  # Qt has deleted the loader between the question and the answer
                return
