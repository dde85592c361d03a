from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.constants import constant
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.graph.standin import DOMAIN, deployable, plugin_nodes, stand_in, with_stand_ins
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.delete import is_constant
from tests.backend.operations.qdq_models import checked, do, floats, ops, parse, run, why

GELU = """g (float[N,4] x) => (float[N,4] y) {
    h = MatMul(x, w) d = Div(h, r) e = Erf(d) o = Constant<value_float=1.0>() a = Add(e, o) m = Mul(h, a)
    g = Mul(m, half) y = Add(g, x) }"""
WEIGHTS = {"w": floats(np.linspace(-1, 1, 16).reshape(4, 4)), "r": floats(2**0.5), "half": floats(0.5)}
PART = ["d", "e", "o", "a", "m", "g"]


def replaced(**parameters: object) -> Graph:
    return do(parse(GELU, weights=WEIGHTS), "plugin.replace", **{"nodes": PART, "op_type": "Gelu", **parameters})


def attributes(graph: Graph, ref: str) -> dict[str, object]:
    return {each.name: helper.get_attribute_value(each) for each in graph.nodes[graph.find(ref)].attribute}


def test_a_subgraph_becomes_one_node() -> None:
    graph = replaced(attributes={"approximate": 0, "gain": 1.0, "mode": "erf", "shape": [1, 2.5]}, plugin_namespace="n")
    assert ops(graph) == ["MatMul", "Gelu", "Add"]
    record = graph.nodes[graph.find("g")]
    assert (record.domain, record.name) == ("trt.plugins", "Gelu")
    assert (list(record.input), list(record.output)) == (["h"], ["g"])
    assert attributes(graph, "g") == {
        "approximate": 0, "gain": 1.0, "mode": b"erf", "shape": [1.0, 2.5], "plugin_version": b"1",
        "plugin_namespace": b"n",
    }  # fmt: skip
    assert graph.initializers.keys() == {"w"}
    assert graph.type_of("g") == TensorType(1, ("N", 4))
    assert (graph.opset("trt.plugins"), graph.opset(DOMAIN)) == (1, 1)
    function = stand_in(graph, record)
    assert function is not None
    body = ["Constant", "Constant", "Div", "Erf", "Constant", "Add", "Mul", "Mul"]
    assert [node.op_type for node in function.node] == body
    checked(graph)


def test_the_stand_in_computes_the_same() -> None:
    before, graph = parse(GELU, weights=WEIGHTS), replaced()
    runnable, refs = with_stand_ins(graph)
    assert refs == ["Gelu"]
    assert runnable.nodes[runnable.find("Gelu")].domain == DOMAIN
    assert np.array_equal(run(runnable)[0], run(before)[0])
    assert with_stand_ins(before) == (before, [])


def test_restore_gives_the_same_model() -> None:
    before = parse(GELU, weights=WEIGHTS)
    after = do(replaced(), "plugin.restore", node="Gelu")
    assert sorted(map(str, after.nodes.values())) == sorted(map(str, before.nodes.values()))
    assert {name: weight.complete() for name, weight in after.initializers.items()} == {
        name: weight.complete() for name, weight in before.initializers.items()
    }
    assert not after.functions
    assert after.opset(DOMAIN) is None


def test_what_is_deployed_knows_nothing_of_us() -> None:
    graph = deployable(do(replaced(), "qdq.insert", tensor="x"))
    model = checked(graph)
    assert b"graftwerk" not in model.SerializeToString()
    assert [node.op_type for node in model.graph.node if node.domain] == ["Gelu"]


