"""The differences of two models as a list, and the chosen one in detail."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QSplitter,
    QTableView,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.compare.result import Change, Comparison, NodeDifference, WeightDifference
from graftwerk.widgets.theme import DIFFERENCE_COLORS, LIGHT, Theme

Index = QModelIndex | QPersistentModelIndex
_HEADS = ("", "What", "Name", "Difference")


@dataclass(frozen=True)
class Row:
    """One line: what it says, and the difference behind it (None: of the model itself)."""

    kind: str
    what: str
    name: str
    text: str
    changes: tuple[Change, ...]
    source: NodeDifference | WeightDifference | None

    @property
    def line(self) -> str:
        """All of it in a line, made when it comes into view: there may be ten thousand."""
        return self.text or "; ".join(map(str, self.changes)) or self.kind


class Differences(QWidget):
    """`chosen` carries the Row that was chosen, by mouse or keys."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self.model = _Model(self)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter by name, operator or kind")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self.model.set_filter)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.verticalHeader().setDefaultSectionSize(26)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.horizontalHeader().setHighlightSections(False)
        for column, width in enumerate((100, 150, 340)):
            self.table.setColumnWidth(column, width)
        self.table.selectionModel().currentRowChanged.connect(self._on_row)
        self.detail = QTextBrowser()
        self.detail.setOpenLinks(False)
        left = QWidget()
        column_box = QVBoxLayout(left)
        column_box.setContentsMargins(8, 8, 0, 8)
        column_box.addWidget(self.filter)
        column_box.addWidget(self.table, 1)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(self.detail)
        split.setSizes([900, 500])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(split)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.show_row(self.current())

    def set_rows(self, rows: list[Row]) -> None:
        """Shows these differences; the chosen one stays, where it is still there."""
        row = self.current()
        self.model.set_rows(rows)
        if row is not None:
            self.choose(lambda one: (one.what, one.name) == (row.what, row.name), tell=False)
        self.show_row(self.current())

    def current(self) -> Row | None:
        index = self.table.currentIndex()
        return self.model.shown[index.row()] if index.isValid() and index.row() < len(self.model.shown) else None

    def step(self, by: int) -> None:
        """The next difference or the one before, round the end."""
        count = self.model.rowCount()
        if count:
            at = self.table.currentIndex().row()
            self.table.selectRow((at + by) % count if at >= 0 else (0 if by > 0 else count - 1))

    def choose(self, wanted: Any, tell: bool = True) -> bool:
        """Chooses the first row that a function holds of; says whether there is one."""
        at = next((number for number, row in enumerate(self.model.shown) if wanted(row)), None)
        if at is None:
            self.table.clearSelection()
            return False
        self.table.selectionModel().blockSignals(not tell)
        self.table.selectRow(at)
        self.table.selectionModel().blockSignals(False)
        self.table.viewport().update()
        self.show_row(self.current())
        return True

    def _on_row(self, index: QModelIndex) -> None:
        row = self.current() if index.isValid() else None
        self.show_row(row)
        if row is not None:
            self.chosen.emit(row)

    def show_row(self, row: Row | None) -> None:
        """Shows one in detail."""
        if row is None:
            self.detail.setHtml("<p>Choose a difference to see all of it.</p>")
            return
        theme = self._theme
        lines = [f'<p style="font-size:large"><b>{escape(row.what)}</b> {escape(row.name)}</p>']
        other = row.source.before if row.source is not None and row.source.after else ""
        if other and other != row.name:
            lines.append(f'<p style="color:{theme.muted}">called {escape(other)} before</p>')
        if not row.changes:
            lines.append(f"<p>{row.kind}</p>")
        for change in row.changes:
            lines.append(f'<p style="margin-bottom:0"><b>{escape(change.what)}</b></p>')
            if change.before != change.after:
                old, new = change.before or "none", change.after or "none"
                lines.append(f'<table cellpadding="2"><tr><td style="color:{theme.muted}">before</td>'
                             f"<td>{escape(old)}</td></tr>"
                             f'<tr><td style="color:{theme.muted}">after</td><td>{escape(new)}</td></tr></table>')
            if change.magnitude is not None:
                lines.append(_magnitude(change, theme))
        if isinstance(row.source, WeightDifference) and row.source.readers:
            lines.append(f'<p style="color:{theme.muted}">read by {escape(", ".join(row.source.readers))}</p>')
        self.detail.setHtml("".join(lines))


def _magnitude(change: Change, theme: Theme) -> str:
    found = change.magnitude
    assert found is not None
    relative = "—" if found.relative_l2 is None else f"{found.relative_l2:.4g}"
    facts = (
        ("values that differ", f"{found.differing:,} of {found.elements:,} ({found.differing / found.elements:.1%})"),
        ("largest difference", f"{found.max_abs:.6g}"), ("relative L2", relative),
        ("not finite", f"{found.not_finite:,}"),
    )  # fmt: skip
    rows = (f'<tr><td style="color:{theme.muted}">{name}</td><td>{value}</td></tr>' for name, value in facts)
    return f'<table cellpadding="2">{"".join(rows)}</table>'


def rows_of(found: Comparison) -> list[Row]:
    """All differences as lines. May run in a thread."""
    rows = [Row(change.kind, "Model", change.what, _text(change), (change,), None) for change in found.model]
    read = _by_reader(found)
    for node in found.nodes:
        changes = (*node.changes, *read.get(node.after, ()))
        rows.append(Row(node.kind, node.op_type, node.ref, "", changes, node))
    rows += [Row(weight.kind, "Weight", weight.name, "", weight.changes, weight) for weight in found.weights]
    rows += [Row("changed", "Weight", name, f"not compared: {why}", (), None) for name, why in found.unread.items()]
    return rows


def _by_reader(found: Comparison) -> dict[str, list[Change]]:
    """What differs in the weights that a node reads, by its reference."""
    read: dict[str, list[Change]] = {}
    for weight in found.weights:
        if weight.kind != "renamed":
            for ref in weight.readers:
                what = (replace(change, what=f"weight {weight.name}: {change.what}") for change in weight.changes)
                read.setdefault(ref, []).extend(what)
    return read


def _text(change: Change) -> str:
    return str(change).removeprefix(f"{change.what}: ")


class _Model(QAbstractTableModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rows: list[Row] = []
        self.shown: list[Row] = []
        self._wanted = ""
        self._marks: dict[str, QPixmap] = {}

    def set_rows(self, rows: list[Row]) -> None:
        self._rows = rows
        self.set_filter(self._wanted)

    def set_filter(self, text: str) -> None:
        self.beginResetModel()
        self._wanted = text
        words = text.lower().split()
        self.shown = [
            row for row in self._rows if all(word in f"{row.kind} {row.what} {row.name}".lower() for word in words)
        ]
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.shown)

    def columnCount(self, parent: Index | None = None) -> int:
        return len(_HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return _HEADS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.shown[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return (row.kind, row.what, row.name, row.line if index.column() == 3 else "")[index.column()]
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            if row.kind not in self._marks:
                self._marks[row.kind] = mark = QPixmap(12, 12)
                mark.fill(QColor(DIFFERENCE_COLORS[row.kind]))
            return self._marks[row.kind]
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.line
        return None
