"""What runs and what ran: the list of jobs, and beside it the log and the failure of the chosen one."""

from __future__ import annotations

import platform
from importlib.metadata import version

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QListView,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSplitter,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from graftwerk.widgets.panels.job_list import VIEW, JobModel, JobRow
from graftwerk.widgets.panels.job_log import JobLog
from graftwerk.widgets.panels.job_view import JobView
from graftwerk.widgets.panels.parts import ElidedLabel, Empty, note
from graftwerk.widgets.theme import Theme, mono_font

#: How often what came in is shown, and how often clocks move, milliseconds.
_SHOW, _CLOCK = 100, 500
_NARROW = 560
_FILTERS = (("info", "Log"), ("warning", "Warnings"), ("error", "Errors"), ("verbose", "Everything"))


class JobsPanel(QWidget):
    """`set_job` is called with a JobView whenever something has happened to it; `cancel` carries the one to stop."""

    cancel = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = JobModel(self)
        self.list = QListView()
        self.list.setModel(self.model)
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setStyleSheet("QListView { background: transparent; border: none; }")
        self.list.setMouseTracking(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._delegate = JobRow(self.list)
        self.list.setItemDelegate(self._delegate)
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self.detail = _Detail()
        self.detail.cancel_button.clicked.connect(self._cancel)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.addWidget(self.list)
        self._splitter.addWidget(self.detail)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setSizes([280, 700])
        self._stack = QStackedLayout(self)
        self._stack.addWidget(Empty("No jobs yet. Build (F5) or profile (F6) a model; what runs is listed here."))
        self._stack.addWidget(self._splitter)
        self._pending = QTimer(self, singleShot=True, interval=_SHOW)
        self._pending.timeout.connect(self.detail.refresh)
        self._clock = QTimer(self, interval=_CLOCK)
        self._clock.timeout.connect(self._tick)

    @property
    def current(self) -> JobView | None:
        """The job whose log is shown."""
        view = self.list.currentIndex().data(VIEW)
        return view if isinstance(view, JobView) else None

    def set_theme(self, theme: Theme) -> None:
        self._delegate.set_theme(theme)
        self.detail.log.set_theme(theme)
        self.list.viewport().update()

    def set_job(self, view: JobView) -> None:
        """Shows a job as it stands; a new one is chosen, unless the chosen one is still at work."""
        busy = self.current is not None and self.current.state in ("waiting", "running")
        if self.model.put(view) and not busy:
            self.list.setCurrentIndex(self.model.index(0))
        self._stack.setCurrentIndex(1)
        if view is self.current and not self._pending.isActive():
            self._pending.start()
        if self.model.running and not self._clock.isActive():
            self._clock.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        self._splitter.setOrientation(Qt.Orientation.Vertical if narrow else Qt.Orientation.Horizontal)

    def _tick(self) -> None:
        self.model.tick()
        self.detail.refresh()
        if not self.model.running:
            self._clock.stop()

    def _on_current(self, index: QModelIndex) -> None:
        self.detail.show_job(index.data(VIEW))

    def _cancel(self) -> None:
        if self.current is not None:
            self.cancel.emit(self.current)


class _Detail(QWidget):
    """One job: title and progress, what went wrong, the log."""

    def __init__(self) -> None:
        super().__init__()
        self._view: JobView | None = None
        self.title = ElidedLabel()
        self.title.setProperty("role", "section")
        self.line = ElidedLabel()
        self.line.setProperty("role", "muted")
        self.progress = QProgressBar()
        self.log = JobLog()
        self.filter = QComboBox()
        for level, text in _FILTERS:
            self.filter.addItem(text, level)
        self.filter.setToolTip("Which lines of the log are shown")
        self.filter.currentIndexChanged.connect(self._set_level)
        self.cancel_button = QPushButton("Cancel")
        self.failure = _Failure()
        self.failure.details_button.toggled.connect(self._show_details)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setFont(mono_font())
        self.details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.details.setStyleSheet("QPlainTextEdit { border: none; border-radius: 0; padding: 2px 6px; }")
        self._texts = QStackedLayout()
        self._texts.addWidget(self.log)
        self._texts.addWidget(self.details)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(self.title)
        texts.addWidget(self.line)
        head = QHBoxLayout()
        head.setContentsMargins(12, 8, 12, 6)
        head.setSpacing(8)
        head.addLayout(texts, 1)
        head.addWidget(self.filter)
        head.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.progress)
        column.addWidget(self.failure)
        column.addLayout(self._texts, 1)

    def show_job(self, view: JobView | None) -> None:
        self._view = view
        self.log.show_job(view)
        self.failure.show_failure(view)
        self.refresh()

    def _set_level(self) -> None:
        self.log.set_level(self.filter.currentData())

    def _show_details(self, shown: bool) -> None:
        self.details.setPlainText(self.failure.details)
        self._texts.setCurrentIndex(1 if shown else 0)

    def refresh(self) -> None:
        """Shows what has happened to the job since."""
        view = self._view
        if view is None:
            return
        self.title.setText(view.title)
        self.line.setText(view.line)
        self.cancel_button.setVisible(view.state in ("waiting", "running"))
        self.progress.setVisible(view.state == "running" and view.total > 0)
        if view.total:
            self.progress.setRange(0, view.total)
            self.progress.setValue(view.done)
        if view.failure is not self.failure.shown:
            self.failure.show_failure(view)
        self.log.follow()


class _Failure(QFrame):
    """Why a job failed: message, place, hint; behind a button what a report of a defect needs."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: object = None
        self._title = ""
        self.message = note(role="error")
        self.where = note()
        self.where.setFont(mono_font())
        self.hint = note()
        self.details = ""
        self.details_button = QPushButton("Details")
        self.details_button.setCheckable(True)
        self.details_button.setToolTip("Show what the program wrote when it failed, in place of the log")
        self.copy_button = QPushButton("Copy report")
        self.copy_button.setToolTip("Copy message, versions and details, for a report of a defect")
        self.copy_button.clicked.connect(self.copy)
        buttons = QHBoxLayout()
        buttons.setContentsMargins(0, 4, 0, 0)
        buttons.addWidget(self.details_button)
        buttons.addWidget(self.copy_button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 2, 12, 10)
        column.setSpacing(3)
        for widget in (self.message, self.where, self.hint):
            column.addWidget(widget)
        column.addLayout(buttons)
        self.hide()

    def show_failure(self, view: JobView | None) -> None:
        failure = view.failure if view is not None else None
        self.shown = failure
        self.setVisible(failure is not None and not failure.cancelled)
        if view is None or failure is None:
            return
        self._title = view.title
        for label, text in ((self.message, failure.message), (self.where, failure.where), (self.hint, failure.hint)):
            label.setText(text)
            label.setVisible(bool(text))
        self.details = failure.details
        self.details_button.setChecked(False)
        for button in (self.details_button, self.copy_button):
            button.setVisible(bool(failure.details))

    def copy(self) -> None:
        """Puts a report on the clipboard that says what failed, and where it ran."""
        texts = [self._title, self.message.text(), self.where.text(), self.hint.text(), self.details]
        system = f"Graftwerk {version('graftwerk')}, Python {platform.python_version()}, {platform.platform()}"
        QGuiApplication.clipboard().setText("\n\n".join(filter(None, [*texts, system])))
