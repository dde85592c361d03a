"""A placement after an edit: what was there stays where it is, what is new finds a place near its neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.layout import Placement
from graftwerk.backend.graph.layout_place import LAYER_GAP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Point = tuple[float, float]

#: Least distance to other boxes.
BESIDE, ABOVE = 12.0, 8.0
#: How far up and down a place is looked for, by falling preference; a step down costs as much as the same step aside.
ROWS = (0.0, -12.0, 12.0, -24.0, 24.0, -48.0, 48.0, -96.0, 96.0, -160.0, 160.0)
#: New edges longer than this are tunnels: about 40 layers, as in `layout_layers`.
TOO_LONG = 4000.0
#: New edges shorter than this run straight from port to port.
SHORT = 1.6 * LAYER_GAP
LANE = 9.0


@dataclass(frozen=True)
class Anchor:
    """What a new box hangs on, on one side: a standing box's edge, and how many new boxes lie in between."""

    box: int
    x: float
    y: float
    steps: int


def update(previous: Placement, box_of: NDArray[np.int32], edge_of: NDArray[np.int32], width: NDArray[np.float32],
           height: NDArray[np.float32], source: NDArray[np.int32], target: NDArray[np.int32],
           source_port: NDArray[np.float32], target_port: NDArray[np.float32]) -> Placement:
    """Place the N boxes and E edges of an edited graph.

    `box_of` (N,) and `edge_of` (E,) say which box or edge of `previous` each one is, -1 for a new one. Boxes that were
    there keep their x and y exactly, edges that were there their waypoints. A new box between two boxes stands on the
    line that it interrupts where there is room, else beside it; it never overlaps another one. The cost grows with the
    number of new boxes and edges; the rest is copied. The other arguments are those of `layout`.
    """
    wide, high = np.asarray(width, np.float64), np.asarray(height, np.float64)
    known = box_of >= 0
    x, y = np.full(len(wide), np.nan), np.full(len(wide), np.nan)
    x[known], y[known] = previous.x[box_of[known]], previous.y[box_of[known]]
    old = Routes(previous, edge_of, box_of)
    fresh = np.flatnonzero(~known)
    if len(fresh):
        touching = np.flatnonzero(~known[source] | ~known[target])
        _stand(fresh.tolist(), touching, x, y, wide, high, source, target, source_port, target_port, old)
    new_edges = np.flatnonzero(edge_of < 0)
    routes: dict[int, list[Point]] = {}
    tunnels = np.zeros(len(source), np.bool_)
    kept = edge_of >= 0
    tunnels[kept] = previous.tunnels[edge_of[kept]]
    for edge in new_edges.tolist():
        s, t = int(source[edge]), int(target[edge])
        start = (float(x[s] + source_port[edge]), float(y[s] + high[s]))
        end = (float(x[t] + target_port[edge]), float(y[t]))
        if end[1] <= start[1] or end[1] - start[1] > TOO_LONG:
            tunnels[edge] = True
        else:
            along = old.part(edge, s, t, start, end)
            routes[edge] = _run(start, end, x, y, wide, high) if along is None else along
    route_start, points = _merge_routes(previous, edge_of, routes)
    return Placement(x.astype(np.float32), y.astype(np.float32), tunnels, route_start, points,
                     np.asarray(source, np.int32), np.asarray(target, np.int32))


