from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.compare.compare import compare
from graftwerk.backend.compare.result import Comparison
from graftwerk.backend.compare.text import lines
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import apply, make
from tests.backend.compare.renamed import graph_of, renamed, tower
from tests.clock import timed


def kinds(found: Comparison) -> dict[str, int]:
    return found.counts()


def structural(found: Comparison) -> list[tuple[str, str]]:
    """Nodes with more than another name, with their operator."""
    return [(node.kind, node.op_type) for node in found.nodes if node.kind != "renamed"]


def test_a_model_equals_itself(models: Path) -> None:
    found = compare(load(models / "encoder.onnx"), load(models / "encoder.onnx"))
    assert found.equal
    assert found.weights_compared
    assert found.to_json()["equal"] is True
    assert next(iter(lines(found))).startswith("no difference")


def test_all_names_differ_and_nothing_else() -> None:
    model = tower(12)
    found = compare(graph_of(model), graph_of(renamed(model)))
    assert kinds(found) == {"renamed": 48}
    assert len(found.pairs) == 48
    assert {weight.kind for weight in found.weights} == {"renamed"}
    assert compare(graph_of(model), graph_of(renamed(model)), names=False).equal


def test_an_inserted_node_under_other_names_is_the_only_one_added() -> None:
    def insert(graph: GraphProto) -> None:
        relu = next(node for node in graph.node if node.output[0] == "r5")
        relu.output[0] = "inserted"
        place = list(graph.node).index(relu)
        extra = onnx.helper.make_node("Sigmoid", ["inserted"], ["r5"])
        rest = list(graph.node)[place + 1 :]
        del graph.node[place + 1 :]
        graph.node.extend([extra, *rest])

    model = tower(12)
    found = compare(graph_of(model), graph_of(renamed(model, insert)))
    assert structural(found) == [("added", "Sigmoid"), ("changed", "Add")]
    rewired = next(node for node in found.nodes if node.kind == "changed")
    assert rewired.before == "/layer5/Add_1"
    assert [change.what for change in rewired.changes if change.kind == "changed"] == ["input 0"]


def test_a_removed_layer_is_found_by_the_weights_of_the_others_where_names_shift() -> None:
    def remove(graph: GraphProto) -> None:
        kept = [node for node in graph.node if not node.name.startswith("/layer4/")]
        for node in kept:
            inputs = ["y3" if name == "y4" else name for name in node.input]
            del node.input[:]
            node.input.extend(inputs)
        del graph.node[:]
        graph.node.extend(kept)
        weights = [weight for weight in graph.initializer if weight.name not in ("w4", "b4")]
        del graph.initializer[:]
        graph.initializer.extend(weights)

    model = tower(9)
    found = compare(graph_of(model), graph_of(renamed(model, remove)))
    gone = [node.before for node in found.nodes if node.kind == "removed"]
    assert gone == ["/layer4/MatMul", "/layer4/Add", "/layer4/Relu", "/layer4/Add_1"]
    assert kinds(found)["changed"] == 2  # the two that read the layer below now
    assert {weight.before for weight in found.weights if weight.kind == "removed"} == {"w4", "b4"}


def test_an_attribute_another_operator_and_a_renamed_node() -> None:
    model = tower(3)
    other = ModelProto()
    other.CopyFrom(model)
    other.graph.node[2].op_type = "LeakyRelu"
    other.graph.node[2].attribute.append(onnx.helper.make_attribute("alpha", 0.25))
    other.graph.node[6].name = "act"
    found = compare(graph_of(model), graph_of(other))
    assert [node.kinds for node in found.nodes] == [("changed",), ("renamed",)]
    changed, named = found.nodes
    assert [(c.what, c.before, c.after) for c in changed.changes] == [
        ("operator", "Relu", "LeakyRelu"), ("attribute alpha", "", "0.25"),
    ]  # fmt: skip
    assert (named.before, named.after) == ("/layer1/Relu", "act")


def test_a_node_that_went_elsewhere_has_moved() -> None:
    def graph(order: str) -> Graph:
        names = {"S": "Sigmoid", "E": "Exp", "N": "Neg", "A": "Abs", "C": "Ceil", "F": "Floor"}
        last, nodes = "x", []
        for number, key in enumerate(order):
            end = "y" if number == len(order) - 1 else f"{order}{number}"
            nodes.append(onnx.helper.make_node(names[key], [last], [end], f"{order}/{number}"))
            last = end
        infos = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in "xy"]
        made = onnx.helper.make_graph(nodes, "chain", infos[:1], infos[1:])
        return graph_of(onnx.helper.make_model(made))

    found = compare(graph("SENACF"), graph("ENACSF"))
    moved = [node for node in found.nodes if "moved" in node.kinds]
    assert [node.op_type for node in moved] == ["Sigmoid"]
    assert not {"added", "removed"} & kinds(found).keys()


def test_swapped_weights_are_rewired_inputs() -> None:
    model = tower(12)
    other = ModelProto()
    other.CopyFrom(model)
    other.graph.node[0].input[1], other.graph.node[4].input[1] = "w1", "w0"
    found = compare(graph_of(model), graph_of(other))
    assert [change.what for node in found.nodes for change in node.changes] == ["input 1", "input 1"]
    assert not found.weights


