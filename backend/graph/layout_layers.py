"""Layers for the boxes of a graph: which row each box stands in, and which edges are too long to draw.

Longest-path layering (every edge points at least one layer down), then boxes are pulled towards their consumers
where that shortens more edges than it stretches. Plain loops over lists: a neural network is a deep and thin
graph, tens of thousands of layers of a few boxes each, where array operations per layer would cost more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Edges that span more layers than this become tunnels. Residual branches of exported transformers span 35 to 40.
LONG = 40
#: An edge whose source has few consumers may be longer: a residual branch of an unfused block, or, as long as all such
#: edges together have no more bends than the graph has boxes, a skip connection of a U-Net or a detector.
FEW = 4
LONG_BRANCH = 64
LONG_SKIP = 200
#: A box with more consumers than this is a hub (a mask, a shape): it pulls nothing, and only near edges are drawn.
HUB = 16
HUB_REACH = 8
#: Bends per box that are drawn at most; beyond (in graphs that are no networks) the longest edges become tunnels.
BENDS_PER_BOX = 10
BENDS_ALWAYS = 10_000

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Layers:
    """Rows for boxes. Components never share a layer: the numbers of one come after those of the one before."""

    layer: Ints  # per box, counted over all components
    component: Ints  # per box, by falling number of boxes
    source: Ints  # per edge: what was given
    target: Ints
    pulled: Bools  # per box: stands lower than its inputs ask for
    tunnel: Bools  # per edge: too long to be drawn, or closing a cycle; every other edge points down


def assign(count: int, source: Ints, target: Ints) -> Layers:
    """Layers for `count` boxes and edges (E,) source → target, which may hold cycles, loops and parallel edges."""
    back, rank = _acyclic(count, source, target)
    edges = np.flatnonzero(~back)
    edges = edges[np.argsort(rank[source[edges]], kind="stable")]
    upper, lower = source[edges], target[edges]
    uses = np.bincount(source, minlength=count)
    hub = uses > HUB
    highest = _longest_path(count, upper, lower)
    depth = _pull_down(highest.copy(), np.argsort(rank), upper, lower, hub)
    component = components(count, source, target)
    layer = _stack(depth, component)
    tunnel = _too_long(np.where(back, 0, layer[target] - layer[source]), uses[source], count)
    return Layers(layer, component, source, target, depth > np.array(highest, np.int64), tunnel | back)


def _too_long(span: Ints, uses: Ints, boxes: int) -> Bools:
    """Per edge, from the layers that it spans and the consumers of its source: not to be drawn."""
    tunnel = (span > LONG_SKIP) | ((span > LONG) & (uses > FEW)) | ((span > HUB_REACH) & (uses > HUB))
    skips = np.flatnonzero(~tunnel & (span > LONG_BRANCH))
    skips = skips[np.argsort(span[skips], kind="stable")]
    tunnel[skips[np.cumsum(span[skips]) > boxes]] = True
    drawn = np.flatnonzero(~tunnel & (span > 1))
    drawn = drawn[np.argsort(span[drawn], kind="stable")]
    tunnel[drawn[np.cumsum(span[drawn] - 1) > BENDS_PER_BOX * boxes + BENDS_ALWAYS]] = True
    return tunnel


def _acyclic(count: int, source: Ints, target: Ints) -> tuple[Bools, Ints]:
    """The edges that close a cycle (loops among them), and a topological rank per box for all others."""
    loop = source == target
    if bool(np.all((source < target) | loop)):  # a checked model lists its nodes in topological order
        return loop, np.arange(count)
    edges = np.flatnonzero(~loop)
    edges = edges[np.argsort(source[edges], kind="stable")]
    heads = target[edges].tolist()
    first = np.concatenate(([0], np.cumsum(np.bincount(source[edges], minlength=count)))).tolist()
    finished, position, back = [], first[:-1].copy(), []
    state = [0] * count  # 0 new, 1 on the path, 2 done
    sources = np.argsort(np.bincount(target[edges], minlength=count) > 0, kind="stable")
    for root in sources.tolist():
        if state[root]:
            continue
        state[root] = 1
        path = [root]
        while path:
            box = path[-1]
            at = position[box]
            if at == first[box + 1]:
                path.pop()
                state[box] = 2
                finished.append(box)
                continue
            position[box] = at + 1
            head = heads[at]
            if state[head] == 0:
                state[head] = 1
                path.append(head)
            elif state[head] == 1:
                back.append(at)
    closing = loop.copy()
    closing[edges[np.array(back, np.int64)]] = True
    rank = np.empty(count, np.int64)
    rank[np.array(finished[::-1], np.int64)] = np.arange(count)
    return closing, rank


def _longest_path(count: int, upper: Ints, lower: Ints) -> list[int]:
    """Depth per box; the edges come in topological order of their upper end."""
    depth = [0] * count
    for a, b in zip(upper.tolist(), lower.tolist(), strict=True):
        below = depth[a] + 1
        if below > depth[b]:
            depth[b] = below
    return depth


def _pull_down(depth: list[int], order: Ints, upper: Ints, lower: Ints, hub: Bools) -> Ints:
    """Move boxes down to their first consumer where that shortens more edges than it stretches.

    `cost[b]` is what moving b down one layer stretches: one per input, but nothing for an input whose producer has
    no other consumer and can come along for less. Edges out of hubs count for nothing, they end as tunnels.
    """
    count = len(depth)
    uses = np.bincount(upper, minlength=count)
    strong = np.bincount(upper[~hub[upper]], minlength=count)
    gain = np.where(hub, np.minimum(uses, 1), strong)
    single, is_hub = (uses == 1).tolist(), hub.tolist()
    cost = [0] * count
    for a, b in zip(upper.tolist(), lower.tolist(), strict=True):
        if not is_hub[a] and not (single[a] and cost[a] == 0):
            cost[b] += 1
    first = np.concatenate(([0], np.cumsum(uses)))
    heads = lower[np.argsort(upper, kind="stable")].tolist()
    movable = gain > np.array(cost)
    boxes = order[movable[order]][::-1]
    for box, start, end in zip(boxes.tolist(), first[boxes].tolist(), first[boxes + 1].tolist(), strict=True):
        nearest = min([depth[head] for head in heads[start:end]]) - 1 if end - start > 1 else depth[heads[start]] - 1
        depth[box] = nearest
    return np.array(depth, np.int64)


def components(count: int, source: Ints, target: Ints) -> Ints:
    """The connected component of every box, numbered by falling size (ties: by first box)."""
    parent = np.arange(count)
    a, b = source, target
    while len(a):
        low, high = np.minimum(parent[a], parent[b]), np.maximum(parent[a], parent[b])
        open_ = low != high
        a, b, low, high = a[open_], b[open_], low[open_], high[open_]
        np.minimum.at(parent, high, low)
        while True:  # every box points at the root of its tree
            shorter = parent[parent]
            if bool(np.array_equal(shorter, parent)):
                break
            parent = shorter
    size = np.bincount(parent, minlength=count)
    roots = np.flatnonzero(size)  # each is the first box of its component
    number = np.empty(count, np.int64)
    number[roots[np.lexsort((roots, -size[roots]))]] = np.arange(len(roots))
    return number[parent]


def _stack(depth: Ints, component: Ints) -> Ints:
    """Layer numbers without holes, those of one component after those of the one before."""
    if len(depth) == 0:
        return depth
    key = component * (int(depth.max()) + 1) + depth
    order = np.argsort(key, kind="stable")
    layer = np.empty(len(key), np.int64)
    layer[order] = np.cumsum(np.diff(key[order], prepend=-1) > 0) - 1
    return layer
