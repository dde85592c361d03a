"""The edits that lead from the file to what is shown: the undo history, and the recipe that it makes."""

from __future__ import annotations

import re
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QGuiApplication, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QListView,
    QPushButton,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from graftwerk.backend.document import Document
from graftwerk.widgets.panels.parts import Empty
from graftwerk.widgets.theme import LIGHT, Theme

Index = QModelIndex | QPersistentModelIndex
#: Whether a step is the shown one, or undone and can be done again.
_AT = Qt.ItemDataRole.UserRole
_UNDONE = Qt.ItemDataRole.UserRole + 1
#: A name with its scopes, of which the last two parts say most.
_LONG_NAME = re.compile(r"/?\S*/([^\s/]+/[^\s/]+)")
_NO_STEPS = "There are no edits yet"


class History(QWidget):
    """One card for each step, those that are undone in grey. `go` carries the index of the revision to show,
    `save_recipe` asks for the recipe to be saved."""

    go = Signal(int)
    save_recipe = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self.model = _Steps(self)
        self.list = _List()
        self.list.setModel(self.model)
        self._delegate = _Card(self.list)
        self.list.setItemDelegate(self._delegate)
        self.list.clicked.connect(lambda index: self.go.emit(index.row()))
        self.list.entered_row.connect(self.go)
        self.save_button = QPushButton("Save recipe…")
        self.save_button.setFlat(True)
        self.save_button.clicked.connect(self.save_recipe)
        self.copy_button = QPushButton("Copy")
        self.copy_button.setFlat(True)
        self.copy_button.clicked.connect(self.copy)
        buttons = QHBoxLayout()
        buttons.setContentsMargins(8, 2, 8, 6)
        buttons.addWidget(self.save_button)
        buttons.addWidget(self.copy_button)
        buttons.addStretch(1)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.list, 1)
        column.addLayout(buttons)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(Empty("Open a model. Its edits are listed here, and can be saved as a recipe."))
        self._stack.addWidget(content)

    def set_theme(self, theme: Theme) -> None:
        self._delegate.theme = theme
        self.list.viewport().update()

    def set_document(self, document: Document | None) -> None:
        self._document = document
        self.refresh()

    def refresh(self) -> None:
        """Reads the document's revisions again."""
        document = self._document
        self.model.read(document)
        self._stack.setCurrentIndex(0 if document is None else 1)
        steps = document is not None and document.at > 0
        for button, tip in ((self.save_button, "Write the edits as a recipe that can be applied to another export"),
                            (self.copy_button, "Copy the recipe as JSON")):  # fmt: skip
            button.setEnabled(steps)
            button.setToolTip(tip if steps else _NO_STEPS)
        if document is not None:
            self.list.setCurrentIndex(self.model.index(document.at))
            self.list.scrollTo(self.model.index(document.at))

    def copy(self) -> None:
        """Puts the recipe on the clipboard, as JSON."""
        if self._document is not None:
            QGuiApplication.clipboard().setText(self._document.recipe.dumps())


class _Steps(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._texts: list[str] = []
        self._at = 0

    def read(self, document: Document | None) -> None:
        self.beginResetModel()
        self._texts, self._at = [], 0
        if document is not None:
            opened = f"Open {document.origin}" if document.origin else "New"
            edits = (revision.operation for revision in document.revisions[1:])
            self._texts = [opened, *(edit.summary() if edit is not None else "" for edit in edits)]
            self._at = document.at
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._texts)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._texts[index.row()]
        if role == _AT:
            return index.row() == self._at
        return index.row() > self._at if role == _UNDONE else None


class _List(QListView):
    entered_row = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setStyleSheet("QListView { background: transparent; border: none; }")
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.entered_row.emit(self.currentIndex().row())
        else:
            super().keyPressEvent(event)


class _Card(QStyledItemDelegate):
    """A number and what was done, in a frame; the shown step's frame is the accent."""

    theme: Theme = LIGHT

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(0, QFontMetrics(option.font).height() + 16)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        theme = self.theme
        here, undone = index.data(_AT), index.data(_UNDONE)
        card = QRect(option.rect).adjusted(10, 2, -10, -2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        hover = bool(option.state & QStyle.StateFlag.State_MouseOver)
        focus = bool(option.state & QStyle.StateFlag.State_HasFocus)
        painter.setPen(QColor(theme.accent if here or focus else theme.border))
        painter.setBrush(QColor(theme.hover if hover else theme.window if undone else theme.surface))
        painter.drawRoundedRect(card.adjusted(0, 0, -1, -1), 6, 6)
        painter.setFont(option.font)
        metrics = painter.fontMetrics()
        wide = metrics.horizontalAdvance("000")
        number = QRect(card.left() + 4, card.top(), wide, card.height())
        painter.setPen(QColor(theme.faint if undone else theme.muted))
        if index.row():
            painter.drawText(number, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, str(index.row()))
        text = card.adjusted(wide + 12 if index.row() else 12, 0, -8, 0)
        painter.setPen(QColor(theme.faint if undone else theme.text))
        summary = index.data()
        if metrics.horizontalAdvance(summary) > text.width():
            summary = _LONG_NAME.sub(r"…/\1", summary)
        shown = metrics.elidedText(summary, Qt.TextElideMode.ElideRight, text.width())
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()
