"""The layer table: every layer of an engine, and the ONNX nodes that it came from."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from onnx import GraphProto
from PySide6.QtCore import QEvent, QItemSelection, QItemSelectionModel, QModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QStackedLayout,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.atomic import atomic
from graftwerk.backend.engines.report import Profile, Report
from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.panels.frame import DetailLabel, empty_state, swatch
from graftwerk.widgets.panels.layer_model import NODES, NUMBER, TIME, TITLES, LayerModel
from graftwerk.widgets.panels.parts import ElidedLabel, clear, set_role
from graftwerk.widgets.panels.readout import count_text, layer_times, number_text, report_lines
from graftwerk.widgets.theme import PRECISION_COLORS, Theme, precision_color

NOTHING = "No engine yet. Build one (F5), or switch the live preview on (F7), to see its layers."
# By column; the time is moved in front of the nodes.
_WIDTHS = (52, 260, 140, 100, 300, 220, 220, 260, 80)


class LayerTable(QWidget):
    """Shows a report. `layers_selected` carries the names of the layers that the user selected."""

    layers_selected = Signal(tuple)
    #: the name of the layer that the mouse is over, "" for none
    layer_hovered = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._report: Report | None = None
        self._model: GraphProto | None = None
        self._chips: dict[str, QToolButton] = {}
        self.model = LayerModel()
        self.header = DetailLabel()
        self.message = ElidedLabel()
        self.filter = QLineEdit()
        self.count = QLabel()
        self.all_layers = QPushButton("Clear filter")
        self.export = QPushButton("Export CSV…")
        self.table = QTableView()
        self._chip_row = QHBoxLayout()
        self._set_up_table()
        self._lay_out()
        self.filter.textChanged.connect(self._apply_filter)
        self.all_layers.clicked.connect(self.clear_filter)
        self.export.clicked.connect(self._ask_where)
        self.model.modelAboutToBeReset.connect(self._remember)
        self.model.modelReset.connect(self._recall)
        self._chosen: list[int] = []
        self.set_report(None, None, None)

    def _set_up_table(self) -> None:
        table = self.table
        table.setModel(self.model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.verticalHeader().hide()
        table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 10)
        table.horizontalHeader().setStretchLastSection(False)
        table.horizontalHeader().setSectionsMovable(True)
        table.horizontalHeader().moveSection(TIME, NODES)
        for column, width in enumerate(_WIDTHS):
            table.setColumnWidth(column, width)
        table.horizontalHeader().setSortIndicator(NUMBER, Qt.SortOrder.AscendingOrder)
        table.setSortingEnabled(True)
        table.selectionModel().selectionChanged.connect(self._on_selection)
        table.setMouseTracking(True)
        table.entered.connect(lambda index: self.layer_hovered.emit(self.model.layer(index.row()).name))
        table.viewportEntered.connect(lambda: self.layer_hovered.emit(""))
        copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), table)
        copy.setContext(Qt.ShortcutContext.WidgetShortcut)
        copy.activated.connect(self.copy)

    def _lay_out(self) -> None:
        self.filter.setPlaceholderText("Filter layers, nodes, types, tactics")
        self.filter.setClearButtonEnabled(True)
        self.filter.setProperty("role", "search")
        self.filter.setMinimumWidth(120)
        self.filter.setMaximumWidth(320)
        self.count.setProperty("role", "muted")
        self.all_layers.setFlat(True)
        self._chip_row.setSpacing(2)
        tools = QHBoxLayout()
        tools.setContentsMargins(8, 0, 8, 6)
        tools.setSpacing(8)
        tools.addWidget(self.filter, 1)
        tools.addLayout(self._chip_row)
        tools.addStretch()
        tools.addWidget(self.count)
        tools.addWidget(self.all_layers)
        tools.addWidget(self.export)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.header.setContentsMargins(12, 7, 12, 7)
        self.message.setContentsMargins(12, 0, 12, 7)
        column.addWidget(self.header)
        column.addWidget(self.message)
        column.addLayout(tools)
        column.addWidget(self.table, 1)
        self._page, self._empty = page, empty_state(NOTHING)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(page)

    def set_theme(self, theme: Theme) -> None:
        """Precisions have the same colours in all themes, and most of the rest is the style sheet's."""
        self.model.pointed_color = QColor(theme.hover)

    def set_hovered_layer(self, name: str) -> None:
        """Marks the rows of a layer that is pointed at on the canvas; "" for none."""
        self.model.set_pointed(name)

    def leaveEvent(self, event: QEvent) -> None:
        self.layer_hovered.emit("")
        super().leaveEvent(event)

    def set_report(
        self, report: Report | None, graph: Graph | None, profile: Profile | None, stale: bool = False
    ) -> None:
        """Shows another report; None shows what to do to get one. Selected layers stay selected by name.

        `stale`: it is of another revision of the graph than the one that is shown.
        """
        names = self.selected()
        if graph is not None and self._model is not graph.skeleton:  # which all revisions of a model share
            self._model = graph.skeleton
            self.clear_filter()
        self._report = report
        times = layer_times(report, profile) if report is not None else {}
        self._chosen = []
        self.table.clearSelection()
        self.model.set_report(report, times)
        self.table.setColumnHidden(TIME, not times)
        self._stack.setCurrentWidget(self._page if report is not None else self._empty)
        self._make_chips()
        self._apply_filter()
        if report is not None:
            self.header.set_texts(report_lines(report, bool(times), stale), "\n".join(report.warnings))
            stand_ins = ", ".join(report.stand_ins)
            self._say(f"compiled as original subgraph: {stand_ins}" if stand_ins else "", "warning")
            self.select_layers(names)

    def _say(self, text: str, role: str) -> None:
        set_role(self.message, role)
        self.message.setText(text)
        self.message.setVisible(bool(text))

    # Filter

    def _make_chips(self) -> None:
        down = {name for name, chip in self._chips.items() if chip.isChecked()}
        clear(self._chip_row)
        self._chips = {}
        counts = Counter(layer.precision for layer in self.model.layers)
        order = {name: at for at, name in enumerate(PRECISION_COLORS)}
        for name in sorted(counts, key=lambda name: (not name, order.get(name, len(order)), name)):
            chip = QToolButton()
            chip.setText(f"{name or 'no arithmetic'} {counts[name]}")
            chip.setToolTip(f"Show the layers that compute in {name}" if name else "Show the layers that don't compute")
            chip.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            chip.setIcon(swatch(precision_color(name)))
            chip.setCheckable(True)
            chip.setChecked(name in down)
            chip.toggled.connect(self._apply_filter)
            self._chip_row.addWidget(chip)
            self._chips[name] = chip

    @property
    def chips(self) -> dict[str, QToolButton]:
        """The filter's buttons by precision ("" for layers that don't compute)."""
        return self._chips

    def _apply_filter(self) -> None:
        self.model.set_filter(self.filter.text(), [name for name, chip in self._chips.items() if chip.isChecked()])
        shown, total = len(self.model.shown), len(self.model.layers)
        self.count.setText(f"{number_text(shown)} of {count_text(total, 'layer')}" if shown != total else "")
        self.all_layers.setVisible(shown != total)

    def clear_filter(self) -> None:
        """Shows all layers again."""
        self.filter.clear()
        for chip in self._chips.values():
            chip.setChecked(False)

    # Selection

    def selected(self) -> tuple[str, ...]:
        """Names of the selected layers, from the top of the table down."""
        return tuple(self.model.layers[at].name for at in self._chosen)

    def select_layers(self, names: Sequence[str]) -> None:
        """Selects layers without saying so, and brings the first into view.

        A layer that the user selected stays although `names` are others, where these are the primary layers of its
        nodes: a requantization kernel names a convolution's node, and its row must not jump to the convolution's.
        """
        if set(names) == self._primary(self._chosen) and self._chosen:
            return
        wanted = set(names)
        self._select([at for at, layer in enumerate(self.model.layers) if layer.name in wanted])
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self.table.executeDelayedItemsLayout()  # else it would scroll in the rows that were shown before
            self.table.scrollTo(min(rows, key=QModelIndex.row), QAbstractItemView.ScrollHint.EnsureVisible)

    def _primary(self, chosen: Sequence[int]) -> set[str]:
        if self._report is None:
            return set()
        refs = {ref for at in chosen for ref in self.model.layers[at].onnx_nodes}
        return {self._report.nodes[ref].layer for ref in refs if ref in self._report.nodes} - {""}

    def _select(self, chosen: list[int]) -> None:
        """Selects the layers at these places; neighbouring rows in one range, for Qt is slow with many."""
        self._chosen = chosen
        wanted = set(chosen)
        selection, last = QItemSelection(), self.model.columnCount() - 1
        first: int | None = None
        for row, at in enumerate([*self.model.shown, -1]):
            if at in wanted:
                first = row if first is None else first
            elif first is not None:
                selection.select(self.model.index(first, 0), self.model.index(row - 1, last))
                first = None
        signals = self.table.selectionModel().blockSignals(True)
        self.table.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self.table.selectionModel().blockSignals(signals)
        self.table.viewport().update()

    def _on_selection(self) -> None:
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        self._chosen = [self.model.shown[row] for row in rows]
        self.layers_selected.emit(self.selected())

    def _remember(self) -> None:
        self._kept = list(self._chosen)

    def _recall(self) -> None:
        """Sorting and filtering keep the selection, of which a filter may hide a part."""
        self._select(self._kept)

    # Copy and export

    def rows_text(self, places: Sequence[int], separator: str) -> str:
        """A header and the layers at these places, as text of separated values (quoted where they need it)."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=separator, lineterminator="\n")
        columns = [column for column in range(len(TITLES)) if not self.table.isColumnHidden(column)]
        writer.writerow([f"{TITLES[column]} (ms)" if column == TIME else TITLES[column] for column in columns])
        for at in places:
            writer.writerow([self._value(at, column) for column in columns])
        return out.getvalue()

    def _value(self, at: int, column: int) -> str:
        """Times as plain numbers, so that a spreadsheet can add them up."""
        if column == TIME:
            return f"{self.model.times[at]:.6g}" if at in self.model.times else ""
        return self.model.text(at, column)

    def copy(self) -> None:
        """The selected rows to the clipboard, tabs between the columns."""
        chosen = set(self._chosen)
        QApplication.clipboard().setText(self.rows_text([at for at in self.model.shown if at in chosen], "\t"))

    def export_csv(self, path: Path) -> None:
        """Writes the rows as they are shown, in their order. Raises OSError."""
        with atomic(path) as out:
            out.write(self.rows_text(self.model.shown, ",").encode())

    def _ask_where(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the layers", "layers.csv", "CSV (*.csv)")
        if not chosen:
            return
        try:
            self.export_csv(Path(chosen))
        except OSError as error:
            self._say(f"Can't write {chosen}: {error.strerror}", "error")
