"""Where things are on a canvas."""

from __future__ import annotations

from PySide6.QtCore import QPoint

from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.widgets.canvas.view import Canvas


def named(graph: Graph, name: str) -> NodeId:
    return graph.find(name)


def middle(canvas: Canvas, node: NodeId) -> QPoint:
    """The pixel in the middle of a node's box."""
    box = canvas.picture.diagram.box(node)
    assert box is not None
    picture = canvas.picture
    x, y = canvas.camera.to_view(float(picture.left[box] + picture.right[box]) / 2,
                                 float(picture.top[box] + picture.bottom[box]) / 2)
    return QPoint(round(x), round(y))
