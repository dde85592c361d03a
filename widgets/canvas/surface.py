"""The widget under the canvas: shows a picture through a camera, and hands mouse and keys on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from graftwerk.backend.graph.diagram_picture import Picture
from graftwerk.backend.graph.graph import NodeId
from graftwerk.widgets.canvas.camera import Camera
from graftwerk.widgets.canvas.fit import fitted
from graftwerk.widgets.canvas.furniture import Furniture
from graftwerk.widgets.canvas.lettering import Letterings
from graftwerk.widgets.canvas.look import Look
from graftwerk.widgets.canvas.scene import ScenePainter
from graftwerk.widgets.canvas.state import ViewState

if TYPE_CHECKING:
    from graftwerk.widgets.canvas.input import Input

#: A graph that would be smaller than this in view is shown from its beginning instead.
LEAST_FIT, START_ZOOM = 0.5, 0.9
#: After this long without another step a gesture is over, or pauses, milliseconds.
PAUSE = 120


class Surface(QWidget):
    """Base of the canvas, which gives it its input."""

    camera_changed = Signal()
    _input: Input

    def __init__(self, picture: Picture, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(80, 60)
        self.look = Look(Letterings())
        self.furniture = Furniture()
        self.picture = picture
        self.painter = ScenePainter(picture, self.look)
        self.camera = Camera()
        self._show_start = False
        self._zooming = QTimer(self)
        self._zooming.setSingleShot(True)
        self._zooming.setInterval(PAUSE)
        self._zooming.timeout.connect(self.update)

    # Camera

    def set_camera(self, camera: Camera) -> None:
        if camera != self.camera:
            self.camera = camera
            self._show_start = False
            self.camera_changed.emit()
            self.update()

    def show_furniture(self, legend: bool, minimap: bool) -> None:
        """Whether there is a legend and a minimap. Nothing moves."""
        self.furniture.legend, self.furniture.minimap = legend, minimap
        self.update()

    def set_zoom(self, zoom: float) -> None:
        """About the middle of the view; 1.0 is 100 %."""
        self.set_camera(self.camera.zoomed(zoom, self.width() / 2, self.height() / 2))

    def zoom_step(self, factor: float, x: float, y: float) -> None:
        """A step of a gesture about the point at pixels x, y. What takes long is painted anew once it pauses."""
        self.set_camera(self.camera.zoomed(self.camera.zoom * factor, x, y))
        self._zooming.start()

    def zoom_fit(self, nodes: Iterable[NodeId] = ()) -> None:
        """All of the graph in view, or these nodes, with none of them beneath the legend or the minimap."""
        chosen, picture, furniture = self._boxes(nodes), self.picture, self.furniture
        boxes = np.fromiter(chosen, np.int64) if chosen else np.arange(len(picture.left))
        corners = (furniture.legend_rect(picture, self.look, self.camera), furniture.map_rect(self.camera))
        self.set_camera(fitted(self.camera, picture, boxes, corners))

    def reveal(self, target: NodeId | str) -> None:
        """Brings a node or a tensor into view, where it is not there already, large enough to be read."""
        if isinstance(target, str):
            edges = self.picture.diagram.edges_of(target)
            made = self.picture.diagram.graph.producer(target)
            box = int(self.picture.diagram.source[edges[0]]) if len(edges) else None
            box = self.picture.diagram.box(made) if box is None and made is not None else box
        else:
            box = self.picture.diagram.box(target)
        if box is not None:
            self.reveal_box(box)

    def reveal_box(self, box: int) -> None:
        x, y = self._middle(box)
        frame = self.camera.frame.grown(-40 / self.camera.zoom)
        inside = frame.left <= x <= frame.right and frame.top <= y <= frame.bottom
        if not inside or self.camera.zoom < LEAST_FIT:
            self.set_camera(replace(self.camera, zoom=max(self.camera.zoom, START_ZOOM), x=x, y=y))

    # Places in the picture

    def _boxes(self, nodes: Iterable[NodeId]) -> set[int]:
        found = (self.picture.diagram.box(node) for node in nodes)
        return {box for box in found if box is not None}

    def _middle(self, box: int | None) -> tuple[float, float]:
        if box is None:
            return self.camera.x, self.camera.y
        picture = self.picture
        return float(picture.left[box] + picture.right[box]) / 2, float(picture.top[box] + picture.bottom[box]) / 2

    def _place(self, state: ViewState) -> None:
        if state.zoom is not None:
            self.set_camera(replace(self.camera, zoom=state.zoom, x=state.x, y=state.y))
            return
        self.zoom_fit()
        if self.camera.zoom < LEAST_FIT and len(self.picture.left):
            first = int(np.argmin(self.picture.top))
            x, _ = self._middle(first)
            top = self.picture.bounds.top
            self.set_camera(replace(self.camera, zoom=START_ZOOM, x=x, y=top + self.height() / 2 / START_ZOOM - 30))
        self._show_start = True  # until the user looks elsewhere: the view has not its size yet

    # Qt

    def sizeHint(self) -> QSize:
        return QSize(900, 640)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent) and self._input.pinch(event):
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        try:
            painter.fillRect(self.rect(), QColor(self.look.theme.canvas))
            self.paint(painter, moving=self._zooming.isActive())
        finally:
            painter.end()

    def paint(self, painter: QPainter, moving: bool = False) -> None:
        """The view without its background; see `ScenePainter.paint`."""
        self.painter.paint(painter, self.camera, moving=moving)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.furniture.paint(painter, self.picture, self.painter.colors, self.look, self.camera)
        self._input.paint(painter)

    def resizeEvent(self, event: QResizeEvent) -> None:
        at_start = self._show_start
        self.camera = self.camera.sized(self.width(), self.height())
        if at_start:
            self._place(ViewState())
        self.camera_changed.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._input.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._input.move(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._input.release(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._input.double_click(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._input.wheel(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not self._input.key_press(event):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if not self._input.key_release(event):
            super().keyReleaseEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self._input.context_menu(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._input.leave()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._input.cancel()
        super().focusOutEvent(event)
