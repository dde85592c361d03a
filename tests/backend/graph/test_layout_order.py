"""Order within layers: crossings are counted right, and only become fewer."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwerk.backend.graph import layout_crossings
from graftwerk.backend.graph.layout_crossings import Exchanges, crossings, splice
from graftwerk.backend.graph.layout_elements import Elements, Ints, split
from graftwerk.backend.graph.layout_layers import Layers, assign
from graftwerk.backend.graph.layout_order import arrange, first_order


def layered(seed: int, count: int, edges: int) -> tuple[Layers, Elements, np.random.Generator]:
    random = np.random.default_rng(seed)
    ends = np.sort(random.integers(0, count, (edges, 2)), axis=1)
    layers = assign(count, ends[:, 0], ends[:, 1])
    ports = random.choice([-0.5, 0.0, 0.25], (2, edges))
    return layers, split(layers, ports[0], ports[1]), random


def shuffled(elements: Elements, random: np.random.Generator) -> Ints:
    return np.lexsort((random.random(len(elements.layer)), elements.layer))


def crossings_by_hand(elements: Elements, order: Ints) -> Ints:
    position = np.empty(len(order))
    position[order] = np.arange(len(order))
    above = position[elements.upper] + 0.9 * elements.upper_port
    below = position[elements.lower] + 0.9 * elements.lower_port
    found = np.zeros(len(elements.start) - 1, np.int64)
    gap = elements.layer[elements.upper]
    for i in range(len(gap)):
        for j in range(i):
            if gap[i] == gap[j] and (above[i] - above[j]) * (below[i] - below[j]) < 0:
                found[gap[i]] += 1
    return found


cases = st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 24), st.integers(0, 50))


@settings(max_examples=100, deadline=None)
@given(cases)
def test_segments_join_adjacent_layers(case: tuple[int, int, int]) -> None:
    layers, elements, _ = layered(*case)
    assert np.all(elements.layer[elements.lower] - elements.layer[elements.upper] == 1)
    span = layers.layer[layers.target] - layers.layer[layers.source]
    assert len(elements.upper) == span[~layers.tunnel].sum()
    assert np.array_equal(np.diff(elements.start), np.bincount(elements.layer))


@settings(max_examples=60, deadline=None)
@given(cases)
def test_crossings_are_counted_right(case: tuple[int, int, int]) -> None:
    _, elements, random = layered(*case)
    order = shuffled(elements, random)
    expected = crossings_by_hand(elements, order)
    assert np.array_equal(crossings(elements, order), expected)
    wide, layout_crossings.WIDE = layout_crossings.WIDE, 2  # counted by merging
    try:
        assert np.array_equal(crossings(elements, order), expected)
    finally:
        layout_crossings.WIDE = wide


@settings(max_examples=100, deadline=None)
@given(cases)
def test_splicing_and_exchanging_only_remove_crossings(case: tuple[int, int, int]) -> None:
    _, elements, random = layered(*case)
    one, two = shuffled(elements, random), shuffled(elements, random)
    counts = [int(crossings(elements, order).sum()) for order in (one, two)]
    joined, found = splice(elements, one, crossings(elements, one), two)
    assert np.array_equal(found, crossings(elements, joined))
    assert np.array_equal(elements.layer[joined], elements.layer[one])
    assert len(np.unique(joined)) == len(joined)
    assert int(crossings(elements, joined).sum()) <= min(counts)
    Exchanges(elements).run(one, 10)
    assert len(np.unique(one)) == len(one)
    assert int(crossings(elements, one).sum()) <= counts[0]


@settings(max_examples=100, deadline=None)
@given(cases)
def test_arranging_keeps_layers_and_starts_from_the_walk(case: tuple[int, int, int]) -> None:
    layers, elements, _ = layered(*case)
    order = arrange(layers, elements)
    assert np.array_equal(elements.layer[order], np.sort(elements.layer))
    assert len(np.unique(order)) == len(order)
    assert crossings(elements, order).sum() <= crossings(elements, first_order(layers, elements)).sum()


def test_nested_branches_come_out_planar_at_once() -> None:
    edges = np.array([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (1, 3), (0, 4), (0, 5)])
    layers = assign(6, edges[:, 0], edges[:, 1])
    ports = np.zeros(len(edges))
    elements = split(layers, ports, ports)
    assert crossings(elements, first_order(layers, elements)).sum() == 0
