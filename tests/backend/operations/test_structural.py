"""What each structural operation does, and why it says no."""

from __future__ import annotations

from typing import Any

import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.attributes import SetAttribute
from graftwerk.backend.operations.fold import FoldConstants
from graftwerk.backend.operations.insert import InsertNode
from graftwerk.backend.operations.interface import format_dims, parse_dims
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.registry import Selection, apply, make, why_blocked
from tests.backend.operations import law_models as models


def do(graph: Graph, id: str, **values: Any) -> Graph:
    return apply(make(id, values), graph)


def why(graph: Graph, id: str, **values: Any) -> str:
    reason = why_blocked(make(id, values), graph)
    assert reason is not None
    return f"{reason.text} | {reason.hint}"


def edges(graph: Graph) -> list[str]:
    return [f"{n.op_type} {','.join(n.input)} > {','.join(n.output)}" for n in graph.nodes.values()]


# Delete


def test_delete_bridges_the_gap_and_outputs_keep_their_names() -> None:
    graph = models.chain()
    assert edges(do(graph, "node.delete", nodes=["Relu_0"])) == ["Sigmoid x > s", "Neg s > y"]
    assert edges(do(graph, "node.delete", nodes=["Sigmoid_1"])) == ["Relu x > s", "Neg s > y"]
    # y would be s, which is an output itself; x can't be renamed to s.
    assert edges(do(graph, "node.delete", nodes=["Neg_2"])) == ["Relu x > r", "Sigmoid r > s", "Identity s > y"]
    assert edges(do(graph, "node.delete", nodes=["Sigmoid_1", "Relu_0"])) == ["Identity x > s", "Neg s > y"]


def test_delete_a_residual_follows_both_ways_to_one_source() -> None:
    graph = models.residual()
    assert edges(do(graph, "node.delete", nodes=["Neg_1", "Add_2"])) == ["Relu x > a", "Tanh a > y"]
    assert "joins b and a" in why(graph, "node.delete", nodes=["Add_2"])
    assert edges(do(graph, "node.delete", nodes=["Add_2"], through="b"))[-1] == "Tanh b > y"


def test_delete_takes_constants_along_that_nothing_else_reads() -> None:
    graph = models.digits()
    after = do(graph, "node.delete", nodes=["/layer1/layer1.0/conv1/Conv"])
    assert graph.initializers.keys() - after.initializers.keys() == {"layer1.0.conv1.weight", "layer1.0.conv1.bias"}


def test_delete_refuses_a_bridge_between_different_types() -> None:
    assert "1×8×8 FP32 goes in" in why(models.digits(), "node.delete", nodes=["/stem/conv/Conv"])
    graph = models.small("g (float[4] x) => (float[2] y) { a, b = Split(x) y = Add(a, b) }", 13)
    assert "Several outputs" in why(graph, "node.delete", nodes=["Split_0"])
    graph = models.small("g () => (float[2] y) { a = Constant<value = float[2] {1, 2}>() y = Neg(a) }")
    assert "no input" in why(graph, "node.delete", nodes=["Constant_0"])


def test_delete_without_a_bridge_cuts_the_graph() -> None:
    graph = do(models.chain(), "node.delete", nodes=["Sigmoid_1"], bridge=False)
    assert edges(graph) == ["Relu x > r", "Neg s > y"]
    assert [info.name for info in graph.inputs] == ["x", "s"]
    assert [info.name for info in graph.outputs] == ["y"]
    assert graph.type_of("s") == TensorType(1, (2, 3))
    assert "No graph output" in why(models.residual(), "node.delete", nodes=["Tanh_3"], bridge=False)
    untyped = models.residual().with_types({})
    assert "not known" in why(untyped, "node.delete", nodes=["Neg_1"], bridge=False)


def test_delete_of_a_chain_of_thousands() -> None:
    text = " ".join(f"t{n + 1} = Relu(t{n})" for n in range(3000))
    graph = models.small(f"g (float[2] t0) => (float[2] y) {{ {text} y = Neg(t3000) }}")
    after = do(graph, "node.delete", nodes=[graph.ref(node) for node in list(graph.nodes)[:3000]])
    assert edges(after) == ["Neg t0 > y"]


