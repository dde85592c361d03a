"""Horizontal stacked bars in pyqtgraph: a row for each name, segments that can be pointed at and clicked.

Importing this imports pyqtgraph, which takes 0.3 s: only panels that are shown do.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import QToolTip, QWidget

from graftwerk.widgets.panels.plot import QuietPlot, pg
from graftwerk.widgets.theme import LIGHT, Theme

#: Height of a row in pixels at most; a bar takes this share of it.
GREATEST_PITCH, BAR_SHARE = 30.0, 0.62
_GAP = 1.0


@dataclass(frozen=True)
class Segment:
    """`text` stands on it where there is room; `key` is what a click says."""

    value: float
    color: str
    text: str = ""
    tip: str = ""
    key: Hashable = None


@dataclass(frozen=True)
class Row:
    """`text` stands behind the bar."""

    name: str
    segments: tuple[Segment, ...]
    text: str = ""

    @property
    def total(self) -> float:
        return sum(segment.value for segment in self.segments)


class StackedBars(QuietPlot):
    """Rows of segments on one scale. `clicked` carries the key of a segment."""

    clicked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._rows: tuple[Row, ...] = ()
        self._items: list[Any] = []
        self._theme = LIGHT
        self._pointed: Segment | None = None
        super().__init__(parent)
        self.setMinimumHeight(40)
        self.getPlotItem().setContentsMargins(0, 0, 8, 4)
        self.scene().sigMouseClicked.connect(self._on_click)
        self.scene().sigMouseMoved.connect(self._on_move)

    def set_theme(self, theme: Theme) -> None:
        super().set_theme(theme)
        self._theme = theme
        self._paint()

    def set_rows(self, rows: Sequence[Row]) -> None:
        self._rows = tuple(rows)
        self._paint()

    @property
    def rows(self) -> tuple[Row, ...]:
        return self._rows

    def segments(self) -> list[tuple[Segment, int, float]]:
        """Each with its row and the value at its left end."""
        found = []
        for at, row in enumerate(self._rows):
            left = 0.0
            for segment in row.segments:
                found.append((segment, at, left))
                left += segment.value
        return found

    def place_of(self, key: Hashable) -> QPointF:
        """The middle of a segment, in pixels of the widget. Raises KeyError where there is none."""
        for segment, row, left in self.segments():
            if segment.key == key:
                scene = self.view.mapViewToScene(QPointF(left + segment.value / 2, row + 0.5))
                return QPointF(self.mapFromScene(scene))
        raise KeyError(key)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if hasattr(self, "view"):  # pyqtgraph resizes it while it makes itself
            self._paint()

    def _paint(self) -> None:
        for item in self._items:
            self.removeItem(item)
        self._items = []
        metrics = self.fontMetrics()
        self.name_axis.set_names([row.name for row in self._rows], metrics)
        most = max((row.total for row in self._rows), default=0.0)
        if not most:
            return
        self.getPlotItem().layout.activate()
        width, height = max(self.view.width(), 1.0), max(self.view.height(), 1.0)
        # Room for the longest bar's text behind it.
        behind = max(metrics.horizontalAdvance(row.text) for row in self._rows) + 16
        scale = max(width - behind, 20.0) / most
        pitch = min(height / len(self._rows), GREATEST_PITCH)
        self.view.setRange(xRange=(0, width / scale), yRange=(0, height / pitch), padding=0)
        self._bars(_GAP / scale)
        for segment, at, left in self.segments():
            if segment.text and metrics.horizontalAdvance(segment.text) + 8 < segment.value * scale and pitch > 17:
                color = self._theme.text_on(segment.color)
                self._text(segment.text, left + segment.value / 2, at + 0.5, color, 0.5)
        for at, row in enumerate(self._rows):
            self._text(row.text, row.total + 4 / scale, at + 0.5, self._theme.muted, 0.0)

    def _bars(self, gap: float) -> None:
        """One item for each colour."""
        places = self.segments()
        for color in dict.fromkeys(segment.color for segment, _, _ in places):
            own = [place for place in places if place[0].color == color and place[0].value]
            if own:
                left = np.array([start for _, _, start in own])
                size = np.array([segment.value for segment, _, _ in own])
                row = np.array([at for _, at, _ in own], float)
                bars = pg.BarGraphItem(
                    x0=left, width=np.maximum(size - gap, gap), y0=row + (1 - BAR_SHARE) / 2, height=BAR_SHARE,
                    pen=None, brush=QColor(color),
                )  # fmt: skip
                self.addItem(bars)
                self._items.append(bars)

    def _text(self, text: str, x: float, y: float, color: str, anchor: float) -> None:
        item = pg.TextItem(text, color=color, anchor=(anchor, 0.5))
        item.setFont(self.font())
        item.setPos(x, y)
        self.addItem(item, ignoreBounds=True)
        self._items.append(item)

    def _at(self, scene: QPointF) -> Segment | None:
        if not self.view.sceneBoundingRect().contains(scene):
            return None
        place = self.view.mapSceneToView(scene)
        return next((segment for segment, at, left in self.segments()
                     if at == int(np.floor(place.y())) and left <= place.x() < left + segment.value), None)  # fmt: skip

    def _on_click(self, event: Any) -> None:
        segment = self._at(event.scenePos())
        if segment is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(segment.key)

    def _on_move(self, scene: QPointF) -> None:
        segment = self._at(scene)
        if segment is not self._pointed:
            self._pointed = segment
            self.setCursor(Qt.CursorShape.PointingHandCursor if segment else Qt.CursorShape.ArrowCursor)
            place = self.mapToGlobal(self.mapFromScene(scene))
            QToolTip.showText(place, segment.tip if segment else "", self)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._pointed = None
