"""The values of a weight as an image: colours by value, read on a thread at the resolution that is looked at.

Importing this imports pyqtgraph, which takes 0.3 s: only a viewer that is shown does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QTimer
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.plane import Plane
from graftwerk.widgets.panels.background import Background
from graftwerk.widgets.panels.plot import pg
from graftwerk.widgets.theme import LIGHT, Theme

#: The most rows and columns of values that are read for one picture; fewer where each of them costs a page of the file.
MOST, MOST_OF_LARGE, LARGE = 768, 256, 1 << 24
_PAUSE = 60


class WeightImage(QWidget):
    """A heat map with a colour scale; the wheel zooms, the mouse moves, and what comes into view is read anew.

    Where not every value is read, `note` says which.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self._plane: Plane | None = None
        self._levels: tuple[float, float] | None = None
        self._window = (range(0), range(0))
        self.values: NDArray[np.float64] | None = None
        self.reader = Background(self)
        self.reader.answered.connect(self._take)
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE)
        self._timer.timeout.connect(self._read)
        self.note = QLabel()
        self.note.setProperty("role", "muted")
        self.note.setWordWrap(True)
        self.graphics = pg.GraphicsLayoutWidget()
        self.plot = self.graphics.addPlot()
        self.view = self.plot.getViewBox()
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.view.invertY(True)
        self.view.setAspectLocked(False)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.image)
        self.scale = pg.ColorBarItem(colorMap=pg.colormap.get("viridis"), interactive=False, width=14)
        self.scale.setImageItem(self.image, insert_in=self.plot)
        self.view.sigRangeChanged.connect(lambda *_: self._timer.start())
        self.plot.scene().sigMouseMoved.connect(self._hover)
        self.readout = QLabel(" ")
        self.readout.setProperty("role", "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.graphics, 1)
        column.addWidget(self.readout)
        column.addWidget(self.note)

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.graphics.setBackground(theme.surface)
        for axis in (*(self.plot.getAxis(side) for side in ("left", "bottom")), self.scale.axis):
            axis.setTextPen(theme.muted)
            axis.setPen(theme.border_strong)
            axis.setTickFont(self.font())

    def show_plane(self, plane: Plane | None) -> None:
        """Shows a plane as a whole; its colours span what was read of it then, and stay while somebody zooms."""
        self._plane, self._levels, self.values = plane, None, None
        self.image.clear()
        self.reader.cancel()
        if plane is None or not plane.rows or not plane.columns:
            self.note.setText("There is nothing to show")
            return
        self.view.setLimits(xMin=0, xMax=plane.columns, yMin=0, yMax=plane.rows, minXRange=2, minYRange=2)
        self.view.setRange(QRectF(0, 0, plane.columns, plane.rows), padding=0)
        self._read()

    def _read(self) -> None:
        plane = self._plane
        if plane is None or not plane.rows or not plane.columns:
            return
        (left, right), (top, bottom) = self.view.viewRange()
        visible = (min(bottom, plane.rows) - max(top, 0)) * (min(right, plane.columns) - max(left, 0))
        most = MOST_OF_LARGE if visible > LARGE else MOST
        rows, columns = _window(top, bottom, plane.rows, most), _window(left, right, plane.columns, most)
        if (rows, columns) == self._window and self.values is not None:
            return
        self._window = (rows, columns)
        self.reader.ask(_reading(plane, rows, columns))

    def _take(self, answer: Any) -> None:
        if isinstance(answer, Fault):
            self.note.setText(str(answer))
            return
        rows, columns = self._window
        self.values = answer
        finite = answer[np.isfinite(answer)]
        if self._levels is None:
            low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
            both = low < 0 < high
            end = max(abs(low), abs(high))
            self._levels = (-end, end) if both else (low, high if high > low else low + 1)
            self.scale.setColorMap(pg.colormap.get("CET-D1A" if both else "viridis"))
            self.scale.setLevels(self._levels)
        self.image.setImage(answer, levels=self._levels, autoLevels=False)
        width, height = len(columns) * columns.step, len(rows) * rows.step
        self.image.setRect(QRectF(columns.start, rows.start, width, height))
        self.note.setText(_note(rows, columns, answer.size - finite.size))

    def _hover(self, place: Any) -> None:
        self.readout.setText(" ")
        if self._plane is None or self.values is None or not self.plot.sceneBoundingRect().contains(place):
            return
        at = self.view.mapSceneToView(place)
        rows, columns = self._window
        down = int((at.y() - rows.start) // rows.step)
        across = int((at.x() - columns.start) // columns.step)
        if 0 <= down < len(rows) and 0 <= across < len(columns):
            index = self._plane.index(rows[down], columns[across])
            if index is not None:
                self.readout.setText(f"[{', '.join(map(str, index))}]  {self.values[down, across]:.6g}")


def _window(low: float, high: float, size: int, most: int) -> range:
    """The places to read for a visible stretch, at most so many of them."""
    start, stop = max(0, int(low)), min(size, int(np.ceil(high)))
    if stop <= start:
        start, stop = 0, size
    step = max(1, -(-(stop - start) // most))
    return range(start - start % step, stop, step)


def _reading(plane: Plane, rows: range, columns: range) -> Callable[[Callable[[], bool]], Any]:
    return lambda cancelled: plane.read(rows, columns).astype(np.float64)


def _note(rows: range, columns: range, odd: int) -> str:
    parts = []
    if rows.step == columns.step == 1:
        parts.append("Every value in view is shown.")
    else:
        steps = [f"every {_ordinal(r.step)} {word}" for r, word in ((rows, "row"), (columns, "column")) if r.step > 1]
        parts.append(f"Sampled: {' and '.join(steps)}; zoom in to see them all.")
    if odd:
        parts.append(f"{odd} shown values are NaN or infinite, and left empty.")
    return " ".join(parts)


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
