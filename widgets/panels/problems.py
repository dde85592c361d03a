"""What is wrong or doubtful in a model, and what the last compile refused."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontInfo,
    QFontMetrics,
    QGuiApplication,
    QIcon,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QListView,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)  # fmt: skip

from graftwerk.backend.graph.graph import Problem
from graftwerk.widgets.icons import icon
from graftwerk.widgets.panels.parts import Empty
from graftwerk.widgets.theme import LIGHT, Theme, mono_font

Index = QModelIndex | QPersistentModelIndex
_PROBLEM = Qt.ItemDataRole.UserRole
_PAD, _ICON = 12, 16


class Problems(QWidget):
    """`activated` carries the node or tensor of a problem that was clicked, where it names one; `fix_requested` the
    Operation behind its button."""

    activated = Signal(str)
    fix_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = _Model(self)
        self.list = _List()
        self._delegate = _Entry(self.list)
        self.list.setModel(self.model)
        self.list.setItemDelegate(self._delegate)
        self.list.clicked.connect(self._on_click)
        self.list.taken.connect(self._activate)
        self.list.fixed.connect(self._fix)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(Empty("No problems. What a model or a compiler complains about is listed here."))
        self._stack.addWidget(self.list)

    @property
    def count(self) -> int:
        return self.model.rowCount()

    def set_theme(self, theme: Theme) -> None:
        self._delegate.set_theme(theme)
        self.list.viewport().update()

    def set_problems(self, problems: tuple[Problem, ...]) -> None:
        """Shows problems, errors first."""
        if problems != self.model.given:
            self.model.set_problems(problems)
        self._stack.setCurrentIndex(1 if problems else 0)

    def button_rect(self, row: int) -> QRect:
        """Where the button of a row stands in the list's viewport; empty where it has none."""
        index = self.model.index(row)
        return self._delegate.button_rect(self.list.visualRect(index), index.data(_PROBLEM))

    def _on_click(self, index: QModelIndex) -> None:
        if self.button_rect(index.row()).contains(self.list.pressed_at):
            self._fix(index)
        else:
            self._activate(index)

    def _fix(self, index: QModelIndex) -> None:
        problem = index.data(_PROBLEM)
        if problem is not None and problem.fix is not None:
            self.fix_requested.emit(problem.fix)

    def _activate(self, index: QModelIndex) -> None:
        problem = index.data(_PROBLEM)
        if problem is not None and problem.where:
            self.activated.emit(problem.where)


class _Model(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.given: tuple[Problem, ...] = ()
        self._shown: list[Problem] = []

    def set_problems(self, problems: tuple[Problem, ...]) -> None:
        self.beginResetModel()
        self.given = problems
        self._shown = sorted(problems, key=lambda problem: problem.severity != "error")
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        problem = self._shown[index.row()]
        if role == _PROBLEM:
            return problem
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return "\n".join(filter(None, [problem.message, problem.where, problem.hint]))
        return None


class _List(QListView):
    taken = Signal(QModelIndex)
    fixed = Signal(QModelIndex)

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setStyleSheet("QListView { background: transparent; border: none; }")
        self.setMouseTracking(True)
        self.pressed_at = QPoint()
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.pressed_at = event.position().toPoint()
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        entered = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if entered and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.fixed.emit(self.currentIndex())
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.taken.emit(self.currentIndex())
        elif event.matches(QKeySequence.StandardKey.Copy) and self.currentIndex().isValid():
            QGuiApplication.clipboard().setText(self.currentIndex().data())
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()  # texts wrap


class _Entry(QStyledItemDelegate):
    """The message, below it the place and the hint."""

    def __init__(self, view: QListView) -> None:
        super().__init__(view)
        self._view = view
        self._icons: dict[str, QIcon] = {}
        self.set_theme(LIGHT)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._icons = {"error": icon("error", theme.error), "warning": icon("warning", theme.warning)}

    def _parts(self, problem: Problem) -> list[tuple[str, QFont, str]]:
        font = self._view.font()
        parts = [(problem.message, font, self._theme.text)]
        if problem.where:
            parts.append((problem.where, mono_font(), self._theme.link))
        if problem.hint:
            parts.append((problem.hint, font, self._theme.muted))
        return parts

    def button_rect(self, row: QRect, problem: Problem | None) -> QRect:
        """Where the button of a problem stands in its row; empty where it has none."""
        if problem is None or problem.fix is None:
            return QRect()
        metrics = QFontMetrics(self._view.font())
        width = metrics.horizontalAdvance(_title(problem)) + 24
        return QRect(row.right() - _PAD - width, row.top() + 5, width, metrics.height() + 8)

    def _width(self, problem: Problem) -> int:
        button = self.button_rect(QRect(0, 0, 0, 0), problem).width()
        return max(self._view.viewport().width() - 3 * _PAD - _ICON - (button + _PAD if button else 0), 40)

    def _height(self, text: str, font: QFont, width: int) -> int:
        return QFontMetrics(font).boundingRect(0, 0, width, 10_000, _wrap(font), text).height()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        problem = index.data(_PROBLEM)
        width = self._width(problem)
        height = sum(self._height(text, font, width) + 2 for text, font, _ in self._parts(problem))
        return QSize(0, max(height, self.button_rect(QRect(), problem).height()) + 10)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        problem = index.data(_PROBLEM)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        hover = bool(option.state & QStyle.StateFlag.State_MouseOver) and bool(problem.where)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if hover or selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._theme.selection if selected else self._theme.hover))
            painter.drawRoundedRect(option.rect.adjusted(4, 1, -4, -1), 6, 6)
        area = QRect(option.rect).adjusted(_PAD, 5, -_PAD, -5)
        mark = self._icons.get(problem.severity, self._icons["warning"])
        mark.paint(painter, area.left(), area.top(), _ICON, _ICON)
        area.setLeft(area.left() + _ICON + _PAD)
        area.setWidth(self._width(problem))
        for text, font, color in self._parts(problem):
            painter.setFont(font)
            painter.setPen(QColor(color))
            painter.drawText(area, _wrap(font), text)
            area.setTop(area.top() + self._height(text, font, area.width()) + 2)
        self._paint_button(painter, self.button_rect(QRect(option.rect), problem), problem)
        painter.restore()

    def _paint_button(self, painter: QPainter, place: QRect, problem: Problem) -> None:
        if place.isEmpty():
            return
        painter.setPen(QColor(self._theme.border_strong))
        painter.setBrush(QColor(self._theme.surface))
        painter.drawRoundedRect(place, 6, 6)
        painter.setFont(self._view.font())
        painter.setPen(QColor(self._theme.text))
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, _title(problem))


def _title(problem: Problem) -> str:
    """What the button of a problem says: the operation's title, with the operator where it inserts one."""
    operator = getattr(problem.fix, "op_type", "")
    return f"Insert {operator}" if operator else str(problem.fix.info.title)


def _wrap(font: QFont) -> Qt.TextFlag:
    """Names have no spaces to break at."""
    return Qt.TextFlag.TextWrapAnywhere if QFontInfo(font).fixedPitch() else Qt.TextFlag.TextWordWrap
