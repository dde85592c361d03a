"""Coordinates for ordered layers.

Blocks (layout_blocks) start pressed to the left and then move towards what they are connected to, as far as their
neighbours let them. Components stand side by side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.layout_blocks import Blocks
from graftwerk.backend.graph.layout_elements import Elements

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Free space beside a box and beside a long edge, on each side (scene units).
BOX_MARGIN = 14.0
BEND_MARGIN = 9.0
#: Between two layers: a Q/DQ pill (26 high) fits in between with room for the line above and below.
LAYER_GAP = 56.0
#: Where edges run far sideways the gap grows by this part of the way, up to LARGEST_EXTRA, so that they stay calm.
GAP_PER_WAY = 0.06
LARGEST_EXTRA = 64.0
#: Between components.
COMPONENT_GAP = 80.0
#: Times that blocks move towards their neighbours.
MOVES = 24
#: How strongly the parts of a long edge pull each other, compared with two boxes.
BEND_PULL = 4.0


def x_of(elements: Elements, order: Ints, boxes: int, half: Floats, blocks: Blocks, upper_port: Floats,
         lower_port: Floats) -> Floats:
    """Centre x of every element. `half` is what each needs on either side of its centre, margin included."""
    block, shift = blocks.block, blocks.shift
    a, b = order[:-1], order[1:]
    beside = elements.layer[a] == elements.layer[b]
    a, b = a[beside], b[beside]
    apart = half[a] + half[b] + shift[a] - shift[b]
    left, right, apart = _strongest(block[a], block[b], apart, blocks.count)
    x = _press_left(blocks.count, left, right, apart)
    own, other, wish_shift, pull = _pulls(elements, boxes, blocks, upper_port, lower_port)
    total = np.bincount(own, weights=pull, minlength=blocks.count)
    connected = total > 0
    by_right = np.argsort(right, kind="stable")
    right_first = np.flatnonzero(np.diff(right[by_right], prepend=-1))
    left_first = np.flatnonzero(np.diff(left, prepend=-1))
    for _ in range(MOVES if len(left) or len(own) else 0):
        wish = x.copy()
        mean = np.bincount(own, weights=pull * (x[other] + wish_shift), minlength=blocks.count)
        wish[connected] = mean[connected] / total[connected]
        # first those that want to go right, then those that want to go left: neither runs into the other
        room = np.full(blocks.count, np.inf)
        if len(left):
            room[left[left_first]] = np.minimum.reduceat(x[right] - apart, left_first)
        x = np.where(wish > x, np.maximum(x, np.minimum(wish, room)), x)
        room = np.full(blocks.count, -np.inf)
        if len(right):
            room[right[by_right][right_first]] = np.maximum.reduceat((x[left] + apart)[by_right], right_first)
        x = np.where(wish < x, np.minimum(x, np.maximum(wish, room)), x)
    return x[block] + shift


def _strongest(left: Ints, right: Ints, apart: Floats, count: int) -> tuple[Ints, Ints, Floats]:
    """One constraint per pair of blocks, sorted by the left one."""
    if not len(left):
        return left, right, apart
    key = left * count + right
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    at = order[first]
    return left[at], right[at], np.maximum.reduceat(apart[order], first)


def _press_left(count: int, left: Ints, right: Ints, apart: Floats) -> Floats:
    """The smallest x ≥ 0 with x[right] ≥ x[left] + apart; joints that don't cross make this free of cycles."""
    waiting = np.bincount(right, minlength=count)
    first = np.concatenate(([0], np.cumsum(np.bincount(left, minlength=count)))).tolist()
    ready = np.flatnonzero(waiting == 0).tolist()
    waits, heads, gaps = waiting.tolist(), right.tolist(), apart.tolist()
    x = [0.0] * count
    for block in ready:  # grows while it is read
        here = x[block]
        for at in range(first[block], first[block + 1]):
            head = heads[at]
            if here + gaps[at] > x[head]:
                x[head] = here + gaps[at]
            waits[head] -= 1
            if not waits[head]:
                ready.append(head)
    return np.array(x)


def _pulls(elements: Elements, boxes: int, blocks: Blocks, upper_port: Floats,
           lower_port: Floats) -> tuple[Ints, Ints, Floats, Floats]:
    """Who wants to be where: block `own` wants x[own] = x[other] + shift, with a weight."""
    upper, lower = elements.upper, elements.lower
    bu, bl = blocks.block[upper], blocks.block[lower]
    at = np.flatnonzero(bu != bl)
    upper, lower, bu, bl = upper[at], lower[at], bu[at], bl[at]
    way = (blocks.shift[upper] + upper_port[at]) - (blocks.shift[lower] + lower_port[at])
    pull = np.where((upper >= boxes) & (lower >= boxes), BEND_PULL, 1.0)
    return (np.concatenate((bl, bu)), np.concatenate((bu, bl)), np.concatenate((way, -way)),
            np.concatenate((pull, pull)))


def bands(elements: Elements, boxes: int, height: Floats, x: Floats, first_of_component: Ints) -> tuple[Floats, Floats]:
    """Top and bottom of every layer, each component starting at 0."""
    layers = len(elements.start) - 1
    tall = np.zeros(layers)
    np.maximum.at(tall, elements.layer[:boxes], height)
    way = np.zeros(layers)
    np.maximum.at(way, elements.layer[elements.upper], np.abs(x[elements.upper] - x[elements.lower]))
    gap = LAYER_GAP + np.clip(GAP_PER_WAY * way - 20.0, 0.0, LARGEST_EXTRA)
    top = np.concatenate(([0.0], np.cumsum(tall + gap)[:-1]))
    group = np.searchsorted(first_of_component, np.arange(layers), side="right") - 1
    top = top - top[first_of_component][group]
    return top, top + tall


def pack(width: Floats, height: Floats) -> tuple[Floats, Floats]:
    """Left and top of boxes (components, by falling size): columns as high as the tallest or as a square needs."""
    limit = max(float(height.max()), float(np.sqrt(((width + COMPONENT_GAP) * (height + COMPONENT_GAP)).sum())))
    left, top = np.zeros(len(width)), np.zeros(len(width))
    x = y = column = 0.0
    for i, (w, h) in enumerate(zip(width.tolist(), height.tolist(), strict=True)):
        if y and y + h > limit:
            x, y, column = x + column + COMPONENT_GAP, 0.0, 0.0
        left[i], top[i] = x, y
        y += h + min(COMPONENT_GAP, LAYER_GAP)
        column = max(column, w)
    return left, top