class Routes:
    """The lines of edges that are gone: what was inserted on one stands on it, and the new edges run along it."""

    def __init__(self, previous: Placement, edge_of: NDArray[np.int32], box_of: NDArray[np.int32]) -> None:
        gone = np.ones(len(previous.source), np.bool_)
        gone[edge_of[edge_of >= 0]] = False
        self._previous, self._box_of = previous, box_of
        edges = np.flatnonzero(gone & ~previous.tunnels).tolist()
        self._edge = {(int(previous.source[e]), int(previous.target[e])): e for e in edges}
        self._line: dict[int, list[Point]] = {}  # per new box: the waypoints of the line that it stands on

    def between(self, upper: int, lower: int) -> list[Point] | None:
        """Waypoints of the edge that ran between two standing boxes, None where there was none."""
        edge = self._edge.get((int(self._box_of[upper]), int(self._box_of[lower])))
        return None if edge is None else [(float(px), float(py)) for px, py in self._previous.route(edge)]

    def stands_on(self, box: int, line: list[Point]) -> None:
        self._line[box] = line

    def part(self, edge: int, source: int, target: int, start: Point, end: Point) -> list[Point] | None:
        """The waypoints that a new edge takes over from the line it is a part of; None where it isn't."""
        line = self._line.get(source, self._line.get(target))
        if line is None:
            return None
        return [(px, py) for px, py in line if start[1] <= py <= end[1]]


def _stand(fresh: list[int], touching: Ints, x: Floats, y: Floats, width: Floats, height: Floats,
           source: NDArray[np.int32], target: NDArray[np.int32], source_port: NDArray[np.float32],
           target_port: NDArray[np.float32], old: Routes) -> None:
    """Fill in x and y of the new boxes."""
    new = set(fresh)
    into: dict[int, list[int]] = {box: [] for box in fresh}
    out: dict[int, list[int]] = {box: [] for box in fresh}
    for edge in touching.tolist():
        if int(target[edge]) in new:
            into[int(target[edge])].append(edge)
        if int(source[edge]) in new:
            out[int(source[edge])].append(edge)
    order = _topological(fresh, out, target)
    above: dict[int, Anchor | None] = {}
    below: dict[int, Anchor | None] = {}
    producers = {box: [(int(source[e]), float(source_port[e])) for e in into[box]] for box in fresh}
    for box in order:
        above[box] = _anchor(producers[box], above, x, y + height, True)
    for box in reversed(order):
        below[box] = _anchor(((int(target[e]), float(target_port[e])) for e in out[box]), below, x, y, False)
    for box in order:
        if above[box] is None and below[box] is None:  # new boxes that hang on nothing: one on the other
            above[box] = _anchor(producers[box], {}, x, y + height, True)
        wish_x, wish_y, line = _wish(above[box], below[box], float(height[box]), x, y, old)
        x[box], y[box] = _free_place(wish_x, wish_y, float(width[box]), float(height[box]), x, y, width, height)
        if line is not None and abs(x[box] - wish_x) < 1.0:
            old.stands_on(box, line)


def _topological(fresh: list[int], out: dict[int, list[int]], target: NDArray[np.int32]) -> list[int]:
    """New boxes, producers first; the boxes of a cycle in some order."""
    done: set[int] = set()
    order: list[int] = []
    for root in fresh:
        stack = [(root, False)]
        while stack:
            box, finished = stack.pop()
            if finished:
                order.append(box)
            elif box not in done:
                done.add(box)
                stack.append((box, True))
                stack.extend((int(target[e]), False) for e in out[box] if int(target[e]) in out)
    return order[::-1]


def _anchor(neighbours: Iterable[tuple[int, float]], found: dict[int, Anchor | None], x: Floats, edge_y: Floats,
            upwards: bool) -> Anchor | None:
    """The nearest standing box above or below, through new boxes that have theirs already."""
    anchors = []
    for box, port in neighbours:
        beyond = found.get(box)
        if not np.isnan(x[box]):
            anchors.append(Anchor(box, float(x[box]) + port, float(edge_y[box]), 0))
        elif beyond is not None:
            anchors.append(Anchor(beyond.box, beyond.x, beyond.y, beyond.steps + 1))
    if not anchors:
        return None
    best = max(anchors, key=lambda a: a.y if upwards else -a.y)
    mean = sum(a.x for a in anchors) / len(anchors)
    return Anchor(best.box, mean, best.y, max(a.steps for a in anchors))


