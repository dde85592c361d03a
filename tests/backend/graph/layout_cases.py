"""Graphs for the layout's tests, and what is measured on a placement."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray

from graftwerk.backend.graph.layout import Placement

Graph = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float32],
              NDArray[np.float32]]


def boxes(count: int, edges: list[tuple[int, int]], width: float = 80, height: float = 30) -> Graph:
    pairs = np.array(edges, np.int32).reshape(-1, 2)
    ports = np.zeros(len(pairs), np.float32)
    return (np.full(count, width, np.float32), np.full(count, height, np.float32), pairs[:, 0], pairs[:, 1], ports,
            ports)


@st.composite
def graphs(draw: st.DrawFn, acyclic: bool = False) -> Graph:
    count = draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    edges = draw(st.integers(0, 3 * count)) if count > 1 else 0
    ends = random.integers(0, count, (edges, 2))
    if acyclic:
        ends = np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1)
        ends = random.permutation(count)[ends]  # in any order of the boxes
    near = draw(st.booleans())
    if near and not acyclic:
        ends[:, 1] = np.minimum(ends[:, 0] + random.integers(0, 4, edges), count - 1)
    width = random.uniform(10, 300, count).astype(np.float32)
    height = random.uniform(8, 120, count).astype(np.float32)
    source, target = ends[:, 0].astype(np.int32), ends[:, 1].astype(np.int32)
    return (width, height, source, target, (width[source] * random.uniform(-0.4, 0.4, len(ends))).astype(np.float32),
            (width[target] * random.uniform(-0.4, 0.4, len(ends))).astype(np.float32))


def overlaps(placement: Placement, width: NDArray[np.float32], height: NDArray[np.float32]) -> int:
    x, y = placement.x.astype(np.float64), placement.y.astype(np.float64)
    across = np.abs(x[:, None] - x[None, :]) < (width[:, None] + width[None, :]) / 2 - 0.01
    down = (y[:, None] < y[None, :] + height[None, :] - 0.01) & (y[None, :] < y[:, None] + height[:, None] - 0.01)
    both = across & down
    np.fill_diagonal(both, False)
    return int(both.sum()) // 2


def lines_through_boxes(placement: Placement, graph: Graph) -> int:
    """Straight vertical runs of routes that cross a box which is not at the edge's end."""
    width, height, source, target, _, _ = graph
    found = 0
    for edge in np.flatnonzero(np.diff(placement.route_start)).tolist():
        points = placement.route(edge)
        for (ax, ay), (bx, by) in pairwise(points):
            if ax != bx:
                continue
            inside = (np.abs(placement.x - ax) < width / 2 - 0.1) & (placement.y < by) & (placement.y + height > ay)
            inside[[source[edge], target[edge]]] = False
            found += int(inside.sum())
    return found


def model_graph(path: Path) -> Graph:
    """Nodes as boxes, tensors as edges; convolutions and multiplications are larger than the rest."""
    graph = onnx.load(path, load_external_data=False).graph
    producer = {name: i for i, node in enumerate(graph.node) for name in node.output}
    edges = [(producer[name], i) for i, node in enumerate(graph.node) for name in node.input if name in producer]
    found = boxes(len(graph.node), edges)
    large = np.array([node.op_type in ("Conv", "MatMul", "Gemm") for node in graph.node])
    return (np.where(large, np.float32(160), found[0]), np.where(large, np.float32(52), found[1]), *found[2:])
