"""Edits inside bodies and functions: what they change, what they leave alone, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.functions import function_key
from graftwerk.backend.graph.graph import Graph, bodies
from graftwerk.backend.graph.nested import inside
from graftwerk.backend.graph.standin import DOMAIN, deployable
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.backend.operations.within import Within, is_slow
from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models as subgraphs
from tests.backend.operations.laws import checked, computed, computes_the_same, random_feeds

THEN = ("If_1", "then_branch")
DEEP = ("If_2", "then_branch", "out", "body")
TWICE = ("function::local::Twice",)


def within(path: tuple[str, ...], operation: str, **values: Any) -> Within:
    return Within(path, {"operation": operation, **values})


def body(graph: Graph, node: str, label: str) -> onnx.GraphProto:
    return dict(bodies(graph.nodes[graph.find(node)]))[label]


@pytest.mark.parametrize(
    ("model", "path", "tensor"),
    [
        (models.branches, THEN, "inner"), (models.branches, THEN, "w"), (models.branches, THEN, "out"),
        (models.loop, ("Loop_2", "body"), "state"), (models.loop, ("Loop_2", "body"), "r"),
        (subgraphs.deep, DEEP, "near"), (subgraphs.deep, DEEP, "state"), (subgraphs.deep, DEEP, "again"),
        (subgraphs.functions, TWICE, "two"), (subgraphs.functions, ("function::local::Leaky",), "u"),
        (subgraphs.functions, ("function::local::Choose", "w", "then_branch"), "v"),
    ],
)  # fmt: skip
def test_an_identity_inside_changes_no_output(model: Any, path: tuple[str, ...], tensor: str) -> None:
    graph = model()
    edited = apply(within(path, "node.insert", tensor=tensor, op_type="Identity"), graph)
    assert len(inside(edited, path).nodes) == len(inside(graph, path).nodes) + 1
    checked(edited)
    computes_the_same(graph, edited)


def test_an_edit_inside_reaches_the_outputs() -> None:
    graph = models.branches()
    edited = apply(within(THEN, "node.insert", tensor="inner", op_type="Neg"), graph)
    feeds = random_feeds(graph)
    feeds["c"] = np.array(True)
    x, w = feeds["x"], np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    (y,) = computed(edited, feeds)
    np.testing.assert_allclose(y, (np.maximum(x, 0) + w) * x, rtol=1e-6)


def test_what_a_body_captures_does_not_become_its_input() -> None:
    edited = apply(within(THEN, "node.insert", tensor="inner", op_type="Relu"), models.branches())
    then = body(edited, "If_1", "then_branch")
    assert not then.input
    assert [info.name for info in then.output] == ["out"]
    assert then.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_untouched_records_are_the_same_bytes() -> None:
    graph = subgraphs.deep()
    before = body(graph, "If_2", "then_branch")
    edited = apply(within(("If_2", "then_branch"), "node.insert", tensor="near", op_type="Abs"), graph)
    after = body(edited, "If_2", "then_branch")
    assert body(edited, "If_2", "else_branch") == body(graph, "If_2", "else_branch")
    assert after.node[0] == before.node[0]
    loop = next(node for node in after.node if node.op_type == "Loop")
    inner = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    assert [node.op_type for node in inner.node] == ["Identity", "Add", "Add"]
    assert inner.node[1].input[0] == next(node for node in after.node if node.op_type == "Abs").output[0]


def test_a_body_keeps_what_we_don_t_understand() -> None:
    model = models.parsed(
        """g (float[2] x, bool c) => (float[2] y) {
            y = If (c) < then_branch = t () => (float[2] a) { a = Neg(x) },
                         else_branch = e () => (float[2] b) { b = Abs(x) } >
        }"""
    )
    then = next(attribute.g for attribute in model.graph.node[0].attribute if attribute.name == "then_branch")
    then.doc_string = "why"
    then.metadata_props.add(key="origin", value="here")
    then.node[0].metadata_props.add(key="line", value="7")
    edited = apply(within(("If_0", "then_branch"), "node.insert", tensor="x", op_type="Relu"), models.graph_of(model))
    found = body(edited, "If_0", "then_branch")
    assert (found.name, found.doc_string) == ("t", "why")
    assert found.metadata_props[0].value == "here"
    assert next(node for node in found.node if node.op_type == "Neg").metadata_props[0].value == "7"


def test_fresh_names_avoid_those_of_the_graphs_around() -> None:
    graph = apply(make("node.insert", {"tensor": "r", "op_type": "Relu"}), models.branches())
    assert graph.defines("r_Relu")
    edited = apply(within(THEN, "node.insert", tensor="inner", op_type="Relu"), graph)
    edited = apply(within(THEN, "tensor.rename", tensor="inner_Relu", name="q"), edited)
    again = apply(within(THEN, "node.insert", tensor="r_Relu", op_type="Relu"), edited)
    made = {name for node in body(again, "If_1", "then_branch").node for name in node.output}
    assert not made & set(again.producers)
    checked(again)


def test_a_name_of_a_graph_around_is_refused() -> None:
    graph = subgraphs.deep()
    for taken in ("far", "z", "n", "x"):
        operation = within(DEEP, "tensor.rename", tensor="step", name=taken)
        with pytest.raises(Fault, match=r"around|exists already"):
            apply(operation, graph)
    with pytest.raises(Fault, match="inside the body"):
        apply(within(("If_2", "then_branch"), "tensor.rename", tensor="near", name="step"), graph)


@pytest.mark.parametrize(
    ("path", "step", "message"),
    [
        (THEN, {"operation": "interface.mark_output", "tensor": "inner"}, "2 outputs of its own, but If needs 1"),
        (THEN, {"operation": "node.delete", "nodes": ["inner"], "bridge": False}, "1 inputs of its own"),
        (THEN, {"operation": "tensor.rename", "tensor": "r", "name": "other"}, "of the graph around the body"),
        (THEN, {"operation": "interface.set_input", "tensor": "x", "dtype": "FP16"}, "of the graph around the body"),
        (THEN, {"operation": "node.rename", "node": "nobody", "name": "a"}, "no such node"),
        (THEN, {"operation": "node.nothing"}, "no such operation"),
        (THEN, {"node": "nobody"}, "needs the name of its operation"),
        (("If_1", "body"), {"operation": "graph.remove_unused"}, "has no body 'body'"),
        (("If_1",), {"operation": "graph.remove_unused"}, "none of its bodies"),
        (("Relu_0", "body"), {"operation": "graph.remove_unused"}, "has no body"),
        (("function::local::Twice",), {"operation": "graph.remove_unused"}, "no such function"),
        ((), {"operation": "graph.remove_unused"}, "path is empty"),
    ],
)  # fmt: skip
def test_refusals_say_why(path: tuple[str, ...], step: dict[str, Any], message: str) -> None:
    graph = models.branches()
    with pytest.raises(Fault, match=message):
        apply(Within(path, step), graph)


def test_a_body_reads_more_of_the_graph_around_it_where_the_step_says_so() -> None:
    graph = subgraphs.deep()
    edited = apply(within(DEEP, "node.rewire", node="step", input=0, tensor="far"), graph)
    assert edited.find("If_2") in edited.consumers("far")
    checked(edited)
    x = np.array([1, -2, 3], np.float32)
    r, far = np.maximum(x, 0), 1 / (1 + np.exp(-x))
    state = x + 3 * (far + r)
    (y,) = computed(edited, {"x": x, "c": np.array(True)})
    np.testing.assert_allclose(y, state * far, rtol=1e-5)


def test_attribute_references_of_a_function_are_kept() -> None:
    graph = subgraphs.functions()
    edited = apply(within(("function::local::Leaky",), "node.insert", tensor="u", op_type="Abs"), graph)
    leaky = next(function for function in edited.functions if function.name == "Leaky")
    relu = next(node for node in leaky.node if node.op_type == "LeakyRelu")
    assert relu.attribute[0].ref_attr_name == "slope"
    assert leaky.attribute_proto[0].f == pytest.approx(0.1)
    assert [function_key(one) for one in edited.functions] == [function_key(one) for one in graph.functions]


def test_a_weight_that_an_edit_adds_to_a_function_becomes_a_constant() -> None:
    edited = apply(within(TWICE, "qdq.insert", tensor="w", scale=0.25), subgraphs.functions())
    twice = next(function for function in edited.functions if function.name == "Twice")
    scale = next(node for node in twice.node if node.op_type == "Constant" and "scale" in node.output[0])
    assert numpy_helper.to_array(scale.attribute[0].t) == np.float32(0.25)
    checked(edited)
    before = random_feeds(edited)
    assert np.isfinite(computed(edited, before)[0]).all()


def test_types_inside_are_known() -> None:
    square = TensorType(1, (2, 3))
    assert inside(models.branches(), THEN).type_of("inner") == square
    assert inside(subgraphs.deep(), DEEP).type_of("step") == TensorType(1, (3,))
    graph = subgraphs.functions()
    assert inside(graph, ("function::local::Leaky",)).type_of("u") == square
    assert inside(graph, TWICE).type_of("w") == square  # it is called by another function alone
    assert inside(graph, ("function::local::Choose", "w", "then_branch")).type_of("m") == square


def test_types_that_a_loop_and_a_scan_pass_to_their_bodies() -> None:
    """Exporters leave them out in the bodies; what the edit puts back leaves them out as well."""
    text = """g (float[3,2] x, float[2] s) => (float[2] y, float[2] z) <int64 n = {3}, bool k = {1}> {
            y = Loop (n, k, s) <body = b (i, go, state) => (again, next) {
                again = Identity(go) next = Neg(state) }>
            z, all = Scan <num_scan_inputs = 1, body = c (held, row) => (sum, out) {
                sum = Add(held, row) out = Relu(row) }> (s, x)
        }"""
    graph = models.typed(decode(models.parsed(text).SerializeToString(), None, None))
    loop, scan = inside(graph, ("Loop_0", "body")), inside(graph, ("Scan_1", "body"))
    assert (str(loop.type_of("i")), str(loop.type_of("again"))) == ("scalar INT64", "scalar BOOL")
    assert (str(loop.type_of("next")), str(scan.type_of("held"))) == ("FP32", "2 FP32")
    assert str(scan.type_of("out")) == "FP32"
    edited = apply(within(("Loop_0", "body"), "node.insert", tensor="state", op_type="Abs"), graph)
    assert not any(info.type.WhichOneof("value") for info in body(edited, "Loop_0", "body").input)


def test_types_of_a_function_are_what_its_calls_agree_on() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        g (float[2,3] x, float[4,3] z) => (float[2,3] y, float[4,3] w) { y = local.F(x) w = local.F(z) }
        <domain: "local", opset_import: ["" : 17]> F (a) => (b) { c = Relu(a) b = Neg(c) }"""
    graph = models.graph_of(onnx.parser.parse_model(text))
    assert inside(graph, ("function::local::F",)).type_of("c") == TensorType(1, (None, 3))


