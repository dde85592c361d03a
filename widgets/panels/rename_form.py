"""Renaming by pattern: the operation's form, and below it every name that would change."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHeaderView, QTableView, QWidget

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.rename_pattern import RenamePattern, Renaming
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.parts import note
from graftwerk.widgets.theme import LIGHT, Theme, mono_font

Index = QModelIndex | QPersistentModelIndex
_COLUMNS = ("", "Old name", "New name")
_HEIGHT = 220


class RenameDialog(OperationDialog):
    """As every operation's dialog, with a table of old and new names; what can't be renamed comes first, with why."""

    def __init__(self, operation: RenamePattern, graph: Graph, theme: Theme = LIGHT,
                 parent: QWidget | None = None) -> None:  # fmt: skip
        self.model = _Names(theme)
        self.table = QTableView()
        self.count = note()
        super().__init__(operation, graph, parent)
        self.model.setParent(self)
        self.table.setModel(self.model)
        self.table.setFont(mono_font())
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setAccessibleName("Names that would change")
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(self.table.fontMetrics().height() + 7)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.table.setMinimumHeight(_HEIGHT)
        layout = self._inside.layout()
        assert layout is not None
        layout.addWidget(self.count)
        layout.addWidget(self.table)
        self.resize(640, 640)
        self._preview()

    def _on_checked(self, reason: Reason | None) -> None:
        super()._on_checked(reason)
        self._preview()

    def _preview(self) -> None:
        try:
            operation = self.form.operation()
            assert isinstance(operation, RenamePattern)
            found = operation.renamings(self.form.graph)
        except Fault:
            found = []  # what is wrong stands below
        self.model.set_rows(sorted(found, key=lambda one: not one.wrong))
        wrong = sum(bool(one.wrong) for one in found)
        text = f"{len(found):,} name{'s' * (len(found) != 1)} would change" if found else "No name would change"
        self.count.setText(f"{text}; {wrong:,} can't" if wrong else text)


class _Names(QAbstractTableModel):
    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.rows: list[Renaming] = []

    def set_rows(self, rows: list[Renaming]) -> None:
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        shown = orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole
        return _COLUMNS[section] if shown else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        texts = (row.kind, row.old, f"{row.new or 'nothing'} ({row.wrong})" if row.wrong else row.new)
        if role == Qt.ItemDataRole.DisplayRole:
            return texts[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.old}\n→ {row.new}" + (f"\n{row.wrong}" if row.wrong else "")
        if role == Qt.ItemDataRole.ForegroundRole and row.wrong:
            return QColor(self._theme.error)
        return None
