"""Left-to-right order within the layers, with few crossings.

The order starts from a depth-first walk, which draws series-parallel parts without a crossing, and is refined by
barycenter sweeps (Sugiyama, Tagawa, Toda 1981) and by exchanging neighbours (Gansner et al. 1993). A network has tens
of thousands of layers of a few elements, so a sweep doesn't go through them one by one: the layers are cut into
stretches, and step i of a sweep sorts the i-th layer of every stretch in one go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.layout_crossings import Exchanges, crossings, splice
from graftwerk.backend.graph.layout_elements import Elements
from graftwerk.backend.graph.layout_layers import Layers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Layers per stretch: what a sweep carries on in one go.
STRETCH = 96
#: Two sweeps down and up, then a shake of the best order so far; so many times.
TURNS = 2
#: Beyond this many segments it is once, with one sweep: the rest would remove one crossing in twenty, in a picture that
#: nobody sees all of, and keep everybody waiting for half as long again.
MANY = 20_000
#: Rounds of exchanges after a sweep.
EXCHANGES = 6


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


def arrange(layers: Layers, elements: Elements) -> Ints:
    """The elements by slot: layer by layer, from left to right."""
    best = order = first_order(layers, elements)
    if not len(elements.upper):
        return best
    count = crossings(elements, best)
    if not count.any():
        return best
    slot_rank = (np.arange(len(order)) - elements.start[elements.layer[order]]).astype(np.float64)
    position = np.empty(len(order))
    exchanges = Exchanges(elements)
    down, up = _steps(elements, down=True), _steps(elements, down=False)
    many = len(elements.upper) > MANY
    for turn in range(1 if many else TURNS):
        for again in (False,) if many else (False, True):
            lean = 1e-5 if again or turn % 2 == 0 else -1e-5
            position[order] = slot_rank
            sweep(position, up, lean)
            sweep(position, down, lean)
            order = np.lexsort((position, elements.layer))
            exchanges.run(order, EXCHANGES)
            best, count = splice(elements, best, count, order)
        order = best.copy()
        exchanges.run(order, EXCHANGES, shaken=3)
        best, count = splice(elements, best, count, order)
    return best
