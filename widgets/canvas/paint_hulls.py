"""Hulls behind the boxes, their titles on top of them."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter

from graftwerk.backend.graph.diagram_picture import Frame
from graftwerk.widgets.canvas.hulls import ABOVE, BELOW, SIDE, Hulls
from graftwerk.widgets.canvas.look import Look, color, pen
from graftwerk.widgets.canvas.primitives import Pool

#: How much of its colour a hull shows inside, pointed at and not.
LIFTED, REST = 0.26, 0.16
#: An outline takes a quarter of a millisecond to find, so not all of thousands are when they come into view at once.
MOST_OUTLINES = 80


class HullPainter:
    def __init__(self) -> None:
        self._rects = Pool(QRectF)

    def paint(self, painter: QPainter, hulls: Hulls, look: Look, frame: Frame) -> None:
        for number in hulls.visible(frame):
            outline = hulls.outline(number)
            hovered = outline.hull.name == look.marks.hovered_hull
            painter.setPen(pen(outline.hull.color, 2.6 if hovered else 1.5))
            painter.setBrush(color(look.theme.tint(outline.hull.color, LIFTED if hovered else REST)))
            painter.drawPath(outline.path)

    def paint_titles(self, painter: QPainter, hulls: Hulls, look: Look, frame: Frame) -> None:
        badge = look.letters.badge
        painter.setFont(badge.font)
        for number in hulls.visible(frame):
            outline = hulls.outline(number)
            hovered = outline.hull.name == look.marks.hovered_hull
            inside = look.theme.tint(outline.hull.color, LIFTED if hovered else REST)
            ink = look.theme.ink(outline.hull.color)
            for rect, tight in zip(outline.titles, outline.tight, strict=True):
                if tight:
                    continue
                text = badge.elided(outline.hull.title, rect.width() - 16)
                width = badge.width(text)
                x = rect.right() - 8 - width
                painter.fillRect(QRectF(x - 3, rect.top() + 6, width + 6, ABOVE - 11), color(inside))
                painter.setPen(color(ink))
                painter.drawText(QPointF(x, rect.top() + (ABOVE + badge.ascent) / 2), text)

    def paint_tags(self, painter: QPainter, hulls: Hulls, look: Look, frame: Frame) -> None:
        """The titles of hulls that have no room for them above their boxes: beside the hull, over what is there."""
        badge = look.letters.badge
        painter.setFont(badge.font)
        for number in hulls.visible(frame):
            outline = hulls.outline(number)
            for rect, tight in zip(outline.titles, outline.tight, strict=True):
                if tight:
                    text = outline.hull.title
                    tag = QRectF(rect.right() + 4, rect.top(), badge.width(text) + 10, badge.height + 4)
                    painter.setPen(pen(outline.hull.color, 1.0))
                    painter.setBrush(color(look.theme.tint(outline.hull.color, REST)))
                    painter.drawRoundedRect(tag, 4, 4)
                    painter.setPen(color(look.theme.ink(outline.hull.color)))
                    painter.drawText(QPointF(tag.left() + 5, tag.center().y() + badge.ascent / 2), text)

    def paint_middle(self, painter: QPainter, hulls: Hulls, look: Look, frame: Frame) -> None:
        """Where there are many: a tint around each box instead of the outlines."""
        if len(hulls.visible(frame)) <= MOST_OUTLINES:
            self.paint(painter, hulls, look, frame)
            return
        picture = hulls.picture
        by_color: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]] = {}
        for number in hulls.visible(frame):
            by_color.setdefault(hulls.hulls[number].color, []).append(hulls.members(number))
        painter.setPen(Qt.PenStyle.NoPen)
        for name, groups in by_color.items():
            boxes = np.concatenate(groups)
            rects = picture.rects(boxes) + np.array((-SIDE, -ABOVE, 2 * SIDE, ABOVE + BELOW))
            painter.setBrush(color(look.theme.tint(name, 0.22)))
            painter.drawRects(self._rects.shapes(rects))
