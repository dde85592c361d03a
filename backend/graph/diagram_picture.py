"""A diagram with coordinates: where every box stands and every edge runs, and what is found at a point or in a frame.

All lengths are scene units, one pixel at 100 %; y grows downwards. Everything is computed over all boxes or segments at
once: a pass over 50,000 takes a fraction of a millisecond, less than a spatial index costs to keep up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph import layout_update
from graftwerk.backend.graph.diagram import Diagram, Key
from graftwerk.backend.graph.diagram_columns import build
from graftwerk.backend.graph.diagram_roles import Path
from graftwerk.backend.graph.diagram_update import update
from graftwerk.backend.graph.diff import Diff
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.layout import Placement, layout

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Length of the two ends of an edge that is too long to be drawn whole.
STUB = 22.0
#: How far an edge keeps to the vertical before it turns aside, as a part of the way down.
BEND = 0.62
#: Points on a curve that its distance from a point is measured at.
SAMPLES = 17


@dataclass(frozen=True)
class Frame:
    """A rectangle in the scene."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def grown(self, by: float) -> Frame:
        return Frame(self.left - by, self.top - by, self.right + by, self.bottom + by)


    def within(self, other: Frame) -> Frame:
        """What both have in common; without extent where that is nothing."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        return Frame(left, top, max(left, min(self.right, other.right)), max(top, min(self.bottom, other.bottom)))


@dataclass(frozen=True, eq=False)
class Picture:
    """Boxes by their edges `left` … `bottom`, (B,); `moved` are the boxes that the user has put elsewhere."""

    diagram: Diagram
    placement: Placement
    left: Floats
    top: Floats
    moved: frozenset[int] = frozenset()

    @classmethod
    def of(cls, diagram: Diagram, placement: Placement,
           moved: Mapping[Key, tuple[float, float]] | None = None) -> Picture:
        """`moved`: top left corners of the boxes that don't stand where the layout put them."""
        left = placement.x.astype(np.float64) - diagram.width / 2
        top = placement.y.astype(np.float64)
        boxes = set()
        for key, corner in (moved or {}).items():
            box = diagram.find(key)
            if box is not None:
                left[box], top[box] = corner
                boxes.add(box)
        return cls(diagram, placement, left, top, frozenset(boxes))

    @cached_property
    def right(self) -> Floats:
        return self.left + self.diagram.width

    @cached_property
    def bottom(self) -> Floats:
        return self.top + self.diagram.height

    @cached_property
    def bounds(self) -> Frame:
        """Around everything that is drawn."""
        if not len(self.left):
            return Frame(0.0, 0.0, 0.0, 0.0)
        x = np.concatenate((self.segments[:, 0], self.segments[:, 2], self.left, self.right))
        return Frame(float(x.min()), float(self.top.min()), float(x.max()), float(self.bottom.max()))

    @cached_property
    def starts(self) -> Floats:
        """Where edges leave their sources, (E, 2)."""
        diagram = self.diagram
        x = self.left[diagram.source] + diagram.width[diagram.source] / 2 + diagram.source_port
        return np.column_stack((x, self.bottom[diagram.source]))

    @cached_property
    def ends(self) -> Floats:
        """Where edges enter their targets, (E, 2)."""
        diagram = self.diagram
        x = self.left[diagram.target] + diagram.width[diagram.target] / 2 + diagram.target_port
        return np.column_stack((x, self.top[diagram.target]))

    @cached_property
    def _routes(self) -> tuple[Floats, Ints]:
        """Segments (S, 4) as x, y, x, y from source to target, and the edge of each. Tunnels have none.

        An edge of a box that the user has moved goes straight, its waypoints led to where the box was.
        """
        placement = self.placement
        drawn = np.flatnonzero(~placement.tunnels)
        count = np.diff(placement.route_start).astype(np.int64)[drawn]
        if self.moved:
            boxes = np.fromiter(self.moved, np.int64)
            count[np.isin(self.diagram.source[drawn], boxes) | np.isin(self.diagram.target[drawn], boxes)] = 0
        first = np.cumsum(count + 2) - (count + 2)
        total = int((count + 2).sum())
        points = np.empty((total, 2))
        inner = np.ones(total, np.bool_)
        last = first + count + 1
        inner[first] = inner[last] = False
        points[first], points[last] = self.starts[drawn], self.ends[drawn]
        way = np.repeat(placement.route_start[drawn].astype(np.int64) - np.cumsum(count) + count, count)
        points[inner] = placement.route_points[way + np.arange(len(way))]
        begins = np.ones(total, np.bool_)
        begins[last] = False
        at = np.flatnonzero(begins)
        return np.hstack((points[at], points[at + 1])), np.repeat(drawn, count + 1)

    @property
    def segments(self) -> Floats:
        return self._routes[0]

    @property
    def segment_edge(self) -> Ints:
        return self._routes[1]

    @cached_property
    def tunnels(self) -> Ints:
        """The edges that are drawn as two stubs."""
        return np.flatnonzero(self.placement.tunnels)

    def rects(self, boxes: Ints) -> Floats:
        """Left, top, width, height, (N, 4)."""
        found = np.empty((len(boxes), 4))
        found[:, 0], found[:, 1] = self.left[boxes], self.top[boxes]
        found[:, 2], found[:, 3] = self.diagram.width[boxes], self.diagram.height[boxes]
        return found

    def boxes_in(self, frame: Frame) -> Ints:
        inside = (self.left <= frame.right) & (self.right >= frame.left)
        inside &= (self.top <= frame.bottom) & (self.bottom >= frame.top)
        return np.flatnonzero(inside)

    def segments_in(self, frame: Frame) -> Ints:
        """A curve stays inside the rectangle of its two ends."""
        x0, y0, x1, y1 = self.segments.T
        inside = (np.minimum(y0, y1) <= frame.bottom) & (np.maximum(y0, y1) >= frame.top)
        inside &= (np.minimum(x0, x1) <= frame.right) & (np.maximum(x0, x1) >= frame.left)
        return np.flatnonzero(inside)

    def box_at(self, x: float, y: float) -> int | None:
        found = self.boxes_in(Frame(x, y, x, y))
        return int(found[-1]) if len(found) else None

    def edge_at(self, x: float, y: float, within: float) -> int | None:
        """The edge that passes nearest to a point, no further than `within`."""
        near = self.segments_in(Frame(x, y, x, y).grown(within))
        if not len(near):
            return None
        curves = curve_points(self.segments[near], SAMPLES)
        distance = _distance(curves, x, y).min(axis=1)
        best = int(distance.argmin())
        return int(self.segment_edge[near[best]]) if distance[best] <= within else None

    def tunnel_at(self, x: float, y: float, within: float) -> tuple[int, bool] | None:
        """The tunnel that a stub at a point belongs to, and whether it is the end at the source."""
        for points, at_source in ((self.starts, True), (self.ends, False)):
            stubs = points[self.tunnels]
            high = y - stubs[:, 1] if at_source else stubs[:, 1] - y
            hit = (np.abs(stubs[:, 0] - x) <= within) & (high >= 0) & (high <= STUB + within)
            if hit.any():
                return int(self.tunnels[int(np.argmax(hit))]), at_source
        return None


