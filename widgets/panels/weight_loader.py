"""Statistics of weights, read on a thread while the window goes on; what nobody looks at any more is dropped."""

from __future__ import annotations

from collections import OrderedDict
from threading import Event

from PySide6.QtCore import QCoreApplication, QObject, QRunnable, QThreadPool, Signal, Slot

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.statistics import Statistics, statistics
from graftwerk.backend.graph.tensors import Initializer

_KEPT = 64
#: Weights of so few bytes are read at once: that takes less than painting them.
_SMALL = 1 << 17


class WeightLoader(QObject):
    """`loaded` says that what was asked for last is known now: Statistics, or the Fault that kept them from it."""

    loaded = Signal()
    _done = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._known: OrderedDict[Initializer, Statistics | Fault] = OrderedDict()
        self._wanted: Initializer | None = None
        self._stop = Event()
        self._done.connect(self._take)
        application = QCoreApplication.instance()
        if application is not None:  # it waits for its threads when it ends
            application.aboutToQuit.connect(self.cancel)

    @property
    def busy(self) -> bool:
        """Whether a weight is being read."""
        return self._wanted is not None

    def known(self, weight: Initializer) -> Statistics | Fault | None:
        return self._known.get(weight)

    def ask(self, weight: Initializer | None) -> None:
        """Asks for a weight's statistics in place of what was asked for before; None for nothing any more."""
        if weight is not None and (weight is self._wanted or weight in self._known):
            return
        self._stop.set()
        self._stop = Event()
        self._wanted = None
        if weight is None:
            return
        if weight.nbytes <= _SMALL:
            found = _read(weight, self._stop)
            if found is not None:
                self._keep(weight, found)
        else:
            self._wanted = weight
            QThreadPool.globalInstance().start(_Reading(self, weight, self._stop))

    def cancel(self) -> None:
        """Stops reading."""
        self.ask(None)

    def _keep(self, weight: Initializer, found: Statistics | Fault) -> None:
        self._known[weight] = found
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)

    @Slot(object, object, object)
    def _take(self, weight: Initializer, found: Statistics | Fault, stop: Event) -> None:
        self._keep(weight, found)
        if stop is self._stop:
            self._wanted = None
            self.loaded.emit()


def _read(weight: Initializer, stop: Event) -> Statistics | Fault | None:
    """None once it was told to stop."""
    try:
        return statistics(weight, stop.is_set)
    except Fault as fault:
        return fault


class _Reading(QRunnable):
    def __init__(self, loader: WeightLoader, weight: Initializer, stop: Event) -> None:
        super().__init__()
        self._loader, self._weight, self._stop = loader, weight, stop

    def run(self) -> None:
        found = _read(self._weight, self._stop)
        if found is not None and not self._stop.is_set():
            try:
                self._loader._done.emit(self._weight, found, self._stop)
            except RuntimeError:  # Qt has deleted the loader between the question and the answer
                return
