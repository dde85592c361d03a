"""What stays in the corners of the view: the legend, bottom left, and the minimap, bottom right."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from graftwerk.backend.graph.diagram import FAMILY_NAMES, Kind
from graftwerk.backend.graph.diagram_picture import Frame, Picture
from graftwerk.backend.graph.families import FAMILIES
from graftwerk.widgets.canvas.camera import Camera
from graftwerk.widgets.canvas.look import Colors, Look, color, pen
from graftwerk.widgets.canvas.overlay import LegendLine
from graftwerk.widgets.canvas.paint_far import FarPainter

MARGIN, PADDING, LINE = 14.0, 13.0, 22.0
MAP_WIDTH, MAP_HEIGHT = 116.0, 130.0
#: A view smaller than this shows neither: they would cover the graph.
LEAST_WIDTH, LEAST_HEIGHT = 420.0, 300.0


def legend_lines(picture: Picture, look: Look) -> list[LegendLine]:
    """The overlay's own, or the families that occur in the graph."""
    if look.overlay.legend or look.overlay.colors:
        return list(look.overlay.legend)
    diagram = picture.diagram
    present = np.bincount(diagram.family[diagram.kind == Kind.NODE], minlength=len(FAMILY_NAMES)).tolist()
    return [LegendLine(look.theme.family(name), FAMILIES[name])
            for name, count in zip(FAMILY_NAMES, present, strict=True) if count]


