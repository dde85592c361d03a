"""The live preview: compiles after each edit, the latest revision wins, results of older ones are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from graftwerk.app.jobs import Task

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window

#: Waits for a pause in editing, milliseconds: a drag makes many revisions.
PAUSE = 120


class Preview(QObject):
    """Belongs to one tab. `task` is the compile that runs for it, None where none does."""

    def __init__(self, tab: Tab, window: Window) -> None:
        super().__init__(tab)
        self.on = False
        self.task: Task | None = None
        self._asked = -1
        self._tab, self._window = tab, window
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(self._compile)

    def set_on(self, on: bool) -> None:
        self.on = on
        if on:
            self.graph_changed()
        else:
            self._stop()

    def graph_changed(self) -> None:
        """To be called for every revision shown, and again for the same one as often as its types change."""
        revision = self._tab.document.graph.revision
        if not self.on or revision == self._asked:
            return
        self._stop()
        self._asked = revision
        if self._tab.report_revision != revision:
            self._timer.start()

    def settings_changed(self) -> None:
        """To be called when the target is another."""
        if self.on:
            self._stop()
            self._asked = self._tab.document.graph.revision
            self._timer.start()

    @property
    def busy(self) -> bool:
        return self._timer.isActive() or (self.task is not None and not self.task.over)

    def _stop(self) -> None:
        self._timer.stop()
        self._asked = -1
        if self.task is not None and not self.task.over:
            self._window.jobs.drop(self.task)
        self.task = None

    def _compile(self) -> None:
        engines = self._window.engines
        self.task = engines.submit(self._tab, f"Preview {self._tab.title}", engines.settings(self._tab), listed=False)
        self._window.refresh()
