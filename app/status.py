"""The line at the bottom: the preview's switch, what the model is, and the job that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QLabel, QSizePolicy, QStatusBar, QToolButton

from graftwerk.app.jobs import Task
from graftwerk.widgets.icons import icon, theme_icon
from graftwerk.widgets.panels.parts import ElidedLabel
from graftwerk.widgets.panels.readout import count_text

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window

#: How long a message stays, milliseconds.
MESSAGE = 8000


class StatusLine:
    """Fills a window's status bar, and keeps the clock of the running job."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._drawn: tuple[bool, bool] | None = None
        self._bar: QStatusBar = window.statusBar()
        self._bar.setSizeGripEnabled(False)
        self._preview = QToolButton(self._bar)
        self._preview.setText("Live preview")
        self._preview.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._preview.setCheckable(True)
        self._preview.setAutoRaise(True)
        self._preview.setToolTip("Compile after each edit and show what became of it (F7)")
        self._preview.clicked.connect(lambda: window.engines.toggle_preview())
        self._message = _giving_way(self._bar)
        self._message_timer = QTimer(window)
        self._message_timer.setSingleShot(True)
        self._message_timer.timeout.connect(self._message.clear)
        self._facts = ElidedLabel(parent=self._bar)
        self._facts.setProperty("role", "muted")
        self._job = _giving_way(self._bar)
        self._cancel = QToolButton(self._bar)
        self._cancel.setAutoRaise(True)
        self._cancel.setToolTip("Cancel this job")
        self._cancel.clicked.connect(self._cancel_running)
        self._bar.addWidget(self._preview)
        self._bar.addWidget(self._facts, 1)
        self._badge = QLabel(self._bar)
        self._bar.addPermanentWidget(self._badge)
        self._bar.addPermanentWidget(self._message)
        self._bar.addPermanentWidget(self._job)
        self._bar.addPermanentWidget(self._cancel)
        self._clock = QTimer(window)
        self._clock.setInterval(500)
        self._clock.timeout.connect(self._show_job)
        window.jobs.changed.connect(self._on_job)
        self.refresh()
        self._show_job()

    def say(self, text: str, error: bool = False) -> None:
        """Shows a message for a while."""
        self._message.setProperty("role", "error" if error else "muted")
        self._message.style().polish(self._message)
        self._message.setText(text)
        self._message_timer.start(MESSAGE)

    def refresh(self) -> None:
        """Shows the facts of the shown model."""
        tab, theme = self._window.tab, self._window.theme
        on = tab is not None and tab.preview.on
        self._preview.setEnabled(tab is not None)
        self._preview.setChecked(on)
        if self._drawn != (theme.dark, on):
            self._drawn = theme.dark, on
            self._preview.setIcon(icon("live", theme.success if on else theme.muted))
            self._cancel.setIcon(theme_icon("close", theme))
        self._show_badge(tab)
        if tab is None:
            self._facts.setText("")
            return
        graph = tab.document.graph
        facts = [count_text(len(graph.nodes), "node")]
        if tab.report is not None:
            stale = "" if tab.report_revision == graph.revision else " (of an earlier revision)"
            facts.append(f"{count_text(len(tab.report.layers), 'compiled layer')}{stale}")
        if graph.opset() is not None:
            facts.append(f"opset {graph.opset()}")
        facts.append(f"{_count(sum(weight.size for weight in graph.initializers.values()))} parameters")
        compiler = f"{self._window.engines.compiler} · {', '.join(self._window.engines.settings(tab).targets).upper()}"
        self._facts.setText("   " + " · ".join([compiler, *facts]))

    def _show_badge(self, tab: Tab | None) -> None:
        found = tab.verification if tab is not None else None
        self._badge.setVisible(found is not None)
        if found is not None and tab is not None:
            from graftwerk.app.badge import badge, details

            stale = tab.verification_revision != tab.document.graph.revision
            self._badge.setText(badge(found, stale))
            self._badge.setToolTip(details(found))
            self._badge.setProperty("role", "muted" if stale else "success" if found.same else "warning")
            self._badge.style().polish(self._badge)

    def _on_job(self, task: Task) -> None:
        self._show_job()

    def _running(self) -> Task | None:
        """The job that was asked for last; without one, the shown model's preview."""
        tab = self._window.tab
        preview = tab.preview.task if tab is not None else None
        asked = [task for task in self._window.jobs.tasks if not task.over]
        return asked[-1] if asked else preview if preview is not None and not preview.over else None

    def _show_job(self) -> None:
        task = self._running()
        self._job.setText(f"{task.view.title} · {task.view.line}" if task else "")
        self._cancel.setVisible(task is not None)
        if task is not None and not self._clock.isActive():
            self._clock.start()
        elif task is None:
            self._clock.stop()

    def _cancel_running(self) -> None:
        task = self._running()
        if task is not None:
            self._window.jobs.cancel(task)


def _giving_way(bar: QStatusBar) -> ElidedLabel:
    """A label as wide as its text where there is room."""
    label = ElidedLabel(parent=bar)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    return label


def _count(number: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)
