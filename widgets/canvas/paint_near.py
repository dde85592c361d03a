"""Boxes as they are read: op type, name, weights; and from the middle distance, where only op types still fit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen

from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.graph.diagram_picture import Picture
from graftwerk.widgets.canvas.captions import Captions
from graftwerk.widgets.canvas.lettering import Lettering
from graftwerk.widgets.canvas.look import Colors, Look, color, pen
from graftwerk.widgets.canvas.primitives import Pool
from graftwerk.widgets.color import mix

RADIUS, STRIPE, PADDING = 5.0, 5.0, 14.0
CHIP_HEIGHT, CHIP_GAP = 17.0, 6.0
Boxes = NDArray[np.int64]


def rect_of(picture: Picture, box: int) -> QRectF:
    diagram = picture.diagram
    return QRectF(float(picture.left[box]), float(picture.top[box]), float(diagram.width[box]),
                  float(diagram.height[box]))


class NearPainter:
    """Paints boxes one by one; there are a few hundred at most in view where texts can be read."""

    def __init__(self) -> None:
        self._rects = Pool(QRectF)

    def paint(self, painter: QPainter, picture: Picture, captions: Captions, colors: Colors, look: Look,
              boxes: Boxes) -> None:
        kinds = picture.diagram.kind
        for box in boxes.tolist():
            rect, kind = rect_of(picture, box), int(kinds[box])
            if kind == Kind.NODE:
                self._node(painter, rect, captions, colors.palette[int(colors.index[box])], look, box)
            elif kind == Kind.PILL:
                _pill(painter, rect, captions.box(box).title, look, box)
            elif kind == Kind.SCOPE:
                _scope(painter, rect, captions, look, box)
            else:
                _end(painter, rect, captions, look, box)
        _labels(painter, picture, look, boxes)

    def _node(self, painter: QPainter, rect: QRectF, captions: Captions, stripe: str, look: Look, box: int) -> None:
        theme, letters, caption = look.theme, look.letters, captions.box(box)
        tinted = look.overlay.tinted and look.overlay.colors and stripe != theme.border_strong
        painter.setPen(_wrong_border(look) if caption.wrong and box not in look.marks.selected else _border(look, box))
        painter.setBrush(color(theme.tint(stripe) if tinted else theme.node))
        painter.drawRoundedRect(rect, RADIUS, RADIUS)
        painter.fillRect(QRectF(rect.left(), rect.top(), STRIPE, rect.height()), color(stripe))
        row = 36.0 if caption.chips or rect.height() > 40 else rect.height()
        baseline = rect.top() + (row + letters.title.ascent) / 2
        room = rect.width() - 2 * PADDING
        title = letters.title.elided(caption.title, room)
        _write(painter, letters.title, theme.text, rect.left() + PADDING, baseline, title)
        left = room - letters.title.width(title) - 12
        name = letters.name.elided(caption.detail, left) if caption.detail else ""
        if name:
            x = rect.right() - PADDING + 4 - letters.name.width(name)
            _write(painter, letters.name, theme.warning if caption.wrong else theme.muted, x, baseline, name)
        if caption.chips:
            self._chips(painter, rect, captions, look, box)

    def _chips(self, painter: QPainter, rect: QRectF, captions: Captions, look: Look, box: int) -> None:
        theme, small = look.theme, look.letters.small
        x, top, end = rect.left() + PADDING, rect.top() + 34.0, rect.right() - 8.0
        shown = captions.box(box).chips
        for index, chip in enumerate(shown):
            text = f"{chip.name} {chip.text}"
            rest = len(shown) - index - 1
            room = end - x - 12 - (small.width(f"+{rest}") + CHIP_GAP if rest else 0)
            if small.width(text) > room:
                text = small.elided(text, room) if index == 0 else ""
            if not text:
                _write(painter, small, theme.muted, x, top + (CHIP_HEIGHT + small.ascent) / 2, f"+{rest + 1}")
                return
            width = small.width(text) + 12
            painter.setPen(pen(theme.notice_border) if chip.quantized else Qt.PenStyle.NoPen)
            painter.setBrush(color(theme.notice if chip.quantized else mix(theme.node, theme.muted, 0.12)))
            painter.drawRoundedRect(QRectF(x, top, width, CHIP_HEIGHT), 4, 4)
            ink = theme.ink(theme.warning, theme.notice) if chip.quantized else theme.muted
            _write(painter, small, ink, x + 6, top + (CHIP_HEIGHT + small.ascent) / 2, text)
            x += width + CHIP_GAP

    def paint_middle(self, painter: QPainter, picture: Picture, captions: Captions, colors: Colors, look: Look,
                     boxes: Boxes, zoom: float) -> None:
        """Plain rectangles with their stripes, and op types as large as the box allows where that can be read."""
        diagram, theme = picture.diagram, look.theme
        rects = picture.rects(boxes)
        kinds = diagram.kind[boxes]
        painter.setPen(pen(theme.node_border, 0.0))
        for chosen, fill in ((kinds == Kind.NODE, theme.node), (kinds == Kind.PILL, theme.notice),
                             (kinds >= Kind.SCOPE, theme.sunken), ((kinds == 1) | (kinds == 2), theme.sunken)):
            if chosen.any():
                painter.setBrush(color(fill))
                painter.drawRects(self._rects.shapes(rects[chosen]))
        painter.setPen(Qt.PenStyle.NoPen)
        stripes = boxes[kinds == Kind.NODE]
        tinted = look.overlay.tinted and look.overlay.colors
        for name, group in colors.groups(stripes):
            columns = picture.rects(group)
            if tinted and name != theme.border_strong:
                painter.setBrush(color(theme.tint(name, 0.3)))
                painter.drawRects(self._rects.shapes(columns))
            columns[:, 2] = 12.0
            painter.setBrush(color(name))
            painter.drawRects(self._rects.shapes(columns))
        if zoom >= LEAST_TITLE_ZOOM:
            _titles(painter, picture, captions, look, boxes)


#: Below this the largest letters that fit a box are under 6 pixels high.
LEAST_TITLE_ZOOM = 0.2
LARGE = 2.2


def _titles(painter: QPainter, picture: Picture, captions: Captions, look: Look, boxes: Boxes) -> None:
    title = look.letters.title
    painter.setPen(color(look.theme.text))
    painter.setFont(title.font)
    for box in boxes.tolist():
        rect = rect_of(picture, box)
        text = captions.box(box).title if int(picture.diagram.kind[box]) != Kind.PILL else "Q/DQ"
        fit = min(LARGE, (rect.width() - 24) / max(title.width(text), 1.0))
        if fit < 1.0:
            text, fit = title.elided(text, rect.width() - 24), 1.0
        painter.save()
        painter.translate(rect.left() + 18, rect.top() + (rect.height() + title.ascent * fit) / 2)
        painter.scale(fit, fit)
        painter.drawText(QPointF(0, 0), text)
        painter.restore()


def _border(look: Look, box: int) -> QPen:
    marks, theme = look.marks, look.theme
    if box in marks.selected:
        return pen(theme.accent, 2.0)
    if box == marks.hovered:
        return pen(theme.edge_strong, 1.2)
    return pen(theme.node_border, 1.0)


def _wrong_border(look: Look) -> QPen:
    dashed = pen(look.theme.warning, 1.6)
    dashed.setDashPattern([4, 2.5])
    return dashed


def _write(painter: QPainter, letters: Lettering, ink: str, x: float, baseline: float, text: str) -> None:
    painter.setFont(letters.font)
    painter.setPen(color(ink))
    painter.drawText(QPointF(x, baseline), text)


def _pill(painter: QPainter, rect: QRectF, text: str, look: Look, box: int) -> None:
    theme, letters = look.theme, look.letters.pill
    text = letters.elided(text, rect.width() - 20)
    width = letters.width(text) + 24
    rect = QRectF(rect.center().x() - width / 2, rect.top() + 1, width, rect.height() - 2)
    marked = box in look.marks.selected or box == look.marks.hovered
    painter.setPen(_border(look, box) if marked else pen(theme.notice_border, 1.4))
    painter.setBrush(color(theme.notice))
    painter.drawRoundedRect(rect, rect.height() / 2, rect.height() / 2)
    ink = theme.ink(theme.warning, theme.notice)
    _write(painter, letters, ink, rect.left() + 12, rect.center().y() + letters.ascent / 2, text)


def _scope(painter: QPainter, rect: QRectF, captions: Captions, look: Look, box: int) -> None:
    theme, letters, caption = look.theme, look.letters, captions.box(box)
    painter.setPen(pen(theme.node_border))
    painter.setBrush(color(theme.sunken))
    painter.drawRoundedRect(rect.translated(3, 3), RADIUS, RADIUS)
    painter.setPen(_border(look, box))
    painter.setBrush(color(theme.surface))
    painter.drawRoundedRect(rect, RADIUS, RADIUS)
    x, middle = rect.left() + PADDING, rect.center().y()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color(theme.muted))
    painter.drawPolygon([QPointF(x, middle - 5), QPointF(x + 7, middle), QPointF(x, middle + 5)])
    title = letters.title.elided(caption.title, rect.width() - 48)
    _write(painter, letters.title, theme.text, x + 16, middle - 4, title)
    _write(painter, letters.name, theme.muted, x + 16, middle + 13, caption.detail)


def _end(painter: QPainter, rect: QRectF, captions: Captions, look: Look, box: int) -> None:
    theme, letters, caption = look.theme, look.letters, captions.box(box)
    painter.setPen(_border(look, box))
    painter.setBrush(color(theme.sunken))
    painter.drawRoundedRect(rect, 10, 10)
    room, middle = rect.width() - 20, rect.center().y()
    title = letters.title.elided(caption.title, room)
    detail = letters.small.elided(caption.detail, room)
    baseline = middle - 3 if detail else middle + letters.title.ascent / 2
    x = rect.center().x()
    _write(painter, letters.title, theme.text, x - letters.title.width(title) / 2, baseline, title)
    _write(painter, letters.small, theme.muted, x - letters.small.width(detail) / 2, middle + 13, detail)


def _labels(painter: QPainter, picture: Picture, look: Look, boxes: Boxes) -> None:
    """The overlay's text on a node, as a tab on its upper right edge."""
    labels, small, theme = look.overlay.labels, look.letters.badge, look.theme
    if not labels:
        return
    for box in boxes.tolist():
        text = next((labels[node] for node in picture.diagram.nodes(box) if node in labels), "")
        if not text:
            continue
        rect = rect_of(picture, box)
        text = small.elided(text, rect.width() - 20)
        width = small.width(text) + 12
        tab = QRectF(rect.right() - width - 6, rect.top() - 10, width, 17)
        if int(picture.diagram.kind[box]) == Kind.PILL:  # that has no room but beside it
            tab.moveTo(rect.right() + 4, rect.center().y() - tab.height() / 2)
        painter.setPen(pen(theme.node_border))
        painter.setBrush(color(theme.surface))
        painter.drawRoundedRect(tab, 4, 4)
        _write(painter, small, theme.text, tab.left() + 6, tab.center().y() + small.ascent / 2, text)


def outline(painter: QPainter, picture: Picture, boxes: Iterable[int], ink: str, width: float, zoom: float) -> None:
    """Rings around boxes that stay visible at every zoom."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(pen(ink, width, cosmetic=True))
    gap = 3.0 / zoom if zoom < 1 else 3.0
    for box in boxes:
        painter.drawRoundedRect(rect_of(picture, box).adjusted(-gap, -gap, gap, gap), RADIUS + gap, RADIUS + gap)