def test_an_edit_of_the_type_inside_is_forgotten_around() -> None:
    model = models.parsed(
        """g (float[2] x, bool c) => (float y) {
            z = If (c) < then_branch = t () => (float[2] a) { a = Neg(x) },
                         else_branch = e () => (float[2] b) { b = Abs(x) } >
            y = ReduceSum<keepdims = 0>(z)
        }"""
    )
    graph = models.graph_of(model)
    assert graph.type_of("z") == TensorType(1, (2,))
    step = {"attributes": {"to": "FLOAT16"}, "op_type": "Cast"}
    edited = apply(within(("If_0", "then_branch"), "node.insert", tensor="a", **step), graph)
    assert edited.type_of("z") is None


def test_an_operation_of_a_library_inside_a_body() -> None:
    """Folding sees the constants of the body."""
    model = models.parsed(
        """g (float[2] x, bool c) => (float[2] y) {
            y = If (c) < then_branch = t () => (float[2] a) <float[2] w = {1, 2}> { v = Mul(w, w) a = Add(x, v) },
                         else_branch = e () => (float[2] b) { b = Abs(x) } >
        }"""
    )
    graph = models.graph_of(model)
    operation = within(("If_0", "then_branch"), "graph.fold_constants")
    assert is_slow(operation)
    edited = apply(operation, graph)
    then = body(edited, "If_0", "then_branch")
    assert [node.op_type for node in then.node] == ["Add"]
    assert [list(numpy_helper.to_array(tensor)) for tensor in then.initializer] == [[1, 4]]
    computes_the_same(graph, edited)