def test_weights_differ_by_a_measured_distance() -> None:
    model = tower(2)
    other = ModelProto()
    other.CopyFrom(model)
    values = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    values[3, 4] += 0.5
    values[0, 0] = np.nan
    other.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(values, "w0"))
    found = compare(graph_of(model), graph_of(other))
    assert not found.nodes
    (weight,) = found.weights
    distance = weight.changes[0].magnitude
    assert distance is not None
    assert (distance.elements, distance.differing, distance.not_finite) == (64, 2, 1)
    assert distance.max_abs == pytest.approx(0.5)
    norm = np.linalg.norm(onnx.numpy_helper.to_array(model.graph.initializer[0]).astype(float))
    assert distance.relative_l2 == pytest.approx(0.5 / norm)
    assert weight.readers == ("/layer0/MatMul",)
    assert compare(graph_of(model), graph_of(other), weights=False).equal
    json.loads(json.dumps(found.to_json()))


def test_another_datatype_is_told_with_the_distance_of_the_values() -> None:
    model = tower(1)
    other = ModelProto()
    other.CopyFrom(model)
    values = onnx.numpy_helper.to_array(model.graph.initializer[0]).astype(np.float16)
    other.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(values, "w0"))
    (weight,) = compare(graph_of(model), graph_of(other)).weights
    assert [change.what for change in weight.changes] == ["type", "values"]
    assert weight.changes[0].before == "8×8 FP32"
    assert weight.changes[1].magnitude is not None
    assert weight.changes[1].magnitude.max_abs < 1e-2


def test_the_model_itself() -> None:
    model = tower(1)
    other = ModelProto()
    other.CopyFrom(model)
    other.producer_name = "someone"
    other.opset_import.add(domain="com.microsoft", version=1)
    other.metadata_props.add(key="run", value="7")
    other.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    function = onnx.helper.make_function(
        "local", "F", ["a"], ["b"], [onnx.helper.make_node("Relu", ["a"], ["b"])], [onnx.helper.make_opsetid("", 17)]
    )
    other.functions.append(function)
    told = {str(change) for change in compare(graph_of(model), graph_of(other)).model}
    assert told == {
        "input x: 1×8 FP32 → batch×8 FP32", "producer name: none → someone", "operator set com.microsoft: added: 1",
        "metadata run: added: 7", "function local::F: added: 1 nodes",
    }  # fmt: skip


def test_bodies_are_compared_without_their_names() -> None:
    def model(inner: str, value: float) -> Graph:
        weight = onnx.numpy_helper.from_array(np.array(value, np.float32), f"{inner}w")
        body = onnx.helper.make_graph(
            [onnx.helper.make_node("Add", ["x", f"{inner}w"], [f"{inner}o"], f"{inner}n")], inner, [],
            [onnx.helper.make_tensor_value_info(f"{inner}o", 1, [2])], [weight],
        )  # fmt: skip
        node = onnx.helper.make_node("If", ["c"], ["y"], "if", then_branch=body, else_branch=body)
        kinds: list[tuple[str, int, list[int]]] = [("c", 9, []), ("x", 1, [2]), ("y", 1, [2])]
        infos = [onnx.helper.make_tensor_value_info(*kind) for kind in kinds]
        return graph_of(onnx.helper.make_model(onnx.helper.make_graph([node], "g", infos[:2], infos[2:])))

    assert compare(model("a", 1.0), model("b", 1.0)).equal
    (node,) = compare(model("a", 1.0), model("b", 2.0)).nodes
    assert {change.what for change in node.changes} == {"body then_branch", "body else_branch"}


def test_two_revisions_share_what_an_edit_left_alone(models: Path) -> None:
    before = load(models / "digits.onnx")
    node = next(iter(before.nodes))
    after = apply(make("node.rename", {"node": before.ref(node), "name": "first"}), before)
    (changed,) = compare(before, after).nodes
    assert (changed.kinds, changed.after) == (("renamed",), "first")
    edit = Edit(after)
    edit.model.producer_name = "me"
    assert [change.what for change in compare(after, edit.commit()).model] == ["producer name"]


def test_a_weight_that_is_gone_from_the_disk_is_said(models: Path, tmp_path: Path) -> None:
    model = onnx.load(models / "digits.onnx")
    onnx.save(model, tmp_path / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=0)
    onnx.save(onnx.load(models / "digits.onnx"), tmp_path / "b.onnx")
    (tmp_path / "a.data").unlink()
    found = compare(load(tmp_path / "a.onnx"), load(tmp_path / "b.onnx"))
    assert not found.equal
    assert len(found.unread) == len(found.weight_pairs)
    assert "missing" in next(iter(found.unread.values()))


def test_a_model_whose_batch_norms_were_fused_is_found_again_by_name(models: Path) -> None:
    found = compare(load(models / "digits_bn.onnx"), load(models / "digits.onnx"))
    gone = {node.op_type for node in found.nodes if node.kind == "removed"}
    assert gone == {"BatchNormalization"}
    assert "added" not in kinds(found)


def test_ten_thousand_nodes_under_other_names_in_under_three_seconds() -> None:
    model = tower(2500)
    before, after = graph_of(model), graph_of(renamed(model))
    assert len(before.nodes) == 10_000
    found, seconds = timed(compare, before, after)
    assert kinds(found) == {"renamed": 10_000}
    assert seconds < 3
