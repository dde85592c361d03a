"""Wrapping into local functions and inlining them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx.parser
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.registry import Selection, apply, make
from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models as subgraphs
from tests.backend.operations.laws import checked, computes_the_same


def records(graph: Graph) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    return sorted((r.op_type, r.name, tuple(r.input), tuple(r.output)) for r in graph.nodes.values())


@pytest.mark.parametrize(
    ("model", "nodes"),
    [
        (models.residual, ["Neg_1", "Add_2"]), (models.branches, ["Relu_0", "If_1"]),
        (models.constants, ["Add_2", "Reshape_4"]), (models.loop, ["Abs_1", "y"]),
    ],
)  # fmt: skip
def test_inlining_undoes_wrapping(model: Any, nodes: list[str]) -> None:
    graph = model()
    wrapped = apply(make("function.wrap", {"nodes": nodes, "name": "Mine"}), graph)
    assert "Mine" in [record.op_type for record in wrapped.nodes.values()]
    back = apply(make("function.inline", {"nodes": ["Mine"]}), wrapped)
    assert records(back) == records(graph)
    assert {k: v.array().tolist() for k, v in back.initializers.items()} == {
        k: v.array().tolist() for k, v in graph.initializers.items()
    }
    assert back.functions == ()
    assert [entry.domain for entry in back.model.opset_import] == [entry.domain for entry in graph.model.opset_import]


@pytest.mark.parametrize("file", ["resnet50", "bert_ts", "gpt2_ts"])
def test_a_block_of_a_real_model(shared: Path, file: str) -> None:
    graph = typed(load(shared / "models" / f"{file}.onnx"))
    block = [graph.ref(node) for node in list(graph.nodes)[-60:-20]]
    wrapped = apply(make("function.wrap", {"nodes": block, "name": "Block"}), graph)
    assert len(wrapped.nodes) < len(graph.nodes) - 20
    checked(wrapped)
    computes_the_same(graph, wrapped)
    back = apply(make("function.inline", {"nodes": ["Block"]}), wrapped)
    checked(back)
    assert len(back.nodes) == len(graph.nodes)


def test_a_call_s_attributes_take_the_place_of_references() -> None:
    graph = subgraphs.functions()
    inlined = apply(make("function.inline", {"nodes": ["Leaky_0", "Leaky_1"]}), graph)
    slopes = [node.attribute[0] for node in inlined.nodes.values() if node.op_type == "LeakyRelu"]
    assert sorted(round(one.f, 3) for one in slopes) == [0.1, 0.5]
    assert all(one.name == "alpha" and not one.ref_attr_name for one in slopes)
    assert [function.name for function in inlined.functions] == ["Twice", "Choose"]


def test_deep_inlining_leaves_no_call() -> None:
    graph = subgraphs.functions()
    calls = ["Leaky_0", "Leaky_1", "Choose_2"]
    inlined = apply(make("function.inline", {"nodes": calls, "deep": True}), graph)
    assert inlined.functions == ()
    assert inlined.opset("local") is None
    checked(inlined)
    computes_the_same(graph, inlined)


def test_an_input_that_is_passed_through_and_one_that_is_left_out() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        g (float[2] x) => (float[2] y, float[2] z) { y, z = local.F(x) }
        <domain: "local", opset_import: ["" : 17]> F (a, low) => (a, b) { b = Clip(a, low) }"""
    graph = models.graph_of(onnx.parser.parse_model(text))
    inlined = apply(make("function.inline", {"nodes": ["y"]}), graph)
    checked(inlined)
    (clip,) = [node for node in inlined.nodes.values() if node.op_type == "Clip"]
    assert list(clip.input) == ["x", ""]
    assert [info.name for info in inlined.outputs] == ["y", "z"]


def test_names_inside_meet_none_outside() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        g (float[2] x, bool c) => (float[2] y) { t = Neg(x) m = local.F(c, t) y = local.F(c, m) }
        <domain: "local", opset_import: ["" : 17]> F (c, x) => (y) {
            t = Relu(x)
            y = If (c) < then_branch = a () => (float[2] m) { m = Abs(t) }, else_branch = b () => (float[2] n) { n = Exp(x) } >
        }"""  # noqa: E501
    graph = models.graph_of(onnx.parser.parse_model(text))
    inlined = apply(make("function.inline", {"nodes": ["m", "y"]}), graph)
    checked(inlined)
    computes_the_same(graph, inlined)


def test_another_opset_inside_is_refused() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        g (float[2,3] x) => (float[2,3] y) { y = local.F(x) }
        <domain: "local", opset_import: ["" : 11]> F (a) => (b) { b = Softmax <axis = 1> (a) }"""
    graph = models.typed(decode(onnx.parser.parse_model(text).SerializeToString(), None, None))
    with pytest.raises(Fault, match="opset 11, where Softmax is another one"):
        apply(make("function.inline", {"nodes": ["y"]}), graph)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nodes": ["Relu_0", "Add_2"], "name": "F"}, "a path leaves them and comes back"),
        ({"nodes": ["Relu_0"], "name": "not a name"}, "can't be a function's name"),
        ({"nodes": ["Relu_0"], "name": "F", "domain": "ai.onnx"}, "can't be in the domain"),
        ({"nodes": ["Relu_0"], "name": "F", "inputs": ["c"]}, "don't read c from outside"),
        ({"nodes": ["Relu_0"], "name": "F", "outputs": ["c"]}, "don't make c"),
    ],
)  # fmt: skip
def test_what_can_t_be_wrapped(values: dict[str, Any], message: str) -> None:
    with pytest.raises(Fault, match=message):
        apply(make("function.wrap", values), models.residual())


def test_a_name_in_use_and_no_call_are_refused() -> None:
    graph = subgraphs.functions()
    with pytest.raises(Fault, match="There is a function local::Twice already"):
        apply(make("function.wrap", {"nodes": ["Neg_3"], "name": "Twice"}), graph)
    with pytest.raises(Fault, match="Neg is an operator, not a call"):
        apply(make("function.inline", {"nodes": ["Neg_3"]}), graph)


def test_the_suggested_name_is_free() -> None:
    graph = models.residual()
    first = make("function.wrap", {"nodes": ["Neg_1"], "name": "Block1"})
    wrapped = apply(first, graph)
    suggested = type(first).suggest(wrapped, Selection((wrapped.find("Add_2"),)))
    assert getattr(suggested, "name", "") == "Block2"