# Insert


def test_insert_before_all_before_some_and_before_the_output() -> None:
    graph = models.residual()
    assert edges(do(graph, "node.insert", tensor="a", op_type="Abs")) == [
        "Relu x > a", "Abs a > a_Abs", "Neg a_Abs > b", "Add b,a_Abs > c", "Tanh c > y",
    ]  # fmt: skip
    assert edges(do(graph, "node.insert", tensor="a", op_type="Abs", before=["Add_2"])) == [
        "Relu x > a", "Abs a > a_Abs", "Neg a > b", "Add b,a_Abs > c", "Tanh c > y",
    ]  # fmt: skip
    after = do(graph, "node.insert", tensor="y", op_type="Abs", name="last")
    assert edges(after)[-2:] == ["Tanh c > y_before_Abs", "Abs y_before_Abs > y"]
    assert after.find("last") == after.producer("y")


def test_insert_into_bodies_that_capture() -> None:
    graph = do(models.branches(), "node.insert", tensor="r", op_type="Abs")
    assert graph.consumers("r_Abs") == (graph.find("If_1"),)
    assert list(graph.nodes[graph.find("If_1")].attribute[1].g.node[0].input) == ["r_Abs"]


def test_insert_makes_types_wrong_only_where_they_change() -> None:
    graph = models.residual()
    assert do(graph, "node.insert", tensor="a", op_type="Abs").type_of("y") == TensorType(1, (2, 3))
    cast = do(graph, "node.insert", tensor="x", op_type="Cast", attributes={"to": "FP16"})
    assert cast.type_of("x_Cast") == TensorType(10, (2, 3))
    assert cast.type_of("c") is None
    before_output = do(graph, "node.insert", tensor="y", op_type="Cast", attributes={"to": "FP16"})
    assert TensorType.of(before_output.outputs[0].type) == TensorType(10, (2, 3))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"op_type": "Relo"}, "no operator 'Relo' | Did you mean Relu"),
        ({"op_type": "Cast"}, "needs the attribute 'to'"),
        ({"op_type": "Cast", "attributes": {"to": "FP17"}}, "not a datatype"),
        ({"op_type": "Softmax", "attributes": {"axes": 1}}, "no attribute 'axes' in opset 13 | Did you mean axis?"),
        ({"op_type": "Mul"}, "Mul takes 2 inputs, not 1"),
        ({"op_type": "Relu", "extra_inputs": ["x"]}, "takes 1 input, not 2"),
        ({"op_type": "Not"}, "Not doesn't take FP32"),
        ({"op_type": "Mul", "extra_inputs": ["nowhere"]}, "nowhere: There is no such tensor"),
        ({"op_type": "Abs", "before": ["Tanh_3"]}, "does not read a"),
        ({"op_type": "Abs", "name": "Add_2"}, "called 'Add_2' already"),
        ({"op_type": "Gelu"}, "Gelu came with opset 20, and the model imports 17 | Convert the model first"),
        ({"op_type": ""}, "missing"),
        ({"op_type": "Relo", "domain": "ai.onnx"}, "no operator 'Relo' | Did you mean Relu"),
        ({"op_type": "P", "domain": "own", "attributes": {"": 1}}, "needs a name"),
        ({"op_type": "P", "domain": "graftwerk.standin"}, "Choose another domain"),
    ],
)
def test_insert_says_why_not(values: dict[str, Any], said: str) -> None:
    reason = why_blocked(InsertNode(tensor="a", **values), models.residual())  # type: ignore[arg-type]
    assert reason is not None
    assert said in f"{reason.text} | {reason.hint}"


def test_insert_knows_both_names_of_the_standard_domain() -> None:
    graph = models.residual()
    after = do(graph, "node.insert", tensor="a", op_type="Abs", domain="ai.onnx")
    assert {node.domain for node in after.nodes.values()} == {""}
    assert after.model == graph.model


