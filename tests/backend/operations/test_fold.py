"""Constant folding: what is computed, and what must stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.adapter import adopt, region_model
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Source
from graftwerk.backend.operations.registry import apply, make, why_blocked
from tests.backend.operations import law_models as models
from tests.backend.operations.laws import checked, computes_the_same, indexes_are_fresh


def fold(graph: Graph, **values: object) -> Graph:
    after = apply(make("graph.fold_constants", values), graph)
    checked(after)
    indexes_are_fresh(after)
    computes_the_same(graph, after)
    return after


def ops(graph: Graph) -> list[str]:
    return [record.op_type for record in graph.nodes.values()]


def test_quantization_randomness_and_large_results_stay() -> None:
    graph = models.constants()
    after = fold(graph)
    assert ops(after) == ["Add", "Reshape", "DequantizeLinear", "Add", "Expand", "ReduceMax", "Add", "RandomNormal"]
    np.testing.assert_array_equal(after.initializers["w2"].array(), [1, 4, 9])
    np.testing.assert_array_equal(after.initializers["sh"].array(), [2, 3])
    assert {"w", "s", "q"} - after.initializers.keys() == {"w"}, "weights that only folded nodes read are gone"
    for node, record in after.nodes.items():
        if record.op_type != "Add":
            assert graph.nodes[node] is record, "what is not folded is not touched"
    large = fold(graph, limit=65.0)
    assert "Expand" not in ops(large)
    assert large.initializers["m"].size == 1
    assert "huge" not in large.initializers


def test_shapes_stay_if_wanted() -> None:
    assert "Shape" in ops(fold(models.constants(), shapes=False))


def test_an_unknown_size_is_not_risked_before_it_is_known() -> None:
    """The target of the Expand is itself computed: only when that is folded is the size known."""
    text = """g (float[3] x) => (float[2,3] y)
        <int64[1] a = {1}, int64[1] two = {2}, int64[1] three = {3}, float one = {1}> {
        b = Mul(two, a) shape = Concat<axis = 0>(b, three) c = Expand(one, shape) y = Add(x, c)
    }"""
    assert ops(fold(models.small(text))) == ["Add"]
    huge = text.replace("three = {3}", "three = {3000000}").replace("float[2,3] y", "float[2,n] y")
    huge = huge.replace("float[3] x", "float[3000000] x")
    assert ops(fold(models.small(huge))) == ["Expand", "Add"]


def test_bodies_that_capture_constants_are_computed() -> None:
    graph = models.small(
        """g (float[3] x) => (float[3] y) <bool c = {1}, float[3] w = {1, 2, 3}> {
            z = If (c) <then_branch = t () => (float[3] a) { a = Add(w, w) },
                        else_branch = e () => (float[3] b) { b = Neg(w) }>
            y = Add(x, z)
        }"""
    )
    after = fold(graph)
    assert ops(after) == ["Add"]
    np.testing.assert_array_equal(after.initializers["z"].array(), [2, 4, 6])


def test_a_body_that_captures_an_input_or_draws_numbers_stays() -> None:
    for line in ("t = Add(v, x)", "r = RandomNormalLike(v) t = Add(v, r)"):
        graph = models.small(
            f"""g (float[3] x) => (float[3] y) <int64 n = {{4}}, bool k = {{1}}, float[3] s = {{0, 0, 0}}> {{
                sum = Loop (n, k, s) <body = b (int64 i, bool c, float[3] v) => (bool c2, float[3] t) {{
                    c2 = Identity(c) {line}
                }}>
                y = Add(x, sum)
            }}"""
        )
        assert why_blocked(make("graph.fold_constants", {}), graph) is not None


def test_plugins_and_functions_stay() -> None:
    model = models.parsed(
        """g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {
            a = trt.plugins.Any(w) b = local.Twice(w) c = Neg(w) d = Add(a, b) e = Add(c, d) y = Add(e, x)
        }""",
        extra=', "trt.plugins" : 1, "local" : 1',
    )
    body = [helper.make_node("Add", ["v", "v"], ["w"])]
    model.functions.append(helper.make_function("local", "Twice", ["v"], ["w"], body, [helper.make_opsetid("", 17)]))
    graph = models.graph_of(model)
    after = apply(make("graph.fold_constants", {}), graph)
    checked(after)
    assert ops(after) == ["Any", "Twice", "Add", "Add", "Add"]
    assert "c" in after.initializers


def test_an_overridable_default_is_no_constant() -> None:
    assert "Nothing depends" in str(why_blocked(make("graph.fold_constants", {}), models.old_inputs()))


def test_a_folded_graph_output_keeps_its_name() -> None:
    text = "g (float[2] x) => (float[2] y, float[2] k) <float[2] w = {1, 2}> { k = Neg(w) y = Add(x, k) }"
    graph = models.small(text)
    after = fold(graph)
    assert ops(after) == ["Add"]
    assert [info.name for info in after.outputs] == ["y", "k"]


def test_shared_weights_behind_identity_are_not_copied() -> None:
    graph = models.small(
        """g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {
            a = Identity(w) b = Identity(a) c = Add(x, b) d = Add(c, w) y = Add(d, a)
        }"""
    )
    after = fold(graph)
    assert ops(after) == ["Add", "Add", "Add"]
    assert list(after.initializers) == ["w"]
    assert after.initializers["w"] is graph.initializers["w"]


def test_a_part_that_can_not_be_computed_does_not_stop_the_rest() -> None:
    """A Reshape to a size that does not fit fails in ONNX Runtime; the other sum is folded all the same."""
    graph = models.small(
        """g (float[2] x) => (float[2] y, float[n] z)
            <float[2] w = {1, 2}, float[6] v = {1, 2, 3, 4, 5, 6}, int64[1] s = {5}> {
            a = Neg(w) y = Add(x, a) b = Neg(v) c = Abs(b) z = Reshape(c, s)
        }"""
    )
    after = apply(make("graph.fold_constants", {}), graph)
    assert "Reshape" in ops(after)
    np.testing.assert_array_equal(after.initializers["a"].array(), [-1, -2])


def test_strings_stay() -> None:
    graph = models.small(
        """g (float[2] x) => (float[2] y, string[2] z) <string[1] s = {"a"}, float[2] w = {1, 2}> {
            z = Concat<axis = 0>(s, s) a = Neg(w) y = Add(x, a)
        }"""
    )
    assert ops(fold(graph)) == ["Concat", "Add"]


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL])
def test_datatypes(kind: int) -> None:
    numpy_kind = helper.tensor_dtype_to_np_dtype(kind)
    values = np.array([1, 0], numpy_kind)
    inputs = {"c": ["w", "w"], "y": ["c", "x"]}
    nodes = [helper.make_node("Concat", read, [made], axis=0) for made, read in inputs.items()]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, [1])], [helper.make_tensor_value_info("y", kind, [5])],
        [numpy_helper.from_array(values, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    after = apply(make("graph.fold_constants", {}), models.graph_of(model))
    checked(after)
    assert ops(after) == ["Concat"]
    assert after.initializers["c"].array().tolist() == [*values.tolist(), *values.tolist()]


def test_external_weights_are_read_only_if_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        helper.make_node("Transpose", ["big"], ["big_t"], perm=[1, 0]),
        helper.make_node("Neg", ["small"], ["small_n"]),
        helper.make_node("MatMul", ["x", "big_t"], ["m"]),
        helper.make_node("Add", ["m", "small_n"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 600])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 600])],
        [numpy_helper.from_array(np.ones(shape, np.float32), name)
         for name, shape in (("big", (600, 600)), ("small", (600,)))],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    loaded = models.typed(load(tmp_path / "m.onnx"))
    read: list[int] = []
    reading = Source.read

    def watched(self: Source, offset: int, length: int) -> NDArray[np.uint8]:
        read.append(length)
        return reading(self, offset, length)

    monkeypatch.setattr(Source, "read", watched)
    after = apply(make("graph.fold_constants", {"limit": 1.0}), loaded)
    assert ops(after) == ["Transpose", "MatMul", "Add"]
    assert set(read) == {2400}
    assert after.initializers["big"] is loaded.initializers["big"]
    (tmp_path / "m.data").unlink()
    missing = models.typed(load(tmp_path / "m.onnx"))
    assert why_blocked(make("graph.fold_constants", {}), missing) is not None


def test_nothing_within_the_limit_is_a_fault() -> None:
    graph = models.small("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { a = Neg(w) y = Add(x, a) }")
    with pytest.raises(Fault, match="Nothing could be folded"):
        apply(make("graph.fold_constants", {"limit": 0.0}), graph)


def test_known_parts_of_a_shape() -> None:
    graph = models.small(
        """g (float[n,3,4] x) => (float[n,12] y, int64[1] d)
            <int64[1] one = {1}, int64[1] three = {3}, int64[1] first = {0}> {
            s = Shape(x) n0 = Gather(s, first) n1 = Gather(s, one) tail = Slice(s, one, three)
            p = ReduceProd<keepdims = 1>(tail) t = Concat<axis = 0>(n0, p) y = Reshape(x, t)
            u = Shape<start = 1, end = 2>(x) d = Mul(u, n1)
        }"""
    )
    after = fold(graph)
    assert ops(after) == ["Reshape"]
    assert shape_of(after) == [0, 12]
    assert "p" not in after.initializers
    assert after.initializers["d"].array().tolist() == [9]


def test_adopt_of_an_unchanged_region_touches_nothing() -> None:
    for graph in (models.branches(), models.digits()):
        edit = Edit(graph)
        adopt(edit, region_model(edit, graph.nodes, [info.name for info in graph.outputs]), graph.nodes)
        after = edit.commit()
        assert after.touched == frozenset()
        assert all(after.initializers[name] is weight for name, weight in graph.initializers.items())


def test_adopt_takes_changes_new_nodes_and_weights() -> None:
    graph = models.branches()
    edit = Edit(graph)
    region = region_model(edit, graph.nodes, ["y"])
    region.graph.node[0].op_type = "Abs"
    region.graph.node[2].input[0] = "fresh"
    region.graph.node.insert(2, helper.make_node("Add", ["z", "added"], ["fresh"], name="new"))
    region.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "added"))
    region.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((2, 3), np.float32), "w"))
    adopt(edit, region, graph.nodes)
    after = edit.commit()
    indexes_are_fresh(after)
    assert ops(after) == ["Abs", "If", "Add", "Neg"]
    assert after.nodes[graph.find("If_1")] is graph.nodes[graph.find("If_1")]
    assert after.touched == {graph.find("Relu_0"), graph.find("Neg_2"), after.find("new")}
    assert not after.initializers["w"].array().any()


def shape_of(graph: Graph) -> list[int]:
    """The constant target of the only Reshape."""
    (record,) = (record for record in graph.nodes.values() if record.op_type == "Reshape")
    return [int(size) for size in graph.initializers[record.input[1]].array()]


def test_partial_shape_chains() -> None:
    """Heads of attention: batch and length are copied, the rest is known; one unknown size follows from the others."""
    heads = models.small(
        """g (float[n,s,12] x) => (float[n,s,3,4] y)
            <int64 i0 = {0}, int64 i1 = {1}, int64[1] zero = {0}, int64[1] three = {3}, int64[1] four = {4}> {
            a = Shape(x) n = Gather(a, i0) b = Shape(x) s = Gather(b, i1)
            nu = Unsqueeze(n, zero) su = Unsqueeze(s, zero) t = Concat<axis = 0>(nu, su, three, four)
            y = Reshape(x, t)
        }"""
    )
    after = fold(heads)
    assert ops(after) == ["Reshape"]
    assert shape_of(after) == [0, 0, 3, 4]
    flat = models.small(
        """g (float[n,s,12] x) => (float[r,12] y)
            <int64 i0 = {0}, int64 i1 = {1}, int64[1] zero = {0}, int64[1] c = {12}> {
            a = Shape(x) n = Gather(a, i0) s = Gather(a, i1) r = Mul(n, s) ru = Unsqueeze(r, zero)
            t = Concat<axis = 0>(ru, c) y = Reshape(x, t)
        }"""
    )
    after = fold(flat)
    assert ops(after) == ["Reshape"]
    assert shape_of(after) == [-1, 12]


def test_a_size_that_does_not_follow_stays() -> None:
    """Of n, which is copied, and n·s/2, one may be 0: then -1 would say nothing."""
    graph = models.small(
        """g (float[n,s,12] x) => (float[n,h,24] y)
            <int64 i0 = {0}, int64 i1 = {1}, int64 two = {2}, int64[1] zero = {0}, int64[1] c = {24}> {
            a = Shape(x) n = Gather(a, i0) s = Gather(a, i1) h = Div(s, two)
            nu = Unsqueeze(n, zero) hu = Unsqueeze(h, zero) t = Concat<axis = 0>(nu, hu, c) y = Reshape(x, t)
        }"""
    )
    reason = why_blocked(make("graph.fold_constants", {}), graph)
    assert reason is not None


def test_what_is_too_large_is_named() -> None:
    graph = expanded()
    step = make("graph.fold_constants", {"limit": 0.01})
    after = apply(step, graph)
    assert ops(after) == ["Expand", "Add"]
    assert step.remarks(graph, after) == ("big is not folded: it would take 16,384 bytes, more than 10,485 bytes",)
    for id in ("cleanup.sanitize", "cleanup.simplify"):  # which leave it too, and don't say so themselves
        library = make(id, {"limit": 0.01})
        assert library.remarks(graph, apply(library, graph)) == step.remarks(graph, after)
    with pytest.raises(Fault) as caught:
        apply(make("graph.fold_constants", {"growth": 0.01}), graph)
    assert caught.value.where == "big"
    assert caught.value.message.startswith("Folding would make the file 16,")
    assert "bytes larger, more than 10,485 bytes, by big (16,384 bytes), z (8 bytes)" in caught.value.message
    assert ops(fold(graph)) == ["Add"]


def expanded() -> Graph:
    """A constant that an Expand makes large, and one that stays small."""
    return models.small(
        """g (float[64,64] x) => (float[64,64] y, float[2] z)
            <float one = {1}, int64[2] wide = {64, 64}, float[2] w = {1, 2}> {
            big = Expand(one, wide) y = Add(x, big) small = Neg(w) z = Identity(small)
        }"""
    )
