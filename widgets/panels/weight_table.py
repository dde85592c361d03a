"""The values of a weight as a table whose cells can be edited; read where they are visible, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QTableView, QVBoxLayout, QWidget

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.plane import Plane
from graftwerk.backend.operations.weight_values import checked_value
from graftwerk.widgets.panels.readout import number_text
from graftwerk.widgets.theme import LIGHT, Theme, mono_font

Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()
#: Rows and columns of a page: Qt keeps a record of every header of a table, so a billion rows go through pages.
PAGE_ROWS, PAGE_COLUMNS = 4096, 256


def shown_value(value: Any) -> str:
    """An element in a few letters."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, str):
        return value
    kind = np.asarray(value).dtype
    if kind.kind in "b?":
        return "true" if value else "false"
    if kind.kind == "c":
        return f"{complex(value):.6g}"
    if kind.kind in "iu" and kind.isbuiltin == 1:
        return str(int(value))
    if kind.name.startswith(("int", "uint")):
        return str(int(value))
    return f"{float(value):.6g}"


class WeightModel(QAbstractTableModel):
    """One page of a plane. `edits` are new values by the element's index as `weights.set` takes it, `0,3`.

    `changed` follows every edit, `refused` carries why a typed value was not taken.
    """

    changed = Signal()
    refused = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self.plane: Plane | None = None
        self.dtype = 0
        self.row_page = self.column_page = 0
        self.editable = True
        self.edits: dict[str, Any] = {}
        self._bold = QFont(mono_font())
        self._bold.setBold(True)

    def show_plane(self, plane: Plane | None, dtype: int, row_page: int = 0, column_page: int = 0) -> None:
        self.beginResetModel()
        self.plane, self.dtype = plane, dtype
        self.row_page, self.column_page = row_page, column_page
        self.endResetModel()

    def clear_edits(self) -> None:
        self.beginResetModel()
        self.edits = {}
        self.endResetModel()
        self.changed.emit()

    def rowCount(self, parent: Index = _NOWHERE) -> int:
        if parent.isValid() or self.plane is None:
            return 0
        return max(0, min(PAGE_ROWS, self.plane.rows - self.row_page * PAGE_ROWS))

    def columnCount(self, parent: Index = _NOWHERE) -> int:
        if parent.isValid() or self.plane is None:
            return 0
        return max(0, min(PAGE_COLUMNS, self.plane.columns - self.column_page * PAGE_COLUMNS))

    def element(self, index: Index) -> str | None:
        """The index of the element in a cell, `0,3`; None behind the end of a vector."""
        assert self.plane is not None
        row, column = index.row() + self.row_page * PAGE_ROWS, index.column() + self.column_page * PAGE_COLUMNS
        found = self.plane.index(row, column)
        return ",".join(map(str, found)) if found is not None else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        element = self.element(index)
        if element is None or self.plane is None:
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            if element in self.edits:
                return str(self.edits[element])
            row, column = index.row() + self.row_page * PAGE_ROWS, index.column() + self.column_page * PAGE_COLUMNS
            value = self.plane.read(range(row, row + 1), range(column, column + 1))[0, 0]
            if role == Qt.ItemDataRole.EditRole and np.asarray(value).dtype.kind == "f":
                return repr(float(value))
            return shown_value(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"[{element}]"
        if element in self.edits:
            if role == Qt.ItemDataRole.BackgroundRole:
                return QColor(self.theme.notice)
            if role == Qt.ItemDataRole.FontRole:
                return self._bold
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role != Qt.ItemDataRole.DisplayRole or self.plane is None:
            return None
        if orientation == Qt.Orientation.Horizontal:
            return str(section + self.column_page * PAGE_COLUMNS)
        row = section + self.row_page * PAGE_ROWS
        return str(row * self.plane.columns if self.plane.wrapped else row)

    def flags(self, index: Index) -> Qt.ItemFlag:
        usual = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if self.plane is None or self.element(index) is None:
            return Qt.ItemFlag.NoItemFlags
        return usual | Qt.ItemFlag.ItemIsEditable if self.editable else usual

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        element = self.element(index)
        if role != Qt.ItemDataRole.EditRole or element is None:
            return False
        if str(value) == self.data(index, role):
            return False
        try:
            taken = checked_value(str(value), self.dtype, f"[{element}]")
        except Fault as fault:
            self.refused.emit(". ".join(filter(None, [str(fault), fault.hint])))
            return False
        if isinstance(taken, float) and not np.isfinite(taken):
            taken = str(taken)  # JSON has no such numbers
        self.edits[element] = taken.decode() if isinstance(taken, bytes) else taken
        self.dataChanged.emit(index, index)
        self.changed.emit()
        return True


class WeightTable(QWidget):
    """The table, and where it has more than a page of rows or columns, boxes that choose the page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = WeightModel(self)
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setFont(mono_font())
        self.view.setAlternatingRowColors(False)
        self.view.setWordWrap(False)
        width = self.view.fontMetrics().horizontalAdvance("-0.000000e-00") + 20
        self.view.horizontalHeader().setDefaultSectionSize(width)
        self.view.verticalHeader().setDefaultSectionSize(self.view.fontMetrics().lineSpacing() + 8)
        self.row_page, self.column_page = QSpinBox(), QSpinBox()
        self.position = QLabel()
        self.position.setProperty("role", "muted")
        pages = QHBoxLayout()
        pages.setContentsMargins(0, 0, 0, 0)
        pages.addWidget(self.position, 1)
        self._labels = []
        for text, box in (("Rows, page", self.row_page), ("Columns, page", self.column_page)):
            label = QLabel(text)
            self._labels.append(label)
            box.setAccessibleName(text)
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._turn)
            pages.addWidget(label)
            pages.addWidget(box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view, 1)
        column.addLayout(pages)

    def set_theme(self, theme: Theme) -> None:
        self.model.theme = theme
        self.view.viewport().update()

    def show_plane(self, plane: Plane | None, dtype: int) -> None:
        """Shows another plane from its first page on."""
        for box, label, whole, page in (
            (self.row_page, self._labels[0], plane.rows if plane else 0, PAGE_ROWS),
            (self.column_page, self._labels[1], plane.columns if plane else 0, PAGE_COLUMNS),
        ):
            count = -(-whole // page)
            box.blockSignals(True)
            box.setRange(1, max(1, count))
            box.setValue(1)
            box.setSuffix(f" of {number_text(count)}")
            box.blockSignals(False)
            box.setVisible(count > 1)
            label.setVisible(count > 1)
        self.model.show_plane(plane, dtype)
        self._say()

    def _turn(self) -> None:
        model = self.model
        model.show_plane(model.plane, model.dtype, self.row_page.value() - 1, self.column_page.value() - 1)
        self._say()

    def _say(self) -> None:
        plane = self.model.plane
        if plane is None:
            self.position.setText("")
            return
        parts = []
        for word, first, there, whole in (
            ("Rows", self.model.row_page * PAGE_ROWS, self.model.rowCount(), plane.rows),
            ("columns", self.model.column_page * PAGE_COLUMNS, self.model.columnCount(), plane.columns),
        ):
            last = f"{number_text(first)} to {number_text(first + max(there, 1) - 1)}"
            parts.append(f"{word} {last} of {number_text(whole)}")
        self.position.setText(" · ".join(parts))

    @property
    def edits(self) -> Mapping[str, Any]:
        return self.model.edits
