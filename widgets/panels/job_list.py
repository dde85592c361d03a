"""The jobs since the window opened, newest first: a state, a title, one line of progress."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QIcon, QPainter
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from graftwerk.widgets.icons import icon
from graftwerk.widgets.panels.job_view import JobView
from graftwerk.widgets.theme import LIGHT, Theme

Index = QModelIndex | QPersistentModelIndex
VIEW = Qt.ItemDataRole.UserRole
_PAD, _ICON = 10, 16


class JobModel(QAbstractListModel):
    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs: list[JobView] = []

    def put(self, view: JobView) -> bool:
        """Shows a job as it stands now; whether it is a new one."""
        row = next((row for row, known in enumerate(self.jobs) if known is view), -1)
        if row >= 0:
            self.dataChanged.emit(self.index(row), self.index(row))
            return False
        self.beginInsertRows(QModelIndex(), 0, 0)
        self.jobs.insert(0, view)
        self.endInsertRows()
        return True

    def tick(self) -> None:
        """The clocks of running jobs have moved on."""
        for row, view in enumerate(self.jobs):
            if view.state == "running":
                self.dataChanged.emit(self.index(row), self.index(row))

    @property
    def running(self) -> bool:
        return any(view.state == "running" for view in self.jobs)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.jobs)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        view = self.jobs[index.row()]
        if role == VIEW:
            return view
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return f"{view.title}\n{view.line}"
        return None


class JobRow(QStyledItemDelegate):
    """Two lines beside the icon of the job's state."""

    def __init__(self, view: QListView) -> None:
        super().__init__(view)
        self._icons: dict[str, QIcon] = {}
        self.set_theme(LIGHT)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        looks = {
            "waiting": ("more", theme.faint), "running": ("play", theme.accent), "done": ("check", theme.success),
            "failed": ("error", theme.error), "cancelled": ("cancel", theme.faint),
        }  # fmt: skip
        self._icons = {state: icon(name, color) for state, (name, color) in looks.items()}

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(0, 2 * QFontMetrics(option.font).height() + 14)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        view: JobView = index.data(VIEW)
        theme = self._theme
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection if selected else theme.hover))
            painter.drawRoundedRect(option.rect.adjusted(4, 1, -4, -1), 6, 6)
        area = QRect(option.rect).adjusted(_PAD, 6, -_PAD, -6)
        self._icons[view.state].paint(painter, area.left(), area.top(), _ICON, _ICON)
        area.setLeft(area.left() + _ICON + _PAD)
        painter.setFont(option.font)
        metrics = painter.fontMetrics()
        for text, color in ((view.title, theme.text), (view.line, theme.muted)):
            painter.setPen(QColor(color))
            painter.drawText(area, metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, area.width()))
            area.setTop(area.top() + metrics.height() + 2)
        painter.restore()
