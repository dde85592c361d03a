"""A calibration, looked into: every tensor's range and what it costs, and what each method would make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.fault import Fault
from graftwerk.backend.quantize.calibration import Calibration
from graftwerk.backend.quantize.methods import METHODS, Judgement, Method, judged
from graftwerk.widgets.panels.background import Background
from graftwerk.widgets.panels.calibration_plot import CalibrationPlot
from graftwerk.widgets.panels.parts import note
from graftwerk.widgets.theme import LIGHT, Theme

#: Tensors that a thread works out between two looks at the table: each takes up to 30 ms.
_TOGETHER = 8
_HAND = "by hand"
_WORDS: dict[Method, str] = {
    "max": "max", "percentile": "percentile", "entropy": "entropy", "mse": "mse", "moving_average": "moving average",
}  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """A tensor's range, and what it costs where the histogram is known."""

    amax: float
    cost: Judgement | None


def figures(calibration: Calibration, tensor: str, method: Method | None = None) -> Figures:
    """By a method, else as the calibration has it chosen."""
    histogram = calibration.histograms.get(tensor)
    found = calibration.amax_by(tensor, method) if method is not None else calibration.amax(tensor) or 0.0
    return Figures(found, judged(histogram, found) if histogram is not None and found else None)


class CalibrationView(QDialog):
    """Stays open beside the window. `calibration` is what was made of it by the choices.

    Signals: `selected` (tensor), and for the buttons `save`, `compare`, `use` and `place`, without a value.
    """

    selected = Signal(str)
    save = Signal()
    compare = Signal()
    use = Signal()
    place = Signal()

    def __init__(self, calibration: Calibration, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.calibration = calibration
        self._names = calibration.tensors
        self._known: dict[str, Figures] = {}
        self._clips: dict[Method, Figures] = {}
        self.reader, self.clip_reader = Background(self), Background(self)
        self.reader.answered.connect(self._take_rows)
        self.clip_reader.answered.connect(self._take_clips)
        data = f"{calibration.samples:,} samples of {calibration.data}" if calibration.samples else calibration.data
        self.about = note(" · ".join(filter(None, [f"{len(self._names):,} tensors", data, calibration.tool])))
        self.table = _table(("Tensor", "Made by", "Method", "Range", "Saturated", "SQNR dB"))
        self.table.setRowCount(len(self._names))
        self.table.setWordWrap(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideLeft)  # the end of a name tells tensors apart
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.table.setColumnWidth(0, 230)
        self.plot = CalibrationPlot()
        self.caption = note()
        self.methods = _table(("Method", "Range", "INT8 scale", "Saturated", "Mean squared error", "SQNR dB"))
        self.methods.setRowCount(len(METHODS) + 1)
        self.one, self.same, self.all = QPushButton("Use for this tensor"), QPushButton(), QPushButton("Use for all")
        self.foot = {"save": QPushButton("Save…"), "compare": QPushButton("Compare…"),
                     "use": QPushButton("Calibrate Q/DQ…"), "place": QPushButton("Quantize Model…")}  # fmt: skip
        self._lay_out()
        for at, name in enumerate(self._names):
            self.table.setItem(at, 0, _cell(name))
            self.table.setItem(at, 1, _cell(calibration.ops.get(name, "") or "input"))
        self._connect()
        self.set_theme(LIGHT)
        self.resize(1320, 700)
        self._fill()
        if self._names:
            self.table.selectRow(0)

    def _lay_out(self) -> None:
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(8, 0, 0, 0)
        column.addWidget(self.caption)
        column.addWidget(self.plot, 1)
        column.addWidget(self.methods)
        self.methods.setFixedHeight(self.methods.verticalHeader().defaultSectionSize() * (len(METHODS) + 2) + 8)
        row = QHBoxLayout()
        for button in (self.one, self.same, self.all):
            row.addWidget(button)
        row.addStretch(1)
        column.addLayout(row)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.table)
        split.addWidget(right)
        split.setSizes([670, 620])
        split.setChildrenCollapsible(False)
        foot = QHBoxLayout()
        foot.addWidget(self.foot["save"])
        foot.addWidget(self.foot["compare"])
        foot.addStretch(1)
        foot.addWidget(self.foot["use"])
        foot.addWidget(self.foot["place"])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(18, 16, 18, 16)
        outer.addWidget(self.about)
        outer.addWidget(split, 1)
        outer.addLayout(foot)
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)

    def _connect(self) -> None:
        self.table.itemSelectionChanged.connect(self._on_tensor)
        self.methods.itemSelectionChanged.connect(self._on_method)
        self.plot.dragged.connect(self._by_hand)
        self.one.clicked.connect(lambda: self._choose(tensor=self.tensor))
        self.same.clicked.connect(lambda: self._choose(op=self.calibration.ops.get(self.tensor, "")))
        self.all.clicked.connect(lambda: self._choose())
        for key, signal in (("save", self.save), ("compare", self.compare), ("use", self.use), ("place", self.place)):
            self.foot[key].clicked.connect(lambda _=False, one=signal: one.emit())

    def set_theme(self, theme: Theme) -> None:
        self.plot.set_theme(theme)

    # The tensors

    @property
    def tensor(self) -> str:
        """The chosen tensor, "" with none."""
        rows = self.table.selectionModel().selectedRows()
        return self._names[rows[0].row()] if rows else ""

    @property
    def settled(self) -> bool:
        """Whether all figures are worked out."""
        return not (self.reader.busy or self.clip_reader.busy)

    def select_tensor(self, name: str) -> None:
        """Chooses a tensor where the calibration has it."""
        if name in self._names:
            self.table.selectRow(self._names.index(name))
            self.table.scrollTo(self.table.currentIndex())

    def _fill(self) -> None:
        """Works out the figures that are missing, a few at a time."""
        missing = [name for name in self._names if name not in self._known][:_TOGETHER]
        calibration = self.calibration
        if missing:
            self.reader.ask(lambda cancelled: _worked_out(calibration, missing, cancelled))

    def _take_rows(self, answer: Any) -> None:
        if isinstance(answer, Fault):
            self.caption.setText(str(answer))
            return
        for name, found in answer.items():
            self._known[name] = found
            self._show_row(name, found)
        self._fill()

    def _show_row(self, name: str, found: Figures) -> None:
        row = self._names.index(name)
        method = _HAND if name in self.calibration.given else _WORDS[self.calibration.method_of(name)]
        cost = found.cost
        cells = (method, f"{found.amax:.5g}" if found.amax else "zero throughout",
                 f"{cost.saturated:.3%}" if cost else "", f"{cost.sqnr:.1f}" if cost else "")  # fmt: skip
        for column, text in enumerate(cells, 2):
            self.table.setItem(row, column, _cell(text))

    # One tensor

    def _on_tensor(self) -> None:
        name = self.tensor
        self._clips = {}
        if not name:
            return
        op = self.calibration.ops.get(name, "")
        self.same.setText(f"Use for all of {op}" if op else "Use for all inputs")
        self.same.setEnabled(bool(op))
        self.selected.emit(name)
        self._show_tensor()
        if name in self.calibration.histograms:
            calibration = self.calibration
            self.clip_reader.ask(lambda cancelled: {method: figures(calibration, name, method) for method in METHODS})

    def _take_clips(self, answer: Any) -> None:
        if not isinstance(answer, Fault):
            self._clips = answer
            self._show_tensor()

    def _show_tensor(self) -> None:
        name, calibration = self.tensor, self.calibration
        histogram = calibration.histograms.get(name)
        used = calibration.amax(name) if self._clips or histogram is None else None
        self.plot.show_tensor(histogram, {_WORDS[each]: found.amax for each, found in self._clips.items()}, used)
        if histogram is None:
            self.caption.setText(f"{name}: a range without a histogram, as TensorRT's cache has it")
        elif not histogram.largest:
            self.caption.setText(f"{name}: zero throughout, so no scale can be made")
        else:
            sign = "both signs" if histogram.negative else "none below zero"
            self.caption.setText(f"{name}: {histogram.total:,} values up to {histogram.largest:.5g}, {sign}")
        given = calibration.given.get(name)
        rows: list[tuple[str, Figures | None]] = [(_WORDS[each], self._clips.get(each)) for each in METHODS]
        rows.append((_HAND, figures(calibration, name) if given is not None else None))
        chosen = len(METHODS) if given is not None else METHODS.index(calibration.method_of(name))
        self.methods.blockSignals(True)
        for at, (word, found) in enumerate(rows):
            _show_method(self.methods, at, ("● " if at == chosen else "") + word, found)
        self.methods.blockSignals(False)
        self._on_method()

    @property
    def method(self) -> Method | None:
        """The method whose row is chosen."""
        rows = self.methods.selectionModel().selectedRows()
        return METHODS[rows[0].row()] if rows and rows[0].row() < len(METHODS) else None

    def _on_method(self) -> None:
        usable = self.method is not None and self.tensor in self.calibration.histograms
        why = "" if usable else "Choose a method in the table first; drag the line in the plot for a range by hand"
        for button in (self.one, self.same, self.all):
            button.setEnabled(usable and (button is not self.same or bool(self.calibration.ops.get(self.tensor))))
            button.setToolTip(why)

    def _choose(self, tensor: str = "", op: str = "") -> None:
        if self.method is not None:
            self._set(self.calibration.with_method(self.method, tensor, op))

    def _by_hand(self, largest: float) -> None:
        self._set(self.calibration.with_given(self.tensor, largest))

    def _set(self, changed: Calibration) -> None:
        before, self.calibration = self.calibration, changed
        for name in self._names:
            if _chosen(before, name) != _chosen(changed, name):
                self._known.pop(name, None)
        self._show_tensor()
        self._fill()


def _chosen(calibration: Calibration, tensor: str) -> object:
    return calibration.given.get(tensor) or calibration.method_of(tensor)


def _worked_out(calibration: Calibration, names: list[str], cancelled: Callable[[], bool]) -> Mapping[str, Figures]:
    return {name: figures(calibration, name) for name in names if not cancelled()}


def _show_method(table: QTableWidget, row: int, word: str, found: Figures | None) -> None:
    table.setItem(row, 0, _cell(word))
    cost = found.cost if found else None
    cells = (
        f"{found.amax:.5g}" if found else "", f"{found.amax / 127:.4g}" if found else "",
        f"{cost.saturated:.3%}" if cost else "", f"{cost.error:.3g}" if cost else "",
        f"{cost.sqnr:.1f}" if cost else "",
    )  # fmt: skip
    for column, text in enumerate(cells, 1):
        table.setItem(row, column, _cell(text))


def _cell(text: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setToolTip(text)
    return item


def _table(headers: tuple[str, ...]) -> QTableWidget:
    table = QTableWidget(0, len(headers))
    table.setHorizontalHeaderLabels(list(headers))
    table.verticalHeader().hide()
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setAlternatingRowColors(True)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return table
