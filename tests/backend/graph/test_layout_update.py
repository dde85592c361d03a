"""Placement after an edit: what stands stays, what is new fits in."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graftwerk.backend.graph.layout import Placement, layout
from graftwerk.backend.graph.layout_update import free_x, update
from tests.backend.graph.layout_cases import boxes, lines_through_boxes, overlaps


@dataclass
class Edited:
    """A graph, its placement, and the placement after an edit of its boxes and edges."""

    width: NDArray[np.float32]
    height: NDArray[np.float32]
    edges: list[tuple[int, int]]

    def __post_init__(self) -> None:
        self.before = self._place(None)

    def _place(self, maps: tuple[NDArray[np.int32], NDArray[np.int32]] | None) -> Placement:
        ends = np.array(self.edges, np.int32).reshape(-1, 2)
        ports = np.zeros(len(ends), np.float32)
        source, target = ends[:, 0], ends[:, 1]
        if maps is None:
            return layout(self.width, self.height, source, target, ports, ports)
        return update(self.before, *maps, self.width, self.height, source, target, ports, ports)

    def insert(self, edge: int, width: float = 84, height: float = 26) -> Placement:
        """A pill on an edge, as the last box; its two edges come last."""
        count, ends = len(self.width), self.edges[edge]
        kept = [e for e in range(len(self.edges)) if e != edge]
        self.edges = [*(self.edges[e] for e in kept), (ends[0], count), (count, ends[1])]
        self.width = np.append(self.width, np.float32(width))
        self.height = np.append(self.height, np.float32(height))
        return self._place((np.append(np.arange(count), -1).astype(np.int32), np.array([*kept, -1, -1], np.int32)))


def small() -> Edited:
    graph = boxes(6, [])
    return Edited(graph[0], graph[1], [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (1, 4)])


def test_a_pill_stands_in_the_middle_of_a_short_edge() -> None:
    graph = small()
    before = graph.before
    after = graph.insert(1)
    assert np.array_equal(after.x[:6], before.x)
    assert np.array_equal(after.y[:6], before.y)
    assert after.x[6] == before.x[1]
    assert after.y[6] + 13 == (before.y[1] + 30 + before.y[2]) / 2
    assert len(after.route(5)) == len(after.route(6)) == 0
    assert np.array_equal(after.route(4), before.route(5))  # the residual branch


def test_a_pill_stands_on_the_residual_branch_that_it_interrupts() -> None:
    graph = small()
    bend = graph.before.route(5)
    after = graph.insert(5)
    assert abs(after.x[6] - bend[0, 0]) < 40  # as near as the trunk lets it
    assert bend[0, 1] < after.y[6] < bend[1, 1]
    assert overlaps(after, graph.width, graph.height) == 0
    before_pill, after_pill = after.route(5), after.route(6)
    assert {*before_pill[:, 0].tolist(), *after_pill[:, 0].tolist()} == {float(after.x[6])}  # never to the other side


def test_a_bridged_deletion_leaves_a_straight_line() -> None:
    graph = small()
    before = graph.before
    kept = np.array([0, 1, 3, 4, 5], np.int32)
    ends = np.array([(0, 1), (2, 3), (3, 4), (1, 3), (1, 2)], np.int32)
    ports = np.zeros(5, np.float32)
    after = update(before, kept, np.array([0, 3, 4, 5, -1], np.int32), graph.width[kept], graph.height[kept],
                   ends[:, 0], ends[:, 1], ports, ports)
    assert np.array_equal(after.y, before.y[kept])
    assert len(after.route(4)) == 0
    assert not after.tunnels.any()


def test_a_rewired_edge_goes_around_boxes_and_an_upward_one_is_a_tunnel() -> None:
    graph = boxes(6, [(i, i + 1) for i in range(5)])
    before = layout(*graph)
    ends = np.array([*((i, i + 1) for i in range(5)), (0, 4), (5, 2)], np.int32)
    ports = np.zeros(7, np.float32)
    after = update(before, np.arange(6, dtype=np.int32), np.array([0, 1, 2, 3, 4, -1, -1], np.int32), graph[0],
                   graph[1], ends[:, 0], ends[:, 1], ports, ports)
    assert after.tunnels.tolist() == [False] * 6 + [True]
    assert len(after.route(5)) == 2
    assert lines_through_boxes(after, (graph[0], graph[1], ends[:, 0], ends[:, 1], ports, ports)) == 0


def test_new_boxes_on_an_empty_canvas() -> None:
    before = layout(*boxes(0, []))
    graph = boxes(3, [(0, 1), (1, 2)])
    after = update(before, np.full(3, -1, np.int32), np.full(2, -1, np.int32), *graph)
    assert overlaps(after, graph[0], graph[1]) == 0
    assert np.all(np.diff(after.y) > 0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 6))
def test_insertions_never_overlap_nor_move_anything(seed: int, count: int, times: int) -> None:
    random = np.random.default_rng(seed)
    edges = sorted({(int(a), int(b)) for a, b in np.sort(random.integers(0, count, (2 * count, 2)), axis=1) if a < b})
    graph = Edited(random.uniform(20, 200, count).astype(np.float32), random.uniform(16, 90, count).astype(np.float32),
                   edges or [(0, 1)])
    for _ in range(times):
        before = graph.before
        after = graph.insert(int(random.integers(len(graph.edges))), float(random.uniform(20, 240)),
                             float(random.uniform(16, 80)))
        assert np.array_equal(after.x[:-1], before.x)
        assert np.array_equal(after.y[:-1], before.y)
        assert overlaps(after, graph.width, graph.height) == 0
        assert after.route_start[-1] == len(after.route_points)
        graph.before = after


@given(st.floats(-100, 100), st.lists(st.tuples(st.floats(-100, 100), st.floats(0.5, 40)), max_size=8))
def test_free_x_is_free_and_nearest(wish: float, taken: list[tuple[float, float]]) -> None:
    centres, halves = np.array([c for c, _ in taken]), np.array([h for _, h in taken])
    found = free_x(wish, centres, halves)
    assert not np.any((centres - halves < found - 1e-9) & (found + 1e-9 < centres + halves))
    ends = np.concatenate(([wish], centres - halves, centres + halves))
    free = [e for e in ends if not np.any((centres - halves < e - 1e-9) & (e + 1e-9 < centres + halves))]
    assert abs(found - wish) <= min(abs(e - wish) for e in free) + 1e-6
