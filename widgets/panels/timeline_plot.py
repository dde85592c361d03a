"""The picture of a timeline: one pyqtgraph item that paints all bars, and the axes around it.

Importing this imports pyqtgraph, which takes 0.3 s: only `Timeline` does, when it is first shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QScrollBar, QToolTip, QWidget

from graftwerk.widgets.panels.plot import QuietPlot, pg
from graftwerk.widgets.panels.timeline_bars import Bars, Ints, Seen, look
from graftwerk.widgets.theme import LIGHT, Theme

#: Height of a row with the free space around its bar, in pixels: it grows to the greatest where there is room.
LEAST_PITCH, GREATEST_PITCH = 15.0, 36.0
#: Bars narrower than this many pixels are merged.
LEAST_WIDTH = 3.0
#: Least width of an outline.
_MARK = 3.0
_GAP, _RADIUS, _FEW = 1.0, 2.0, 1500
_NONE = np.empty(0, np.int32)


class BarsItem(pg.GraphicsObject):  # type: ignore[misc]
    """All bars, painted from arrays at the detail that the zoom allows."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: Bars | None = None
        self.color: Ints = _NONE
        self.palette: tuple[str, ...] = ()
        self.theme = LIGHT
        self.chosen: Ints = _NONE  # bars
        self.hovered = -1
        self._key: object = None
        self._seen: Seen | None = None

    def set_bars(self, bars: Bars | None, color: Ints, palette: Sequence[str]) -> None:
        self.prepareGeometryChange()
        self.bars, self.color, self.palette = bars, color, tuple(palette)
        self.chosen, self.hovered, self._key = _NONE, -1, None
        self.update()

    def set_colors(self, color: Ints, palette: Sequence[str]) -> None:
        self.color, self.palette, self._key = color, tuple(palette), None
        self.update()

    def boundingRect(self) -> QRectF:
        if self.bars is None:
            return QRectF()
        return QRectF(0, 0, self.bars.end, self.bars.rows)

    def paint(self, painter: QPainter, *_: object) -> None:
        bars, view = self.bars, self.getViewBox()
        if bars is None or not bars.rows or view is None:
            return
        transform = painter.worldTransform()
        painter.save()
        painter.resetTransform()
        (begin, end), (top, bottom) = view.viewRange()
        origin = transform.map(QPointF(begin, top))
        corner = transform.map(QPointF(end, bottom))
        ratio = painter.device().devicePixelRatioF()
        area = QRectF(origin, corner)
        seen = self._look(bars, begin, end, max(1, round(area.width() * ratio)), ratio)
        pitch = area.height() / max(bottom - top, 1e-9)
        painter.setClipRect(area)
        painter.translate(area.left(), area.top() - top * pitch)
        self._paint_strips(painter, seen, pitch, area.width())
        self._paint_wide(painter, bars, seen, pitch, ratio)
        self._paint_marks(painter, bars, begin, end, area.width() / max(end - begin, 1e-12), pitch)
        painter.restore()

    def _look(self, bars: Bars, begin: float, end: float, width: int, ratio: float) -> Seen:
        key = (begin, end, width)
        if self._seen is None or key != self._key:
            self._seen = look(bars, self.color, max(len(self.palette), 1), begin, end, width, LEAST_WIDTH * ratio)
            self._key = key
        return self._seen

    def _paint_strips(self, painter: QPainter, seen: Seen, pitch: float, width: float) -> None:
        """Each row's strip is one line of an image, drawn as high as the row's bars."""
        rows, pixels = seen.strips.shape
        table = np.array([*(QColor(color).rgba() for color in self.palette), 0], np.uint32)
        lines = table[seen.strips]  # -1 is the last: transparent
        image = QImage(lines.data, pixels, rows, pixels * 4, QImage.Format.Format_ARGB32)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        for row in range(rows):
            painter.drawImage(bar_rect(row, 0, width, pitch), image, QRectF(0, row, pixels, 1))

    def _paint_wide(self, painter: QPainter, bars: Bars, seen: Seen, pitch: float, ratio: float) -> None:
        """Bars of their own: on whole device pixels, a hairline apart, rounded where there are few."""
        left = np.maximum(np.round(seen.left), -10.0) / ratio
        right = np.minimum(np.round(seen.right) / ratio - _GAP, 1e5)
        rounded = len(seen.wide) <= _FEW
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, rounded)
        painter.setPen(Qt.PenStyle.NoPen)
        colors, rows = self.color[seen.wide], bars.row[seen.wide]
        for number, color in enumerate(self.palette):
            of_color = np.flatnonzero(colors == number)
            if not len(of_color):
                continue
            painter.setBrush(QColor(color))
            edges = zip(rows[of_color].tolist(), left[of_color].tolist(), right[of_color].tolist(), strict=True)
            rects = [bar_rect(row, one, other, pitch) for row, one, other in edges]
            if rounded:
                for rect in rects:
                    painter.drawRoundedRect(rect, _RADIUS, _RADIUS)
            else:
                painter.drawRects(rects)

    def _paint_marks(
        self, painter: QPainter, bars: Bars, begin: float, end: float, scale: float, pitch: float
    ) -> None:
        """Outlines chosen bars and the one pointed at. Marks on the same few pixels are one mark."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        seen = self.chosen[np.isin(self.chosen, bars.between(begin, end))]
        _, first = np.unique(
            bars.row[seen] * 1e6 + np.floor((bars.start[seen] - begin) * scale / _MARK), return_index=True
        )
        rects = [self._mark(bars, int(bar), begin, scale, pitch) for bar in seen[first]]
        # The bar may have the accent's colour itself: a line of the background keeps the two apart.
        _outline(painter, [rect.adjusted(-1, -1, 1, 1) for rect in rects], self.theme.surface, 4.0)
        _outline(painter, [rect.adjusted(-1.5, -1.5, 1.5, 1.5) for rect in rects], self.theme.edge_strong, 2.0)
        if self.hovered >= 0 and self.hovered not in self.chosen:
            rect = self._mark(bars, self.hovered, begin, scale, pitch)
            _outline(painter, [rect.adjusted(-0.5, -0.5, 0.5, 0.5)], self.theme.text, 1.0)

    def _mark(self, bars: Bars, bar: int, begin: float, scale: float, pitch: float) -> QRectF:
        one = max(round((float(bars.start[bar]) - begin) * scale), -10)
        other = min(round((float(bars.start[bar] + bars.length[bar]) - begin) * scale) - _GAP, 1e5)
        return bar_rect(int(bars.row[bar]), one, max(other, one + _MARK), pitch)


def _outline(painter: QPainter, rects: list[QRectF], color: str, width: float) -> None:
    pen = QPen(QColor(color), width)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    painter.setPen(pen)
    painter.drawRects(rects)


def bar_rect(row: int, left: float, right: float, pitch: float) -> QRectF:
    """Where a bar stands in a row, in pixels from the first row's top left."""
    space = max(2.0, round(pitch * 0.18))
    top, bottom = round(row * pitch + space), round((row + 1) * pitch - space)
    return QRectF(left, top, right - left, bottom - top)


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
        found = np.flatnonzero(np.isin(self.bars.node, nodes)) if self.bars is not None else _NONE
        self.item.chosen = found.astype(np.int32)
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
