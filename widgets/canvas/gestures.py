"""Gestures as objects: press makes one, it follows the mouse, and release or Esc ends it.

A gesture that changes the graph ends in an operation, which the canvas asks for and others carry out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter

from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.graph.diagram_picture import Frame
from graftwerk.backend.operations.registry import Operation, why_blocked
from graftwerk.widgets.canvas.look import color, pen

if TYPE_CHECKING:
    from graftwerk.widgets.canvas.view import Canvas

#: The mouse has to move this far, in pixels, for a press to become a drag.
THRESHOLD = 4.0


class Gesture:
    """Base: does nothing. Points are in pixels of the view."""

    cursor: Qt.CursorShape | None = None

    def __init__(self, canvas: Canvas, start: QPointF) -> None:
        self.canvas, self.start, self.now = canvas, start, start
        self.dragging = False

    def move(self, at: QPointF) -> None:
        before, self.now = self.now, at
        if not self.dragging and (at - self.start).manhattanLength() >= THRESHOLD:
            self.dragging = True
        if self.dragging:
            self.drag(before)

    def drag(self, before: QPointF) -> None:
        """The mouse is at `now`, and was at `before`."""

    def release(self) -> None:
        """The button went up at `now`."""

    def cancel(self) -> None:
        """Esc, or the canvas lost the mouse: nothing may remain."""

    def paint(self, painter: QPainter) -> None:
        """On top of everything, in pixels of the view."""

    @property
    def scene(self) -> tuple[float, float]:
        return self.canvas.camera.to_scene(self.now.x(), self.now.y())


class Pan(Gesture):
    cursor = Qt.CursorShape.ClosedHandCursor

    def __init__(self, canvas: Canvas, start: QPointF) -> None:
        super().__init__(canvas, start)
        self._from = canvas.camera

    def drag(self, before: QPointF) -> None:
        way = self.now - before
        self.canvas.set_camera(self.canvas.camera.moved(way.x(), way.y()))

    def cancel(self) -> None:
        self.canvas.set_camera(self._from)


class MapDrag(Gesture):
    """On the minimap: what is under the mouse comes to the middle."""

    def __init__(self, canvas: Canvas, start: QPointF) -> None:
        super().__init__(canvas, start)
        self._from = canvas.camera
        self._go()

    def move(self, at: QPointF) -> None:
        self.now = at
        self._go()

    def _go(self) -> None:
        canvas = self.canvas
        x, y = canvas.furniture.map_to_scene(canvas.picture, canvas.camera, self.now)
        canvas.set_camera(canvas.camera.at(x, y))

    def cancel(self) -> None:
        self.canvas.set_camera(self._from)


class Band(Gesture):
    """A rubber band over nodes; a click on free space clears the selection, or activates the hull there."""

    def __init__(self, canvas: Canvas, start: QPointF, extend: bool, hull: str = "") -> None:
        super().__init__(canvas, start)
        self._extend, self._hull = extend, hull
        self._before = canvas.selected_nodes

    def drag(self, before: QPointF) -> None:
        found = self.canvas.nodes_in(self._frame())
        kept = [node for node in self._before if node not in set(found)] if self._extend else []
        self.canvas.select([*kept, *found])

    def release(self) -> None:
        if self.dragging:
            return
        if self._hull:
            self.canvas.layer_activated.emit(self._hull)
        elif not self._extend:
            self.canvas.select(())

    def cancel(self) -> None:
        self.canvas.select(self._before)

    def _frame(self) -> Frame:
        x0, y0 = self.canvas.camera.to_scene(self.start.x(), self.start.y())
        x1, y1 = self.scene
        return Frame(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))

    def paint(self, painter: QPainter) -> None:
        if self.dragging:
            accent = color(self.canvas.look.theme.accent)
            painter.setPen(accent)
            accent.setAlpha(28)
            painter.setBrush(accent)
            painter.drawRect(QRectF(self.start, self.now).normalized())


class MoveBoxes(Gesture):
    """Boxes follow the mouse; where they are put is a matter of the view, not of the graph."""

    def __init__(self, canvas: Canvas, start: QPointF, box: int) -> None:
        super().__init__(canvas, start)
        self._boxes = sorted(canvas.look.marks.selected | {box})
        self._before = dict(canvas.moved)

    def drag(self, before: QPointF) -> None:
        zoom = self.canvas.camera.zoom
        way = self.now - before
        self.canvas.shift(self._boxes, way.x() / zoom, way.y() / zoom)

    def cancel(self) -> None:
        self.canvas.set_moved(self._before)


class Asking(Gesture):
    """A gesture that ends in an operation, and shows on the way what it would be or why it can't."""

    cursor = Qt.CursorShape.DragMoveCursor

    def __init__(self, canvas: Canvas, start: QPointF) -> None:
        super().__init__(canvas, start)
        self.operation: Operation | None = None
        self.reason = ""

    def drag(self, before: QPointF) -> None:
        wanted = self.wanted()
        if wanted != self.operation:
            self.operation = wanted
            blocked = why_blocked(wanted, self.canvas.graph) if wanted is not None else None
            self.reason = blocked.text if blocked is not None else ""
        self.canvas.update()

    def wanted(self) -> Operation | None:
        raise NotImplementedError

    def release(self) -> None:
        if self.dragging and self.operation is not None and not self.reason:
            self.canvas.operation_requested.emit(self.operation)
        self.canvas.update()

    def cancel(self) -> None:
        self.canvas.update()

    def paint_hint(self, painter: QPainter, words: str = "") -> None:
        """What would be done, or why it can't; in other words where these are given."""
        told = words or self.reason or (self.operation.summary() if self.operation is not None else "")
        paint_label(painter, self.canvas, self.now, told, bool(self.reason))


