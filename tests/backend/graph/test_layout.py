"""Layout: what must hold for any graph, and how the known models come out."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from graftwerk.backend.graph.layout import layout
from graftwerk.backend.graph.layout_place import LAYER_GAP
from tests.backend.graph.layout_cases import Graph, boxes, graphs, lines_through_boxes, model_graph, overlaps


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_boxes_never_overlap(graph: Graph) -> None:
    placement = layout(*graph)
    assert np.isfinite(placement.x).all()
    assert np.isfinite(placement.y).all()
    assert overlaps(placement, graph[0], graph[1]) == 0


@settings(max_examples=200, deadline=None)
@given(graphs(acyclic=True))
def test_every_drawn_edge_runs_down(graph: Graph) -> None:
    _, height, source, target, _, _ = graph
    placement = layout(*graph)
    assert placement.route_start[-1] == len(placement.route_points)
    for edge in range(len(source)):
        stops = [placement.y[source[edge]] + height[source[edge]], *placement.route(edge)[:, 1],
                 placement.y[target[edge]]]
        assert all(a <= b + 0.01 for a, b in pairwise(stops))
        assert placement.y[target[edge]] - placement.y[source[edge]] - height[source[edge]] >= LAYER_GAP - 0.01


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_only_edges_of_cycles_and_far_ones_are_tunnels(graph: Graph) -> None:
    placement = layout(*graph)
    _, height, source, target, _, _ = graph
    up = placement.y[target] < placement.y[source] + height[source]
    assert placement.tunnels[up].all()
    assert placement.tunnels[source == target].all()


@settings(max_examples=100, deadline=None)
@given(graphs(acyclic=True))
def test_lines_run_beside_boxes(graph: Graph) -> None:
    assert lines_through_boxes(layout(*graph), graph) == 0


def test_a_chain_is_a_straight_line() -> None:
    graph = boxes(6, [(i, i + 1) for i in range(5)])
    placement = layout(graph[0] * np.array([1, 2, 0.5, 1, 3, 1], np.float32), *graph[1:])
    assert np.ptp(placement.x) == 0
    assert len(placement.route_points) == 0
    assert np.all(np.diff(placement.y) == 30 + LAYER_GAP)


def test_a_residual_branch_bends_around_a_straight_trunk() -> None:
    placement = layout(*boxes(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (1, 4)]))
    assert np.ptp(placement.x) == 0
    around = placement.route(5)
    assert len(around) == 2
    assert around[0, 0] == around[1, 0]
    assert abs(around[0, 0] - placement.x[0]) > 40


def test_components_stand_side_by_side_and_isolated_boxes_fill_a_block() -> None:
    placement = layout(*boxes(6, [(0, 1), (1, 2), (3, 4), (4, 5)]))
    assert placement.y[0] == placement.y[3] == 0
    assert abs(placement.x[0] - placement.x[3]) > 80
    many = layout(*boxes(400, []))
    assert 0.2 < np.ptp(many.x) / np.ptp(many.y) < 5


def test_far_edges_and_hubs_become_tunnels() -> None:
    edges = [(i, i + 1) for i in range(399)]
    placement = layout(*boxes(400, [*edges, (0, 30), (0, 300)]))
    assert placement.tunnels.tolist() == [False] * 400 + [True]
    hub = layout(*boxes(400, [*edges, *((0, i) for i in range(2, 100, 4))]))
    assert not hub.tunnels[:399].any()
    assert hub.tunnels[399:].tolist() == [i > 8 for i in range(2, 100, 4)]


def test_a_few_skip_connections_are_drawn_many_are_not() -> None:
    edges = [(i, i + 1) for i in range(299)]
    skips = [(100 - 20 * i, 200 + 20 * i) for i in range(5)]  # as in a U-Net, the outer ones over 140 layers and more
    drawn = layout(*boxes(300, [*edges, *skips])).tunnels[299:]
    assert drawn.tolist() == [False, False, True, True, True]


def test_dense_graphs_draw_a_bounded_number_of_bends() -> None:
    ends = np.sort(np.random.default_rng(1).integers(0, 2000, (12000, 2)), axis=1)
    graph = boxes(2000, [(int(a), int(b)) for a, b in ends if a != b])
    placement = layout(*graph)
    assert placement.tunnels.any()
    assert not placement.tunnels.all()
    assert len(placement.route_points) <= 2 * (10 * 2000 + 10_000 + len(ends))


def test_a_source_stands_right_above_its_consumer() -> None:
    placement = layout(*boxes(8, [(i, i + 1) for i in range(6)] + [(7, 5)]))
    assert placement.y[7] == placement.y[4]


def test_nothing_and_one_box() -> None:
    assert len(layout(*boxes(0, [])).x) == 0
    one = layout(*boxes(1, [(0, 0)]))
    assert one.tunnels.tolist() == [True]
    assert one.y.tolist() == [0]
    assert layout(*boxes(2, [(0, 0)] * 20)).tunnels.all()


def test_the_same_graph_gets_the_same_placement() -> None:
    random = np.random.default_rng(3)
    ends = np.sort(random.integers(0, 300, (500, 2)), axis=1)
    graph = boxes(300, [(int(a), int(b)) for a, b in ends if a != b])
    one, two = layout(*graph), layout(*graph)
    assert np.array_equal(one.x, two.x)
    assert np.array_equal(one.route_points, two.route_points)


def test_a_wide_layer() -> None:
    count = 3000
    placement = layout(*boxes(count + 2, [(0, i + 1) for i in range(count)] + [(i + 1, count + 1)
                                                                               for i in range(count)]))
    assert len(np.unique(placement.x[1:-1])) == count


@pytest.mark.parametrize("name", ["resnet50", "resnet50_bn", "bert_ts", "gpt2_ts"])
def test_models(shared: Path, name: str) -> None:
    graph = model_graph(shared / "models" / f"{name}.onnx")
    placement = layout(*graph)
    assert overlaps(placement, graph[0], graph[1]) == 0
    assert lines_through_boxes(placement, graph) == 0
    assert placement.tunnels.mean() < 0.05


def test_resnet_is_one_straight_trunk(shared: Path) -> None:
    graph = model_graph(shared / "models" / "resnet50.onnx")
    placement = layout(*graph)
    columns, boxes_in = np.unique(placement.x, return_counts=True)
    assert len(columns) == 2  # the four projections of the downsampling blocks stand beside
    assert min(boxes_in.tolist()) == 4
