"""Dropping an operator of the palette: on an edge, where it is put in, or on free space, where it is added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import NodeProto
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter

from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.graph.graph import NodeId
from graftwerk.backend.graph.operators import STANDARD, Operator
from graftwerk.backend.graph.sockets import why_unfit
from graftwerk.widgets.canvas.connect import shift_held
from graftwerk.widgets.canvas.gestures import Gesture, paint_label
from graftwerk.widgets.canvas.look import color, pen
from graftwerk.widgets.canvas.primitives import curves

if TYPE_CHECKING:
    from graftwerk.widgets.canvas.view import Canvas

#: How near to an edge it is dropped on it, pixels.
REACH = 14.0


class Place(Gesture):
    """An operator hangs at the mouse. The edge that it would go on is lit, and says whether it takes that tensor."""

    cursor = Qt.CursorShape.DragCopyCursor

    def __init__(self, canvas: Canvas, start: QPointF, operator: Operator) -> None:
        super().__init__(canvas, start)
        self.operator = operator
        self.dragging = True
        self.edge = -1
        self.reason = ""

    def move(self, at: QPointF) -> None:
        self.now = at
        picture, (x, y) = self.canvas.picture, self.scene
        over = picture.box_at(x, y)
        found = None if over is not None else picture.edge_at(x, y, REACH / self.canvas.camera.zoom)
        edge = found if found is not None else -1
        if edge != self.edge:
            self.edge = edge
            self.reason = self._why_not()
            self.canvas.set_pointed(-1, edge, "")
        self.canvas.update()

    def _why_not(self) -> str:
        if self.edge < 0 or self.operator.deprecated:
            return f"{self.operator.name} is deprecated" if self.operator.deprecated else ""
        if not self.operator.inputs:
            return f"{self.operator.name} reads nothing; drop it beside the edge"
        record = NodeProto(op_type=self.operator.name, domain="" if self.operator.domain in STANDARD else
                           self.operator.domain)  # fmt: skip
        found = why_unfit(self.canvas.graph, record, 0, self.tensor)
        return found.text if found is not None else ""

    @property
    def tensor(self) -> str:
        return self.canvas.picture.diagram.tensor_name(self.edge) if self.edge >= 0 else ""

    @property
    def before(self) -> tuple[NodeId, ...]:
        """The reader that the edge leads to, where the tensor has others too; none for all of them, as with Shift."""
        diagram = self.canvas.picture.diagram
        readers = self.canvas.graph.consumers(self.tensor)
        target = int(diagram.target[self.edge])
        if shift_held() or len(readers) < 2 or int(diagram.kind[target]) not in (Kind.NODE, Kind.PILL):
            return ()
        return tuple(node for node in diagram.nodes(target) if node in readers)

    def release(self) -> None:
        canvas = self.canvas
        canvas.set_pointed(-1, -1, "")
        if self.reason:
            canvas.refused.emit(self.reason)
        elif canvas.rect().contains(self.now.toPoint()):
            before = self.before if self.edge >= 0 else ()
            canvas.operator_dropped.emit(self.operator, self.tensor, before, self.scene)
        canvas.update()

    def cancel(self) -> None:
        self.canvas.set_pointed(-1, -1, "")
        self.canvas.update()

    def paint(self, painter: QPainter) -> None:
        canvas, theme = self.canvas, self.canvas.look.theme
        if self.edge >= 0:
            self._light(painter, theme.error if self.reason else theme.accent)
        letters = canvas.look.letters.title
        width = max(letters.width(self.operator.name) + 36, 90.0)
        rect = QRectF(self.now.x() - width / 2, self.now.y() - 16, width, 32)
        dashed = pen(theme.error if self.reason else theme.accent, 1.6)
        dashed.setDashPattern([4, 2.5])
        painter.setPen(dashed)
        painter.setBrush(color(theme.node))
        painter.drawRoundedRect(rect, 5, 5)
        painter.setFont(letters.font)
        painter.setPen(color(theme.text))
        baseline = rect.center().y() + letters.ascent / 2
        painter.drawText(QPointF(rect.center().x() - letters.width(self.operator.name) / 2, baseline),
                         self.operator.name)  # fmt: skip
        paint_label(painter, canvas, QPointF(rect.right() - 14, rect.bottom() - 10), self.reason or self._what(),
                    bool(self.reason))  # fmt: skip

    def _what(self) -> str:
        if self.edge < 0:
            return "Add here"
        before, readers = self.before, self.canvas.graph.consumers(self.tensor)
        if before:
            return f"Insert on {self.tensor}, towards {self.canvas.graph.ref(before[0])} (Shift: towards all)"
        return f"Insert on {self.tensor}" + (f", before all {len(readers)} readers" if len(readers) > 1 else "")

    def _light(self, painter: QPainter, ink: str) -> None:
        canvas, picture = self.canvas, self.canvas.picture
        rows = picture.segments[picture.segment_edge == self.edge]
        if not len(rows):
            return
        camera = canvas.camera
        points = [(*camera.to_view(x0, y0), *camera.to_view(x1, y1)) for x0, y0, x1, y1 in rows.tolist()]
        glow = color(ink)
        glow.setAlpha(70)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for shade, width in ((glow, 9.0), (color(ink), 2.5)):
            stroke = pen(ink, width)
            stroke.setColor(shade)
            painter.setPen(stroke)
            painter.drawPath(curves(np.array(points)))