def test_constants_that_others_read_stay() -> None:
    text = """g (float[2] x) => (float[2] y, float[2] z) {
        k = Constant<value_floats=[1.0,2.0]>() a = Add(x, k) b = Mul(a, s) y = Neg(b) c = Sub(x, k) z = Mul(c, s) }"""
    before = parse(text, weights={"s": floats([3, 4])})
    graph = do(before, "plugin.replace", nodes=["k", "a", "b"], op_type="P")
    assert sorted(ops(graph)) == ["Constant", "Mul", "Neg", "P", "Sub"]
    assert graph.initializers.keys() == {"s"}
    after = do(graph, "plugin.restore", node="P")
    assert sorted(ops(after)) == sorted(ops(before))
    for each in (with_stand_ins(graph)[0], after):
        assert all(map(np.array_equal, run(each), run(before)))


def test_large_weights_become_inputs_and_ports_can_be_ordered() -> None:
    text = """g (float[2,5] x, float[2,5] b) => (float[2,5] y) {
        m = MatMul(x, w) s = Add(m, b) t = Mul(s, k) y = Neg(t) }"""
    before = parse(text, weights={"w": floats(np.eye(5)), "k": floats(2)})
    nodes = ["m", "s", "t"]
    graph = do(before, "plugin.replace", nodes=nodes, op_type="P")
    assert list(graph.nodes[graph.find("P")].input) == ["x", "w", "b"]
    turned = do(before, "plugin.replace", nodes=nodes, op_type="P", inputs=["k", "b", "x"], outputs=["t", "m"])
    record = turned.nodes[turned.find("P")]
    assert (list(record.input), list(record.output)) == (["k", "b", "x"], ["t", "m"])
    assert turned.initializers.keys() == {"k"}
    for each in (graph, turned):
        runnable, _ = with_stand_ins(each)
        assert np.array_equal(run(runnable)[0], run(before)[0])
        assert np.array_equal(run(do(each, "plugin.restore", node="P"))[0], run(before)[0])
    blocked = {"nodes": nodes, "op_type": "P"}
    assert "need b" in why(before, "plugin.replace", **blocked, inputs=["x"])
    assert "don't read y" in why(before, "plugin.replace", **blocked, inputs=["x", "b", "y"])
    assert "t is read outside" in why(before, "plugin.replace", **blocked, outputs=["m"])
    assert "don't make y" in why(before, "plugin.replace", **blocked, outputs=["t", "y"])


def test_a_set_that_is_not_convex_is_refused_with_the_path() -> None:
    graph = parse(GELU, weights=WEIGHTS)
    assert why(graph, "plugin.replace", nodes=["h", "m"], op_type="P") == (
        "One node can't take their place: a path leaves them and comes back: h → d → e → a → m"
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"op_type": "my plugin"}, "can't be an operator type"),
        ({"domain": ""}, "can't be in the domain"),
        ({"domain": DOMAIN}, "can't be in the domain"),
        ({"attributes": {"a": {"b": 1}}}, "Attribute a is"),
        ({"attributes": {"a": []}}, "Attribute a is"),
        ({"attributes": {"a": 1 << 70}}, "too large"),
        ({"attributes": {"a": [1.5, 10**400]}}, "too large"),
        ({"attributes": {"a": 1e300}}, "too large"),
        ({"attributes": {"": 1}}, "needs a name"),
        ({"op_type": "Constant"}, "Tools take any Constant"),
        ({"op_type": "DequantizeLinear"}, "Tools take any DequantizeLinear"),
        ({"attributes": {"plugin_version": "2"}}, "field of its own"),
        ({"nodes": ["o"]}, "Select nodes that compute"),
        ({"nodes": ["nothing"]}, "There is no such node"),
    ],
)
def test_what_can_not_be_a_plugin_says_why(parameters: dict[str, object], expected: str) -> None:
    graph = parse(GELU, weights=WEIGHTS)
    assert expected in why(graph, "plugin.replace", **{"nodes": PART, "op_type": "Gelu", **parameters})


def test_a_constant_of_another_domain_is_no_constant() -> None:
    text = """g (float[4] x) => (float[4] y) { c = other.Constant(x) t = Add(x, c) y = Relu(t) }"""
    graph = parse(text, extra=', "other" : 1')
    assert constant(graph, "c") is None
    assert not is_constant(graph, "c")
    after = do(graph, "node.delete", nodes=["t"], through="x")
    assert ops(after) == ["Constant", "Relu"]


