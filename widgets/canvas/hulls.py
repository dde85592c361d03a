"""The outline around the nodes of one layer: the boxes and the way between them, and nothing that is not part of it.

Two boxes joined by an edge get one rectangle around both where no other box stands in it, else a corridor along the
edge where that is free; what is not connected stays a piece of its own, in the same colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainterPath, QPolygonF

from graftwerk.backend.graph.diagram_picture import Floats, Frame, Ints, Picture
from graftwerk.widgets.canvas.overlay import Hull

#: Free space inside a hull beside its boxes, above them where the title stands, and below.
SIDE, ABOVE, BELOW = 10.0, 24.0, 10.0
CORRIDOR, LEAST_WIDTH = 12.0, 212.0
RADIUS = 10.0


@dataclass(frozen=True)
class Outline:
    """A hull as it is drawn: all its pieces in one path, and per piece the rectangle whose top has the title.

    `tight` says of each piece that it has no room there: its title stands beside it.
    """

    hull: Hull
    path: QPainterPath
    titles: tuple[QRectF, ...]
    tight: tuple[bool, ...]


class Hulls:
    """The hulls of an overlay over one picture. Outlines are made when they come into view."""

    def __init__(self, picture: Picture, hulls: tuple[Hull, ...]) -> None:
        self.picture, self.hulls = picture, hulls
        self._outlines: dict[int, Outline] = {}

    @cached_property
    def _flat(self) -> tuple[Ints, Ints]:
        """Boxes of all hulls in a row, and where each hull's begin.

        A box of which only some nodes are in a hull, a Q/DQ pair between two layers, stands between the hulls; unless
        the hull has nothing else.
        """
        diagram = self.picture.diagram
        box_of = np.append(diagram.box_of, -1)
        size = [len(hull.nodes) for hull in self.hulls]
        nodes = np.fromiter((node for hull in self.hulls for node in hull.nodes), np.int64, sum(size))
        owner = np.repeat(np.arange(len(size)), size)
        boxes = box_of[np.minimum(nodes, len(box_of) - 1)].astype(np.int64)
        pairs, inside = np.unique((owner * len(diagram.kind) + boxes)[boxes >= 0], return_counts=True)
        owner, boxes = np.divmod(pairs, max(len(diagram.kind), 1))
        whole = inside >= np.bincount(diagram.box_of[diagram.box_of >= 0], minlength=len(diagram.kind))[boxes]
        whole |= ~np.isin(owner, owner[whole])
        return boxes[whole], np.searchsorted(owner[whole], np.arange(len(size) + 1))

    def members(self, number: int) -> Ints:
        """The boxes of a hull."""
        boxes, first = self._flat
        return boxes[first[number] : first[number + 1]]

    @cached_property
    def _bounds(self) -> Floats:
        """Left, top, right, bottom around the boxes of each hull, (H, 4); empty hulls are nowhere."""
        picture = self.picture
        boxes, first = self._flat
        bounds = np.full((len(self.hulls), 4), np.nan)
        some = np.flatnonzero(np.diff(first))
        if len(some):
            for column, values, reduce in (
                (0, picture.left - SIDE, np.minimum), (1, picture.top - ABOVE, np.minimum),
                (2, picture.right + SIDE, np.maximum), (3, picture.bottom + BELOW, np.maximum),
            ):  # fmt: skip
                bounds[some, column] = reduce.reduceat(values[boxes], first[some])
        return bounds

    def visible(self, frame: Frame) -> list[int]:
        if not self.hulls:
            return []
        left, top, right, bottom = self._bounds.T
        frame = frame.grown(LEAST_WIDTH / 2)
        inside = (left <= frame.right) & (right >= frame.left) & (top <= frame.bottom) & (bottom >= frame.top)
        return np.flatnonzero(inside).tolist()

    def outline(self, number: int) -> Outline:
        found = self._outlines.get(number)
        if found is None:
            found = self._outlines[number] = self._made(number)
        return found

    def at(self, x: float, y: float) -> Hull | None:
        """The smallest hull around a point."""
        point = QPointF(x, y)
        hit = [number for number in self.visible(Frame(x, y, x, y)) if self.outline(number).path.contains(point)]
        if not hit:
            return None
        return self.hulls[min(hit, key=lambda number: len(self.members(number)))]

    def room(self, x: float, y: float, to_right: bool) -> float:
        """How far it is from a point to the border of the hull around it, on one side; without end outside of all."""
        room = np.inf
        for number in self.visible(Frame(x, y, x, y)):
            path = self.outline(number).path
            if path.contains(QPointF(x, y)):
                for rect in self.outline(number).titles:
                    if rect.top() <= y <= rect.bottom():
                        room = min(room, rect.right() - x if to_right else x - rect.left())
        return float(room)

    def _made(self, number: int) -> Outline:
        boxes = self.members(number)
        own = set(boxes.tolist())
        path = QPainterPath()
        titles, tight = [], []
        for piece in self._connected(boxes):
            rects = self._piece(piece, own)
            titles.append(rects[0])
            tight.append(float(self.picture.top[piece].min()) - rects[0].top() < ABOVE * 0.9)
            for rect in rects:
                part = QPainterPath()
                part.addRect(rect)
                path = path.united(part)
        outline = QPainterPath()
        for polygon in path.simplified().toSubpathPolygons():
            outline.addPath(rounded(polygon))
        return Outline(self.hulls[number], outline, tuple(titles), tuple(tight))

    def _connected(self, boxes: Ints) -> list[Ints]:
        """Boxes that hang together by edges among them, from the top."""
        inner = self._inner(boxes)
        diagram = self.picture.diagram
        near: dict[int, list[int]] = {box: [] for box in boxes.tolist()}
        for source, target in zip(diagram.source[inner].tolist(), diagram.target[inner].tolist(), strict=True):
            near[source].append(target)
            near[target].append(source)
        found = []
        left = set(near)
        for box in boxes[np.argsort(self.picture.top[boxes], kind="stable")].tolist():
            waiting = [box] if box in left else []
            piece = []
            while waiting:
                at = waiting.pop()
                if at in left:
                    left.remove(at)
                    piece.append(at)
                    waiting += near[at]
            if piece:
                found.append(np.array(piece, np.int64))
        return found

    def _inner(self, boxes: Ints) -> Ints:
        diagram = self.picture.diagram
        return np.flatnonzero(np.isin(diagram.source, boxes) & np.isin(diagram.target, boxes))

    def _piece(self, boxes: Ints, own: set[int]) -> list[QRectF]:
        """The rectangles that make up one piece; the first has the title."""
        whole = self._whole(boxes)
        for frame in (widened(whole), whole):
            if self._free(frame, own):
                return [_rect(frame)]
        picture = self.picture
        order = boxes[np.lexsort((-picture.right[boxes], picture.top[boxes]))]
        return [*(self._around(box, own) for box in order.tolist()), *self._links(boxes, own)]

    def _around(self, box: int, own: set[int]) -> QRectF:
        picture = self.picture
        frame = Frame(float(picture.left[box]), float(picture.top[box]), float(picture.right[box]),
                      float(picture.bottom[box]))
        wide = widened(Frame(frame.left - SIDE, frame.top - ABOVE, frame.right + SIDE, frame.bottom + BELOW))
        if self._free(wide, own):
            return _rect(wide)
        for share in (1.0, 0.5, 0.2):
            grown = Frame(frame.left - SIDE * share, frame.top - ABOVE * share, frame.right + SIDE * share,
                          frame.bottom + BELOW * share)
            if self._free(grown, own):
                break
        return _rect(grown)

    def _whole(self, boxes: Ints) -> Frame:
        picture = self.picture
        return Frame(float(picture.left[boxes].min()) - SIDE, float(picture.top[boxes].min()) - ABOVE,
                     float(picture.right[boxes].max()) + SIDE, float(picture.bottom[boxes].max()) + BELOW)

    def _free(self, frame: Frame, own: set[int]) -> bool:
        return own.issuperset(self.picture.boxes_in(frame).tolist())

    def _links(self, boxes: Ints, own: set[int]) -> list[QRectF]:
        diagram = self.picture.diagram
        found = []
        for edge in self._inner(boxes).tolist():
            around = self._whole(np.array((diagram.source[edge], diagram.target[edge]), np.int64))
            if self._free(around, own):
                found.append(_rect(around))
            else:
                found += self._corridor(edge, own)
        return found

    def _corridor(self, edge: int, own: set[int]) -> list[QRectF]:
        """Around every segment of an edge; nothing where a box of another layer is in the way of one."""
        segments = self.picture.segments[self.picture.segment_edge == edge]
        frames = [Frame(min(x0, x1) - CORRIDOR, min(y0, y1) - CORRIDOR, max(x0, x1) + CORRIDOR, max(y0, y1) + CORRIDOR)
                  for x0, y0, x1, y1 in segments.tolist()]
        return [_rect(frame) for frame in frames] if all(self._free(frame, own) for frame in frames) else []


def _rect(frame: Frame) -> QRectF:
    return QRectF(frame.left, frame.top, frame.width, frame.height)


def widened(frame: Frame) -> Frame:
    """A frame of at least LEAST_WIDTH, so that hulls in a row are equally wide and their titles fit."""
    more = max(LEAST_WIDTH - frame.width, 0.0) / 2
    return Frame(frame.left - more, frame.top, frame.right + more, frame.bottom)


def rounded(polygon: QPolygonF) -> QPainterPath:
    """A closed polygon with its corners rounded off, by RADIUS where its sides are long enough."""
    points = [polygon.at(index) for index in range(polygon.size())]
    if len(points) > 1 and points[0] == points[-1]:
        points.pop()
    path = QPainterPath()
    count = len(points)
    for index, corner in enumerate(points):
        enter = _towards(corner, points[index - 1])
        leave = _towards(corner, points[(index + 1) % count])
        if index == 0:
            path.moveTo(enter)
        else:
            path.lineTo(enter)
        path.quadTo(corner, leave)
    path.closeSubpath()
    return path


def _towards(corner: QPointF, other: QPointF) -> QPointF:
    way = other - corner
    length = (way.x() ** 2 + way.y() ** 2) ** 0.5
    return corner + way * (min(RADIUS, length / 2) / length) if length else corner
