"""Layout: time for whole graphs and for an edit, and crossings against fast-sugiyama on the same cut graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter

import numpy as np
import onnx
from numpy.typing import NDArray

from graftwerk.backend.graph.layout import layout
from graftwerk.backend.graph.layout_crossings import crossings
from graftwerk.backend.graph.layout_elements import split
from graftwerk.backend.graph.layout_layers import assign
from graftwerk.backend.graph.layout_order import arrange
from graftwerk.backend.graph.layout_update import update
from tests.bench.rows import Row, model

Ints = NDArray[np.int32]


def graph_of(name: str) -> tuple[int, Ints, Ints]:
    """Graph inputs, nodes and graph outputs as boxes, tensors as edges, constants left out as the canvas does."""
    graph = onnx.load(model(name), load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    inputs = [value.name for value in graph.input if value.name not in constants]
    producer = {value: i for i, value in enumerate(inputs)}
    producer.update((value, len(inputs) + i) for i, node in enumerate(nodes) for value in node.output if value)
    edges = [(producer[value], len(inputs) + i) for i, node in enumerate(nodes) for value in node.input
             if value in producer]
    count = len(inputs) + len(nodes)
    edges += [(producer[value.name], count + i) for i, value in enumerate(graph.output) if value.name in producer]
    pairs = np.array(edges, np.int32)
    return count + len(graph.output), pairs[:, 0], pairs[:, 1]


def sizes(count: int, edges: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(0)
    return (random.uniform(60, 180, count).astype(np.float32), random.choice([28, 52], count).astype(np.float32),
            np.zeros(edges, np.float32))


def whole(name: str, bound: float) -> Row:
    count, source, target = graph_of(name)
    width, height, ports = sizes(count, len(source))
    times = []
    for _ in range(3):
        begin = perf_counter()
        layout(width, height, source, target, ports, ports)
        times.append(perf_counter() - begin)
    return Row(f"layout of {name}, {count} boxes", sorted(times)[1], bound=bound)


def edit(name: str, bound: float) -> Row:
    """Five pills put on edges."""
    count, source, target = graph_of(name)
    width, height, ports = sizes(count, len(source))
    placement = layout(width, height, source, target, ports, ports)
    cut = np.linspace(0, len(source) - 1, 5).astype(np.int64)
    kept = np.setdiff1d(np.arange(len(source)), cut)
    pills = count + np.arange(5)
    box_of = np.append(np.arange(count), np.full(5, -1)).astype(np.int32)
    edge_of = np.append(kept, np.full(10, -1)).astype(np.int32)
    new_source = np.concatenate((source[kept], source[cut], pills)).astype(np.int32)
    new_target = np.concatenate((target[kept], pills, target[cut])).astype(np.int32)
    new_width, new_height = (np.append(old, np.full(5, size)).astype(np.float32)
                             for old, size in ((width, 84), (height, 26)))
    new_ports = np.zeros(len(new_source), np.float32)
    times = []
    for _ in range(5):
        begin = perf_counter()
        update(placement, box_of, edge_of, new_width, new_height, new_source, new_target, new_ports, new_ports)
        times.append(perf_counter() - begin)
    return Row(f"five pills put into {name}", sorted(times)[2] * 1e3, "ms", bound=bound)


def crossed(name: str) -> tuple[Row, Row]:
    """Crossings of edges short enough to be drawn, and the time for ordering them. The peer lays out all of it."""
    import fast_sugiyama

    count, source, target = graph_of(name)
    width, height, ports = sizes(count, len(source))
    layers = assign(count, source.astype(np.int64), target.astype(np.int64))
    elements = split(layers, ports.astype(np.float64), ports.astype(np.float64))
    ours = int(crossings(elements, arrange(layers, elements)).sum())
    begin = perf_counter()
    layout(width, height, source, target, ports, ports)
    seconds = perf_counter() - begin
    drawn = sorted({(int(a), int(b)) for a, b in zip(source[~layers.tunnel], target[~layers.tunnel], strict=True)})
    begin = perf_counter()
    layouts = fast_sugiyama.from_edges(drawn, dummy_vertices=True, check_layout=False)
    peer_seconds = perf_counter() - begin
    theirs = sum(_crossings_of(dict(positions), edges or ()) for positions, _, _, edges in layouts)
    return (Row(f"crossings in {name} (peer: fast-sugiyama)", ours, "", theirs, 1.5),
            Row(f"layout of {name} (peer: fast-sugiyama)", seconds, "s", peer_seconds))


def _crossings_of(place: Mapping[int | str, tuple[float, float]], edges: Iterable[tuple[int | str, int | str]]) -> int:
    """Crossings in the peer's picture, whose edges all join neighbouring layers (its dummies are among the places).

    Counted by comparing all pairs of segments of a gap, on purpose not with the code under test.
    """
    gaps: dict[float, list[tuple[float, float]]] = {}
    rows = sorted({round(y, 3) for _, y in place.values()})
    number = {y: i for i, y in enumerate(rows)}
    for a, b in edges:
        (upper_x, upper_y), (lower_x, lower_y) = sorted((place[a], place[b]), key=lambda point: point[1])
        if number[round(lower_y, 3)] - number[round(upper_y, 3)] != 1:
            raise ValueError("the peer's edge spans several layers: its dummies are missing")
        gaps.setdefault(upper_y, []).append((upper_x, lower_x))
    total = 0
    for segments in gaps.values():
        ends = np.array(segments)
        apart = (ends[:, None, 0] - ends[None, :, 0]) * (ends[:, None, 1] - ends[None, :, 1])
        total += int(np.count_nonzero(apart < 0)) // 2
    return total


def main() -> list[Row]:
    rows = [whole("llm10k", 0.3), whole("llm50k", 1.0), whole("moe50k", 1.0), edit("llm50k", 5.0)]
    for name in ("resnet50", "bert_ts", "gpt2_ts", "llm10k"):
        rows += crossed(name)
    return rows