def test_names_that_are_taken() -> None:
    named = replaced(name="Gelu")
    assert "called Gelu already" in why(named, "plugin.replace", nodes=["h"], op_type="P", name="Gelu")
    assert "No subgraph is kept" in why(named, "plugin.restore", node="h")
    again = do(named, "plugin.replace", nodes=["h"], op_type="Gelu")
    assert len({node.name for node in again.nodes.values() if node.op_type == "Gelu"}) == 2
    assert [function.name for function in again.functions] == ["Gelu_1", "Gelu_2"]


def test_a_plugin_inside_a_plugin() -> None:
    before = parse(GELU, weights=WEIGHTS)
    outer = do(replaced(), "plugin.replace", nodes=["Gelu", "y"], op_type="Outer")
    assert ops(outer) == ["MatMul", "Outer"]
    runnable, refs = with_stand_ins(outer)
    assert refs == ["Outer"]
    assert np.array_equal(run(runnable)[0], run(before)[0])
    inner = do(outer, "plugin.restore", node="Outer")
    assert [function.name for function in inner.functions] == ["Gelu_1"]
    assert np.array_equal(run(do(inner, "plugin.restore", node="Gelu"))[0], run(before)[0])


def test_names_that_were_taken_meanwhile_are_made_new() -> None:
    edit = Edit(replaced())
    edit.add_node("Neg", ["x"], ["e"])
    edit.set_initializer(floats(3), "half")
    edit.add_node("Mul", ["x", "half"], ["other"])
    after = do(edit.commit(), "plugin.restore", node="Gelu")
    assert {"e", "e_1", "half", "half_1"} <= set(after.tensors())
    assert np.array_equal(run(after)[0], run(parse(GELU, weights=WEIGHTS))[0])


def test_ports_that_were_changed_no_longer_fit_the_stand_in() -> None:
    edit = Edit(replaced())
    edit.replace_node(edit.base.find("Gelu"), inputs=["h", "x"])
    graph = edit.commit()
    with pytest.raises(Fault, match="Gelu: The plugin has 2 inputs"):
        with_stand_ins(graph)
    assert "ports have changed" in why(graph, "plugin.restore", node="Gelu")


@pytest.mark.parametrize(("opset", "ir"), [(9, 3), (10, 4), (11, 6), (12, 7), (17, 8), (21, 10), (23, 11)])
def test_every_ir_version_takes_stand_ins(opset: int, ir: int, tmp_path: Path) -> None:
    overridable = ", float[4,4] w" if ir < 4 else ""
    text = f"g (float[2,4] x{overridable}) => (float[2,4] y) {{ h = MatMul(x, w) r = Relu(h) y = Neg(r) }}"
    before = parse(text, opset=opset, ir=ir, weights={"w": WEIGHTS["w"]})
    graph = do(before, "plugin.replace", nodes=["h", "r"], op_type="P")
    save(graph, tmp_path / "m.onnx")
    again = load(tmp_path / "m.onnx")
    onnx.checker.check_model(to_model(again), full_check=True)
    assert again.model.ir_version == ir
    assert np.array_equal(run(with_stand_ins(again)[0])[0], run(before)[0])
    assert ops(do(again, "plugin.restore", node="P")) == ops(before)


def test_bodies_go_along_with_what_they_read() -> None:
    text = """g (float[4] x, bool p) => (float[4] y) { a = Neg(x) b = If(p) <
        then_branch = t () => (float[4] u) { u = Abs(a) }, else_branch = f () => (float[4] v) { v = Exp(x) }>
        y = Sqrt(b) }"""
    before = parse(text)
    graph = do(before, "plugin.replace", nodes=["b", "y"], op_type="P")
    assert sorted(graph.nodes[graph.find("P")].input) == ["a", "p", "x"]
    feeds = {"x": floats([-1, -2, -3, -4]), "p": np.asarray(True)}
    assert np.array_equal(run(with_stand_ins(graph)[0], feeds)[0], run(before, feeds)[0])
    assert list(do(graph, "plugin.restore", node="P").nodes.values()) == list(before.nodes.values())


