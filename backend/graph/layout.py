"""Layered layout of a graph of boxes: where each box stands and how each edge runs. Arrays in, arrays out.

Top-down, after Sugiyama: layers (layout_layers), order within the layers (layout_order), vertical lines
(layout_blocks), coordinates (layout_place). After an edit, `layout_update.update` keeps what stands and finds places
for what is new.

All lengths are scene units: one pixel at 100 %. y grows downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph import layout_blocks, layout_elements, layout_layers, layout_order, layout_place
from graftwerk.backend.graph.layout_elements import Elements
from graftwerk.backend.graph.layout_layers import Layers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: A box that is lower than its layer by more than this gets a waypoint at the layer's edge, so that its line turns
#: only in the gap between two layers, and not along the side of a taller neighbour.
SHORTFALL = 6.0


@dataclass(frozen=True)
class Placement:
    """Where N boxes and E edges are drawn.

    A drawn edge starts at the bottom of its source (x + source_port), passes its waypoints and ends at the top of its
    target (x + target_port). Between two points of different x it should be drawn as a curve that is vertical at both
    ends; it then stays inside the gap between two layers.
    """

    x: NDArray[np.float32]  # (N,) centre of the box
    y: NDArray[np.float32]  # (N,) top of the box
    tunnels: NDArray[np.bool_]  # (E,) drawn as two stubs: spans too many layers, or runs against the direction
    route_start: NDArray[np.int32]  # (E + 1,) the waypoints of edge e are route_points[route_start[e]:route_start[e+1]]
    route_points: NDArray[np.float32]  # (P, 2) x, y; from source to target
    source: NDArray[np.int32]  # (E,) what was laid out
    target: NDArray[np.int32]  # (E,)

    def route(self, edge: int) -> NDArray[np.float32]:
        """Waypoints of one edge, (K, 2); K is 0 for a straight line and for a tunnel."""
        return self.route_points[self.route_start[edge]:self.route_start[edge + 1]]


def layout(width: NDArray[np.float32], height: NDArray[np.float32], source: NDArray[np.int32],
           target: NDArray[np.int32], source_port: NDArray[np.float32], target_port: NDArray[np.float32]) -> Placement:
    """Place N boxes, (N,) width and height, and E edges, (E,) indices of boxes.

    The ports, (E,), say where an edge leaves the bottom of its source and enters the top of its target, measured from
    the box's centre. Cycles, loops and parallel edges are allowed. Boxes never overlap. The same input gives the same
    placement; boxes in topological order (as a checked model has them) save a little time.
    """
    boxes = len(width)
    wide, high = np.asarray(width, np.float64), np.asarray(height, np.float64)
    start, end = np.asarray(source, np.int64), np.asarray(target, np.int64)
    out, into = np.asarray(source_port, np.float64), np.asarray(target_port, np.float64)
    if boxes == 0:
        empty = np.zeros(0, np.float32)
        return Placement(empty, empty, np.zeros(0, np.bool_), np.zeros(1, np.int32), np.zeros((0, 2), np.float32),
                         np.zeros(0, np.int32), np.zeros(0, np.int32))
    layers = layout_layers.assign(boxes, start, end)
    elements = layout_elements.split(layers, _share(out, wide[start]), _share(into, wide[end]))
    order = layout_order.arrange(layers, elements)
    leave = np.where(elements.upper < boxes, out[elements.edge], 0.0)
    enter = np.where(elements.lower < boxes, into[elements.edge], 0.0)
    x = _columns(layers, elements, order, wide, leave, enter)
    first = np.concatenate(([0], np.flatnonzero(np.diff(_component_of_layer(layers))) + 1))
    top, bottom = layout_place.bands(elements, boxes, high, x, first)
    left, upper = _pack(layers, elements, x, wide, bottom, first)
    x += left[layers.component[_owner(elements, layers, boxes)]]
    of_layer = upper[_component_of_layer(layers)]
    top, bottom = top + of_layer, bottom + of_layer
    layer = layers.layer
    y = (top[layer] + bottom[layer] - high) / 2
    route_start, points = _routes(elements, len(start), x, y, high, leave, enter, top, bottom)
    return Placement(x[:boxes].astype(np.float32), y.astype(np.float32), layers.tunnel, route_start, points,
                     np.asarray(source, np.int32), np.asarray(target, np.int32))


def _share(port: Floats, width: Floats) -> Floats:
    """A port in box widths, kept inside the box."""
    return np.clip(port / np.maximum(width, 1.0), -0.5, 0.5)


def _component_of_layer(layers: Layers) -> Ints:
    component = np.empty(int(layers.layer.max()) + 1, np.int64)
    component[layers.layer] = layers.component
    return component


def _owner(elements: Elements, layers: Layers, boxes: int) -> Ints:
    """A box of the same component, per element."""
    return np.concatenate((np.arange(boxes), layers.source[elements.bend_edge]))


def _columns(layers: Layers, elements: Elements, order: Ints, width: Floats, leave: Floats, enter: Floats) -> Floats:
    """Centre x of every element; components on top of each other."""
    boxes = len(width)
    position = np.empty(len(order))
    position[order] = np.arange(len(order)) - elements.start[elements.layer[order]]
    on_trunk = layout_blocks.trunk(elements, boxes, layers.component, layers.pulled)
    blocks = layout_blocks.join(elements, boxes, position, on_trunk, layers.pulled, leave, enter)
    half = np.full(len(order), layout_place.BEND_MARGIN)
    half[:boxes] = width / 2 + layout_place.BOX_MARGIN
    return layout_place.x_of(elements, order, boxes, half, blocks, leave, enter)


def _pack(layers: Layers, elements: Elements, x: Floats, width: Floats, bottom: Floats,
          first: Ints) -> tuple[Floats, Floats]:
    """How far each component is moved, right and down."""
    boxes = len(width)
    component = layers.component[_owner(elements, layers, boxes)]
    half = np.zeros(len(x))
    half[:boxes] = width / 2
    low, high = np.full(len(first), np.inf), np.full(len(first), -np.inf)
    np.minimum.at(low, component, x - half)
    np.maximum.at(high, component, x + half)
    left, top = layout_place.pack(high - low, bottom[np.append(first[1:], len(bottom)) - 1])
    return left - low, top


def _routes(elements: Elements, edges: int, x: Floats, y: Floats, height: Floats, leave: Floats, enter: Floats,
            top: Floats, bottom: Floats) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Waypoints: every segment runs from the bottom of its upper layer to the top of its lower one.

    Points on a vertical run are left out, but for its ends.
    """
    boxes = len(y)
    above, below = elements.layer[elements.upper], elements.layer[elements.lower]
    points = np.empty((len(above), 2, 2))
    points[:, 0, 0], points[:, 0, 1] = x[elements.upper] + leave, bottom[above]
    points[:, 1, 0], points[:, 1, 1] = x[elements.lower] + enter, top[below]
    px = points[:, :, 0].reshape(-1)
    edge = np.repeat(elements.edge, 2)
    turns = np.abs(np.diff(px)) > 1e-6
    turns &= edge[1:] == edge[:-1]
    keep = np.zeros(len(px), np.bool_)
    keep[1:] |= turns
    keep[:-1] |= turns
    # the ends are boxes: a waypoint only where the box leaves room in its layer
    short = np.zeros((len(above), 2), np.bool_)
    is_box = elements.upper < boxes
    short[is_box, 0] = (bottom[above] - y[np.minimum(elements.upper, boxes - 1)]
                        - height[np.minimum(elements.upper, boxes - 1)])[is_box] <= SHORTFALL
    is_box = elements.lower < boxes
    short[is_box, 1] = (y[np.minimum(elements.lower, boxes - 1)] - top[below])[is_box] <= SHORTFALL
    keep &= ~short.reshape(-1)
    start = np.concatenate(([0], np.cumsum(np.bincount(edge[keep], minlength=edges))))
    # segments are grouped by edge and edges come in rising order, so the kept points are in order too
    return start.astype(np.int32), points.reshape(-1, 2)[keep].astype(np.float32)
