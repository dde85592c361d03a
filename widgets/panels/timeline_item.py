"""The bars of a timeline as one item of pyqtgraph's, painted from arrays. Importing this imports pyqtgraph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from graftwerk.widgets.panels.plot import pg
from graftwerk.widgets.panels.timeline_bars import Bars, Ints, Seen, look
from graftwerk.widgets.theme import LIGHT

#: Bars narrower than this many pixels are merged.
LEAST_WIDTH = 3.0
#: Least width of an outline.
_MARK = 3.0
_GAP, _RADIUS = 1.0, 2.0
#: Up to so many bars are rounded, which is slower to paint.
_FEW = 1500
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