def test_external_weights_in_a_body_stay_external(tmp_path: Path) -> None:
    model = models.parsed(
        """g (float[2] x, bool c) => (float[2] y) {
            y = If (c) < then_branch = t () => (float[2] a) { a = Neg(x) },
                         else_branch = e () => (float[2] b) <float[2] w = {3, 4}> { b = Add(x, w) } >
        }"""
    )
    branch = next(attribute.g for attribute in model.graph.node[0].attribute if attribute.name == "else_branch")
    weight = numpy_helper.from_array(np.array([3, 4], np.float32), "w")
    branch.initializer[0].CopyFrom(weight)
    (tmp_path / "w.bin").write_bytes(weight.raw_data)
    onnx.external_data_helper.set_external_data(branch.initializer[0], "w.bin")
    branch.initializer[0].ClearField("raw_data")
    onnx.save(model, tmp_path / "m.onnx")
    graph = load(tmp_path / "m.onnx")
    assert inside(graph, ("If_0", "else_branch")).initializers["w"].array().tolist() == [3, 4]
    edited = apply(within(("If_0", "else_branch"), "node.insert", tensor="w", op_type="Neg"), graph)
    kept = body(edited, "If_0", "else_branch").initializer[0]
    assert kept.data_location == onnx.TensorProto.EXTERNAL
    assert not kept.raw_data


