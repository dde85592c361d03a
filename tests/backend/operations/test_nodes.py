"""What the operations on nodes do beyond their law cases, and what they refuse in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.document import Document
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.fragment import fragment, kept
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.recipe_files import resolved, stored
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.backend.operations.rename_pattern import RenamePattern
from graftwerk.backend.operations.swap import SwapOperator, carried
from tests.backend.operations import graft_files as files
from tests.backend.operations import law_models as models
from tests.backend.operations.law_models import small
from tests.clock import timed


def refused(graph: Graph, id: str, **values: Any) -> str:
    """Why an operation is blocked, with its hint; applying it all the same changes nothing."""
    operation = make(id, values)
    reason = why_blocked(operation, graph)
    assert reason is not None
    with pytest.raises(Fault):
        apply(operation, graph)
    return f"{reason.text}. {reason.hint}"


def done(graph: Graph, id: str, **values: Any) -> Graph:
    return apply(make(id, values), graph)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "files"


# Add and connect


def test_a_node_may_stay_open_until_it_is_connected() -> None:
    graph = done(models.chain(), "node.add", op_type="Gemm", inputs=["r"], name="mine")
    assert graph.incomplete is not None
    assert graph.incomplete.text == "mine reads nothing at B"
    graph = done(graph, "node.rename", node="Relu_0", name="first")
    assert graph.incomplete is not None, "another edit does not make it complete"
    connected = done(models.chain(), "node.add", op_type="Add", inputs=["r"], name="mine")
    connected = done(connected, "node.rewire", node="mine", input=1, tensor="s")
    assert connected.incomplete is None
    assert str(connected.type_of("mine_output")) == "2×3 FP32"
    onnx.checker.check_model(to_model(connected))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"op_type": "Rlu"}, "Did you mean Relu"),
        ({"op_type": "Relu", "inputs": ["r", "s"]}, "Relu has at most 1 input, not 2"),
        ({"op_type": "Relu", "inputs": ["nowhere"]}, "There is no such tensor"),
        ({"op_type": "Cast", "inputs": ["r"]}, "Cast needs the attribute 'to'"),
        ({"op_type": "Cast", "inputs": ["r"], "attributes": {"to": "soft"}}, "'soft' is not a datatype"),
        ({"op_type": "Not", "inputs": ["r"]}, "Not doesn't take FP32 as input 0. It takes BOOL"),
        ({"op_type": "MatMul", "inputs": ["r", "s"]}, "The shapes don't fit: Incompatible dimensions"),
        ({"op_type": "Relu", "inputs": ["r"], "name": "Neg_2"}, "A node is called 'Neg_2' already"),
        ({"op_type": "Relu", "inputs": ["r"], "outputs": ["s"]}, "A tensor is called 's' already"),
        ({"op_type": "Relu", "inputs": ["r"], "attributes": {"alpha": 1.0}}, "Relu has no attribute 'alpha'"),
        ({"op_type": "Concat", "inputs": ["r"], "attributes": {"axis": "rows"}}, "axis is an integer, not 'rows'"),
        ({"op_type": "MaxPool", "attributes": {"kernel_shape": [1], "auto_pad": "SAME"}}, "auto_pad of MaxPool is one"),
        ({"op_type": "Gemm", "attributes": {"transA": 2}}, "transA of Gemm is 0 or 1, not 2"),
        ({"op_type": "Conv", "attributes": {"group": 0}}, "group of Conv is at least 1, not 0"),
        ({"op_type": "Scatter"}, "Scatter is deprecated since opset 11"),
        ({"op_type": "If"}, "If needs the attribute"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_can_not_be_added_says_why(values: dict[str, Any], why: str) -> None:
    assert why in refused(models.chain(), "node.add", **values)


def test_connections_that_do_not_fit() -> None:
    graph = small(
        """g (float[2,3] x, float16[2,3] h, float[4] v) => (float[2,3] y) {
            a = Relu(x) b = Add(a, x) c = Concat<axis = 0>(b, a) d = Neg(c) y = Abs(b)
        }"""
    )
    assert "would make a cycle: Relu_0 → Add_1 → Relu_0" in refused(graph, "node.rewire", node="Relu_0", tensor="b")
    text = refused(graph, "node.rewire", node="Add_1", input=1, tensor="h")
    assert text == "Add takes one datatype: a is FP32, this is FP16. Put a Cast in between"
    assert "The shapes don't fit" in refused(graph, "node.rewire", node="Add_1", input=1, tensor="v")
    assert "Input 0 of Abs is not optional" in refused(graph, "node.rewire", node="Abs_4", tensor="")
    assert "have no gaps" in refused(graph, "node.rewire", node="Concat_2", tensor="")
    assert "takes at most 1 inputs" in refused(graph, "node.rewire", node="Abs_4", input=1, tensor="a")
    longer = done(graph, "node.rewire", node="Concat_2", input=2, tensor="x")
    assert list(longer.nodes[longer.find("Concat_2")].input) == ["b", "a", "x"]
    assert str(longer.type_of("c")) == "6×3 FP32"


# Bypass, Identity, swap


def test_a_bypass_leaves_the_node_and_its_name() -> None:
    graph = models.chain()
    after = done(graph, "node.bypass", nodes=["Sigmoid_1"])
    assert len(after.nodes) == len(graph.nodes)
    assert list(after.nodes[after.find("Neg_2")].input) == ["s"], "the graph output keeps its name: Relu makes it now"
    assert after.producer("s") == after.find("Relu_0")
    assert list(after.nodes[after.find("Sigmoid_1")].input) == ["s"]
    assert "2×3 FP32 goes in and 2 INT64 comes out" in refused(models.constants(), "node.bypass", nodes=["Shape_3"])


def test_bypass_and_identity_refuse_other_types() -> None:
    graph = small(
        "g (float[2,3] x) => (float16[2,3] y) { t = Transpose(x) c = Cast<to = 10>(x) y = Identity(c) z = Abs(t) }"
    )
    for id in ("node.bypass", "node.to_identity"):
        assert "2×3 FP32 goes in and 2×3 FP16 comes out" in refused(graph, id, nodes=["Cast_1"])
        assert "2×3 FP32 goes in and 3×2 FP32 comes out" in refused(graph, id, nodes=["Transpose_0"])
        assert "Nothing reads" in refused(graph, id, nodes=["Abs_3"])
    assert "is an Identity already" in refused(graph, "node.to_identity", nodes=["Identity_2"])


def test_another_operator_keeps_what_fits() -> None:
    graph = small(
        """g (float[1,3,8,8] x) => (float[1,3,4,4] y) {
            y = MaxPool<kernel_shape = [2, 2], strides = [2, 2], storage_order = 0>(x)
        }"""
    )
    (record,) = graph.nodes.values()
    found = carried(graph, record, "AveragePool")
    assert [one.name for one in found.kept] == ["kernel_shape", "strides"]
    assert found.dropped == (("storage_order", "AveragePool has no such attribute"),)
    operation = make("node.swap", {"nodes": ["MaxPool_0"], "op_type": "AveragePool"})
    after = apply(operation, graph)
    assert operation.remarks(graph, after) == ("MaxPool_0 loses storage_order: AveragePool has no such attribute",)
    x = np.arange(192, dtype=np.float32).reshape(1, 3, 8, 8)
    result = run_model(to_model(after), {"x": x})["y"]
    np.testing.assert_allclose(result, x.reshape(1, 3, 4, 2, 4, 2).mean(axis=(3, 5)))
    assert "needs the attribute 'axis'" in refused(graph, "node.swap", nodes=["MaxPool_0"], op_type="Concat")
    assert "Add has 2 inputs; MaxPool_0 has 1" in refused(graph, "node.swap", nodes=["MaxPool_0"], op_type="Add")
    assert "doesn't take FP32" in refused(graph, "node.swap", nodes=["MaxPool_0"], op_type="Not")
    assert "is of MaxPool already" in refused(graph, "node.swap", nodes=["MaxPool_0"], op_type="MaxPool")
    assert isinstance(operation, SwapOperator)


# Rename


def test_renaming_by_pattern() -> None:
    graph = models.branches()
    operation = RenamePattern("^(r|w|z)$", "new_\\1", "tensors")
    assert {one.old: one.new for one in operation.renamings(graph)} == {"w": "new_w", "r": "new_r", "z": "new_z"}
    after = apply(operation, graph)
    assert {"new_w", "new_r"} <= after.users.keys(), "the branches read them by their new names"
    onnx.checker.check_model(to_model(after))


def test_names_that_collide_are_refused_and_named() -> None:
    graph = models.residual()
    text = refused(graph, "graph.rename_pattern", pattern="^[ab]$", replacement="same", kind="tensors")
    assert "b → same: a would have this name too" in text
    assert "a → c: another tensor is called so" in refused(
        graph, "graph.rename_pattern", pattern="^a$", replacement="c", kind="tensors"
    )
    assert "no name would be left" in refused(graph, "graph.rename_pattern", pattern="^a$", kind="tensors")
    assert "Not a regular expression" in refused(graph, "graph.rename_pattern", pattern="(")
    assert "Not a regular expression" in refused(graph, "graph.rename_pattern", pattern="a", replacement="\\2")
    assert "No name matches" in refused(graph, "graph.rename_pattern", pattern="zzz")
    inside = models.branches()
    assert "another tensor is called so" in refused(
        inside, "graph.rename_pattern", pattern="^r$", replacement="inner", kind="tensors"
    )


def test_names_may_move_up_a_place() -> None:
    graph = small("g (float[2] x) => (float[2] y) { aa = Relu(x) aaa = Neg(aa) y = Add(aaa, aa) }")
    after = done(graph, "graph.rename_pattern", pattern="^a(a+)$", replacement="\\1", kind="tensors")
    assert [list(record.output) for record in after.nodes.values()] == [["a"], ["aa"], ["y"]]
    assert list(after.nodes[2].input) == ["aa", "a"]
    onnx.checker.check_model(to_model(after))


def test_ten_thousand_weights_are_renamed_at_once() -> None:
    nodes = [onnx.helper.make_node("Add", [f"t{at}", f"w{at}"], [f"t{at + 1}"], f"n{at}") for at in range(10_000)]
    weights = [onnx.helper.make_tensor(f"w{at}", TensorProto.FLOAT, (1,), [1.0]) for at in range(10_000)]
    infos = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in ("t0", "t10000")]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", infos[:1], infos[1:], weights),
                                   opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)  # fmt: skip
    graph = decode(model.SerializeToString(), None, None)
    after, seconds = timed(done, graph, "graph.rename_pattern", pattern="^", replacement="m/")
    assert {"m/w0", "m/t5000"} <= after.users.keys()
    assert seconds < 10


# Copy and paste


def copied(graph: Graph, *refs: str) -> str:
    return str(kept(fragment(graph, [graph.find(ref) for ref in refs])))


def test_a_fragment_has_its_weights_and_nothing_else(tmp_path: Path) -> None:
    source = Path(files.external(tmp_path, "outside", [1.0, 2.0, 3.0]))
    graph = load(source)
    (node,) = [node for node, record in graph.nodes.items() if record.op_type == "Mul"]
    path = kept(fragment(graph, [node]))
    assert path.name == f"{path.stem}.onnx"
    assert len(path.stem) == 64
    for name in tmp_path.glob("*.bin"):
        name.unlink()  # what was copied needs no other file
    part = load(path)
    (weight,) = part.initializers.values()
    assert not weight.external
    assert sorted(weight.array().reshape(-1).tolist()) == [1.0, 2.0, 3.0]
    assert len(part.nodes) == 1


def test_pasted_nodes_replay_from_a_recipe_beside_their_file(tmp_path: Path) -> None:
    source = models.digits()
    path = copied(source, "/stem/conv/Conv", "/stem/relu/Relu")
    document = Document(models.digits())
    document.apply(make("graph.paste", {"file": path}))
    recipe = tmp_path / "steps.json"
    recipe.write_text(stored(document.recipe, recipe).dumps())
    Path(path).unlink()
    again = replay(resolved(Recipe.loads(recipe.read_text()), recipe), models.digits())
    assert to_model(again) == to_model(document.graph)


def test_weights_are_shared_where_they_are_the_same_and_copied_where_not() -> None:
    graph = models.digits()
    path = copied(graph, "/stem/conv/Conv")
    again = done(graph, "graph.paste", file=path)
    assert again.initializers.keys() == graph.initializers.keys()
    assert len(again.nodes) == len(graph.nodes) + 1
    name = graph.nodes[graph.find("/stem/conv/Conv")].input[1]
    other = done(done(graph, "weights.fill", tensors=[name], value=0.5), "graph.paste", file=path)
    assert other.initializers.keys() - graph.initializers.keys() == {f"{name}_1"}
    np.testing.assert_array_equal(other.initializers[f"{name}_1"].array(), graph.initializers[name].array())


def test_what_is_pasted_computes_what_was_copied(tmp_path: Path) -> None:
    head = " (float[2,3] x) => (float[2,3] y) "
    graph = small(f"g{head}<float[3] w = {{1, 2, 3}}> {{ a = Relu(x) b = Mul(a, w) y = Tanh(b) }}")
    target = small(f"t{head}<float[3] w = {{5, 5, 5}}> {{ a = Add(x, w) y = Neg(a) }}")
    after = done(target, "graph.paste", file=copied(graph, "Mul_1"))
    (mul,) = [record for record in after.nodes.values() if record.op_type == "Mul"]
    assert (list(mul.input), list(mul.output)) == (["a", "w_1"], ["b"])
    after = done(after, "interface.mark_outputs", tensors=["b"])
    x = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
    save(after, tmp_path / "after.onnx")
    np.testing.assert_array_equal(run_model(tmp_path / "after.onnx", {"x": x})["b"], (x + 5) * [1, 2, 3])


def test_what_can_not_be_pasted_says_why(tmp_path: Path) -> None:
    graph = models.chain()
    path = copied(graph, "Neg_2")
    other = small("o (int64[2] s, float[4] p) => (int64[2] y) { y = Neg(s) q = Abs(p) }")
    text = refused(other, "graph.paste", file=path)
    assert "Nothing here fits what the nodes read as s (2×3 FP32)" in text
    assert "s is 2 INT64" in refused(other, "graph.paste", file=path, inputs={"s": "s"})
    assert "There is no such tensor" in refused(other, "graph.paste", file=path, inputs={"s": "nowhere"})
    assert "There is no such input of the fragment" in refused(other, "graph.paste", file=path, inputs={"q": "p"})
    assert "Can't read the model" in refused(other, "graph.paste", file=str(tmp_path / "gone.onnx"))
    opened = done(other, "graph.paste", file=path, open=True)
    assert [info.name for info in opened.inputs] == ["s", "p", "s_1"]
    with pytest.raises(Fault, match="No node is given"):
        fragment(graph, [])
