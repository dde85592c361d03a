"""The rows of the recipe: what was opened, and steps that were done, are left out, or wait for one that can't be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.operations.registry import operations
from graftwerk.backend.operations.step import Step
from graftwerk.widgets.theme import LIGHT, Theme

Index = QModelIndex | QPersistentModelIndex
ROW = Qt.ItemDataRole.UserRole
#: A name with its scopes, of which the last two parts say most.
_LONG_NAME = re.compile(r"/?\S*/([^\s/]+/[^\s/]+)")
_MIME = "application/x-graftwerk-step"


#: The look of what came of verifying a step.
_ROLES = {"verified": "success", "differs": "error", "not verified": "warning"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `state` is here, done, undone, stopped (can't be done) or waiting (behind such a one).

    `below` is a second line: a comment, what came of verifying the step, or why it can't be done; `role` is the look of
    that line, as of a label. `off`: the step is left out.
    """

    text: str
    state: str
    below: str = ""
    off: bool = False
    role: str = "muted"

    @property
    def faint(self) -> bool:
        return self.off or self.state in ("undone", "waiting")


def rows_of(document: Document) -> list[Row]:
    """The row of what was opened, and one for every step."""
    history = document.history
    rows = [Row(f"Open {document.origin}" if document.origin else "New", "here" if history.at == 0 else "done")]
    for at, revision in enumerate(history.revisions[1:], 1):
        step = revision.line or Step("")
        text = revision.operation.summary() if revision.operation is not None else step_title(step, history.parameters)
        state = "here" if at == history.at else "undone" if at > history.at else "done"
        verdict = document.verdicts.get(revision.graph.revision)
        settled = step.enabled and revision.graph.revision == history.revisions[at - 1].graph.revision
        said = "nothing to do" if settled else verdict.text if verdict is not None else ""
        below = " · ".join(filter(None, [said, step.comment]))
        role = _ROLES.get(verdict.state, "muted") if verdict is not None and not settled else "muted"
        rows.append(Row(text, state, below, not step.enabled, role))
    for at, step in enumerate(history.waiting):
        stopped = history.stopped if at == 0 else None
        reason = f"{stopped.message}. {stopped.hint}" if stopped is not None else step.comment
        state = "stopped" if stopped is not None else "waiting"
        rows.append(Row(step_title(step, history.parameters), state, reason.strip(". "), not step.enabled))
    return rows


def step_title(step: Step, parameters: Mapping[str, Any]) -> str:
    """What a step does, in a line; only the kind of it where its parameters don't fit."""
    try:
        return step.operation(parameters).summary()
    except Fault:
        return operations()[step.id].title if step.id in operations() else step.id


class Rows(QAbstractListModel):
    """The rows; dragging one to another place emits `moved`, from and to as rows."""

    moved = Signal(int, int)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.rows: list[Row] = []

    def read(self, document: Document | None) -> None:
        self.beginResetModel()
        self.rows = rows_of(document) if document is not None else []
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.text
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(filter(None, [row.text, row.below]))
        return row if role == ROW else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled  # between two rows, not onto one
        movable = Qt.ItemFlag.ItemIsDragEnabled if index.row() else Qt.ItemFlag.NoItemFlags
        return super().flags(index) | movable

    def supportedDropActions(self) -> Qt.DropAction:
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:
        return [_MIME]

    def mimeData(self, indexes: Any) -> QMimeData:
        data = QMimeData()
        data.setData(_MIME, str(indexes[0].row()).encode())
        return data

    def dropMimeData(self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: Index) -> bool:
        if row < 1:
            return False
        start = int(bytes(data.data(_MIME).data()))
        end = row - 1 if row > start else row
        if end != start:
            self.moved.emit(start, end)
        return False  # the list is read again once the recipe was replayed; Qt is not to remove a row itself


class Card(QStyledItemDelegate):
    """A number and what was done, in a frame; the shown step's frame is the accent, a stopped one's is red."""

    theme: Theme = LIGHT

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        lines = 2 if index.data(ROW).below else 1
        return QSize(0, QFontMetrics(option.font).height() * lines + 16)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        theme, row = self.theme, index.data(ROW)
        card = QRect(option.rect).adjusted(10, 2, -10, -2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        hover = bool(option.state & QStyle.StateFlag.State_MouseOver)
        focus = bool(option.state & QStyle.StateFlag.State_HasFocus)
        frame = theme.accent if row.state == "here" or focus else theme.border
        pen = QPen(QColor(theme.error if row.state == "stopped" else frame))
        if row.state == "waiting":
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(QColor(theme.hover if hover else theme.window if row.faint else theme.surface))
        painter.drawRoundedRect(card.adjusted(0, 0, -1, -1), 6, 6)
        font = option.font
        font.setStrikeOut(row.off)
        painter.setFont(option.font)
        metrics = painter.fontMetrics()
        wide = metrics.horizontalAdvance("000")
        line = QRect(card.left() + 4, card.top() + 6, wide, metrics.height())
        painter.setPen(QColor(theme.faint if row.faint else theme.muted))
        if index.row():
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, str(index.row()))
        place = QRect(line.right() + 8 if index.row() else card.left() + 12, line.top(), 0, line.height())
        place.setRight(card.right() - 8)
        painter.setFont(font)
        painter.setPen(QColor(theme.faint if row.faint else theme.text))
        summary = row.text
        if metrics.horizontalAdvance(summary) > place.width():
            summary = _LONG_NAME.sub(r"…/\1", summary)
        self._draw(painter, place, summary)
        if row.below:
            painter.setFont(option.font)
            painter.setPen(QColor(theme.error if row.state == "stopped" else getattr(theme, row.role)))
            self._draw(painter, place.translated(0, line.height()), " ".join(row.below.split()))
        painter.restore()

    def _draw(self, painter: QPainter, place: QRect, text: str) -> None:
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, shown)
