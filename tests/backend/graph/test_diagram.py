"""What is drawn of a graph, and what is written on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.diagram import Diagram, Kind
from graftwerk.backend.graph.diagram_columns import build
from graftwerk.backend.graph.diagram_picture import draw
from graftwerk.backend.graph.diagram_text import chips, input_name, leaf_name, scale_text, value_text
from graftwerk.backend.graph.diagram_walk import between, downstream, upstream
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Initializer


def info(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])


def graph_of(nodes: list[NodeProto], inputs: str, outputs: str, weights: Mapping[str, object] | None = None) -> Graph:
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    made = helper.make_graph(nodes, "g", [info(name) for name in inputs.split()],
                             [info(name) for name in outputs.split()], tensors)
    return decode(helper.make_model(made).SerializeToString(), None, None)


def arrows(diagram: Diagram) -> set[tuple[object, object, str]]:
    """Edges as (source, target, tensor); nodes by op type."""
    def name(box: int) -> object:
        _, ref = diagram.key(box)
        return diagram.graph.nodes[ref].op_type if isinstance(ref, int) else ref

    return {(name(s), name(t), diagram.table.texts[n])
            for s, t, n in zip(diagram.source.tolist(), diagram.target.tolist(), diagram.tensor.tolist(), strict=True)}


def test_weights_and_constants_stand_in_boxes() -> None:
    nodes = [
        helper.make_node("Constant", [], ["k"], value_float=0.125),
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Mul", ["m", "k"], ["y"]),
    ]
    diagram = build(graph_of(nodes, "x w", "y", {"w": np.ones((4, 4), np.float32)}))
    assert arrows(diagram) == {("x", "MatMul", "x"), ("MatMul", "Mul", "m"), ("Mul", "y", "y")}
    assert diagram.kind.tolist() == [Kind.INPUT, Kind.NODE, Kind.NODE, Kind.OUTPUT]
    texts = [[(chip.name, chip.text) for chip in chips(diagram.graph, record)]
             for record in diagram.graph.nodes.values()]
    assert texts == [[], [("B", "4×4")], [("B", "0.125")]]
    assert diagram.height[1] == diagram.height[2] > diagram.height[0]


def test_a_constant_that_nothing_reads_or_that_is_an_output_has_a_box() -> None:
    nodes = [helper.make_node("Constant", [], ["y"], value_float=1.0),
             helper.make_node("Constant", [], ["unread"], value_float=1.0)]
    diagram = build(graph_of(nodes, "", "y"))
    assert diagram.kind.tolist() == [Kind.NODE, Kind.NODE, Kind.OUTPUT]
    assert arrows(diagram) == {("Constant", "y", "y")}


@pytest.mark.parametrize("users", [1, 3])
def test_a_pair_is_a_pill_with_all_its_halves(users: int) -> None:
    scale = {"s": np.float32(0.5), "z": np.int8(0)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])]
    nodes += [helper.make_node("DequantizeLinear", ["q", "s", "z"], [f"d{at}"]) for at in range(users)]
    nodes += [helper.make_node("Sum", [f"d{at}" for at in range(users)], ["y"])]
    diagram = build(graph_of(nodes, "x", "y", scale))
    assert diagram.kind.tolist() == [Kind.INPUT, Kind.PILL, Kind.NODE, Kind.OUTPUT]
    assert len(diagram.nodes(1)) == 1 + users
    assert diagram.box(0) == diagram.box(1) == 1


def test_halves_that_do_not_match_are_two_boxes() -> None:
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "t", "z"], ["y"])]
    diagram = build(graph_of(nodes, "x", "y", {"s": np.float32(0.5), "t": np.float32(0.25), "z": np.int8(0)}))
    assert diagram.kind.tolist() == [Kind.INPUT, Kind.NODE, Kind.NODE, Kind.OUTPUT]


def test_a_weight_that_is_quantized_on_the_way_is_a_chip() -> None:
    weights = {"w": np.ones((4, 4), np.float32), "s": np.full(4, 0.5, np.float32), "z": np.zeros(4, np.int8)}
    nodes = [helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"], axis=1),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=1),
             helper.make_node("MatMul", ["x", "d"], ["y"])]
    diagram = build(graph_of(nodes, "x", "y", weights))
    assert diagram.kind.tolist() == [Kind.INPUT, Kind.NODE, Kind.OUTPUT]
    (chip,) = chips(diagram.graph, diagram.graph.nodes[2])
    assert (chip.text, chip.quantized) == ("4×4 INT8", True)
    assert diagram.box(0) == diagram.box(1) == diagram.box(2)


def test_what_a_body_captures_is_an_edge() -> None:
    body = helper.make_graph([helper.make_node("Relu", ["outer"], ["inner"])], "b", [], [info("inner")])
    nodes = [helper.make_node("Abs", ["x"], ["outer"]),
             helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)]
    assert ("Abs", "If", "outer") in arrows(build(graph_of(nodes, "x c", "y")))


def test_collapsed_scopes_are_one_box_each(models: Path) -> None:
    graph = load(models / "encoder.onnx")
    path = ("encoder", "layer.0")
    diagram = build(graph, frozenset({path}))
    (box,) = diagram.boxes(Kind.SCOPE).values()
    assert diagram.path(box) == path
    assert len(diagram.nodes(box)) > 50
    assert not ((diagram.source == box) & (diagram.target == box)).any()
    assert (diagram.target == box).any()
    assert (diagram.source == box).any()


def test_drawing_copes_with_every_odd_model(shared: Path) -> None:
    for path in sorted((shared / "onnx-edge").glob("*.onnx")):
        try:
            graph = load(path)
        except Fault:  # what can't be opened is for another test
            continue
        picture = draw(graph)
        assert np.isfinite(picture.left).all()
        assert np.isfinite(picture.segments).all()
        for record in graph.nodes.values():
            chips(graph, record)


@pytest.mark.parametrize(("op_type", "name", "leaf"), [
    ("Conv", "/layer1/conv2/Conv", "conv2"), ("Relu", "/layer1/relu/Relu_1", "relu"), ("Gemm", "mlp.fc1", "fc1"),
    ("Identity", "Identity_397", ""), ("Conv", "", ""), ("Conv", "Convolution", "Convolution"), ("Add", "a/b", "b"),
])  # fmt: skip
def test_leaf_names(op_type: str, name: str, leaf: str) -> None:
    assert leaf_name(op_type, name) == leaf


def test_names_and_values_on_chips() -> None:
    assert [input_name("Conv", "", at) for at in range(3)] == ["X", "W", "b"]
    assert input_name("Gemm", "", 1) == "B"
    assert input_name("Concat", "", 3) == "inputs"
    assert input_name("Unheard", "my.domain", 2) == "2"
    values = {"-1": -1, "[0, 2]": [0, 2], "2×3": np.zeros((2, 3)), "max": 2**63 - 1, "1e-05": 1e-5}
    assert [value_text(Initializer.from_array(np.asarray(value), "v")) for value in values.values()] == list(values)


def test_scales() -> None:
    graph = graph_of([helper.make_node("Relu", ["x"], ["y"])], "x", "y",
                     {"one": np.float32(0.03125), "many": np.ones(7, np.float32)})
    assert scale_text(graph, "one") == "0.0312"
    assert scale_text(graph, "many") == "7 scales"
    assert scale_text(graph, "y") == ""


def test_walks() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Abs", ["a"], ["b"]),
             helper.make_node("Neg", ["a"], ["c"]), helper.make_node("Add", ["b", "c"], ["y"]),
             helper.make_node("Exp", ["a"], ["z"])]
    graph = graph_of(nodes, "x", "y z")
    assert upstream(graph, [3]) == {0, 1, 2, 3}
    assert downstream(graph, [1]) == {1, 3}
    assert between(graph, 3, 0) == {0, 1, 2, 3}
    assert between(graph, 1, 2) == set()