@pytest.mark.parametrize("scope", ["layer.0", "layer.1"])
def test_an_exported_encoder_layer(models: Path, scope: str) -> None:
    before = load(models / "encoder.onnx")
    before = before.with_types(infer(before))
    nodes = [before.ref(node) for node, record in before.nodes.items() if scope in ".".join(scope_of(record))]
    assert len(nodes) > 60
    graph = do(before, "plugin.replace", nodes=nodes, op_type="EncoderLayer", plugin_version="2")
    checked(graph)
    (node,) = plugin_nodes(graph)
    hidden = graph.type_of(graph.nodes[node].output[0])
    assert hidden is not None
    assert (hidden.dtype, hidden.shape) == (1, ("N", "S", 128))
    random = np.random.default_rng(0)
    feeds = {"input_ids": random.integers(0, 256, (2, 7)), "attention_mask": np.ones((2, 7), np.int64)}
    after = do(graph, "plugin.restore", node=graph.ref(node))
    for each in (with_stand_ins(graph)[0], after):
        assert np.array_equal(run(each, feeds)[0], run(before, feeds)[0])
    assert {before.nodes[at].name for at in before.nodes} == {after.nodes[at].name for at in after.nodes}


def test_replace_and_restore_is_the_identity(models: Path) -> None:
    for path in models.glob("*.onnx"):
        before = load(path)
        before = before.with_types(infer(before))
        refs = [before.ref(node) for node in list(before.nodes)[4:12]]
        plugged = do(before, "plugin.replace", nodes=refs, op_type="P")
        assert plugged.opset("trt.plugins") == 1
        after = do(plugged, "plugin.restore", node="P")
        assert after.model == before.model
        assert list(after.nodes.values()) == list(before.nodes.values())
        assert after.value_infos == before.value_infos
        assert after.initializers.keys() == before.initializers.keys()


def test_nodes_go_back_to_their_places_between_others() -> None:
    text = """g (float[4] x) => (float[4] y, float[4] z) {
        p = Neg(x) a = Abs(x) q = Neg(p) b = Relu(a) r = Neg(q) c = Sqrt(b) z = Neg(r) y = Exp(c) }"""
    before = parse(text)
    after = do(do(before, "plugin.replace", nodes=["a", "b", "c"], op_type="P"), "plugin.restore", node="P")
    assert ops(after) == ops(before)
    assert list(after.nodes.values()) == list(before.nodes.values())


def test_the_import_of_the_plugins_domain_goes_with_the_last_of_them_if_it_came_with_them() -> None:
    both = do(do(parse(GELU, weights=WEIGHTS), "plugin.replace", nodes=["d", "e"], op_type="A"),
              "plugin.replace", nodes=["g"], op_type="B")  # fmt: skip
    for first, second in (("A", "B"), ("B", "A")):
        one = do(both, "plugin.restore", node=first)
        assert one.opset("trt.plugins") == 1
        assert do(one, "plugin.restore", node=second).opset("trt.plugins") is None
    before = parse(GELU, weights=WEIGHTS, extra=', "trt.plugins" : 1')
    after = do(do(before, "plugin.replace", nodes=PART, op_type="P"), "plugin.restore", node="P")
    assert after.model == before.model


def test_a_declaration_that_was_there_stays() -> None:
    before = parse(GELU.replace("{\n", "<float[N,4] g> {\n", 1), weights=WEIGHTS)
    assert list(before.value_infos) == ["g"]
    after = do(do(before, "plugin.replace", nodes=PART, op_type="P"), "plugin.restore", node="P")
    assert after.value_infos == before.value_infos
