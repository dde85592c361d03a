"""Connecting and disconnecting by drag: which ports a drag may end at, why not at others, and how that looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QApplication

from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.graph.diagram_picture import Frame
from graftwerk.backend.graph.diagram_walk import downstream, upstream
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.sockets import why_unfit
from graftwerk.backend.operations.registry import Operation
from graftwerk.widgets.canvas.gestures import Asking, paint_label
from graftwerk.widgets.canvas.look import color, pen
from graftwerk.widgets.canvas.ports import Inlet, Outlet, ports_of
from graftwerk.widgets.canvas.primitives import curves

if TYPE_CHECKING:
    from graftwerk.widgets.canvas.view import Canvas

#: So far above or below a box its ports are still meant, pixels.
AROUND = 22.0
#: More boxes than this in view are not asked whether they could take a tensor.
MOST_ASKED = 300
DOT, LARGE = 3.5, 5.0


class Wiring(Asking):
    """Base of the gestures that draw an edge: what lies under the mouse, the ports there, and the dashed line."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, canvas: Canvas, start: QPointF) -> None:
        super().__init__(canvas, start)
        self._answers: dict[tuple[int, int], str] = {}

    def box_near(self) -> int | None:
        """The box under the mouse, or the one whose border it is close to."""
        x, y = self.scene
        near = AROUND / self.canvas.camera.zoom
        picture = self.canvas.picture
        found = picture.boxes_in(Frame(x, y - near, x, y + near))
        inside = picture.box_at(x, y)
        return inside if inside is not None else int(found[-1]) if len(found) else None

    @property
    def on_canvas(self) -> bool:
        """Whether it is over free space, away from all boxes."""
        return self.dragging and self.canvas.rect().contains(self.now.toPoint()) and self.box_near() is None

    def paint_line(self, painter: QPainter, start: QPointF, end: QPointF) -> None:
        dashed = pen(self.canvas.look.theme.error if self.reason else self.canvas.look.theme.accent, 2.0)
        dashed.setDashPattern([4, 2.5])
        painter.setPen(dashed)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(curves(np.array([[start.x(), start.y(), end.x(), end.y()]])))

    def place_of(self, port: Inlet | Outlet) -> QPointF:
        """The pixel where a port is."""
        picture = self.canvas.picture
        y = picture.top[port.box] if isinstance(port, Inlet) else picture.bottom[port.box]
        return QPointF(*self.canvas.camera.to_view(port.x, float(y)))

    def paint_port(self, painter: QPainter, port: Inlet | Outlet, wrong: bool, chosen: bool) -> None:
        paint_port(painter, self.canvas, port, "error" if wrong else "accent", chosen)

    def boxes_asked(self) -> list[int]:
        canvas = self.canvas
        boxes = canvas.picture.boxes_in(canvas.camera.frame)
        return boxes.tolist() if len(boxes) <= MOST_ASKED else []


