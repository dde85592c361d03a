"""Mouse, wheel, touch pad and keys of the canvas: which gesture a press begins, and what keys do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QNativeGestureEvent, QPainter, QWheelEvent

from graftwerk.backend.graph.diagram import Kind
from graftwerk.widgets.canvas.gestures import Band, DragPill, Gesture, MapDrag, MoveBoxes, PaintNodes, Pan
from graftwerk.widgets.canvas.hits import Hit, hit
from graftwerk.widgets.canvas.ports import Inlet, Outlet

if TYPE_CHECKING:
    from graftwerk.widgets.canvas.view import Canvas

#: Pixels per notch of a wheel, and how much a notch zooms.
NOTCH, ZOOM_NOTCH = 90.0, 1.2
EXTEND = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
ARROWS = {Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1), Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0)}


class Input:
    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._gesture: Gesture | None = None
        self._space = False
        self._click_selects = -1
        self._port: Inlet | Outlet | None = None
        self._at = QPointF()

    def paint(self, painter: QPainter) -> None:
        if self._gesture is not None:
            self._gesture.paint(painter)
        elif self._canvas.look.marks.hovered >= 0 or self._port is not None:
            from graftwerk.widgets.canvas.connect import paint_hovered, paint_pointed

            paint_hovered(painter, self._canvas)
            if self._port is not None:
                paint_pointed(painter, self._canvas, self._port, self._at)

    def place(self, gesture: Gesture) -> None:
        """Begins a gesture whose mouse another widget has: it is moved, ended or cancelled from there."""
        self.cancel()
        self._begin(gesture)

    def move_to(self, at: QPointF) -> None:
        """The mouse of a gesture that was begun by `place`."""
        if self._gesture is not None:
            self._gesture.move(at)
            self._canvas.update()

    def drop(self) -> None:
        """Ends a gesture that was begun by `place`."""
        gesture, self._gesture = self._gesture, None
        self._rest_cursor()
        if gesture is not None:
            gesture.release()

    def hit(self, at: QPointF) -> Hit:
        canvas = self._canvas
        if canvas.furniture.map_rect(canvas.camera).contains(at):
            return Hit()
        return hit(canvas.picture, canvas.painter.hulls, canvas.camera, at.x(), at.y())

    # Mouse

    def press(self, event: QMouseEvent) -> None:
        if self._gesture is not None:
            return
        at = event.position()
        self._click_selects = -1
        if event.button() == Qt.MouseButton.MiddleButton or (
            event.button() == Qt.MouseButton.LeftButton and self._space
        ):
            self._begin(Pan(self._canvas, at))
        elif event.button() == Qt.MouseButton.LeftButton:
            self._begin(self._pressed(at, bool(event.modifiers() & EXTEND)))

    def _pressed(self, at: QPointF, extend: bool) -> Gesture | None:
        canvas = self._canvas
        if canvas.furniture.map_rect(canvas.camera).contains(at):
            return MapDrag(canvas, at)
        if canvas.brush and not extend:
            return PaintNodes(canvas, at)
        found = self.hit(at)
        diagram = canvas.picture.diagram
        if found.port is not None:
            from graftwerk.widgets.canvas.connect import Connect, Pull

            self._set_port(None, at)
            if isinstance(found.port, Inlet):
                return Pull(canvas, at, found.port)
            return Connect(canvas, at, found.port.tensor)
        if found.box >= 0:
            self._press_box(found.box, extend)
            is_pill = int(diagram.kind[found.box]) == Kind.PILL and len(canvas.look.marks.selected) <= 1
            return DragPill(canvas, at, found.box) if is_pill else MoveBoxes(canvas, at, found.box)
        if found.tunnel:
            canvas.select((), (diagram.tensor_name(found.edge),))
            canvas.reveal_box(int(diagram.target[found.edge] if found.at_source else diagram.source[found.edge]))
            return None
        if found.edge >= 0:
            self._press_edge(diagram.tensor_name(found.edge), extend)
            return None
        return Band(canvas, at, extend, found.hull)

    def _press_box(self, box: int, extend: bool) -> None:
        canvas = self._canvas
        nodes = canvas.picture.diagram.nodes(box)
        if extend:
            chosen = canvas.selected_nodes
            kept = tuple(node for node in chosen if node not in nodes)
            canvas.select(kept if len(kept) < len(chosen) else (*chosen, *nodes), canvas.selected_tensors)
        elif box not in canvas.look.marks.selected:
            tensor = () if nodes else (canvas.picture.diagram.name(box),)
            canvas.select(nodes, tensor)
        else:
            self._click_selects = box  # one of several: alone after a click, all of them dragged

    def _press_edge(self, tensor: str, extend: bool) -> None:
        canvas = self._canvas
        if extend:
            chosen = canvas.selected_tensors
            left = tuple(name for name in chosen if name != tensor)
            canvas.select(canvas.selected_nodes, left if len(left) < len(chosen) else (*chosen, tensor))
        else:
            canvas.select((), (tensor,))

    def _begin(self, gesture: Gesture | None) -> None:
        self._gesture = gesture
        if gesture is not None and gesture.cursor is not None:
            self._canvas.setCursor(gesture.cursor)
        self._canvas.update()

    def move(self, event: QMouseEvent) -> None:
        if self._gesture is not None:
            self._gesture.move(event.position())
            self._canvas.update()
            return
        found = self.hit(event.position())
        self._canvas.set_pointed(found.box, found.edge, found.hull)
        self._set_port(found.port, event.position())
        if found.port is not None:
            self._canvas.setCursor(Qt.CursorShape.CrossCursor)
        elif found.tunnel or found.hull:
            self._canvas.setCursor(Qt.CursorShape.PointingHandCursor)
        else:
            self._rest_cursor()

    def release(self, event: QMouseEvent) -> None:
        gesture, self._gesture = self._gesture, None
        self._rest_cursor()
        if gesture is None:
            return
        gesture.release()
        if self._click_selects >= 0 and not gesture.dragging:
            self._canvas.select(self._canvas.picture.diagram.nodes(self._click_selects))
        self._canvas.update()

    def leave(self) -> None:
        """The mouse is elsewhere."""
        self._set_port(None, self._at)
        self._canvas.set_pointed(-1, -1, "")

    def _set_port(self, port: Inlet | Outlet | None, at: QPointF) -> None:
        """The port that the mouse is over."""
        other, self._port, self._at = port != self._port, port, at
        if other:
            self._canvas.update()

    def _rest_cursor(self) -> None:
        if self._space:
            self._canvas.setCursor(Qt.CursorShape.OpenHandCursor)
        else:
            self._canvas.unsetCursor()

    def cancel(self) -> bool:
        gesture, self._gesture = self._gesture, None
        self._space = False
        self._rest_cursor()
        if gesture is None:
            return False
        gesture.cancel()
        self._canvas.update()
        return True

    def double_click(self, event: QMouseEvent) -> None:
        found = self.hit(event.position())
        if found.box >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self._canvas.open_box(found.box)

    def context_menu(self, event: QContextMenuEvent) -> None:
        canvas = self._canvas
        found = self.hit(QPointF(event.pos()))
        if found.box >= 0 and found.box not in canvas.look.marks.selected:
            self._press_box(found.box, extend=False)
        elif found.box < 0 and found.edge >= 0:
            tensor = canvas.picture.diagram.tensor_name(found.edge)
            if tensor not in canvas.selected_tensors:
                canvas.select((), (tensor,))
        canvas.context_menu.emit(event.globalPos(), found)

    def wheel(self, event: QWheelEvent) -> None:
        canvas, at = self._canvas, event.position()
        pixels, notches = event.pixelDelta(), event.angleDelta()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            canvas.zoom_step(ZOOM_NOTCH ** (notches.y() / 120), at.x(), at.y())
        elif not pixels.isNull():
            canvas.set_camera(canvas.camera.moved(pixels.x(), pixels.y()))
        else:
            dx, dy = notches.x() / 120 * NOTCH, notches.y() / 120 * NOTCH
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                dx, dy = dy, dx
            canvas.set_camera(canvas.camera.moved(dx, dy))
        event.accept()

    def pinch(self, event: QNativeGestureEvent) -> bool:
        if event.gestureType() != Qt.NativeGestureType.ZoomNativeGesture:
            return False
        at = event.position()
        self._canvas.zoom_step(1 + event.value(), at.x(), at.y())
        return True

    # Keys

    def key_press(self, event: QKeyEvent) -> bool:
        """Whether the key meant something here."""
        canvas, key = self._canvas, Qt.Key(event.key())
        if key == Qt.Key.Key_Space:
            self._space = True
            if self._gesture is None:
                self._rest_cursor()
        elif key == Qt.Key.Key_Escape:
            if not self.cancel():
                if canvas.brush:
                    canvas.brush_dropped.emit()
                else:
                    canvas.select(())
        elif key in ARROWS and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._step(*ARROWS[key])
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            canvas.set_zoom(canvas.camera.zoom * ZOOM_NOTCH)
        elif key == Qt.Key.Key_Minus:
            canvas.set_zoom(canvas.camera.zoom / ZOOM_NOTCH)
        elif key == Qt.Key.Key_0:
            canvas.set_zoom(1.0)
        elif key == Qt.Key.Key_F and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            shifted = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            canvas.zoom_fit(canvas.selected_nodes if shifted else ())
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and len(canvas.look.marks.selected) == 1:
            canvas.open_box(next(iter(canvas.look.marks.selected)))
        else:
            return False
        return True

    def key_release(self, event: QKeyEvent) -> bool:
        if Qt.Key(event.key()) != Qt.Key.Key_Space or event.isAutoRepeat():
            return False
        self._space = False
        if self._gesture is None:
            self._rest_cursor()
        return True

    def _step(self, dx: int, dy: int) -> None:
        """To a neighbour: up and down along the edges, left and right to the next box beside."""
        canvas, picture = self._canvas, self._canvas.picture
        marked = canvas.look.marks.selected
        if not len(picture.left):
            return
        if not marked:
            middle = (picture.left + picture.right) / 2 - canvas.camera.x
            away = np.abs(middle) + np.abs((picture.top + picture.bottom) / 2 - canvas.camera.y)
            nodes = np.isin(picture.diagram.kind, (Kind.NODE, Kind.PILL, Kind.SCOPE))
            self._go(int(np.where(nodes, away, np.inf).argmin()))
            return
        box = canvas.picture.diagram.box(canvas.selected_nodes[-1])
        if box is None:
            return
        found = self._along(box, dy) if dy else self._beside(box, dx)
        if found is not None:
            self._go(found)

    def _along(self, box: int, direction: int) -> int | None:
        picture, diagram = self._canvas.picture, self._canvas.picture.diagram
        near, far = (diagram.source, diagram.target) if direction > 0 else (diagram.target, diagram.source)
        others = far[near == box]
        others = others[np.isin(diagram.kind[others], (Kind.NODE, Kind.PILL, Kind.SCOPE))]
        if not len(others):
            return None
        middle = picture.left + picture.right
        away = np.abs(middle[others] - middle[box]) + np.abs(picture.top[others] - picture.top[box])
        return int(others[int(away.argmin())])

    def _beside(self, box: int, direction: int) -> int | None:
        picture = self._canvas.picture
        x, y = (picture.left + picture.right) / 2, (picture.top + picture.bottom) / 2
        ahead = (x - x[box]) * direction
        nodes = np.isin(picture.diagram.kind, (Kind.NODE, Kind.PILL, Kind.SCOPE))
        level = nodes & (ahead > 1) & (np.abs(y - y[box]) <= 40)
        if not level.any():
            return None
        return int(np.where(level, ahead, np.inf).argmin())

    def _go(self, box: int) -> None:
        self._canvas.select(self._canvas.picture.diagram.nodes(box))
        self._canvas.reveal_box(box)
