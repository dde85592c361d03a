"""The magnitudes that a tensor had, with a line where each method clips; the line in use can be dragged.

Importing this imports pyqtgraph, which takes 0.3 s: only a calibration that is shown does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from graftwerk.backend.quantize.histogram import Histogram
from graftwerk.widgets.panels.plot import pg
from graftwerk.widgets.theme import LIGHT, Theme

#: Bars that are drawn: more than a plot has pixels would only take time.
BARS = 256


class CalibrationPlot(QWidget):
    """`dragged` carries the range, in units of the tensor, that the line in use was dragged to."""

    dragged = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self._shown: tuple[Histogram, Mapping[str, float], float | None] | None = None
        self.clip: pg.InfiniteLine | None = None
        self.plot = pg.PlotWidget()
        item = self.plot.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        item.getViewBox().setMouseEnabled(x=True, y=False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.plot.setBackground(theme.surface)
        for side, label in (("left", "values"), ("bottom", "magnitude")):
            axis = self.plot.getPlotItem().getAxis(side)
            axis.setTextPen(theme.muted)
            axis.setPen(theme.border_strong)
            axis.setTickFont(self.font())
            axis.enableAutoSIPrefix(False)
            axis.setLabel(label, color=theme.muted)
        self._draw()

    def show_tensor(self, histogram: Histogram | None, clips: Mapping[str, float], used: float | None) -> None:
        """`clips` are the methods' ranges by their names, `used` the one that makes the scale."""
        self._shown = (histogram, clips, used) if histogram is not None else None
        self._draw()

    def _draw(self) -> None:
        item = self.plot.getPlotItem()
        item.clear()
        self.clip = None
        if self._shown is None or self._shown[0].largest == 0:
            return
        histogram, clips, used = self._shown
        edges, counts = bars(histogram)
        heights = np.where(counts > 0, np.log10(np.maximum(counts, 1)) + 0.05, 0)
        item.addItem(pg.BarGraphItem(x0=edges[:-1], x1=edges[1:], height=heights, y0=0,
                                     brush=self.theme.border_strong, pen=None))  # fmt: skip
        top = float(heights.max())
        for place, (name, clip) in enumerate(sorted(clips.items(), key=lambda each: each[1])):
            pen = pg.mkPen(self.theme.muted, width=1, style=Qt.PenStyle.DashLine)
            # Lines that are close would write over one another: each has a height of its own.
            options = {"position": 0.95 - 0.08 * (place % 6), "color": self.theme.text, "fill": self.theme.surface}
            item.addItem(pg.InfiniteLine(clip, pen=pen, label=name, labelOpts=options))
        right = max([histogram.largest, *clips.values(), used or 0.0])
        if used:
            pen = pg.mkPen(self.theme.accent, width=2)
            self.clip = pg.InfiniteLine(used, pen=pen, movable=True, bounds=(right * 1e-4, right * 1.05))
            self.clip.sigPositionChangeFinished.connect(lambda line: self.dragged.emit(float(line.value())))
            item.addItem(self.clip)
        item.getViewBox().setRange(xRange=(0, right), yRange=(0, top * 1.15), padding=0.02)
        item.getAxis("left").setTicks([[(float(power), f"1e{power}") for power in range(int(top) + 1)]])


def bars(histogram: Histogram) -> tuple[np.ndarray, np.ndarray]:
    """Edges and counts of the bars that are drawn, up to the largest magnitude > 0."""
    width = histogram.limit / histogram.counts.size
    used = int(histogram.largest / width) + 1
    each = -(-used // BARS)
    padded = np.zeros(-(-used // each) * each, np.int64)
    padded[:used] = histogram.counts[:used]
    counts = padded.reshape(-1, each).sum(1)
    return np.arange(counts.size + 1) * (width * each), counts
