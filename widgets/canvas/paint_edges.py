"""Edges near enough to be followed: curves, the ends of tunnels, and the types of tensors beside them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter

from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.graph.diagram_picture import STUB, Floats, Frame, Ints, Picture
from graftwerk.widgets.canvas.captions import Captions
from graftwerk.widgets.canvas.hulls import Hulls
from graftwerk.widgets.canvas.look import Look, color, pen
from graftwerk.widgets.canvas.primitives import STRAIGHT, beginnings, curves

WIDTH, STRONG = 1.4, 2.4
#: A stroked path costs more than in proportion to its length: so many edges are stroked at a time.
BATCH = 5
ARROW = 4.0
#: From a port down to the type beside its edge: below the border of a hull.
LABEL_DROP = 12.0
LEFT, RIGHT = 1, 2


def paint_edges(painter: QPainter, picture: Picture, look: Look, frame: Frame, fine: bool) -> None:
    """`fine`: with their true width; otherwise as hairlines, which thousands may be drawn of."""
    visible = picture.segments_in(frame)
    segments = _clipped(picture.segments[visible], frame)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if fine:
        painter.setPen(pen(look.theme.edge, WIDTH))
        _stroke(painter, segments)
    elif len(segments):
        painter.setPen(pen(look.theme.edge, 0.0))
        painter.drawPath(curves(segments))
    _paint_strong(painter, picture, look, visible, segments)


def _paint_strong(painter: QPainter, picture: Picture, look: Look, visible: Ints, segments: Floats) -> None:
    strong = set(look.marks.selected_edges)
    if look.marks.hovered_edge >= 0:
        strong.add(look.marks.hovered_edge)
    if not strong:
        return
    chosen = segments[np.isin(picture.segment_edge[visible], list(strong))]
    painter.setPen(pen(look.theme.edge_strong, STRONG, cosmetic=True))
    _stroke(painter, chosen)


def _stroke(painter: QPainter, segments: Floats) -> None:
    """Draws few edges at a time, and each whole, so that no seam shows between its parts."""
    cuts = [*np.flatnonzero(beginnings(segments))[::BATCH].tolist(), len(segments)]
    for start, end in pairwise(cuts):
        painter.drawPath(curves(segments[start:end]))


def _clipped(segments: Floats, frame: Frame) -> Floats:
    """Upright segments cut to the frame, which a long one leaves by far."""
    upright = np.abs(segments[:, 0] - segments[:, 2]) <= STRAIGHT
    for column in (1, 3):
        segments[upright, column] = np.clip(segments[upright, column], frame.top - 50, frame.bottom + 50)
    return segments


def paint_stubs(painter: QPainter, picture: Picture, look: Look, frame: Frame, captions: Captions,
                labels: bool) -> None:
    """Both ends of tunnels: a dashed start with a dot, a dashed end with an arrow, and where they lead."""
    reach = frame.grown(STUB + 20)
    for points, at_source in ((picture.starts, True), (picture.ends, False)):
        x, y = points[picture.tunnels].T
        inside = (x >= reach.left) & (x <= reach.right) & (y >= reach.top) & (y <= reach.bottom)
        found = picture.tunnels[inside]
        if at_source:  # all edges of a tensor leave at the same point
            _, first, count = np.unique(points[found], axis=0, return_index=True, return_counts=True)
            ends = list(zip(found[first].tolist(), count.tolist(), strict=True))
        else:
            ends = [(edge, 1) for edge in found.tolist()]
        for edge, count in ends:
            _stub(painter, QPointF(*points[edge].tolist()), at_source, look)
            if labels:
                _stub_label(painter, picture, look, captions, edge, at_source, count)


def _stub(painter: QPainter, at: QPointF, at_source: bool, look: Look) -> None:
    theme = look.theme
    dashed = pen(theme.edge, WIDTH)
    dashed.setDashPattern([3.0, 2.5])
    painter.setPen(dashed)
    end = QPointF(at.x(), at.y() + (STUB if at_source else -STUB))
    painter.drawLine(at, end)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color(theme.edge))
    painter.drawEllipse(end, ARROW - 0.5, ARROW - 0.5)


def _stub_label(painter: QPainter, picture: Picture, look: Look, captions: Captions, edge: int, at_source: bool,
                count: int) -> None:
    diagram = picture.diagram
    other = int(diagram.target[edge] if at_source else diagram.source[edge])
    caption = captions.box(other)
    name = " ".join(filter(None, (caption.title, caption.detail)))
    text = f"{count} readers" if count > 1 else name
    small = look.letters.small
    text = small.elided(("→ " if at_source else "← ") + text, 150.0)
    x, y = (picture.starts if at_source else picture.ends)[edge].tolist()
    baseline = y + STUB + small.ascent / 2 if at_source else y - STUB + small.ascent / 2
    painter.setFont(small.font)
    painter.setPen(color(look.theme.link))
    painter.drawText(QPointF(x + 8, baseline), text)


#: Least distance of two texts beside each other.
GAP = 6.0


def paint_types(painter: QPainter, picture: Picture, look: Look, frame: Frame, captions: Captions,
                hulls: Hulls) -> None:
    """The type of each tensor beside the start of its edge, where there is room for it."""
    diagram, small = picture.diagram, look.letters.small
    inside = picture.segments_in(frame)
    edges = np.flatnonzero(np.bincount(picture.segment_edge[inside]))  # np.unique would import numpy.ma
    _, first = np.unique(picture.starts[edges], axis=0, return_index=True)
    leaning = _leaning(picture.segments[inside])
    placed: list[QRectF] = []
    painter.setFont(small.font)
    painter.setPen(color(look.theme.muted))
    for edge in edges[np.sort(first)].tolist():
        text = captions.tensor(diagram.tensor_name(edge))
        if not text or int(diagram.kind[diagram.source[edge]]) == Kind.INPUT:  # that says it already
            continue
        x, y = picture.starts[edge].tolist()
        lean = leaning.get((x, y), 0)
        if lean == LEFT | RIGHT:
            continue
        text = small.elided(text, hulls.room(x, y + LABEL_DROP, to_right=lean != RIGHT) - 14)
        width = small.width(text)
        rect = QRectF(x - 7 - width if lean == RIGHT else x + 7, y + LABEL_DROP, width, small.height)
        around = Frame(rect.left(), rect.top(), rect.right(), rect.bottom())
        if len(picture.boxes_in(around)) or any(rect.adjusted(-GAP, 0, GAP, 0).intersects(other) for other in placed):
            continue
        placed.append(rect)
        painter.drawText(QPointF(rect.left(), rect.top() + small.ascent + 2), text)


def _leaning(segments: Floats) -> dict[tuple[float, float], int]:
    """To which sides edges leave each port; a text beside it stands on the other one."""
    found: dict[tuple[float, float], int] = {}
    for x0, y0, x1, _ in segments.tolist():
        side = 0 if abs(x1 - x0) < 4 else LEFT if x1 < x0 else RIGHT
        found[x0, y0] = found.get((x0, y0), 0) | side
    return found
