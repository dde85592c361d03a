"""One list that pops up over the window: commands, or everything that has a name in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from graftwerk.widgets.panels.fuzzy import Fuzzy
from graftwerk.widgets.theme import LIGHT, Theme

#: The subtitle of tensors: of what matches alike they come last.
TENSOR = "tensor"
_WIDTH, _ROWS, _PAD = 620, 12, 12
Index = QModelIndex | QPersistentModelIndex


class PaletteItem(NamedTuple):
    """One entry. `reason` says why it can't be chosen where it is not `enabled`; `payload` is given back.

    (A tuple: a hundred thousand of them are made when a large graph is searched.)
    """

    title: str
    subtitle: str = ""
    shortcut: str = ""
    enabled: bool = True
    reason: str = ""
    payload: Any = None


class Palette(QFrame):
    """Opened with its items by `open_with`; `chosen` carries the payload of the entry that was taken.

    Arrows, Page keys and Enter work from the search line, Esc or a click elsewhere closes. An entry that is not
    enabled stays listed with its reason, and is not taken.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setProperty("role", "card")
        self.search = QLineEdit()
        self.search.setProperty("role", "search")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._search)
        self.search.installEventFilter(self)
        self.model = _Matches(self)
        self.delegate = _Row(self)
        self.list = QListView()
        self.list.setModel(self.model)
        self.list.setItemDelegate(self.delegate)
        self.list.setUniformItemSizes(True)
        self.list.setMouseTracking(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.clicked.connect(self._take)
        self.empty = QLabel("Nothing matches")
        self.empty.setProperty("role", "muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setMinimumHeight(56)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        column.addWidget(self.search)
        column.addWidget(self.list)
        column.addWidget(self.empty)

    def set_theme(self, theme: Theme) -> None:
        self.delegate.theme = theme
        self.list.viewport().update()

    def open_with(self, items: Sequence[PaletteItem], placeholder: str) -> None:
        """Shows the items, at the top of the window's middle, with an empty search line."""
        self.model.set_items(items)
        self.search.setPlaceholderText(placeholder)
        self.search.clear()
        self._search("")
        window = self.parentWidget()
        area = window.window().rect() if window is not None else self.rect()
        width = min(_WIDTH, area.width() - 32)
        self.setFixedWidth(width)
        if window is not None:
            self.move(window.window().mapToGlobal(area.topLeft()).x() + (area.width() - width) // 2,
                      window.window().mapToGlobal(area.topLeft()).y() + min(64, area.height() // 8))  # fmt: skip
        self.show()
        self.search.setFocus()
        QTimer.singleShot(0, self, self.model.prepare)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys that move in the list, pressed in the search line."""
        if watched is self.search and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._key(Qt.Key(event.key()))
        return super().eventFilter(watched, event)

    def _key(self, key: Qt.Key) -> bool:
        row = self.list.currentIndex().row()
        steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: _ROWS, Qt.Key.Key_PageUp: -_ROWS}
        if key in steps:
            last = self.model.rowCount() - 1
            if abs(steps[key]) == 1 and last >= 0:
                row = (row + steps[key]) % (last + 1)
            self._go(min(max(row + (steps[key] if abs(steps[key]) > 1 else 0), 0), last))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._take(self.list.currentIndex())
        elif key == Qt.Key.Key_Escape:
            self.hide()
        else:
            return False
        return True

    def _go(self, row: int) -> None:
        self.list.setCurrentIndex(self.model.index(row))

    def _search(self, text: str) -> None:
        self.model.search(text)
        self._go(0)
        found = self.model.rowCount()
        self.list.setVisible(found > 0)
        self.empty.setVisible(found == 0)
        self.list.setFixedHeight(min(found, _ROWS) * self.delegate.height() + 2)
        self.adjustSize()

    def _take(self, index: QModelIndex) -> None:
        item = index.data(Qt.ItemDataRole.UserRole)
        if isinstance(item, PaletteItem) and item.enabled:
            self.hide()
            self.chosen.emit(item.payload)


class _Matches(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._items: Sequence[PaletteItem] = ()
        self._fuzzy = Fuzzy(())
        self._rows: Sequence[int] = ()

    def set_items(self, items: Sequence[PaletteItem]) -> None:
        if items is self._items:
            return
        self._items = items
        texts = [f"{item.title} {item.subtitle}" if item.subtitle else item.title for item in items]
        self._fuzzy = Fuzzy(texts, lambda row: items[row].subtitle == TENSOR)

    def prepare(self) -> None:
        self._fuzzy.prepare()

    def search(self, text: str) -> None:
        self.beginResetModel()
        self._rows = self._fuzzy.search(text)
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        item = self._items[self._rows[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return item.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return item.reason or item.title
        return item if role == Qt.ItemDataRole.UserRole else None


class _Row(QStyledItemDelegate):
    """Title and, behind it, subtitle or reason; the shortcut at the right."""

    theme = LIGHT

    def height(self) -> int:
        return QFontMetrics(self._font()).height() + 12

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(0, self.height())

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        item = index.data(Qt.ItemDataRole.UserRole)
        theme = self.theme
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection if item.enabled else theme.sunken))
            painter.drawRoundedRect(option.rect, 6, 6)
        area = option.rect.adjusted(_PAD, 0, -_PAD, 0)
        painter.setFont(self._font())
        metrics = painter.fontMetrics()
        if item.shortcut:
            painter.setPen(QColor(theme.muted))
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, item.shortcut)
            area.setRight(area.right() - metrics.horizontalAdvance(item.shortcut) - _PAD)
        second = item.subtitle if item.enabled else item.reason
        wanted = min(metrics.horizontalAdvance(second), area.width() // 2) if second else 0
        room = area.width() - wanted - (_PAD if wanted else 0)
        title = metrics.elidedText(item.title, Qt.TextElideMode.ElideMiddle, room)
        painter.setPen(QColor(theme.text if item.enabled else theme.faint))
        painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, title)
        if second:
            area.setLeft(area.left() + metrics.horizontalAdvance(title) + _PAD)
            painter.setPen(QColor(theme.muted))
            shown = metrics.elidedText(second, Qt.TextElideMode.ElideRight, area.width())
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()

    def _font(self) -> QFont:
        parent = self.parent()
        return parent.font() if isinstance(parent, QWidget) else QFont()
