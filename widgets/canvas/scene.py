"""Paints a picture as a camera sees it. What is painted depends on the zoom: spots, plain boxes, or boxes to read."""

from __future__ import annotations

from PySide6.QtGui import QPainter

from graftwerk.backend.graph.diagram_picture import Frame, Picture
from graftwerk.widgets.canvas.camera import Camera
from graftwerk.widgets.canvas.captions import Captions
from graftwerk.widgets.canvas.hulls import Hulls
from graftwerk.widgets.canvas.look import Colors, Look
from graftwerk.widgets.canvas.paint_edges import paint_edges, paint_stubs, paint_types
from graftwerk.widgets.canvas.paint_far import FarPainter
from graftwerk.widgets.canvas.paint_hulls import HullPainter
from graftwerk.widgets.canvas.paint_near import NearPainter, outline

#: From these zooms on, boxes can be read and types are written on edges; boxes are told apart at all.
NEAR, TYPES, MIDDLE = 0.45, 0.6, 0.16
#: More boxes than this in view are painted as from further away, whatever the zoom (a screen of many pixels, a print).
MOST_NEAR, MOST_MIDDLE = 3000, 12000


class ScenePainter:
    """Holds what is computed once per picture and look."""

    def __init__(self, picture: Picture, look: Look) -> None:
        self._far, self._near, self._hulls = FarPainter(), NearPainter(), HullPainter()
        self.picture, self.look = picture, look
        self.captions = Captions(picture.diagram)
        self.colors = Colors.of(picture.diagram, look.theme, look.overlay)
        self.hulls = Hulls(picture, look.overlay.hulls)

    def show(self, picture: Picture, look: Look) -> None:
        """Paints something else from now on, keeping what is the same."""
        new_picture, old = picture is not self.picture, self.look
        if picture.diagram is not self.picture.diagram:
            self.captions = Captions(picture.diagram)
        if new_picture or look.theme is not old.theme or look.overlay is not old.overlay:
            self.colors = Colors.of(picture.diagram, look.theme, look.overlay)
        if new_picture or look.overlay is not old.overlay:
            self.hulls = Hulls(picture, look.overlay.hulls)
        self.picture, self.look = picture, look

    def paint(self, painter: QPainter, camera: Camera, limits: bool = True, moving: bool = False) -> None:
        """`painter` draws in pixels of the view. Without `limits` everything in view is painted in full.

        Where it is `moving`, a picture that takes long may be stretched from the one before.
        """
        frame = camera.frame
        painter.save()
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.translate(camera.width / 2, camera.height / 2)
            painter.scale(camera.zoom, camera.zoom)
            painter.translate(-camera.x, -camera.y)
            self._paint(painter, frame, camera.zoom, limits, moving)
        finally:
            painter.restore()

    def _paint(self, painter: QPainter, frame: Frame, zoom: float, limits: bool, moving: bool) -> None:
        picture, look = self.picture, self.look
        boxes = picture.boxes_in(frame.grown(30.0))
        if zoom < MIDDLE or (limits and len(boxes) > MOST_MIDDLE):
            scale = zoom * painter.device().devicePixelRatioF()
            self._far.paint(painter, picture, self.colors, look.theme, frame, scale, sheets=limits, moving=moving)
        elif zoom < NEAR or (limits and len(boxes) > MOST_NEAR):
            self._hulls.paint_middle(painter, self.hulls, look, frame)
            paint_edges(painter, picture, look, frame, fine=False)
            paint_stubs(painter, picture, look, frame, self.captions, labels=False)
            self._near.paint_middle(painter, picture, self.captions, self.colors, look, boxes, zoom)
        else:
            self._hulls.paint(painter, self.hulls, look, frame)
            paint_edges(painter, picture, look, frame, fine=True)
            paint_stubs(painter, picture, look, frame, self.captions, labels=zoom >= TYPES)
            if zoom >= TYPES:
                paint_types(painter, picture, look, frame, self.captions, self.hulls)
            self._hulls.paint_titles(painter, self.hulls, look, frame)
            self._near.paint(painter, picture, self.captions, self.colors, look, boxes)
            self._hulls.paint_tags(painter, self.hulls, look, frame)
        self._mark(painter, zoom)

    def _mark(self, painter: QPainter, zoom: float) -> None:
        """Search results, and what is selected where boxes have no border of their own to show it."""
        marks, theme = self.look.marks, self.look.theme
        if marks.matches:
            outline(painter, self.picture, marks.matches, theme.notice_border, 3.0, zoom)
        if zoom < NEAR and marks.selected:
            outline(painter, self.picture, marks.selected, theme.accent, 2.0, zoom)
