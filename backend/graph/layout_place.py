"""Coordinates for ordered layers.

Elements that should stand exactly below each other (the links of a chain, the bends of a long edge, the trunk: a
longest path from top to bottom) are joined to blocks, in the manner of Brandes and Köpf (2001), but once, with
priorities, instead of four times: trunk, then long edges, then chains, then the rest. A block has one x. Blocks start
pressed to the left and then move towards what they are connected to, as far as their neighbours let them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.layout_order import Elements

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

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


@dataclass(frozen=True)
class Blocks:
    """Vertical lines of elements."""

    block: Ints  # per element
    shift: Floats  # per element: its x minus its block's
    count: int


def trunk(elements: Elements, boxes: int, component: Ints, pulled: Bools) -> Bools:
    """Per segment: on a longest path of its component, which has a box in every layer.

    A box that was pulled down to its consumer is on none.
    """
    plain = np.flatnonzero((elements.upper < boxes) & (elements.lower < boxes))
    # of several producers in the layer above the one with the fewest consumers: the others feed more than this path
    uses = np.bincount(elements.upper[plain], minlength=boxes)[elements.upper[plain]]
    plain = plain[np.lexsort((plain, uses, pulled[elements.upper[plain]], elements.lower[plain]))]
    heads, at = np.unique(elements.lower[plain], return_index=True)
    above = np.full(boxes, -1)
    above[heads] = plain[at]
    feeding, upper = above.tolist(), elements.upper.tolist()
    last = np.lexsort((~pulled, elements.layer[:boxes], component))
    ends = last[np.append(np.diff(component[last]) > 0, True)]
    on_trunk = np.zeros(len(elements.upper), np.bool_)
    path = []
    for box in ends.tolist():
        while (segment := feeding[box]) >= 0:
            path.append(segment)
            box = upper[segment]
    on_trunk[path] = True
    return on_trunk


def join(elements: Elements, boxes: int, position: Floats, on_trunk: Bools, pulled: Bools, upper_port: Floats,
         lower_port: Floats) -> Blocks:
    """Blocks: each element with at most one above and one below it, and no two joints of a gap cross.

    `position` is the rank in the layer per element; the ports are per segment, in scene units from the centre.
    """
    joints = _joints(elements, boxes, position, on_trunk, pulled)
    count = len(elements.layer)
    root, shift = np.arange(count), np.zeros(count)
    upper, lower = elements.upper[joints], elements.lower[joints]
    root[lower] = upper
    # boxes are centred under each other; a long edge runs straight into its port
    straight = (upper >= boxes) | (lower >= boxes)
    shift[lower] = np.where(straight, upper_port[joints] - lower_port[joints], 0.0)
    while True:  # pointer doubling: shifts add up on the way to the top of the block
        further = root[root]
        if bool(np.array_equal(further, root)):
            break
        shift = shift + shift[root]
        root = further
    tops, block = np.unique(root, return_inverse=True)
    return Blocks(block, shift, len(tops))


def _joints(elements: Elements, boxes: int, position: Floats, on_trunk: Bools, pulled: Bools) -> Ints:
    upper, lower = elements.upper, elements.lower
    count = len(elements.layer)
    uses = np.bincount(upper, minlength=count)[upper]
    inputs = np.bincount(lower, minlength=count)[lower]
    bends = (upper >= boxes).astype(np.int64) + (lower >= boxes)
    order = np.lexsort((position[lower], position[upper], elements.layer[upper]))
    gap = elements.layer[upper[order]]
    # nothing to decide in a gap whose segments neither share an end nor cross
    same = np.diff(gap) == 0
    clash = same & ((np.diff(position[upper[order]]) <= 0) | (np.diff(position[lower[order]]) <= 0))
    undecided = np.zeros(len(elements.start), np.bool_)
    undecided[gap[1:][clash]] = True
    open_ = undecided[elements.layer[upper]]
    segments = np.flatnonzero(open_)
    # 0 trunk, 1 inside of a long edge, 2… boxes with ever more other edges, 200 the end of a long edge
    others = uses + inputs + np.where(pulled[np.minimum(upper, boxes - 1)], 20, 0)
    rank = np.where(bends == 2, 1, np.where(bends == 1, 200, np.minimum(others, 199)))
    rank[on_trunk] = 0
    off_centre = np.abs(_from_middle(upper, position[lower]) + 0.0) + np.abs(_from_middle(lower, position[upper]))
    segments = segments[np.lexsort((off_centre[segments], rank[segments], elements.layer[upper[segments]]))]
    chosen = _greedy(segments.tolist(), elements.layer[upper[segments]].tolist(),
                     position[upper[segments]].tolist(), position[lower[segments]].tolist())
    return np.concatenate((np.flatnonzero(~open_), np.array(chosen, np.int64)))


def _from_middle(group: Ints, value: Floats) -> Floats:
    """How far each value is from the mean of its group; a little more for those on the right."""
    if not len(group):
        return value
    size = np.bincount(group)
    mean = np.bincount(group, weights=value) / np.maximum(size, 1)
    away = value - mean[group]
    return np.where(away > 0, away + 0.01, away)


def _greedy(segments: list[int], gaps: list[int], above: list[float], below: list[float]) -> list[int]:
    """Take segments in the order given unless they share an end with, or cross, a taken one of the same gap."""
    chosen: list[int] = []
    gap, taken = -1, list[tuple[float, float]]()
    for segment, here, a, b in zip(segments, gaps, above, below, strict=True):
        if here != gap:
            gap, taken = here, [(a, b)]
            chosen.append(segment)
            continue
        at = bisect_left(taken, (a, b))
        if at and (taken[at - 1][0] >= a or taken[at - 1][1] >= b):
            continue
        if at < len(taken) and (taken[at][0] <= a or taken[at][1] <= b):
            continue
        insort(taken, (a, b))
        chosen.append(segment)
    return chosen


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