def test_insert_of_what_depends_on_the_consumer_is_a_cycle() -> None:
    with pytest.raises(Fault, match="cycle"):
        do(models.residual(), "node.insert", tensor="a", op_type="Mul", extra_inputs=["c"])


def test_insert_is_suggested_towards_selected_consumers() -> None:
    graph = models.residual()
    suggested = InsertNode.suggest(graph, Selection((graph.find("Add_2"), graph.find("Tanh_3")), ("a",)))
    assert isinstance(suggested, InsertNode)
    assert (suggested.tensor, suggested.before) == ("a", ("Add_2",))
    assert isinstance(InsertNode.suggest(graph, Selection()), Reason)


# Rewire and rename


def test_rewire_refuses_cycles_with_the_path() -> None:
    graph = models.residual()
    assert "cycle: Relu_0 → Add_2 → Relu_0" in why(graph, "node.rewire", node="Relu_0", tensor="c")
    assert "cycle: Neg_1 → Neg_1" in why(graph, "node.rewire", node="Neg_1", tensor="b")
    assert "2 inputs" in why(graph, "node.rewire", node="Add_2", input=3, tensor="x")
    assert "at most 2" in why(graph, "node.rewire", node="Add_2", input=2, tensor="x")
    assert "not optional" in why(graph, "node.rewire", node="Add_2", input=1)
    assert "already" in why(graph, "node.rewire", node="Add_2", input=1, tensor="a")
    assert "no such node" in why(graph, "node.rewire", node="nowhere", tensor="x")


def test_rewire_adds_and_drops_optional_inputs() -> None:
    graph = models.digits()
    conv = "/stem/conv/Conv"
    bare = do(graph, "node.rewire", node=conv, input=2)
    assert list(bare.nodes[bare.find(conv)].input) == ["input", "stem.conv.weight"]
    again = do(bare, "node.rewire", node=conv, input=2, tensor="stem.conv.bias")
    assert again.nodes[again.find(conv)] == graph.nodes[graph.find(conv)]


def test_rename_reaches_bodies_inputs_and_outputs() -> None:
    graph = do(models.branches(), "tensor.rename", tensor="w", name="weight")
    assert "weight" in graph.initializers
    assert graph.consumers("weight") == (graph.find("If_1"),)
    assert do(graph, "tensor.rename", tensor="y", name="out_y").outputs[0].name == "out_y"
    assert "called 'x'" in why(graph, "tensor.rename", tensor="r", name="x")
    with pytest.raises(Fault, match="inside the body"):
        do(graph, "tensor.rename", tensor="r", name="inner")
    assert "no such tensor" in why(graph, "tensor.rename", tensor="nowhere", name="there")
    assert "Another node" in why(graph, "node.rename", node="Relu_0", name="Neg_2")


# Attributes


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("strids", [1, 1], "no attribute 'strids' in opset 11 | Did you mean strides"),
        ("strides", 2, "strides is a list of integers, not 2"),
        ("strides", [1, 1.5], "a list of integers"),
        ("group", "one", "group is an integer, not 'one'"),
        ("group", [1], "group is an integer"),
        ("group", 1 << 70, "group is an integer"),
        ("auto_pad", 3, "auto_pad is a text, not 3"),
        ("strides", [1, 1], "already"),
    ],
)
def test_attributes_are_checked_against_the_schema(name: str, value: Any, said: str) -> None:
    assert said in why(models.digits(), "attribute.set", node="/stem/conv/Conv", name=name, value=value)


@pytest.mark.parametrize(
    ("value", "type", "field", "stored"),
    [
        (2, "auto", "i", 2), (2, "float", "f", 2.0), (0.5, "auto", "f", 0.5), (True, "auto", "i", 1),
        ("same", "auto", "s", b"same"), ([1, 2], "auto", "ints", [1, 2]), ([1, 2.5], "auto", "floats", [1, 2.5]),
        ([1, 2], "floats", "floats", [1, 2]), (["a"], "auto", "strings", [b"a"]), ([], "strings", "strings", []),
    ],
)  # fmt: skip
def test_attributes_of_plugins_take_any_value(value: Any, type: str, field: str, stored: Any) -> None:
    graph = do(models.plugin(), "attribute.set", node="Gelu_1", name="free", value=value, type=type)
    (attribute,) = graph.nodes[graph.find("Gelu_1")].attribute
    found = getattr(attribute, field)
    assert (list(found) if isinstance(stored, list) else found) == stored


