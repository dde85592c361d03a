"""A dialog with a table of facts and a few things to do with the chosen rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)


@dataclass(frozen=True)
class Row:
    """Cells as texts, the numbers to sort by where a cell is one, and the nodes that the row is about."""

    cells: tuple[str, ...]
    numbers: tuple[float | None, ...]
    refs: tuple[str, ...]
    usable: bool = True


class TableDialog(QDialog):
    """Sorted by a click on a header; several rows may be chosen. It does nothing itself.

    `chosen` carries the key of the button that was clicked and the nodes of the chosen rows that are usable (of all of
    them with none chosen); `selected` the nodes of the rows as they are chosen.
    """

    chosen = Signal(str, tuple)
    selected = Signal(tuple)

    def __init__(
        self, title: str, text: str, headers: Sequence[str], rows: Sequence[Row], buttons: dict[str, str],
        parent: QWidget | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(1040, 560)
        self._rows = list(rows)
        column = QVBoxLayout(self)
        said = QLabel(text, self)
        said.setWordWrap(True)
        column.addWidget(said)
        self.table = self._table(headers)
        column.addWidget(self.table, 1)
        row = QHBoxLayout()
        row.addStretch(1)
        self.buttons: dict[str, QPushButton] = {}
        for key, name in buttons.items():
            self.buttons[key] = button = QPushButton(name, self)
            button.clicked.connect(lambda _=False, one=key: self.chosen.emit(one, self.refs()))
            row.addWidget(button)
        close = QPushButton("Close", self)
        close.clicked.connect(self.close)
        row.addWidget(close)
        column.addLayout(row)

    def _table(self, headers: Sequence[str]) -> QTableWidget:
        table = QTableWidget(len(self._rows), len(headers), self)
        table.setHorizontalHeaderLabels(list(headers))
        table.verticalHeader().hide()
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setAlternatingRowColors(True)
        for at, row in enumerate(self._rows):
            for place, text in enumerate(row.cells):
                item = _Cell(text, row.numbers[place])
                item.setData(Qt.ItemDataRole.UserRole, at)
                item.setToolTip(text)  # columns are narrower than some texts
                if not row.usable:
                    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
                table.setItem(at, place, item)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)  # as given, until a header is clicked
        table.setSortingEnabled(True)
        table.itemSelectionChanged.connect(lambda: self.selected.emit(self._chosen()))
        return table

    def _chosen(self) -> tuple[str, ...]:
        items = (self.table.item(index.row(), 0) for index in self.table.selectionModel().selectedRows())
        rows = (self._rows[item.data(Qt.ItemDataRole.UserRole)] for item in items if item is not None)
        return tuple(ref for row in rows if row.usable for ref in row.refs)

    def any_chosen(self) -> bool:
        return bool(self.table.selectionModel().selectedRows())

    def refs(self) -> tuple[str, ...]:
        """The nodes of the chosen rows, of all usable rows with none chosen."""
        return self._chosen() or tuple(ref for row in self._rows if row.usable for ref in row.refs)


class _Cell(QTableWidgetItem):
    """Sorts by its number where it has one."""

    def __init__(self, text: str, number: float | None) -> None:
        super().__init__(text)
        self._number = number
        if number is not None:
            self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        if isinstance(other, _Cell) and self._number is not None and other._number is not None:
            return self._number < other._number
        return self.text() < other.text()  # Qt's own operator would call this one again