@pytest.mark.parametrize(
    ("model", "path", "nodes"),
    [
        (models.branches, THEN, ["inner", "out"]), (subgraphs.deep, DEEP, ["step"]),
        (subgraphs.functions, ("function::local::Leaky",), ["LeakyRelu_0"]),
        (subgraphs.functions, ("function::local::Choose", "w", "then_branch"), ["m", "p"]),
    ],
)  # fmt: skip
def test_a_plugin_inside_runs_as_its_stand_in(model: Any, path: tuple[str, ...], nodes: list[str]) -> None:
    graph = model()
    edited = apply(within(path, "plugin.replace", nodes=nodes, op_type="Mine"), graph)
    assert "Mine" in [record.op_type for record in inside(edited, path).nodes.values()]
    computes_the_same(graph, edited)
    restored = apply(within(path, "plugin.restore", node="Mine"), edited)
    assert len(inside(restored, path).nodes) == len(inside(graph, path).nodes)
    computes_the_same(graph, restored)
    clean = deployable(edited)
    assert all(function.domain != DOMAIN for function in clean.functions)
    assert b"graftwerk." not in to_model(clean).SerializeToString()


def test_the_body_of_a_scan(shared: Path) -> None:
    graph = load(shared / "onnx-edge" / "scan.onnx")
    node = next(node for node, record in graph.nodes.items() if record.op_type == "Scan")
    path = (graph.ref(node), "body")
    tensor = next(iter(inside(graph, path).producers))
    edited = apply(within(path, "node.insert", tensor=tensor, op_type="Identity"), graph)
    checked(edited)
    assert len(inside(edited, path).nodes) == len(inside(graph, path).nodes) + 1


def test_a_blocked_step_is_blocked_with_its_reason() -> None:
    reason = why_blocked(within(THEN, "attribute.remove", node="inner", name="axis"), models.branches())
    assert reason is not None
    assert reason.text
