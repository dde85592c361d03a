"""What the plots have in common: pyqtgraph with Qt's own fonts, the theme's colours and nothing in the way.

Importing this imports pyqtgraph, which takes 0.3 s: only panels that are shown and have something to show do.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from PySide6.QtGui import QFontMetrics, QPainter
from PySide6.QtWidgets import QWidget

from graftwerk.widgets.theme import Theme

os.environ["PYQTGRAPH_QT_LIB"] = "PySide6"
import pyqtgraph as pg

__all__ = ["NameAxis", "QuietPlot", "pg"]

_SPACE = 8


class NameAxis(pg.AxisItem):  # type: ignore[misc]
    """Names beside rows of height 1, no line and no ticks."""

    def __init__(self) -> None:
        super().__init__("left")
        self._names: tuple[str, ...] = ()

    def set_names(self, names: Sequence[str], metrics: QFontMetrics) -> None:
        """The rows' names from the top down."""
        self._names = tuple(names)
        self.setWidth(max([metrics.horizontalAdvance(name) for name in names], default=0) + 2 * _SPACE)
        self.picture = None
        self.update()

    def tickValues(self, minimum: float, maximum: float, size: float) -> list[tuple[float, list[float]]]:
        low, high = sorted((minimum, maximum))  # the view is upside down, and so is what it says
        rows = range(max(int(low), 0), min(math.ceil(high), len(self._names)))
        return [(1.0, [row + 0.5 for row in rows])]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        return [self._names[int(value)] for value in values]

    def generateDrawSpecs(self, painter: QPainter) -> Any:
        found = super().generateDrawSpecs(painter)
        return found and (found[0], [], found[2])


class QuietPlot(pg.PlotWidget):  # type: ignore[misc]
    """Rows from the top down, named by `name_axis`; no menu, no buttons, no grid."""

    def __init__(self, parent: QWidget | None = None, bottom: pg.AxisItem | None = None) -> None:
        self.name_axis = NameAxis()
        axes = {"left": self.name_axis} | ({"bottom": bottom} if bottom is not None else {})
        super().__init__(parent, axisItems=axes)
        plot = self.getPlotItem()
        plot.setMenuEnabled(False)
        plot.hideButtons()
        if bottom is None:
            plot.hideAxis("bottom")
        self.view = plot.getViewBox()
        self.view.setMouseEnabled(x=False, y=False)
        self.view.invertY(True)
        self.view.setDefaultPadding(0.0)

    def set_theme(self, theme: Theme) -> None:
        self.setBackground(theme.surface)
        self.name_axis.setTextPen(theme.muted)
        self.name_axis.setTickFont(self.font())
        self.name_axis.setPen(None)
        self.name_axis.setStyle(tickLength=0, tickTextOffset=_SPACE, autoExpandTextSpace=False)
