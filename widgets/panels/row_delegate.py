"""How the inspector's lines look: headings, keys with their values, histograms; and how a value is edited in place."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QRect, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QFont, QFontMetrics, QHelpEvent, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCompleter,
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
    QWidget,
)  # fmt: skip

from graftwerk.backend.graph.statistics import Statistics
from graftwerk.widgets.panels.inspector_page import Row
from graftwerk.widgets.panels.parts import mark_invalid
from graftwerk.widgets.theme import LIGHT, PRECISION_COLORS, Theme, mono_font, precision_color

if TYPE_CHECKING:
    from graftwerk.widgets.panels.rows_view import Index, RowsView

#: Role of a line of the list: a heading (str), a Row, or a weight's Statistics.
LINE = Qt.ItemDataRole.UserRole
_PAD, _GAP, _CHIP, _BARS = 14, 12, 9, 64
#: Share of the width that a key may take from a long value.
_KEY = 0.45
_TIP = 2000
_TAKING = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab, Qt.Key.Key_Backtab)
_SELECTED = QStyle.StateFlag.State_Selected
_HOVER = QStyle.StateFlag.State_MouseOver


class RowDelegate(QStyledItemDelegate):
    """Paints and edits the lines of a RowsView."""

    def __init__(self, view: RowsView) -> None:
        super().__init__(view)
        self.view = view
        self.theme: Theme = LIGHT
        self._mono = mono_font()
        self._editor: QLineEdit | None = None

    def _bold(self) -> QFont:
        font = QFont(self.view.font())
        font.setWeight(QFont.Weight.DemiBold)
        return font

    # Sizes

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        line, metrics = index.data(LINE), QFontMetrics(self.view.font())
        if isinstance(line, Statistics):
            return QSize(0, _BARS + metrics.height() + 14)
        if isinstance(line, str):
            return QSize(0, metrics.height() + (24 if index.row() else 18))
        if not line.key:
            return QSize(0, self._wrapped(line.value).height() + 6)
        return QSize(0, metrics.height() + 7)

    def _wrapped(self, text: str) -> QRect:
        width = max(self.view.viewport().width() - 2 * _PAD, 40)
        return QFontMetrics(self.view.font()).boundingRect(0, 0, width, 10_000, Qt.TextFlag.TextWordWrap, text)

    def _columns(self, area: QRect, row: Row) -> tuple[QRect, QRect]:
        """Where key and value stand: the value gets what the key leaves, the key what the value needs no more."""
        area = area.adjusted(_PAD, 0, -_PAD, 0)
        key = QFontMetrics(self.view.font()).horizontalAdvance(row.key) + 2
        value = QFontMetrics(self._mono).horizontalAdvance(row.value) + 2 + self._chip_width(row)
        if key + _GAP + value > area.width():
            key = min(key, max(int(area.width() * _KEY), area.width() - _GAP - value))
        left = QRect(area.left(), area.top(), key, area.height())
        start = area.left() + key + _GAP
        return left, QRect(start, area.top(), area.right() + 1 - start, area.height())

    # Painting

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        line = index.data(LINE)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if isinstance(line, str):
            self._paint_heading(painter, option.rect, line)
        elif isinstance(line, Statistics):
            self._paint_histogram(painter, option.rect, line)
        else:
            self._paint_row(painter, option, line)
        painter.restore()

    def _paint_heading(self, painter: QPainter, area: QRect, text: str) -> None:
        area = area.adjusted(_PAD, 0, -_PAD, -5)
        painter.setFont(self._bold())
        painter.setPen(QColor(self.theme.text))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, area.width())
        painter.drawText(area.adjusted(0, 0, 0, -4), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, shown)
        painter.setPen(QPen(QColor(self.theme.border), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())

    def _paint_row(self, painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
        theme = self.theme
        active = row.target is not None or bool(row.attribute)
        hover = bool(option.state & _HOVER) and active
        selected = bool(option.state & _SELECTED) and self.view.hasFocus()
        if selected or hover:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.selection if selected else theme.hover))
            painter.drawRoundedRect(option.rect.adjusted(6, 0, -6, 0), 5, 5)
        if not row.key:
            painter.setFont(self.view.font())
            painter.setPen(QColor(theme.muted))
            area = option.rect.adjusted(_PAD, 3, -_PAD, 0)
            painter.drawText(area, Qt.TextFlag.TextWordWrap, row.value)
            return
        left, right = self._columns(option.rect, row)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setFont(self.view.font())
        painter.setPen(QColor(theme.muted))
        shown = painter.fontMetrics().elidedText(row.key, Qt.TextElideMode.ElideMiddle, left.width())
        painter.drawText(left, middle | Qt.AlignmentFlag.AlignLeft, shown)
        painter.setFont(self._mono)
        painter.setPen(QColor(theme.warning if row.tone == "warning" else theme.link if hover else theme.text))
        chip = self._chip(row)
        room = right.width() - self._chip_width(row)
        value = painter.fontMetrics().elidedText(row.value.replace("\n", " "), Qt.TextElideMode.ElideMiddle, room)
        painter.drawText(right, middle | Qt.AlignmentFlag.AlignRight, value)
        if chip:
            x = right.right() + 1 - painter.fontMetrics().horizontalAdvance(value) - 6 - _CHIP
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(chip))
            painter.drawRoundedRect(x, right.center().y() - _CHIP // 2, _CHIP, _CHIP, 2, 2)

    def _chip(self, row: Row) -> str:
        return precision_color(row.tone) if row.tone in PRECISION_COLORS else ""

    def _chip_width(self, row: Row) -> int:
        return _CHIP + 6 if self._chip(row) else 0

    def _paint_histogram(self, painter: QPainter, area: QRect, found: Statistics) -> None:
        area = area.adjusted(_PAD, 8, -_PAD, 0)
        floor = area.top() + _BARS
        theme = self.theme
        if found.histogram:
            most = max(found.histogram)
            width = area.width() / len(found.histogram)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.tint(theme.accent, 0.75 if theme.dark else 0.5)))
            for place, count in enumerate(found.histogram):
                if count:
                    height = max(count / most * (_BARS - 2), 1.0)
                    gap = 1 if width > 3 else 0
                    painter.drawRect(QRectF(area.left() + place * width, floor - height, width - gap, height))
        painter.setPen(QPen(QColor(theme.border_strong), 1))
        painter.drawLine(area.left(), floor, area.right(), floor)
        painter.setFont(self._mono)
        painter.setPen(QColor(theme.muted))
        below = QRect(area.left(), floor + 2, area.width(), painter.fontMetrics().height())
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{found.minimum:.4g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{found.maximum:.4g}")

    # Tooltips and editing

    def helpEvent(
        self, event: QHelpEvent, view: QAbstractItemView, option: QStyleOptionViewItem, index: Index
    ) -> bool:
        line = index.data(LINE) if index.isValid() else None
        if event.type() != QEvent.Type.ToolTip or not isinstance(line, Row):
            return False
        left, right = self._columns(option.rect, line)
        cut = QFontMetrics(self._mono).horizontalAdvance(line.value) > right.width() - self._chip_width(line)
        cut |= QFontMetrics(self.view.font()).horizontalAdvance(line.key) > left.width()
        parts = [f"{line.key}: {line.value}" if cut else "", line.tip]
        text = "\n".join(dict.fromkeys(filter(None, parts)))
        shown = html.escape(text if len(text) < _TIP else text[:_TIP] + " …")
        QToolTip.showText(event.globalPos(), f"<div style='white-space: pre-wrap'>{shown}</div>" if text else "", view)
        return True

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setFont(self._mono)
        editor.setAlignment(Qt.AlignmentFlag.AlignRight)
        editor.setStyleSheet("QLineEdit { padding: 0 5px; border-radius: 4px; min-height: 0; }")
        editor.textEdited.connect(lambda: self._mark(editor, ""))
        line = index.data(LINE)
        choices = self.view.choices(line.attribute) if isinstance(line, Row) else ()
        if choices:
            self._offer(editor, list(choices))
        self._editor = editor
        return editor

    def _offer(self, editor: QLineEdit, choices: list[str]) -> None:
        """Lists what may be chosen below the editor; it can be typed as well."""
        completer = QCompleter(choices, editor)
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        completer.setMaxVisibleItems(12)
        editor.setCompleter(completer)
        QTimer.singleShot(0, editor, completer.complete)

    @property
    def open_editor(self) -> QLineEdit | None:
        return self._editor

    def destroyEditor(self, editor: QWidget, index: Index) -> None:
        if editor is self._editor:
            self._editor = None
        super().destroyEditor(editor, index)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keeps the editor and what is in it where that can't be taken; Escape gives it up."""
        if isinstance(watched, QLineEdit) and watched is self._editor:
            enter = isinstance(event, QKeyEvent) and event.key() in _TAKING and event.type() == QEvent.Type.KeyPress
            if (enter or event.type() == QEvent.Type.FocusOut) and not self._acceptable(watched):
                return enter
        return super().eventFilter(watched, event)

    def _acceptable(self, editor: QLineEdit) -> bool:
        text = editor.text().strip()
        same = text == editor.property("before")
        reason = "" if same else self.view.why_not(editor.property("attribute"), text)
        self._mark(editor, reason)
        return not reason

    @staticmethod
    def _mark(editor: QLineEdit, reason: str) -> None:
        mark_invalid(editor, bool(reason))
        editor.setToolTip(reason)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        line = index.data(LINE)
        left, right = self._columns(option.rect, line)
        start = min(left.right() + 6, option.rect.center().x()) if left.width() else right.left()
        width = option.rect.right() - start - _PAD + 7
        editor.setGeometry(QRect(start, option.rect.top(), width, option.rect.height()))

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        assert isinstance(editor, QLineEdit)
        row = index.data(LINE)
        if editor.property("invalid"):
            return  # the lines around it changed; it keeps what is typed
        editor.setProperty("attribute", row.attribute)
        editor.setProperty("before", row.value)
        editor.setText(row.value)
        editor.selectAll()

    def setModelData(self, editor: QWidget, model: object, index: Index) -> None:
        assert isinstance(editor, QLineEdit)
        row = index.data(LINE)
        if editor.text().strip() != row.value:
            self.view.edited.emit(row.attribute, editor.text().strip())
