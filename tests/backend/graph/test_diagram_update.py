"""A diagram that is brought up to date is the one that would have been made of the new revision."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from graftwerk.backend.graph.diagram import Diagram
from graftwerk.backend.graph.diagram_columns import build
from graftwerk.backend.graph.diagram_update import update
from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType


def described(diagram: Diagram) -> tuple[Counter[object], Counter[object]]:
    """Boxes and edges, whatever their order."""
    boxes = [(diagram.key(box), int(diagram.family[box]), float(diagram.width[box]), float(diagram.height[box]),
              diagram.nodes(box)) for box in range(len(diagram.kind))]
    edges = [(diagram.key(s), diagram.key(t), diagram.table.texts[n], round(float(a), 1), round(float(b), 1))
             for s, t, n, a, b in zip(diagram.source.tolist(), diagram.target.tolist(), diagram.tensor.tolist(),
                                      diagram.source_port, diagram.target_port, strict=True)]
    return Counter(boxes), Counter(edges)


def check(before: Diagram, graph: Graph) -> Diagram:
    made = update(before, graph, diff(before.graph, graph))
    assert described(made.diagram) == described(build(graph, before.collapsed))
    kept = made.box_of >= 0
    old = made.box_of[kept]
    assert len(np.unique(old)) == len(old)
    assert [made.diagram.key(int(box)) for box in np.flatnonzero(kept)] == [before.key(int(box)) for box in old]
    edges = np.flatnonzero(made.edge_of >= 0)
    assert [made.diagram.tensor_name(int(edge)) for edge in edges] == [
        before.tensor_name(int(edge)) for edge in made.edge_of[edges]]
    return made.diagram


def insert(graph: Graph, tensor: str, *ops: str) -> Graph:
    """Nodes of one input in a row on a tensor, between its producer and all that read it."""
    edit = Edit(graph)
    users = edit.consumers(tensor)
    last = tensor
    for op_type in ops:
        made = edit.fresh_tensor(f"{tensor}_{op_type}")
        inputs = [last, "a_scale", "a_zero"] if op_type in ("QuantizeLinear", "DequantizeLinear") else [last]
        edit.add_node(op_type, inputs, [made], name=edit.fresh_node(f"new/{op_type}"))
        last = made
    edit.rewire(tensor, last, only=list(users))
    return edit.commit()


@pytest.mark.parametrize("name", ["digits.onnx", "encoder.onnx"])
def test_insertion_anywhere_and_back(models: Path, name: str) -> None:
    graph = load(models / name)
    before = build(graph)
    for tensor in sorted(graph.producers)[:: max(1, len(graph.producers) // 40)]:
        if graph.is_output(tensor) or not graph.consumers(tensor):
            continue
        after = insert(graph, tensor, "Identity")
        check(check(before, after), graph)


@pytest.mark.parametrize("name", ["digits.onnx", "encoder.onnx"])
def test_a_pair_anywhere_and_back(models: Path, name: str) -> None:
    edit = Edit(load(models / name))
    edit.set_initializer(Initializer.from_array(np.array(0.1, np.float32), "a_scale"))
    edit.set_initializer(Initializer.from_array(np.array(0, np.int8), "a_zero"))
    graph = edit.commit()
    before = build(graph)
    tensors = [*sorted(graph.producers)[:: max(1, len(graph.producers) // 40)], *list(graph.initializers)[:6],
               *(info.name for info in graph.inputs)]
    for tensor in tensors:
        if graph.is_output(tensor) or not graph.consumers(tensor):
            continue
        half = insert(graph, tensor, "QuantizeLinear")
        check(check(before, half), graph)
        whole = insert(graph, tensor, "QuantizeLinear", "DequantizeLinear")
        check(check(before, whole), graph)
        check(check(check(before, half), whole), half)


def test_removal(models: Path) -> None:
    graph = load(models / "encoder.onnx")
    before = build(graph)
    removed = 0
    for node, record in graph.nodes.items():
        edit = Edit(graph)
        output = record.output[0]
        if len(record.output) != 1 or graph.is_output(output) or not graph.producer(next(iter(record.input), "")):
            continue
        edit.rewire(record.output[0], record.input[0])
        edit.remove_node(node)
        check(check(before, edit.commit()), graph)
        removed += 1
    assert removed > 100


def test_inputs_outputs_and_weights(models: Path) -> None:
    graph = load(models / "digits.onnx")
    before = build(graph)
    edit = Edit(graph)
    inner = next(iter(graph.nodes.values())).output[0]
    edit.set_outputs([*graph.outputs, TensorType(1, (None, 16, 8, 8)).value_info(inner)])
    after = edit.commit()
    current = check(before, after)
    edit = Edit(after)
    edit.set_outputs(after.outputs[:-1])
    check(current, edit.commit())
    weight = next(name for name in graph.initializers if graph.consumers(name))
    edit = Edit(graph)
    edit.remove_initializer(weight)
    edit.set_inputs([*graph.inputs, TensorType(1, graph.initializers[weight].dims).value_info(weight)])
    check(check(before, edit.commit()), graph)


def test_with_collapsed_scopes(models: Path) -> None:
    graph = load(models / "encoder.onnx")
    paths = frozenset({("encoder", "layer.0"), ("encoder", "layer.1", "attention")})
    before = build(graph, paths)
    assert len(before.kind) < len(build(graph).kind)
    for tensor in sorted(graph.producers)[::9]:
        if not graph.is_output(tensor) and graph.consumers(tensor):
            check(check(before, insert(graph, tensor, "Identity")), graph)


def test_many_edits_in_a_row(models: Path) -> None:
    graph = load(models / "digits.onnx")
    diagram = build(graph)
    for tensor in list(graph.producers)[:-1]:
        graph = insert(graph, tensor, "Relu", "Identity")
        diagram = check(diagram, graph)