def draw(graph: Graph, collapsed: frozenset[Path] = frozenset(),
         moved: Mapping[Key, tuple[float, float]] | None = None) -> Picture:
    """The picture of a graph that was not drawn before. Takes seconds at 100,000 nodes; may run in any thread."""
    diagram = build(graph, collapsed)
    placement = layout(diagram.width, diagram.height, diagram.source, diagram.target, diagram.source_port,
                       diagram.target_port)
    return Picture.of(diagram, placement, moved)


def redraw(before: Picture, graph: Graph, change: Diff, moved: Mapping[Key, tuple[float, float]]) -> Picture:
    """The picture of the revision that `change` leads to from that of `before`: what is in both stays where it is."""
    made = update(before.diagram, graph, change)
    new = made.diagram
    placement = layout_update.update(before.placement, made.box_of, made.edge_of, new.width, new.height, new.source,
                                     new.target, new.source_port, new.target_port)
    return Picture.of(new, placement, moved)


def curve_points(segments: Floats, count: int) -> Floats:
    """Points on the curves of segments, (S, count, 2): cubics that are vertical at both ends."""
    t = np.linspace(0.0, 1.0, count)
    x0, y0, x1, y1 = (column[:, None] for column in segments.T)
    upper, lower = y0 + BEND * (y1 - y0), y1 - BEND * (y1 - y0)
    # Bézier with the control points (x0, upper) and (x1, lower)
    weight_x = 3 * t**2 - 2 * t**3
    x = x0 + (x1 - x0) * weight_x
    y = y0 * (1 - t) ** 3 + 3 * upper * t * (1 - t) ** 2 + 3 * lower * t**2 * (1 - t) + y1 * t**3
    return np.stack((x, y), axis=2)


def _distance(curves: Floats, x: float, y: float) -> Floats:
    """Distance of a point from each piece of sampled curves, (S, count - 1)."""
    point = np.array((x, y))
    start, way = curves[:, :-1], np.diff(curves, axis=1)
    length = np.maximum((way**2).sum(axis=2), 1e-12)
    along = np.clip(((point - start) * way).sum(axis=2) / length, 0.0, 1.0)
    nearest = start + way * along[:, :, None]
    return np.asarray(np.sqrt(((nearest - point) ** 2).sum(axis=2)))
