"""Left-to-right order within the layers, with few crossings.

Edges that span several layers get a bend (a dummy element) in every layer they pass. The order starts from a
depth-first walk, which draws series-parallel parts without a crossing, and is refined by barycenter sweeps
(Sugiyama, Tagawa, Toda 1981) and by exchanging neighbours (Gansner et al. 1993). A network has tens of thousands of
layers of a few elements, so a sweep doesn't go through them one by one: the layers are cut into stretches, and step
i of a sweep sorts the i-th layer of every stretch in one go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.layout_layers import Layers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Layers per stretch: what a sweep carries on in one go.
STRETCH = 96
#: Two sweeps down and up, then a shake of the best order so far; so many times.
TURNS = 2
#: Rounds of exchanges after a sweep.
EXCHANGES = 6
#: Gaps with more segments than this count their crossings by merging.
WIDE = 256
#: Two elements whose numbers of edges multiply to more than this are not tried in exchange.
LARGEST_EXCHANGE = 4096


@dataclass(frozen=True)
class Elements:
    """Boxes (the first ones) and bends, and the segments between elements of adjacent layers."""

    layer: Ints  # per element
    upper: Ints  # per segment, an element
    lower: Ints
    upper_port: Floats  # per segment: where it leaves, in box widths from the centre, within ±0.5
    lower_port: Floats
    edge: Ints  # per segment: the edge it is a part of; the segments of an edge are consecutive, top down
    bend_edge: Ints  # per bend: the edge it is on; the bends of an edge are consecutive, top down
    start: Ints  # per layer, and one more: its first slot


def split(layers: Layers, upper_port: Floats, lower_port: Floats) -> Elements:
    """Give every drawn edge a bend in each layer that it passes."""
    count = len(layers.layer)
    edges = np.flatnonzero(~layers.tunnel)
    upper, lower = layers.source[edges], layers.target[edges]
    span = layers.layer[lower] - layers.layer[upper]
    bends = span - 1
    first_bend = count + np.cumsum(bends) - bends
    bend_edge = np.repeat(edges, bends)
    along = np.arange(len(bend_edge)) - np.repeat(first_bend - count, bends)
    layer = np.concatenate((layers.layer, np.repeat(layers.layer[upper], bends) + 1 + along))
    part = np.repeat(np.arange(len(edges)), span)
    step = np.arange(len(part)) - np.repeat(np.cumsum(span) - span, span)
    at_top, at_bottom = step == 0, step == span[part] - 1
    seg_upper = np.where(at_top, upper[part], first_bend[part] + step - 1)
    seg_lower = np.where(at_bottom, lower[part], first_bend[part] + step)
    edge = edges[part]
    size = np.bincount(layer)
    return Elements(layer, seg_upper, seg_lower, np.where(at_top, upper_port[edge], 0.0),
                    np.where(at_bottom, lower_port[edge], 0.0), edge, bend_edge,
                    np.concatenate(([0], np.cumsum(size))))


def first_order(layers: Layers, elements: Elements) -> Ints:
    """A start: elements of a layer in the order in which a depth-first walk meets them, short edges first.

    So the longer of two branches, a residual for one, comes out on the right.
    """
    count = len(layers.layer)
    edges = np.flatnonzero(~layers.tunnel)
    span = layers.layer[layers.target[edges]] - layers.layer[layers.source[edges]]
    edges = edges[np.lexsort((-edges, -span, layers.source[edges]))]  # the stack takes the last one first
    upper, heads = layers.source[edges], layers.target[edges].tolist()
    first = np.concatenate(([0], np.cumsum(np.bincount(upper, minlength=count)))).tolist()
    seen = [False] * count
    box_time, edge_time = [0] * count, [0] * len(edges)
    clock = 0
    has_input = np.zeros(count, np.bool_)
    has_input[heads] = True
    depth = layers.layer
    roots = np.lexsort((np.arange(count), depth, has_input))
    for root in roots.tolist():
        if seen[root]:
            continue
        seen[root] = True
        clock += 1
        box_time[root] = clock
        stack = list(range(first[root], first[root + 1]))
        while stack:
            at = stack.pop()
            clock += 1
            edge_time[at] = clock
            head = heads[at]
            if not seen[head]:
                seen[head] = True
                box_time[head] = clock
                stack.extend(range(first[head], first[head + 1]))
    met = np.zeros(len(layers.source), np.int64)
    met[edges] = edge_time
    times = np.concatenate((np.array(box_time, np.int64), met[elements.bend_edge]))
    return np.lexsort((times, elements.layer))


@dataclass(frozen=True)
class _Step:
    """The layers that one step of a sweep sorts together, and the segments into them from one side."""

    members: Ints  # elements, by layer
    home: Ints  # per member: which of the step's layers, 0…
    rank: Ints  # per slot: 0… within its layer
    fed: Ints  # the members that have segments
    others: Ints  # per segment, grouped by `fed`: the element at its other end
    ports: Floats
    groups: Ints  # first segment per fed member
    sizes: Floats


def _steps(elements: Elements, down: bool) -> list[_Step]:
    """Cut the layers into stretches and collect the i-th layer of each into step i."""
    layers = len(elements.start) - 1
    stretch = min(layers, STRETCH)
    turn = np.arange(layers) if down else layers - 1 - np.arange(layers)
    step_of_layer = turn % stretch
    here, there = (elements.lower, elements.upper) if down else (elements.upper, elements.lower)
    port = elements.upper_port - elements.lower_port
    port = port if down else -port
    by_step = np.lexsort((elements.layer, step_of_layer[elements.layer]))
    place = np.empty(len(by_step), np.int64)
    place[by_step] = np.arange(len(by_step))
    segments = np.argsort(place[here], kind="stable")
    seg_place = place[here][segments]
    fed_first = np.flatnonzero(np.diff(seg_place, prepend=-1))
    fed_place = seg_place[fed_first]
    fed_size = np.diff(np.append(fed_first, len(segments))).astype(np.float64)
    others, ports = there[segments], port[segments]
    element_layer = elements.layer[by_step]
    rank = np.arange(len(by_step))
    fresh = np.flatnonzero(np.diff(element_layer, prepend=-1))
    home = np.repeat(np.arange(len(fresh)), np.diff(np.append(fresh, len(by_step))))
    rank = rank - fresh[home]
    bounds = np.concatenate(([0], np.cumsum(np.bincount(step_of_layer[elements.layer], minlength=stretch))))
    fed_bounds = np.searchsorted(fed_place, bounds)
    seg_bounds = np.append(fed_first, len(segments))[fed_bounds]
    steps = []
    for i in range(stretch):
        a, b, f, g, p, q = (int(v) for v in (bounds[i], bounds[i + 1], fed_bounds[i], fed_bounds[i + 1],
                                             seg_bounds[i], seg_bounds[i + 1]))
        if g > f:
            steps.append(_Step(by_step[a:b], home[a:b] - home[a], rank[a:b], fed_place[f:g] - a,
                               others[p:q], ports[p:q], fed_first[f:g] - p, fed_size[f:g]))
    return steps


def sweep(position: Floats, steps: list[_Step], lean: float) -> None:
    """Sort every layer by the mean position of its elements' neighbours; ties keep their order (lean > 0) or turn."""
    for step in steps:
        key = position[step.members]
        wish = np.add.reduceat(position[step.others] + step.ports, step.groups)
        wish /= step.sizes
        wish += lean * key[step.fed]
        key[step.fed] = wish
        # layers are kept apart by a number larger than any position
        key += step.home * (2.0 * len(position) + 4.0)
        position[step.members[key.argsort(kind="stable")]] = step.rank


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