class Furniture:
    """`legend` and `minimap` say whether they are wanted."""

    def __init__(self) -> None:
        self.legend = self.minimap = True
        self._far = FarPainter()
        self._map: QImage | None = None
        self._map_of: tuple[object, ...] = ()

    def room(self, camera: Camera) -> bool:
        return camera.width >= LEAST_WIDTH and camera.height >= LEAST_HEIGHT

    def map_rect(self, camera: Camera) -> QRectF:
        """Where the minimap stands, in pixels; empty where it is not wanted, or there is no room for it."""
        if not self.minimap or not self.room(camera):
            return QRectF()
        return QRectF(camera.width - MAP_WIDTH - MARGIN, camera.height - MAP_HEIGHT - MARGIN, MAP_WIDTH, MAP_HEIGHT)

    def legend_rect(self, picture: Picture, look: Look, camera: Camera) -> QRectF:
        """Where the legend stands, in pixels; empty where it is not wanted, or there is no room for it."""
        if not self.legend or not self.room(camera):
            return QRectF()
        lines, letters = _lines_with_room(picture, look, camera), look.letters
        texts = [letters.text.width(line.text) + (8 + letters.text.width(line.note) if line.note else 0)
                 + (22 if line.color else 0)
                 for line in lines]
        width = min(max([letters.badge.width(_title(look)), *texts]) + 2 * PADDING,
                    camera.width - MAP_WIDTH - 3 * MARGIN)
        height = 2 * PADDING - 6 + LINE * (len(lines) + 1) - 4
        return QRectF(MARGIN, camera.height - height - MARGIN, width, height)

    def map_to_scene(self, picture: Picture, camera: Camera, at: QPointF) -> tuple[float, float]:
        """The scene's point under a point on the minimap; beside the graph, the nearest that is part of it."""
        inner, bounds, scale_x, scale_y = self._scales(picture, camera)
        x, y = bounds.left + (at.x() - inner.left()) / scale_x, bounds.top + (at.y() - inner.top()) / scale_y
        return min(max(x, bounds.left), bounds.right), min(max(y, bounds.top), bounds.bottom)

    def _scales(self, picture: Picture, camera: Camera) -> tuple[QRectF, Frame, float, float]:
        """The two axes have scales of their own: a network is hundreds of times as high as it is wide."""
        outer = self.map_rect(camera)
        inner = outer.adjusted(10, 8, -10, -8)
        bounds = picture.bounds
        even = min(inner.width() / max(bounds.width, 1.0), inner.height() / max(bounds.height, 1.0))
        scale_y = inner.height() / max(bounds.height, 1.0)
        scale_x = min(inner.width() / max(bounds.width, 1.0), even * 12, scale_y * 12)
        width, height = bounds.width * scale_x, bounds.height * scale_y
        placed = QRectF(inner.center().x() - width / 2, inner.center().y() - height / 2, width, height)
        return placed, bounds, scale_x, scale_y

    def paint(self, painter: QPainter, picture: Picture, colors: Colors, look: Look, camera: Camera) -> None:
        """`painter` draws in pixels of the view."""
        if not self.room(camera):
            return
        if self.legend:
            self._paint_legend(painter, picture, look, camera)
        if self.minimap and len(picture.left):
            self._paint_map(painter, picture, colors, look, camera)

    def _paint_legend(self, painter: QPainter, picture: Picture, look: Look, camera: Camera) -> None:
        letters, theme = look.letters, look.theme
        rect = self.legend_rect(picture, look, camera)
        _card(painter, rect, look)
        x, y = rect.left() + PADDING, rect.top() + PADDING - 3
        room = rect.width() - 2 * PADDING
        painter.setFont(letters.badge.font)
        painter.setPen(color(theme.muted))
        painter.drawText(QPointF(x, y + letters.badge.ascent + 3), letters.badge.elided(_title(look), room))
        for line in _lines_with_room(picture, look, camera):
            y += LINE
            indent = 22.0 if line.color else 0.0
            if line.color:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(color(line.color))
                painter.drawRoundedRect(QRectF(x, y, 13, 13), 3, 3)
            painter.setFont(letters.text.font)
            painter.setPen(color(theme.text))
            text = letters.text.elided(line.text, room - indent)
            baseline = y + 6.5 + letters.text.ascent / 2
            painter.drawText(QPointF(x + indent, baseline), text)
            painter.setPen(color(theme.muted))
            start = indent + 8 + letters.text.width(text)
            painter.drawText(QPointF(x + start, baseline), letters.text.elided(line.note, max(room - start, 0)))

    def _paint_map(self, painter: QPainter, picture: Picture, colors: Colors, look: Look, camera: Camera) -> None:
        outer = self.map_rect(camera)
        placed, bounds, scale_x, scale_y = self._scales(picture, camera)
        ratio = painter.device().devicePixelRatioF()
        wanted = (picture, colors, look.theme, placed.width(), placed.height(), ratio)
        if self._map is None or self._map_of != wanted:
            self._map, self._map_of = self._drawn_map(picture, colors, look, outer, ratio, camera), wanted
        _card(painter, outer, look)
        painter.drawImage(outer.topLeft(), self._map)
        frame = camera.frame
        view = QRectF(placed.left() + (frame.left - bounds.left) * scale_x,
                      placed.top() + (frame.top - bounds.top) * scale_y,
                      frame.width * scale_x, frame.height * scale_y)
        view = view.intersected(outer.adjusted(3, 3, -3, -3))
        if view.height() < 4:
            view = QRectF(view.left(), view.center().y() - 2, view.width(), 4)
        if view.width() > 0:
            painter.setPen(pen(look.theme.accent, 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(view)

    def _drawn_map(self, picture: Picture, colors: Colors, look: Look, outer: QRectF, ratio: float,
                   camera: Camera) -> QImage:
        placed, bounds, scale_x, scale_y = self._scales(picture, camera)
        image = QImage(round(outer.width() * ratio), round(outer.height() * ratio),
                       QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(ratio)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.translate(placed.topLeft() - outer.topLeft())
            painter.scale(scale_x, scale_y)
            painter.translate(-bounds.left, -bounds.top)
            self._far.paint(painter, picture, colors, look.theme, bounds.grown(1.0), scale_y * ratio, lines=False)
        finally:
            painter.end()
        return image


def _title(look: Look) -> str:
    return look.overlay.title or "Operators"


def _lines_with_room(picture: Picture, look: Look, camera: Camera) -> list[LegendLine]:
    most = int((camera.height - 2 * MARGIN - 2 * PADDING) / LINE) - 1
    return legend_lines(picture, look)[: max(most, 0)]


def _card(painter: QPainter, rect: QRectF, look: Look) -> None:
    painter.setPen(pen(look.theme.border))
    painter.setBrush(color(look.theme.surface))
    painter.drawRoundedRect(rect, 8, 8)
