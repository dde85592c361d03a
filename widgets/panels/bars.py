"""A list of names with horizontal bars and values behind them, painted row by row by one delegate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QKeyEvent, QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from graftwerk.widgets.theme import LIGHT, Theme, mono_font

Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()
_MARGIN, _SPACE = 12, 12


@dataclass(frozen=True)
class Bar:
    """`kind` stands behind the name, `text` behind the bar. `value` may be 0, never less."""

    name: str
    value: float
    text: str
    color: str
    kind: str = ""
    tip: str = ""


class _Model(QAbstractListModel):
    def __init__(self) -> None:
        super().__init__()
        self.bars: Sequence[Bar] = ()

    def set_bars(self, bars: Sequence[Bar]) -> None:
        self.beginResetModel()
        self.bars = bars
        self.endResetModel()

    def rowCount(self, parent: Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.bars)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        bar = self.bars[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return bar.name
        if role == Qt.ItemDataRole.ToolTipRole:
            return bar.tip
        return None


class BarList(QListView):
    """Rows of bars on one scale, the longest as long as the row allows. Emits QListView's own signals."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self.rows = _Model()
        self.setModel(self.rows)
        self.setItemDelegate(_Delegate(self))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def set_bars(self, bars: Sequence[Bar]) -> None:
        delegate = self.itemDelegate()
        assert isinstance(delegate, _Delegate)
        delegate.measure(bars, self.font())
        self.rows.set_bars(tuple(bars))

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.viewport().update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter is a click on the current row."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.clicked.emit(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def select_rows(self, rows: Sequence[int]) -> None:
        """Selects rows without a signal, and brings the first into view."""
        signals = self.selectionModel().blockSignals(True)
        self.clearSelection()
        for row in rows:
            self.selectionModel().select(self.rows.index(row), self.selectionModel().SelectionFlag.Select)
        self.selectionModel().blockSignals(signals)
        self.viewport().update()
        if rows:
            self.scrollTo(self.rows.index(min(rows)))


class _Delegate(QStyledItemDelegate):
    """name · kind | bar value"""

    def __init__(self, view: BarList) -> None:
        super().__init__(view)
        self._view = view
        self._most, self._text_width, self._kind_width, self._name_width = 1.0, 0.0, 0.0, 0.0

    def measure(self, bars: Sequence[Bar], font: QFont) -> None:
        metrics, mono = QFontMetricsF(font), QFontMetricsF(mono_font())
        self._most = max((bar.value for bar in bars), default=0.0) or 1.0
        self._text_width = max((metrics.horizontalAdvance(bar.text) for bar in bars), default=0.0)
        self._kind_width = max((metrics.horizontalAdvance(bar.kind) for bar in bars), default=0.0)
        self._name_width = max((mono.horizontalAdvance(bar.name) for bar in bars), default=0.0)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(0, self._view.fontMetrics().height() + 8)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        bar, theme, area = self._view.rows.bars[index.row()], self._view.theme, QRectF(option.rect)
        state = option.state
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(area, QColor(theme.selection))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(area, QColor(theme.hover))
        area.adjust(_MARGIN, 0, -_MARGIN, 0)
        name_width = min(self._name_width, area.width() * 0.45)
        painter.setFont(mono_font())
        painter.setPen(QColor(theme.text))
        metrics = painter.fontMetrics()
        vertical = Qt.AlignmentFlag.AlignVCenter
        name = metrics.elidedText(bar.name, Qt.TextElideMode.ElideMiddle, int(name_width) + 1)
        painter.drawText(QRectF(area.left(), area.top(), name_width + 2, area.height()), vertical, name)
        area.setLeft(area.left() + name_width + _SPACE)
        painter.setFont(self._view.font())
        painter.setPen(QColor(theme.muted))
        kind_width = min(self._kind_width, area.width() * 0.3)
        if kind_width:
            kind = painter.fontMetrics().elidedText(bar.kind, Qt.TextElideMode.ElideRight, int(kind_width) + 1)
            painter.drawText(QRectF(area.left(), area.top(), kind_width + 2, area.height()), vertical, kind)
            area.setLeft(area.left() + kind_width + _SPACE)
        self._paint_bar(painter, bar, area)

    def _paint_bar(self, painter: QPainter, bar: Bar, area: QRectF) -> None:
        room = max(area.width() - self._text_width - _SPACE, 10.0)
        length = max(bar.value / self._most * room, 1.0)
        painter.setPen(QColor(self._view.theme.text))
        text = QRectF(area.left() + length + 8, area.top(), self._text_width + 2, area.height())
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, bar.text)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(bar.color))
        height = round(area.height() * 0.5)
        place = QRectF(area.left(), round(area.center().y() - height / 2), length, height)
        painter.drawRoundedRect(place, 2, 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