class Connect(Wiring):
    """From an output port to an input that is to read the tensor. Let go over free space, it asks for an operator."""

    def __init__(self, canvas: Canvas, start: QPointF, tensor: str) -> None:
        super().__init__(canvas, start)
        self.tensor = tensor
        self._above: set[int] | None = None

    def wanted(self) -> Operation | None:
        inlet = self.inlet()
        if inlet is None:
            return None
        from graftwerk.backend.operations.rewire import RewireInput

        graph = self.canvas.graph
        ref = graph.ref(int(self.canvas.picture.diagram.ref[inlet.box]))
        return RewireInput(ref, inlet.index, TensorName(self.tensor))

    def inlet(self) -> Inlet | None:
        box = self.box_near()
        return ports_of(self.canvas.picture, box).inlet(self.scene[0]) if box is not None else None

    def drag(self, before: QPointF) -> None:
        super().drag(before)
        box = self.box_near()
        if self.operation is None:
            self.reason = _no_inputs(self.canvas, box)

    def why_not(self, inlet: Inlet) -> str:
        """Why a port can't read the tensor, "" where it can; remembered while the drag lasts."""
        key = inlet.box, inlet.index
        if key not in self._answers:
            self._answers[key] = self._why_not(inlet)
        return self._answers[key]

    def _why_not(self, inlet: Inlet) -> str:
        graph, node = self.canvas.graph, int(self.canvas.picture.diagram.ref[inlet.box])
        if inlet.tensor == self.tensor:
            return "reads it already"
        if self._above is None:
            made = graph.producer(self.tensor)
            self._above = upstream(graph, [made]) if made is not None else set()
        if node in self._above:
            return "would make a cycle"
        found = why_unfit(graph, graph.nodes[node], inlet.index, self.tensor)
        return found.text if found is not None else ""

    def release(self) -> None:
        if not self.dragging:
            self.canvas.select((), (self.tensor,))
        elif self.on_canvas:
            at = self.canvas.mapToGlobal(self.now.toPoint())
            self.canvas.operator_wanted.emit(self.tensor, (), at)
        super().release()

    def paint(self, painter: QPainter) -> None:
        if not self.dragging:
            return
        target = self.inlet()
        for box in self.boxes_asked():
            for inlet in ports_of(self.canvas.picture, box).inlets:
                over = target is not None and target.box == box
                wrong = bool(self.why_not(inlet))
                if over or not wrong:
                    self.paint_port(painter, inlet, wrong, inlet == target)
        self.paint_line(painter, self.start, self.place_of(target) if target is not None else self.now)
        if target is not None:
            self.paint_hint(painter, f"{target.name}: {self.reason or f'read {self.tensor}'}")
        elif self.on_canvas:
            self.paint_hint(painter, "Let go to choose an operator that reads it")
        else:
            self.paint_hint(painter)


class Pull(Wiring):
    """From an input port, to an output that it is to read from then on. Let go over free space, it disconnects the
    input, or asks for an operator where the input can't be without one."""

    def __init__(self, canvas: Canvas, start: QPointF, inlet: Inlet) -> None:
        super().__init__(canvas, start)
        self.inlet = inlet
        self._below: set[int] | None = None

    @property
    def _node(self) -> int:
        return int(self.canvas.picture.diagram.ref[self.inlet.box])

    def outlet(self) -> Outlet | None:
        box = self.box_near()
        if box is None or box == self.inlet.box:
            return None
        return ports_of(self.canvas.picture, box).outlet(self.scene[0])

    def wanted(self) -> Operation | None:
        from graftwerk.backend.operations.rewire import RewireInput

        outlet, graph = self.outlet(), self.canvas.graph
        if outlet is not None:
            return RewireInput(graph.ref(self._node), self.inlet.index, TensorName(outlet.tensor))
        if self.on_canvas and self.inlet.tensor:
            return RewireInput(graph.ref(self._node), self.inlet.index)
        return None

    def why_not(self, outlet: Outlet) -> str:
        key = outlet.box, hash(outlet.tensor)
        if key not in self._answers:
            self._answers[key] = self._why_not(outlet)
        return self._answers[key]

    def _why_not(self, outlet: Outlet) -> str:
        graph, picture = self.canvas.graph, self.canvas.picture
        if outlet.tensor == self.inlet.tensor:
            return "is read already"
        if self._below is None:
            self._below = downstream(graph, [self._node])
        if int(picture.diagram.kind[outlet.box]) == Kind.NODE and int(picture.diagram.ref[outlet.box]) in self._below:
            return "would make a cycle"
        found = why_unfit(graph, graph.nodes[self._node], self.inlet.index, outlet.tensor)
        return found.text if found is not None else ""

    @property
    def needs_another(self) -> bool:
        """Whether the input can't just be left open."""
        return self.on_canvas and (not self.inlet.tensor or bool(self.reason))

    def release(self) -> None:
        canvas = self.canvas
        if not self.dragging:
            box = canvas.picture.box_at(*self.scene)
            nodes = canvas.picture.diagram.nodes(box) if box is not None else ()
            canvas.select(nodes, () if nodes or not self.inlet.tensor else (self.inlet.tensor,))
        elif self.needs_another and self.inlet.tensor:
            canvas.operator_wanted.emit(self.inlet.tensor, (self._node,), canvas.mapToGlobal(self.now.toPoint()))
        super().release()

    def paint(self, painter: QPainter) -> None:
        if not self.dragging:
            return
        target = self.outlet()
        for box in self.boxes_asked():
            if box == self.inlet.box:
                continue
            for outlet in ports_of(self.canvas.picture, box).outlets:
                over = target is not None and target.box == box
                wrong = bool(self.why_not(outlet))
                if over or not wrong:
                    self.paint_port(painter, outlet, wrong, outlet == target)
        self.paint_line(painter, self.place_of(target) if target is not None else self.now, self.place_of(self.inlet))
        if target is not None:
            self.paint_hint(painter, f"{self.inlet.name}: {self.reason or f'read {target.tensor}'}")
        elif self.needs_another and self.inlet.tensor:
            self.paint_hint(painter, f"{self.reason}. Let go to choose an operator to put in between")
        elif self.on_canvas:
            self.paint_hint(painter, f"Disconnect {self.inlet.name}" if self.inlet.tensor else "Lead it to an output")
        else:
            self.paint_hint(painter)