def paint_label(painter: QPainter, canvas: Canvas, at: QPointF, text: str, wrong: bool) -> None:
    """Words beside the mouse."""
    if not text:
        return
    theme, letters = canvas.look.theme, canvas.look.letters.text
    text = letters.elided(text, max(canvas.camera.width - 40, 0))
    width = letters.width(text) + 16
    rect = QRectF(min(at.x() + 14, canvas.camera.width - width - 8), at.y() + 18, width, 24)
    painter.setPen(pen(theme.border))
    painter.setBrush(color(theme.surface))
    painter.drawRoundedRect(rect, 5, 5)
    painter.setFont(letters.font)
    painter.setPen(color(theme.error if wrong else theme.text))
    painter.drawText(QPointF(rect.left() + 8, rect.center().y() + letters.ascent / 2), text)


class DragPill(Asking):
    """A Q/DQ pair is dragged along its edge: over the node that feeds it or one that reads it, or beyond that node."""

    def __init__(self, canvas: Canvas, start: QPointF, box: int) -> None:
        super().__init__(canvas, start)
        self._box = box

    def wanted(self) -> Operation | None:
        picture, diagram = self.canvas.picture, self.canvas.picture.diagram
        x, y = self.scene
        above = set(diagram.source[diagram.target == self._box].tolist())
        below = set(diagram.target[diagram.source == self._box].tolist())
        over = picture.box_at(x, y)
        edge = picture.edge_at(x, y, 60.0) if over is None else None
        if edge is not None and self._box not in (ends := (int(diagram.source[edge]), int(diagram.target[edge]))):
            over = ends[0] if ends[0] in below else ends[1]  # beyond a neighbour, on an edge of it
        if over is None or int(diagram.kind[over]) != Kind.NODE or over not in above | below:
            return None
        from graftwerk.backend.operations.qdq_move import MoveQdq  # with the first pill that is dragged

        graph = diagram.graph
        across = graph.ref(int(diagram.ref[over]))
        return MoveQdq(graph.ref(diagram.nodes(self._box)[-1]), "down" if over in below else "up", across)

    def paint(self, painter: QPainter) -> None:
        if not self.dragging:
            return
        canvas = self.canvas
        theme, letters = canvas.look.theme, canvas.look.letters.pill
        text = canvas.painter.captions.box(self._box).title
        width = letters.width(text) + 24
        rect = QRectF(self.now.x() - width / 2, self.now.y() - 12, width, 24)
        dashed = pen(theme.notice_border, 1.5)
        dashed.setDashPattern([3, 2])
        painter.setPen(dashed)
        painter.setBrush(color(theme.notice))
        painter.drawRoundedRect(rect, 12, 12)
        painter.setFont(letters.font)
        painter.setPen(color(theme.ink(theme.warning, theme.notice)))
        painter.drawText(QPointF(rect.left() + 12, rect.center().y() + letters.ascent / 2), text)
        self.paint_hint(painter)


class PaintNodes(Gesture):
    """A brush: what it touches is painted at once, and as before again where the stroke is cancelled."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, canvas: Canvas, start: QPointF) -> None:
        super().__init__(canvas, start)
        self._touched: set[int] = set()
        canvas.stroke_begun.emit()
        self._touch(start)

    def move(self, at: QPointF) -> None:
        before, self.now = self.now, at
        way = at - before
        steps = max(1, int(way.manhattanLength() / THRESHOLD))  # a fast mouse skips over nodes between two events
        for step in range(1, steps + 1):
            self._touch(before + way * (step / steps))

    def _touch(self, at: QPointF) -> None:
        picture = self.canvas.picture
        box = picture.box_at(*self.canvas.camera.to_scene(at.x(), at.y()))
        if box is not None and box not in self._touched:
            self._touched.add(box)
            self.canvas.painted.emit(tuple(picture.diagram.nodes(box)))

    def release(self) -> None:
        self.canvas.stroke_ended.emit(True)

    def cancel(self) -> None:
        self.canvas.stroke_ended.emit(False)