def crossings(elements: Elements, order: Ints) -> Ints:
    """Crossings between each layer and the next, (layers,), of straight segments between ports."""
    position = np.empty(len(order))
    position[order] = np.arange(len(order))  # slots, so positions never repeat over layers
    above = position[elements.upper] + 0.9 * elements.upper_port
    below = position[elements.lower] + 0.9 * elements.lower_port
    by_above = np.lexsort((below, above))
    below = below[by_above]
    layer = elements.layer[elements.upper[by_above]]
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


def splice(elements: Elements, order: Ints, other: Ints) -> Ints:
    """The better parts of two orders: they can be joined at every layer where both are alike."""
    layers = len(elements.start) - 1
    differs = np.zeros(layers, np.bool_)
    differs[elements.layer[order[order != other]]] = True
    gain = crossings(elements, order) - crossings(elements, other)
    # the gap below layer i belongs to a part; a part ends where a layer is alike in both
    part = np.cumsum(~differs)
    better = np.bincount(part, weights=gain, minlength=int(part[-1]) + 1) > 0
    # a layer that differs has the number of the alike layer above it, and so do the gaps from there down to the next
    return np.where(better[part][elements.layer[order]], other, order)


def arrange(layers: Layers, elements: Elements) -> Ints:
    """The elements by slot: layer by layer, from left to right."""
    best = order = first_order(layers, elements)
    if not len(elements.upper) or not crossings(elements, best).any():
        return best
    slot_rank = (np.arange(len(order)) - elements.start[elements.layer[order]]).astype(np.float64)
    position = np.empty(len(order))
    exchanges = Exchanges(elements)
    down, up = _steps(elements, down=True), _steps(elements, down=False)
    for turn in range(TURNS):
        for again in (False, True):
            lean = 1e-5 if again or turn % 2 == 0 else -1e-5
            position[order] = slot_rank
            sweep(position, up, lean)
            sweep(position, down, lean)
            order = np.lexsort((position, elements.layer))
            exchanges.run(order, EXCHANGES)
            best = splice(elements, best, order)
        order = best.copy()
        exchanges.run(order, EXCHANGES, shaken=3)
        best = splice(elements, best, order)
    return best
