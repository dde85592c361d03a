"""Sections of keys and values, as the inspector shows them: one list, so that long ones cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QContextMenuEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QResizeEvent,
)  # fmt: skip
from PySide6.QtWidgets import QAbstractItemDelegate, QAbstractItemView, QFrame, QListView, QMenu, QWidget

from graftwerk.backend.graph.statistics import Statistics
from graftwerk.widgets.panels.inspector_page import Row
from graftwerk.widgets.panels.row_delegate import LINE, RowDelegate
from graftwerk.widgets.theme import Theme

Index = QModelIndex | QPersistentModelIndex
#: A heading, a row, or the histogram of a weight.
Line = str | Row | Statistics


class RowsView(QListView):
    """`activated_row` carries the Row that was clicked or entered, `edited` an attribute's name and the typed text,
    `removal` the name of an attribute that is to go."""

    activated_row = Signal(object)
    edited = Signal(str, str)
    #: an editor was closed, with or without an edit
    left = Signal()
    removal = Signal(str)
    #: the second press of a double click, whatever row the first has brought there
    double_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        #: why an attribute can't have the typed text, "" where it can; its editor stays open until then
        self.why_not: Callable[[str, str], str] = lambda attribute, text: ""
        #: the values that an attribute may have, where these are few
        self.choices: Callable[[str], Sequence[str]] = lambda attribute: ()
        self.lines = _Lines(self)
        self.rows_delegate = RowDelegate(self)
        self.setModel(self.lines)
        self.setItemDelegate(self.rows_delegate)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setStyleSheet("QListView { background: transparent; border: none; }")
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.clicked.connect(self._on_click)
        copy = QAction("Copy", self)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copy.triggered.connect(self.copy)
        self.addAction(copy)

    def set_theme(self, theme: Theme) -> None:
        self.rows_delegate.theme = theme
        self.viewport().update()

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Shows other lines, from the top."""
        self.lines.set_lines(lines)
        self.scrollToTop()

    def update_lines(self, lines: Sequence[Line]) -> None:
        """Shows what has become of the lines; those that are as they were keep selection, place and open editor."""
        self.lines.update_lines(lines)

    def line(self, index: Index) -> Line | None:
        found: Line | None = index.data(LINE) if index.isValid() else None
        return found

    def copy(self) -> None:
        """Puts the current row's value on the clipboard."""
        line = self.line(self.currentIndex())
        if isinstance(line, Row):
            QGuiApplication.clipboard().setText(line.value)

    def _on_click(self, index: QModelIndex) -> None:
        line = self.line(index)
        if isinstance(line, Row) and line.attribute:
            self._edit(index)
        elif isinstance(line, Row) and line.target is not None:
            self.activated_row.emit(line)

    def _edit(self, index: QModelIndex) -> None:
        """Opens an editor, unless another stands open with what can't be taken: that goes first."""
        editor = self.rows_delegate.open_editor
        if editor is not None:
            editor.setFocus()
        else:
            self.edit(index)

    def closeEditor(self, editor: QWidget, hint: QAbstractItemDelegate.EndEditHint) -> None:
        """Also called when another row becomes the current one: what can't be taken stays even then."""
        if editor.property("invalid") and hint != QAbstractItemDelegate.EndEditHint.RevertModelCache:
            return
        super().closeEditor(editor, hint)
        self.left.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._on_click(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        line = self.line(self.indexAt(event.position().toPoint()))
        shape = Qt.CursorShape.ArrowCursor
        if isinstance(line, Row) and line.attribute:
            shape = Qt.CursorShape.IBeamCursor
        elif isinstance(line, Row) and line.target is not None:
            shape = Qt.CursorShape.PointingHandCursor
        self.viewport().setCursor(shape)
        super().mouseMoveEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        super().mouseDoubleClickEvent(event)
        if event.button() == Qt.MouseButton.LeftButton:
            self.double_clicked.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()  # long texts wrap

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        index = self.indexAt(event.pos())
        place = index.row()
        line = self.line(index)
        if not isinstance(line, Row):
            return
        clipboard = QGuiApplication.clipboard()
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Copy value", lambda: clipboard.setText(line.value))
        if line.tip:
            menu.addAction("Copy all of it", lambda: clipboard.setText(f"{line.key}: {line.value}\n{line.tip}"))
        if line.target is not None:
            menu.addAction("Select", lambda: self.activated_row.emit(line))
        if line.attribute:
            menu.addAction("Edit", lambda: self._edit(self.lines.index(place)))
            menu.addAction("Remove attribute", lambda: self.removal.emit(line.attribute))
        menu.popup(event.globalPos())


class _Lines(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._lines: Sequence[Line] = ()

    def set_lines(self, lines: Sequence[Line]) -> None:
        self.beginResetModel()
        self._lines = lines
        self.endResetModel()

    def update_lines(self, lines: Sequence[Line]) -> None:
        old = self._lines
        start, most = 0, min(len(old), len(lines))
        while start < most and old[start] == lines[start]:
            start += 1
        end = 0
        while end < most - start and old[-1 - end] == lines[-1 - end]:
            end += 1
        nowhere = QModelIndex()
        if len(old) - end > start:
            self.beginRemoveRows(nowhere, start, len(old) - end - 1)
            self._lines = [*old[:start], *old[len(old) - end :]]
            self.endRemoveRows()
        if len(lines) - end > start:
            self.beginInsertRows(nowhere, start, len(lines) - end - 1)
            self._lines = lines
            self.endInsertRows()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._lines)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        line = self._lines[index.row()]
        if role == LINE:
            return line
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            if isinstance(line, Row):
                return f"{line.key} {line.value}"
            return line if isinstance(line, str) else "Histogram"
        if role == Qt.ItemDataRole.EditRole and isinstance(line, Row):
            return line.value
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        line = self._lines[index.row()]
        if not isinstance(line, Row):
            return Qt.ItemFlag.NoItemFlags
        usual = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return usual | Qt.ItemFlag.ItemIsEditable if line.attribute else usual