def _no_inputs(canvas: Canvas, box: int | None) -> str:
    """Why a box has no input to connect, "" where that can't be said."""
    if box is None:
        return ""
    kind = int(canvas.picture.diagram.kind[box])
    if kind == Kind.SCOPE:
        return "Expand the scope to connect what is inside"
    if kind == Kind.OUTPUT:
        return "An output is marked in the menu Interface, not connected"
    if kind == Kind.PILL:
        return "Connect to what reads the Q/DQ pair"
    return "" if kind == Kind.NODE else "A graph input reads nothing"


def paint_port(painter: QPainter, canvas: Canvas, port: Inlet | Outlet, tone: str, chosen: bool) -> None:
    """A dot on the border of a box: hollow where nothing is connected, larger where it is `chosen`."""
    theme, picture = canvas.look.theme, canvas.picture
    y = picture.top[port.box] if isinstance(port, Inlet) else picture.bottom[port.box]
    at = QPointF(*canvas.camera.to_view(port.x, float(y)))
    ink = {"error": theme.error, "accent": theme.accent, "quiet": theme.edge_strong}[tone]
    hollow = isinstance(port, Inlet) and not port.tensor
    size = LARGE if chosen else DOT
    painter.setPen(pen(ink, 1.6))
    painter.setBrush(color(theme.surface if hollow else ink))
    painter.drawEllipse(at, size, size)
    if tone == "error":  # not by colour alone
        painter.setPen(pen(theme.surface if not hollow else ink, 1.4))
        painter.drawLine(at + QPointF(-size, -size) * 0.5, at + QPointF(size, size) * 0.5)


def paint_hovered(painter: QPainter, canvas: Canvas) -> None:
    """The ports of the box that is pointed at, so that it can be seen where to take hold of them."""
    box = canvas.look.marks.hovered
    if box < 0 or canvas.camera.zoom < 0.45:
        return
    found = ports_of(canvas.picture, box)
    everything: tuple[Inlet | Outlet, ...] = (*found.inlets, *found.outlets)
    for port in everything:
        missing = isinstance(port, Inlet) and port.required and not port.tensor
        paint_port(painter, canvas, port, "error" if missing else "quiet", False)


def port_label(graph: Graph, port: Inlet | Outlet) -> str:
    """What a port is: its name in the specification, and what is connected."""
    if isinstance(port, Outlet):
        return f"{port.name}: {port.tensor}" if port.name else port.tensor
    if port.tensor:
        return f"{port.name}: {port.tensor} {graph.type_of(port.tensor) or ''}".strip()
    return f"{port.name}: open" + (", needed" if port.required else "")


def paint_pointed(painter: QPainter, canvas: Canvas, port: Inlet | Outlet, at: QPointF) -> None:
    """The port under the mouse, with its name."""
    paint_port(painter, canvas, port, "accent", True)
    paint_label(painter, canvas, at, port_label(canvas.graph, port), False)


def shift_held() -> bool:
    return bool(QApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier)
