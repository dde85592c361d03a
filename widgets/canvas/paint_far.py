"""The picture from far away: boxes as coloured spots, edges as hairlines, one of each per pixel and no more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter

from graftwerk.backend.graph.diagram_picture import Frame, Picture
from graftwerk.widgets.canvas.look import Colors, color, pen
from graftwerk.widgets.canvas.primitives import Pool
from graftwerk.widgets.theme import Theme

Floats = NDArray[np.float64]
#: Side of the cells of which each shows one box and one line, in pixels.
CELL = 1.3
#: Upright lines with less than this between them are one, in cells.
GAP = 3.0
#: Zooms per doubling that cells are computed for.
STEPS = 2
KEPT = 6
#: More shapes than this take longer to draw than an image; a long line takes as long as this many rectangles.
HEAVY, LINE_WEIGHT = 12_000, 6
#: An image is enlarged to this, or reduced to one part of it, while the view zooms.
STRETCH = 4.0


class Level:
    """What is left of a picture at one zoom."""

    def __init__(self, picture: Picture, colors: Colors, cell: float) -> None:
        self._picture, self._colors, self._cell = picture, colors, cell

    @property
    def bounds(self) -> Frame:
        return self._picture.bounds

    @cached_property
    def spots(self) -> list[tuple[str, Floats]]:
        return list(_spots(self._picture, self._colors, self._cell))

    @cached_property
    def hairs(self) -> Floats:
        return _hairs(self._picture, self._cell)


    @cached_property
    def weight(self) -> int:
        """About how many shapes there are to draw."""
        return sum(len(rects) for _, rects in self.spots) + LINE_WEIGHT * len(self.hairs)


class Sheet:
    """A part of the scene drawn at one zoom, larger than the view."""

    def __init__(self, level: Level, theme: Theme, frame: Frame, zoom: float) -> None:
        self._level, self._theme, self.frame, self._zoom = level, theme, frame, zoom
        size = QSize(max(math.ceil(frame.width * zoom), 1), max(math.ceil(frame.height * zoom), 1))
        self.image = QImage(size, QImage.Format.Format_ARGB32_Premultiplied)
        self.image.fill(Qt.GlobalColor.transparent)

    def serves(self, level: Level, theme: Theme, frame: Frame, zoom: float) -> bool:
        """Whether it shows all that there is in a frame."""
        return level is self._level and theme is self._theme and zoom == self._zoom and self._holds(frame)

    def stretches(self, theme: Theme, frame: Frame, zoom: float) -> bool:
        """Whether it shows all that there is in a frame, if only larger or smaller than it was drawn."""
        return theme is self._theme and 1 / STRETCH <= zoom / self._zoom <= STRETCH and self._holds(frame)

    def paint_stretched(self, painter: QPainter) -> None:
        """`painter` draws in scene units."""
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = self.image.deviceIndependentSize() * self.image.devicePixelRatio() / self._zoom
        painter.drawImage(QRectF(QPointF(self.frame.left, self.frame.top), size), self.image)

    def _holds(self, frame: Frame) -> bool:
        needed = frame.within(self._level.bounds)
        have = self.frame
        return (have.left <= needed.left and have.top <= needed.top and needed.right <= have.right
                and needed.bottom <= have.bottom)


class FarPainter:
    """Keeps, for the latest few zooms, what is left of a picture when what falls on the same pixel is left out."""

    def __init__(self) -> None:
        self._rects, self._lines = Pool(QRectF), Pool(QLineF)
        self._picture: Picture | None = None
        self._colors: Colors | None = None
        self._levels: dict[int, Level] = {}
        self._sheet: Sheet | None = None

    def paint(self, painter: QPainter, picture: Picture, colors: Colors, theme: Theme, frame: Frame,
              zoom: float, lines: bool = True, sheets: bool = False, moving: bool = False) -> None:
        """`painter` draws in scene units; `zoom` are pixels of the device per scene unit.

        With `sheets`, where much is to be drawn, it is drawn into an image that serves while the view pans, and,
        stretched, while it zooms: then it is `moving`.
        """
        if picture is not self._picture or colors is not self._colors:
            self._picture, self._colors = picture, colors
            self._levels.clear()
            self._sheet = None
        if moving and self._sheet is not None and self._sheet.stretches(theme, frame, zoom):
            self._sheet.paint_stretched(painter)
            return
        step = math.ceil(math.log2(zoom) * STEPS)
        level = self._levels.pop(step, None) or Level(picture, colors, CELL / 2 ** (step / STEPS))
        while len(self._levels) >= KEPT:
            del self._levels[next(iter(self._levels))]
        self._levels[step] = level
        if sheets and level.weight > HEAVY:
            self._paint_sheet(painter, level, theme, frame, zoom)
        else:
            self._draw(painter, level, theme, frame, lines)

    def _paint_sheet(self, painter: QPainter, level: Level, theme: Theme, frame: Frame, zoom: float) -> None:
        sheet = self._sheet
        if sheet is None or not sheet.serves(level, theme, frame, zoom):
            assert self._picture is not None
            around = frame.grown(0.25 * max(frame.width, frame.height)).within(self._picture.bounds.grown(4 / zoom))
            sheet = self._sheet = Sheet(level, theme, around, zoom)
            inner = QPainter(sheet.image)
            try:
                inner.setRenderHint(QPainter.RenderHint.Antialiasing)
                inner.scale(zoom, zoom)
                inner.translate(-around.left, -around.top)
                self._draw(inner, level, theme, around, lines=True)
            finally:
                inner.end()
        ratio = painter.device().devicePixelRatioF()
        corner = painter.worldTransform().map(QPointF(sheet.frame.left, sheet.frame.top))
        painter.save()
        painter.resetTransform()
        sheet.image.setDevicePixelRatio(ratio)
        painter.drawImage(QPointF(round(corner.x() * ratio) / ratio, round(corner.y() * ratio) / ratio), sheet.image)
        painter.restore()

    def _draw(self, painter: QPainter, level: Level, theme: Theme, frame: Frame, lines: bool) -> None:
        if lines:
            painter.setPen(pen(theme.edge, 0.0))
            painter.drawLines(self._lines.shapes(_visible_lines(level.hairs, frame)))
        painter.setPen(Qt.PenStyle.NoPen)
        for name, rects in level.spots:
            painter.setBrush(color(name))
            painter.drawRects(self._rects.shapes(_visible_rects(rects, frame)))


def _spots(picture: Picture, colors: Colors, cell: float) -> Iterator[tuple[str, Floats]]:
    """Rectangles by colour, one per cell; at least two thirds of a cell wide and high."""
    if not len(picture.left):
        return
    column = ((picture.left + picture.right) / 2 // cell).astype(np.int64)
    row = ((picture.top + picture.bottom) / 2 // cell).astype(np.int64)
    _, kept = np.unique((row << 24) ^ (column & 0xFFFFFF), return_index=True)
    for name, boxes in colors.groups(kept):
        rects = picture.rects(boxes)
        rects[:, 2:] = np.maximum(rects[:, 2:], cell * 0.67)
        yield name, rects


def _hairs(picture: Picture, cell: float) -> Floats:
    """Lines, one per pair of cells that they lead between; upright ones in a row are one line."""
    segments = picture.segments
    if not len(segments):
        return segments
    columns = np.floor(segments[:, (0, 2)] / cell).astype(np.int64)
    upright = columns[:, 0] == columns[:, 1]
    return np.concatenate((_joined(segments[upright], columns[upright, 0], cell), _thinned(segments[~upright], cell)))


def _joined(segments: Floats, column: NDArray[np.int64], cell: float) -> Floats:
    """Upright lines with those that follow in the same column of cells; what is shorter than a cell then is left out.

    Gaps of a few cells are boxes that stand on the line, or can't be told from it.
    """
    if not len(segments):
        return segments
    top, bottom = np.minimum(segments[:, 1], segments[:, 3]), np.maximum(segments[:, 1], segments[:, 3])
    order = np.lexsort((top, column))
    top, bottom, column = top[order], bottom[order], column[order]
    # columns one below the other, so that one running maximum serves all of them
    shift = (column - column[0]) * (float(bottom.max() - top.min()) + 4 * GAP * cell)
    reach = np.maximum.accumulate(bottom + shift)
    first = np.flatnonzero(np.concatenate(([True], top[1:] + shift[1:] > reach[:-1] + GAP * cell)))
    last = np.append(first[1:], len(top)) - 1
    x = segments[order[first], 0]
    lines = np.column_stack((x, top[first], x, reach[last] - shift[last]))
    kept: Floats = lines[lines[:, 3] - lines[:, 1] > cell]
    return kept


def _thinned(segments: Floats, cell: float) -> Floats:
    ends = np.floor(segments / cell).astype(np.int64) & 0xFFFFF
    key = (ends[:, 1] * 0x9E3779B1) ^ (ends[:, 0] << 21) ^ (ends[:, 3] * 0x85EBCA77) ^ (ends[:, 2] << 42)
    _, first = np.unique(key, return_index=True)
    kept: Floats = segments[first]
    return kept


def _visible_rects(rects: Floats, frame: Frame) -> Floats:
    x, y, width, height = rects.T
    inside = (x <= frame.right) & (x + width >= frame.left) & (y <= frame.bottom) & (y + height >= frame.top)
    found: Floats = rects[inside]
    return found


def _visible_lines(lines: Floats, frame: Frame) -> Floats:
    x0, y0, x1, y1 = lines.T
    inside = (np.minimum(y0, y1) <= frame.bottom) & (np.maximum(y0, y1) >= frame.top)
    inside &= (np.minimum(x0, x1) <= frame.right) & (np.maximum(x0, x1) >= frame.left)
    found: Floats = lines[inside]
    return found