def test_attributes_that_say_nothing() -> None:
    graph = models.plugin()
    assert "empty list" in why(graph, "attribute.set", node="Gelu_1", name="a", value=[])
    assert "number, a text" in why(graph, "attribute.set", node="Gelu_1", name="a", value={"b": 1})
    assert "is an integer" in why(graph, "attribute.set", node="Gelu_1", name="a", value="b", type="int")


def test_attributes_are_replaced_added_and_removed() -> None:
    graph = models.digits()
    conv = graph.find("/stem/conv/Conv")
    two = do(graph, "attribute.set", node="/stem/conv/Conv", name="strides", value=[2, 2])
    assert [a.name for a in two.nodes[conv].attribute] == [a.name for a in graph.nodes[conv].attribute]
    output = graph.nodes[conv].output[0]
    assert (graph.type_of(output), two.type_of(output)) == (
        TensorType(1, ("N", 32, 8, 8)), TensorType(1, ("N", 32, 4, 4)),
    )  # fmt: skip
    assert two.type_of(graph.nodes[graph.find("/stem/relu/Relu")].output[0]) is None
    bare = do(graph, "attribute.remove", node="/stem/conv/Conv", name="pads")
    assert all(attribute.name != "pads" for attribute in bare.nodes[conv].attribute)
    assert "no attribute 'pads' set" in why(bare, "attribute.remove", node="/stem/conv/Conv", name="pads")
    dead = models.dead()
    assert "needs the attribute 'axis'" in why(dead, "attribute.remove", node="Concat_5", name="axis")


def test_attributes_of_a_function_are_those_it_has() -> None:
    assert "function Twice has no attribute" in why(
        models.dead(), "attribute.set", node="Twice_6", name="scale", value=1
    )


# Interface


@pytest.mark.parametrize(
    ("text", "dims"),
    [("batch,3,224,224", ("batch", 3, 224, 224)), ("?×3", (None, 3)), ("scalar", ()), ("[2, 'n']", (2, "n")),
     ("n*2, past + 1", ("n*2", "past + 1"))],
)  # fmt: skip
def test_dimensions_as_people_write_them(text: str, dims: tuple[Any, ...]) -> None:
    assert parse_dims(text) == dims
    assert parse_dims(format_dims(TensorType(1, dims))) == dims


def test_inputs_get_names_types_and_symbols() -> None:
    graph = do(models.chain(), "interface.set_input", tensor="x", name="image", dtype="FP16", dims="batch,3")
    assert TensorType.of(graph.inputs[0].type) == TensorType(10, ("batch", 3))
    assert graph.inputs[0].name == "image"
    assert graph.type_of("r") is None
    assert "'%' is neither" in why(models.chain(), "interface.set_input", tensor="x", dims="%,3")
    assert "Nothing is changed" in why(models.chain(), "interface.set_input", tensor="x")
    assert "It has: x" in why(models.chain(), "interface.set_input", tensor="y", dims="3")
    assert "another type" in why(models.old_inputs(), "interface.set_input", tensor="w", dims="4")


def test_outputs_are_declared_marked_and_unmarked() -> None:
    graph = models.chain()
    assert "What is computed there is 2×3 FP32" in why(
        models.residual().with_types({"y": TensorType(1, (2, 3))}), "interface.set_output", tensor="y", dtype="FP16"
    )
    marked = do(graph, "interface.mark_output", tensor="r")
    assert [info.name for info in marked.outputs] == ["y", "s", "r"]
    assert "already" in why(marked, "interface.mark_output", tensor="r")
    assert [info.name for info in do(marked, "interface.unmark_output", tensor="y").outputs] == ["s", "r"]
    assert "only graph output" in why(models.residual(), "interface.unmark_output", tensor="y")
    assert "not known" in why(graph.with_types({}), "interface.mark_output", tensor="r")
    assert "Relu_0 reads it" in why(graph, "interface.remove_input", tensor="x")


