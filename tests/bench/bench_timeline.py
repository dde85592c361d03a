"""Timeline: one full redraw of 100,000 bars, against pyqtgraph's BarGraphItem with the same bars in the same plot.

A BarGraphItem whose bars have colours of their own replays a picture; one of a single colour draws its rectangles in
one call, without gaps and with what is narrower than a pixel hit or missed. The second is shown for comparison.
"""

from __future__ import annotations

import os
from time import perf_counter

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from graftwerk.backend.engines.report import NodeTime, Profile
from graftwerk.widgets.panels.plot import QuietPlot, pg
from graftwerk.widgets.panels.timeline_bars import Bars, Ints
from graftwerk.widgets.panels.timeline_plot import TimelinePlot
from graftwerk.widgets.theme import LIGHT
from tests.bench.rows import Row

_NODES, _ITERATIONS, _FRAMES = 5000, 20, 9
_COLORS = tuple(LIGHT.family(name) for name in ("compute", "activation", "elementwise", "reduction", "shape"))
_SIZE = 1100, 240


def profile() -> Profile:
    random = np.random.default_rng(0)
    times = random.exponential(0.02, (_NODES, _ITERATIONS))
    starts = np.cumsum(times, axis=0) - times
    nodes = tuple(
        NodeTime(f"node {at}", "Conv", tuple(times[at].tolist()), tuple(starts[at].tolist())) for at in range(_NODES)
    )
    return Profile("onnxruntime", "", "CPU", _ITERATIONS, nodes, ())


def redraw(plot: QuietPlot, bars: Bars, share: float) -> float:
    """Seconds of a median frame with `share` of the time in view, moved a little for each frame."""
    plot.set_theme(LIGHT)
    plot.resize(*_SIZE)
    plot.show()
    QApplication.processEvents()
    span, times = bars.end * share, []
    for frame in range(_FRAMES):
        begin = frame * span * 1e-3
        # All rows: where they don't fit, ours would show a part of them beside a scroll bar.
        plot.view.setRange(xRange=(begin, begin + span), yRange=(0, bars.rows), padding=0)
        start = perf_counter()
        plot.grab()
        times.append(perf_counter() - start)
    plot.hide()
    return sorted(times)[_FRAMES // 2]


def timeline(bars: Bars) -> QuietPlot:
    plot = TimelinePlot(lambda bar: "")
    plot.set_bars(bars, color_of(bars), _COLORS)
    return plot


def one_item(bars: Bars) -> QuietPlot:
    """A colour for each bar."""
    brushes = [QColor(color) for color in _COLORS]
    plot = QuietPlot()
    plot.addItem(pg.BarGraphItem(x0=bars.start, width=bars.length, y0=bars.row + 0.18, height=0.64, pen=None,
                                 brushes=[brushes[number] for number in color_of(bars).tolist()]))
    return plot


def items(bars: Bars) -> QuietPlot:
    """An item for each colour."""
    plot = QuietPlot()
    for number, color in enumerate(_COLORS):
        own = color_of(bars) == number
        plot.addItem(pg.BarGraphItem(x0=bars.start[own], width=bars.length[own], y0=bars.row[own] + 0.18, height=0.64,
                                     pen=None, brush=QColor(color)))
    return plot


def color_of(bars: Bars) -> Ints:
    return (bars.node % len(_COLORS)).astype(np.int32)


def main() -> list[Row]:
    app = QApplication.instance() or QApplication([])
    bars = Bars.of(profile())
    rows = []
    for name, share in ((f"redraw of {len(bars.row)} bars", 1.0), ("a hundredth of them in view", 0.01)):
        ours, peer, others = (redraw(make(bars), bars, share) * 1e3 for make in (timeline, one_item, items))
        rows.append(Row(f"{name} (peer: BarGraphItem)", ours, "ms", peer, 0.1))
        rows.append(Row(f"{name} (peer: a BarGraphItem for each colour)", ours, "ms", others))
    del app
    return rows
