"""The plot of a timeline: rows of bars over an axis of time, and what wheel, drag, click and pointer do.

Importing this imports pyqtgraph, which takes 0.3 s: only `Timeline` does, when it first has something to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QScrollBar, QToolTip, QWidget

from graftwerk.widgets.panels.plot import QuietPlot, pg
from graftwerk.widgets.panels.timeline_bars import Bars, Ints
from graftwerk.widgets.panels.timeline_item import BarsItem
from graftwerk.widgets.theme import Theme

#: Height of a row with the free space around its bar, in pixels: it grows to the greatest where there is room.
LEAST_PITCH, GREATEST_PITCH = 15.0, 36.0


class TimeAxis(pg.AxisItem):  # type: ignore[misc]
    """Milliseconds, written with the unit that fits."""

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        factor, unit = (1e3, "µs") if max(map(abs, self.range)) < 2.0 else (1.0, "ms")
        digits = max(0, -int(np.floor(np.log10(spacing * factor) + 1e-9))) if spacing > 0 else 0
        return [f"{value * factor:.{digits}f} {unit}" for value in values]


class TimelinePlot(QuietPlot):
    """The plot: the wheel zooms the time at the pointer, dragging pans it, a double click shows all of it.

    `clicked` and `hovered` carry a bar's index, -1 for none; `tips` makes a bar's tooltip.
    """

    clicked = Signal(int)
    hovered = Signal(int)

    def __init__(self, tips: Callable[[int], str], parent: QWidget | None = None) -> None:
        self._time_axis = TimeAxis("bottom")
        super().__init__(parent, self._time_axis)
        self.bars: Bars | None = None
        self._tips = tips
        self.item = BarsItem()
        self.addItem(self.item)
        self.view.setMouseEnabled(x=True, y=False)
        self.getPlotItem().setContentsMargins(4, 2, 14, 0)
        self.rows_bar = QScrollBar(Qt.Orientation.Vertical, self)
        self.rows_bar.valueChanged.connect(self._fit_rows)
        self.scene().sigMouseClicked.connect(self._on_click)
        self.scene().sigMouseMoved.connect(self._on_move)

    def set_theme(self, theme: Theme) -> None:
        super().set_theme(theme)
        self.item.theme = theme
        self._time_axis.setTextPen(theme.muted)
        self._time_axis.setTickFont(self.font())
        self._time_axis.setPen(theme.border_strong)
        self._time_axis.setStyle(tickLength=4, tickTextOffset=4, maxTickLevel=0, hideOverlappingLabels=False)
        self._time_axis.setHeight(self.fontMetrics().height() + 10)
        self.item.update()

    def set_bars(self, bars: Bars | None, color: Ints, palette: Sequence[str]) -> None:
        """Shows other bars, all of their time in view."""
        self.bars = bars
        rows = bars.rows if bars is not None else 0
        self.name_axis.set_names([f"iteration {row + 1}" for row in range(rows)], self.fontMetrics())
        self.item.set_bars(bars, color, palette)
        self.rows_bar.setValue(0)
        self._fit_rows()
        self.show_all()

    def show_all(self) -> None:
        end = self.bars.end if self.bars is not None else 1.0
        end = max(end, 1e-6)
        self.view.setLimits(xMin=0, xMax=end * 1.02, minXRange=end * 1e-5)
        self.view.setXRange(0, end * 1.02, padding=0)

    def choose(self, nodes: NDArray[np.intp]) -> None:
        """Outlines the bars of these nodes (places in the profile) in every row."""
        found = np.flatnonzero(np.isin(self.bars.node, nodes)) if self.bars is not None else ()
        self.item.chosen = np.array(found, np.int32)
        self.item.update()

    def _fit_rows(self) -> None:
        """As many rows as there is room for; the others are reached by the scroll bar."""
        rows = self.bars.rows if self.bars is not None else 1
        height = max(self.view.height(), 1.0)
        pitch = min(max(height / max(rows, 1), LEAST_PITCH), GREATEST_PITCH)
        shown = height / pitch
        hidden = max(0.0, rows - shown)
        self.rows_bar.setRange(0, int(np.ceil(hidden * 10)))
        self.rows_bar.setPageStep(int(shown * 10))
        self.rows_bar.setSingleStep(10)
        self.rows_bar.setVisible(hidden > 0)
        top = min(self.rows_bar.value() / 10, hidden)
        self.view.setYRange(top, top + shown, padding=0)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if not hasattr(self, "rows_bar"):  # pyqtgraph resizes it while it makes itself
            return
        width = self.rows_bar.sizeHint().width()
        axis = int(self._time_axis.height())
        self.rows_bar.setGeometry(self.width() - width, 0, width, max(0, self.height() - axis))
        self._fit_rows()

    def bar_at(self, scene: QPointF) -> int:
        """The bar at a place of the scene (pixels of the widget), -1 for none."""
        if self.bars is None or not self.view.sceneBoundingRect().contains(scene):
            return -1
        place = self.view.mapSceneToView(scene)
        slack = 2.0 * self.view.viewPixelSize()[0]
        found = self.bars.at(int(np.floor(place.y())), place.x(), slack)
        return -1 if found is None else found

    def _on_click(self, event: Any) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if event.double():
            self.show_all()
            return
        self.clicked.emit(self.bar_at(event.scenePos()))

    def _on_move(self, scene: QPointF) -> None:
        bar = self.bar_at(scene)
        if bar != self.item.hovered:
            self.item.hovered = bar
            self.item.update()
            self.hovered.emit(bar)
            place = self.mapToGlobal(self.mapFromScene(scene))
            QToolTip.showText(place, self._tips(bar) if bar >= 0 else "", self)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        if self.item.hovered >= 0:
            self.item.hovered = -1
            self.item.update()
            self.hovered.emit(-1)
