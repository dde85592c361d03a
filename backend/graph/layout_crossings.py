"""Crossings of an order: counting them, removing some by exchanging neighbours, and joining the best of two orders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.layout_elements import Elements

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Gaps with more segments than this count their crossings by merging.
WIDE = 256
#: Two elements whose numbers of edges multiply to more than this are not tried in exchange.
LARGEST_EXCHANGE = 4096


def crossings(elements: Elements, order: Ints, gaps: Bools | None = None) -> Ints:
    """Crossings between each layer and the next, (layers,), of straight segments between ports.

    Those in `gaps`, (layers,), alone, if given; 0 elsewhere.
    """
    position = np.empty(len(order))
    position[order] = np.arange(len(order))  # slots, so positions never repeat over layers
    segments = np.arange(len(elements.upper))
    if gaps is not None:
        segments = np.flatnonzero(gaps[elements.layer[elements.upper]])
    upper, lower = elements.upper[segments], elements.lower[segments]
    above = position[upper] + 0.9 * elements.upper_port[segments]
    below = position[lower] + 0.9 * elements.lower_port[segments]
    by_above = np.lexsort((below, above))
    below = below[by_above]
    layer = elements.layer[upper[by_above]]
    found = np.zeros(len(elements.start) - 1, np.int64)
    size = np.bincount(layer, minlength=len(found))
    first = np.cumsum(size) - size
    for gap in np.flatnonzero(size > WIDE).tolist():
        found[gap] = _inversions(below[first[gap]:first[gap] + size[gap]])
    at = np.flatnonzero((size <= WIDE)[layer])
    distance = 1
    while True:  # compare every segment with its 1st, 2nd, … follower in the same gap
        at = at[at < len(below) - distance]
        at = at[layer[at] == layer[at + distance]]
        if not len(at):
            return found
        crossed = below[at] > below[at + distance]
        found += np.bincount(layer[at[crossed]], minlength=len(found))
        distance += 1


def _inversions(values: Floats) -> int:
    """Pairs that stand in falling order."""
    if len(values) <= 32:
        return int(np.count_nonzero(np.triu(values[:, None] > values[None, :])))
    left, right = values[:len(values) // 2], values[len(values) // 2:]
    larger = len(left) * len(right) - int(np.searchsorted(np.sort(left), right, side="right").sum())
    return larger + _inversions(left) + _inversions(right)


def splice(elements: Elements, order: Ints, count: Ints, other: Ints) -> tuple[Ints, Ints]:
    """The better parts of two orders, and its crossings; `count` are those of `order`. The two can be joined at every
    layer where both are alike."""
    layers = len(elements.start) - 1
    differs = np.zeros(layers, np.bool_)
    differs[elements.layer[order[order != other]]] = True
    gaps = differs | np.append(differs[1:], False)  # in all others both have the same segments
    others = np.where(gaps, crossings(elements, other, gaps), count)
    # the gap below layer i belongs to a part; a part ends where a layer is alike in both
    part = np.cumsum(~differs)
    better = np.bincount(part, weights=count - others, minlength=int(part[-1]) + 1) > 0
    # a layer that differs has the number of the alike layer above it, and so do the gaps from there down to the next
    joined = better[part]
    return np.where(joined[elements.layer[order]], other, order), np.where(joined, others, count)


class Exchanges:
    """Exchanging neighbours in a layer wherever that removes crossings."""

    def __init__(self, elements: Elements) -> None:
        count = len(elements.layer)
        self._elements = elements
        self._sides = []
        for here, there, port in ((elements.lower, elements.upper, elements.upper_port),
                                  (elements.upper, elements.lower, elements.lower_port)):
            by_here = np.argsort(here, kind="stable")
            degree = np.bincount(here, minlength=count)
            self._sides.append((degree, np.cumsum(degree) - degree, there[by_here], port[by_here]))

    def run(self, order: Ints, rounds: int, shaken: int = 0) -> None:
        """Improve `order` (elements by slot) in place, at most `rounds` times through all layers.

        In the first `shaken` rounds neighbours are exchanged even where that changes nothing, which leads out of
        dead ends.
        """
        elements = self._elements
        slot_layer = elements.layer[order]  # slots never change layer
        position = np.empty(len(order))
        position[order] = np.arange(len(order)) - elements.start[slot_layer]
        rank = np.arange(len(order)) - elements.start[slot_layer]
        inner = np.flatnonzero(slot_layer[1:] == slot_layer[:-1]) if len(order) else np.zeros(0, np.int64)
        parity = (slot_layer[inner] % 2) * 2 + rank[inner] % 2
        active = np.ones(len(elements.start) + 1, np.bool_)
        for round_ in range(rounds):
            changed = np.zeros_like(active)
            for turn in range(4):
                slots = inner[parity == turn]
                slots = slots[active[slot_layer[slots]]]
                a, b = order[slots], order[slots + 1]
                better = slots[self._gain(a, b, position) > (-0.5 if round_ < shaken else 0.5)]
                order[better], order[better + 1] = order[better + 1], order[better]
                position[order[better]] -= 1
                position[order[better + 1]] += 1
                near = slot_layer[better]
                changed[near] = changed[near + 1] = changed[near - 1] = True
            if not changed.any():
                return
            active = changed

    def _gain(self, a: Ints, b: Ints, position: Floats) -> Floats:
        """Crossings that exchanging each a with its right neighbour b would remove."""
        gain = np.zeros(len(a))
        for degree, first, others, ports in self._sides:
            da, db = degree[a], degree[b]
            pairs = da * db
            at = np.flatnonzero((pairs > 0) & (pairs <= LARGEST_EXCHANGE))
            pairs = pairs[at]
            which = np.repeat(at, pairs)
            i = np.arange(len(which)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
            left = first[a][which] + i // db[which]
            right = first[b][which] + i % db[which]
            apart = position[others[left]] + ports[left] - position[others[right]] - ports[right]
            gain += np.bincount(which, weights=np.sign(apart), minlength=len(a))
        return gain
