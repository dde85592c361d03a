"""Vertical lines: elements that should stand exactly below each other.

The trunk (a longest path from top to bottom), the bends of a long edge and the links of a chain are joined to blocks,
in the manner of Brandes and Köpf (2001), but once, with priorities, instead of four times: trunk, then long edges,
then chains, then the rest. A block has one x.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.layout_elements import Elements

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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
    plain = plain[np.diff(elements.lower[plain], prepend=-1) > 0]  # the first of each lower end
    above = np.full(boxes, -1)
    above[elements.lower[plain]] = plain
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
    top = np.bincount(root, minlength=count) > 0  # np.unique would import numpy.ma
    return Blocks((np.cumsum(top) - 1)[root], shift, int(top.sum()))


def _joints(elements: Elements, boxes: int, position: Floats, on_trunk: Bools, pulled: Bools) -> Ints:
    upper, lower = elements.upper, elements.lower
    count = len(elements.layer)
    uses = np.bincount(upper, minlength=count)[upper]
    inputs = np.bincount(lower, minlength=count)[lower]
    bends = (upper >= boxes).astype(np.int64) + (lower >= boxes)
    alone = _alone(elements, position)
    segments = np.flatnonzero(~alone)
    # 0 trunk, 1 inside of a long edge, 2… boxes with ever more other edges, 200 the end of a long edge
    others = uses + inputs + np.where(pulled[np.minimum(upper, boxes - 1)], 20, 0)
    rank = np.where(bends == 2, 1, np.where(bends == 1, 200, np.minimum(others, 199)))
    rank[on_trunk] = 0
    off_centre = np.abs(_from_middle(upper, position[lower]) + 0.0) + np.abs(_from_middle(lower, position[upper]))
    segments = segments[np.lexsort((off_centre[segments], rank[segments], elements.layer[upper[segments]]))]
    chosen = _greedy(segments.tolist(), elements.layer[upper[segments]].tolist(),
                     position[upper[segments]].tolist(), position[lower[segments]].tolist())
    return np.concatenate((np.flatnonzero(alone), np.array(chosen, np.int64)))


def _alone(elements: Elements, position: Floats) -> Bools:
    """Per segment: shares no end with another one, and crosses none. There is nothing to decide about it."""
    slot = position + elements.start[elements.layer]  # over all layers
    above, below = slot[elements.upper], slot[elements.lower]
    order = np.lexsort((below, above))
    above, below = above[order], below[order]
    apart = np.diff(above) > 0
    apart &= np.maximum.accumulate(below)[:-1] < np.minimum.accumulate(below[::-1])[::-1][1:]
    alone = np.zeros(len(order), np.bool_)
    # what is to its left is so at both ends, and what is to its right
    alone[order] = np.append(True, apart) & np.append(apart, True)
    return alone


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