# Remove unused


def test_what_is_unused_goes_in_one_step() -> None:
    graph = do(models.dead(), "graph.remove_unused")
    assert [record.op_type for record in graph.nodes.values()] == ["Split", "Concat", "Twice"]
    assert list(graph.initializers) == ["sizes"]
    assert [function.name for function in graph.functions] == ["Twice"]
    assert len(graph.inputs) == 2
    assert "Nothing is unused" in why(graph, "graph.remove_unused")
    kept = do(models.dead(), "graph.remove_unused", nodes=False)
    assert len(kept.nodes) == len(models.dead().nodes)
    assert "unread" not in kept.initializers


def test_captures_and_stand_ins_are_used() -> None:
    assert "Nothing is unused" in why(models.branches(), "graph.remove_unused")
    graph = do(models.residual(), "plugin.replace", nodes=["Neg_1", "Add_2"], op_type="Mine")
    assert graph.functions
    assert "Nothing is unused" in why(graph, "graph.remove_unused")


# Replay


def test_a_replay_knows_types_again_after_a_step_that_forgot_them() -> None:
    steps = [
        make("interface.set_input", {"tensor": "x", "dims": "batch,3"}),
        make("interface.mark_output", {"tensor": "r"}),
    ]
    graph = replay(Recipe.of(steps), models.chain())
    assert TensorType.of(graph.outputs[2].type) == TensorType(1, ("batch", 3))
    with pytest.raises(Fault, match=r"step 2 \(interface.mark_output\)"):
        replay(Recipe.of(steps[:2]), models.chain().with_types({}))


def test_bad_parameters_name_the_parameter() -> None:
    with pytest.raises(Fault, match="no parameter 'knob'"):
        make("node.delete", {"nodes": ["a"], "knob": 1})
    with pytest.raises(Fault, match=r"bridge"):
        make("node.delete", {"nodes": ["a"], "bridge": "perhaps"})
    with pytest.raises(Fault) as caught:
        make("node.rewire", {"node": "a", "input": -1})
    assert caught.value.where == "input"
    with pytest.raises(Fault) as caught:
        make("graph.fold_constants", {"limit": -1.0})
    assert caught.value.where == "limit"


@pytest.mark.parametrize("limit", [float("inf"), float("nan"), 1e300, -1.0])
def test_numbers_are_finite_and_within_their_bounds(limit: float) -> None:
    with pytest.raises(Fault, match="Largest result"):
        make("graph.fold_constants", {"limit": limit})
    with pytest.raises(Fault, match="Largest result"):
        apply(FoldConstants(limit), models.chain())


@pytest.mark.parametrize("value", ["\ud800", ["\ud800"], {"\ud800": 1}, {"a": ["\ud800"]}])
def test_texts_that_are_no_unicode_are_refused(value: Any) -> None:
    with pytest.raises(Fault, match="no character"):
        make("attribute.set", {"node": "Relu_0", "name": "alpha", "value": value})
    with pytest.raises(Fault, match="no character"):
        apply(SetAttribute(NodeRef("Relu_0"), "alpha", value), models.chain())


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(Fault, match="deep"):
        make("attribute.set", {"node": "Relu_0", "name": "alpha", "value": deep})
    steps = "[" * 100_000 + "]" * 100_000
    with pytest.raises(Fault, match="Not a recipe"):
        Recipe.loads(f'{{"graftwerk_recipe": 1, "steps": {steps}}}')
    with pytest.raises(Fault, match="Not a recipe"):
        Recipe.loads(f'{{"graftwerk_recipe": 1, "steps": [{"9" * 5000}]}}')


@pytest.mark.parametrize("size", ["9223372036854775808", "99999999999999999999", "9" * 5000])
def test_sizes_are_64_bit(size: str) -> None:
    assert parse_dims("9223372036854775807,00000000000000000000001") == ((1 << 63) - 1, 1)
    with pytest.raises(Fault, match="larger than"):
        parse_dims(f"2,{size}")
