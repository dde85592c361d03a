"""The distribution of a weight's values, with linear or logarithmic counts; read on a thread, in pieces.

Importing this imports pyqtgraph, which takes 0.3 s: only a viewer that is shown does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.statistics import Statistics, statistics
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.widgets.panels.background import Background
from graftwerk.widgets.panels.plot import pg
from graftwerk.widgets.panels.readout import number_text
from graftwerk.widgets.theme import LIGHT, Theme

#: Weights of more elements are sampled at first, with about so many elements.
LARGE, SAMPLE = 1 << 26, 1 << 22


class WeightHistogram(QWidget):
    """Bars of counts. `found` carries the Statistics that they were made from, or the Fault that kept them."""

    found = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self._weight: Initializer | None = None
        self.statistics: Statistics | None = None
        self.reader = Background(self)
        self.reader.answered.connect(self._take)
        self.plot = pg.PlotWidget()
        item = self.plot.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        item.getViewBox().setMouseEnabled(x=True, y=False)
        self.log = QCheckBox("Logarithmic counts")
        self.log.toggled.connect(self._draw)
        self.note = QLabel()
        self.note.setProperty("role", "muted")
        self.whole = QPushButton("Read all values")
        self.whole.clicked.connect(self._read_all)
        self.whole.hide()
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 0, 0, 0)
        foot.addWidget(self.log)
        foot.addWidget(self.note, 1)
        foot.addWidget(self.whole)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot, 1)
        column.addLayout(foot)

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.plot.setBackground(theme.surface)
        for side in ("left", "bottom"):
            axis = self.plot.getPlotItem().getAxis(side)
            axis.setTextPen(theme.muted)
            axis.setPen(theme.border_strong)
            axis.setTickFont(self.font())
            axis.enableAutoSIPrefix(False)
            axis.setLabel("value" if side == "bottom" else "elements", color=theme.muted)
        self._draw()

    def show_weight(self, weight: Initializer | None) -> None:
        """Reads a weight, or a sample of a large one."""
        self._weight, self.statistics = weight, None
        self.whole.hide()
        self._draw()
        if weight is None:
            self.reader.cancel()
            self.note.setText("")
            return
        self._ask(weight, SAMPLE if weight.size > LARGE else 0)

    def _read_all(self) -> None:
        if self._weight is not None:
            self.whole.hide()
            self._ask(self._weight, 0)

    def _ask(self, weight: Initializer, sample: int) -> None:
        self.note.setText("Reading …")
        self.reader.ask(lambda cancelled: statistics(weight, cancelled, sample))

    def _take(self, answer: Any) -> None:
        if isinstance(answer, Fault):
            self.note.setText(str(answer))
        elif isinstance(answer, Statistics):
            self.statistics = answer
            self.note.setText(read_text(answer))
            self.whole.setVisible(answer.count < answer.total)
        self._draw()
        self.found.emit(answer)

    def _draw(self) -> None:
        item = self.plot.getPlotItem()
        item.clear()
        found = self.statistics
        if found is None or not found.histogram:
            return
        counts = np.array(found.histogram, np.float64)
        logarithmic = self.log.isChecked()
        heights = np.where(counts > 0, np.log10(np.maximum(counts, 1)) + 0.05, 0) if logarithmic else counts
        edges = np.linspace(found.low, found.high, counts.size + 1)
        bars = pg.BarGraphItem(x0=edges[:-1], x1=edges[1:], height=heights, y0=0,
                               brush=self.theme.accent, pen=pg.mkPen(self.theme.surface, width=1))  # fmt: skip
        item.addItem(bars)
        top = float(heights.max()) or 1.0
        item.getViewBox().setRange(xRange=(found.low, found.high), yRange=(0, top * 1.05), padding=0.02)
        axis = item.getAxis("left")
        if logarithmic:
            axis.setTicks([[(float(power), f"1e{power}") for power in range(int(top) + 1)]])
        else:
            axis.setTicks(None)


def read_text(found: Statistics) -> str:
    """Whether all values were read."""
    if found.count < found.total:
        return f"Sampled: {number_text(found.count)} of {number_text(found.total)} values were read."
    return f"All {number_text(found.count)} values were read."