def _wish(above: Anchor | None, below: Anchor | None, height: float, x: Floats, y: Floats,
          old: Routes) -> tuple[float, float, list[Point] | None]:
    """Where a new box would best stand (centre x, top y), and the old line that runs there."""
    if above and below:
        part = (above.steps + 1) / (above.steps + below.steps + 2)
        middle = above.y + part * (below.y - above.y)
        line = old.between(above.box, below.box)
        path = [(above.x, above.y), *(line or []), (below.x, below.y)]
        return float(np.interp(middle, [p[1] for p in path], [p[0] for p in path])), middle - height / 2, line
    if above:
        return above.x, above.y + LAYER_GAP + above.steps * (LAYER_GAP + height), None
    if below:
        return below.x, below.y - LAYER_GAP - height - below.steps * (LAYER_GAP + height), None
    if np.isnan(y).all():
        return 0.0, 0.0, None
    return float(x[np.nanargmin(y)]), float(np.nanmin(y)), None


def _free_place(x: float, y: float, width: float, height: float, boxes_x: Floats, boxes_y: Floats, widths: Floats,
                heights: Floats) -> Point:
    """The nearest place (centre x, top y) to the one wished for that is free of boxes."""
    reach = 160.0 + ABOVE
    near = np.flatnonzero((boxes_y < y + height + reach) & (boxes_y + heights > y - reach))  # no place yet: NaN, False
    bx, by, bw, bh = boxes_x[near], boxes_y[near], widths[near], heights[near]
    best, cheapest = (x, y), np.inf
    for row in ROWS:
        if abs(row) >= cheapest:
            continue
        top = y + row
        across = (by < top + height + ABOVE) & (by + bh > top - ABOVE)
        at = free_x(x, bx[across], bw[across] / 2 + width / 2 + BESIDE)
        if abs(at - x) + abs(row) < cheapest:
            best, cheapest = (at, top), abs(at - x) + abs(row)
    return best


def free_x(wish: float, centres: Floats, halves: Floats) -> float:
    """The nearest x to `wish` that is in none of the intervals centre ± half."""
    order = np.argsort(centres - halves, kind="stable")
    starts, ends = (centres - halves)[order].tolist(), (centres + halves)[order].tolist()
    left = right = wish
    for start, end in zip(starts, ends, strict=True):  # rising starts: one pass moves right past all that overlap
        if start < right < end:
            right = end
    for end, start in sorted(zip(ends, starts, strict=True), reverse=True):
        if start < left < end:
            left = start
    return left if wish - left <= right - wish else right


def _run(start: Point, end: Point, x: Floats, y: Floats, width: Floats, height: Floats) -> list[Point]:
    """Waypoints of a new edge: straight down a lane that is free of boxes."""
    way = end[1] - start[1]
    if way <= SHORT:
        return []
    turn = min(LAYER_GAP / 2, way / 3)
    top, bottom = start[1] + turn, end[1] - turn
    near = np.flatnonzero((y < bottom) & (y + height > top))
    lanes = [free_x(wish, x[near], width[near] / 2 + LANE) for wish in (start[0], end[0])]
    lane = min(lanes, key=lambda at: abs(at - start[0]) + abs(at - end[0]))
    if abs(lane - start[0]) < 1e-3 and abs(lane - end[0]) < 1e-3:
        return []
    return [(lane, top), (lane, bottom)]


def _merge_routes(previous: Placement, edge_of: NDArray[np.int32],
                  routes: dict[int, list[Point]]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The waypoints of kept edges and of new ones in one list."""
    kept = edge_of >= 0
    first = np.zeros(len(edge_of), np.int64)
    size = np.zeros(len(edge_of), np.int64)
    first[kept] = previous.route_start[edge_of[kept]]
    size[kept] = previous.route_start[edge_of[kept] + 1] - first[kept]
    added = []
    at = len(previous.route_points)
    for edge, points in routes.items():
        first[edge], size[edge] = at, len(points)
        added += points
        at += len(points)
    pool = np.concatenate((previous.route_points, np.array(added, np.float32).reshape(-1, 2)))
    start = np.concatenate(([0], np.cumsum(size)))
    pick = np.repeat(first - start[:-1], size) + np.arange(int(start[-1]))
    return start.astype(np.int32), pool[pick]
