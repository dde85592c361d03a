"""The picture from far away: boxes as coloured spots, edges as hairlines, one of each per pixel and no more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QPainter

from graftwerk.backend.graph.diagram_picture import Frame, Picture
from graftwerk.widgets.canvas.look import Colors, color, pen
from graftwerk.widgets.canvas.primitives import Pool
from graftwerk.widgets.theme import Theme

Floats = NDArray[np.float64]
#: Side of the cells of which each shows one box and one line, in pixels.
CELL = 1.3
#: Zooms per doubling that cells are computed for.
STEPS = 2
KEPT = 6


class Level:
    """What is left of a picture at one zoom."""

    def __init__(self, picture: Picture, colors: Colors, cell: float) -> None:
        self._picture, self._colors, self._cell = picture, colors, cell

    @cached_property
    def spots(self) -> list[tuple[str, Floats]]:
        return list(_spots(self._picture, self._colors, self._cell))

    @cached_property
    def hairs(self) -> Floats:
        return _hairs(self._picture, self._cell)


class FarPainter:
    """Keeps, for the latest few zooms, what is left of a picture when what falls on the same pixel is left out."""

    def __init__(self) -> None:
        self._rects, self._lines = Pool(QRectF), Pool(QLineF)
        self._picture: Picture | None = None
        self._colors: Colors | None = None
        self._levels: dict[int, Level] = {}

    def paint(self, painter: QPainter, picture: Picture, colors: Colors, theme: Theme, frame: Frame,
              zoom: float, lines: bool = True) -> None:
        """`painter` draws in scene units; `zoom` are pixels of the device per scene unit."""
        if picture is not self._picture or colors is not self._colors:
            self._picture, self._colors = picture, colors
            self._levels.clear()
        step = math.ceil(math.log2(zoom) * STEPS)
        level = self._levels.pop(step, None) or Level(picture, colors, CELL / 2 ** (step / STEPS))
        while len(self._levels) >= KEPT:
            del self._levels[next(iter(self._levels))]
        self._levels[step] = level
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
    """Lines, one per pair of cells that they lead between."""
    segments = picture.segments
    if not len(segments):
        return segments
    ends = (segments // cell).astype(np.int64) & 0xFFFFF
    apart = (ends[:, 0] != ends[:, 2]) | (np.abs(ends[:, 1] - ends[:, 3]) > 1)
    segments, ends = segments[apart], ends[apart]
    key = (ends[:, 1] * 0x9E3779B1) ^ (ends[:, 0] << 21) ^ (ends[:, 3] * 0x85EBCA77) ^ (ends[:, 2] << 42)
    _, kept = np.unique(key, return_index=True)
    left: Floats = segments[kept]
    return left


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
