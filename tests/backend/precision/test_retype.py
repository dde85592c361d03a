"""Retypes: the fewest Casts, what stays and why, weights, and the verification with every tensor rounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.ranges import TensorRange
from graftwerk.backend.engines.rounding import outcome
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.precision.ranges import out_of_range, range_job, read_ranges
from graftwerk.backend.precision.rounded import rounded_job
from graftwerk.backend.precision.weights import Converted, clamped, vanishes
from tests.backend.operations.law_models import branches, encoder, residual, small

FP16, FP32 = int(TensorProto.FLOAT16), int(TensorProto.FLOAT)


def retyped(graph: Graph, **parameters: object) -> Graph:
    made = apply(make("precision.retype", {"to": "FP16", **parameters}), graph)
    onnx.shape_inference.infer_shapes(to_model(made), strict_mode=True, check_type=True)
    return made.with_types(infer(made))


def casts(graph: Graph) -> list[str]:
    return [record.output[0] for record in graph.nodes.values() if record.op_type == "Cast"]


def planted() -> Graph:
    """`big` reaches 300,000 with inputs of 300, and comes back to 300."""
    return small(
        """g (float[n,4] x) => (float[n,3] z) <float k = {1000}, float s = {0.001}, float eps = {1e-12}> {
            big = Mul(x, k) y0 = Mul(big, s) e = Add(y0, eps) y = Relu(e) w = Constant<value = float[4,3] {
            1,1,1,1,1,1,1,1,1,1,1,1}>() z = MatMul(y, w)
        }"""
    )


def masked() -> Graph:
    return small(
        """g (float[2,4] x) => (float[2,4] y) <float[4] m = {0, 0, -3.4e38, -3.4e38}> {
            a = Add(x, m) y = Softmax(a)
        }"""
    )


def test_a_boundary_has_one_cast_however_many_read_it() -> None:
    graph = small("g (float[2] x) => (float[2] y) { a = Relu(x) b = Neg(a) c = Abs(a) d = Add(b, c) y = Tanh(d) }")
    made = retyped(graph, keep_ops=["Relu"])
    assert len(casts(made)) == 2  # behind Relu, and before the output that stays FP32
    assert all(made.nodes[user].op_type == "Cast" for user in made.consumers("a"))
    assert made.type_of("y").dtype == FP32  # type: ignore[union-attr]


def test_what_moves_values_goes_where_casts_are_fewest() -> None:
    graph = small(
        """g (float[2,6] x) => (float[6,2] y) {
            a = Relu(x) p, q = Split<axis = 1>(a) b = Transpose(p) c = Transpose(q) d = Concat<axis = 0>(b, c)
            y = Relu(d)
        }"""
    , opset=13)  # fmt: skip
    with pytest.raises(Fault, match="No node changes"):  # between two kept nodes nothing is retyped
        retyped(graph, keep_ops=["Relu"])
    again = retyped(graph, keep=["Relu_0"])
    assert len(casts(again)) == 2


def test_casts_that_cancel_go_and_none_is_doubled() -> None:
    graph = encoder()
    half = retyped(graph)
    back = retyped(half, to="FP32")
    assert len(casts(back)) == len(casts(graph))
    again = apply(make("precision.retype", {"to": "FP16"}), back)
    assert len(casts(again)) == len(casts(half))


def test_interface_converted() -> None:
    made = retyped(residual(), interface="convert")
    assert casts(made) == []
    assert {info.type.tensor_type.elem_type for info in (*made.inputs, *made.outputs)} == {FP16}


def test_bodies_read_what_they_read_before() -> None:
    made = retyped(branches())
    node = next(node for node, record in made.nodes.items() if record.op_type == "If")
    assert made.type_of("z").dtype == FP32  # type: ignore[union-attr]
    captured = {name for _, body in ((a.name, a.g) for a in made.nodes[node].attribute) for inner in body.node
                for name in inner.input}  # fmt: skip
    assert "r_FP32" in captured
    assert "w" in captured
    assert made.initializers["w"].dtype == FP32


def test_schema_and_sizes_hold_types_back() -> None:
    graph = small(
        """g (float[1,1,4,4] x, float lim) => (float[1,1,8,8] y, float[n] r) <float[4] scales = {1, 1, 2, 2},
            float zero = {0}, float one = {1}> {
            a = Relu(x) b = Resize<mode = "linear">(a, , scales) y = Relu(b) r = Range(zero, lim, one)
        }"""
    )
    made = retyped(graph)
    assert made.initializers["scales"].dtype == FP32
    assert made.type_of("b").dtype == FP16  # type: ignore[union-attr]
    assert made.type_of("r").dtype == FP32  # type: ignore[union-attr]


def test_attributes_that_name_a_datatype_follow() -> None:
    graph = small(
        """g (int64[2] s, int64[2,3] i) => (float[2,3] y) {
            c = ConstantOfShape<value = float[1] {1e9}>(s) f = Cast<to = 1>(i) t = Mul(c, f) y = Tanh(t)
        }"""
    )
    made = retyped(graph)
    by_op = {record.op_type: record for record in made.nodes.values() if record.output[0] != "y"}
    assert numpy_helper.to_array(by_op["ConstantOfShape"].attribute[0].t) == np.float16(65504)
    assert by_op["Cast"].attribute[0].i == FP16


def test_scales_follow_where_the_opset_lets_them() -> None:
    text = """g (float[4] x) => (float[4] y) <float s = {0.1}, int8 z = {0}> {
        a = Relu(x) q = QuantizeLinear(a, s, z) d = DequantizeLinear(q, s, z) y = Tanh(d) }"""
    assert retyped(small(text, opset=19)).initializers["s"].dtype == FP16
    assert retyped(small(text, opset=13)).initializers["s"].dtype == FP32


def test_weights_are_clamped_and_vanishing_ones_keep_their_nodes() -> None:
    assert clamped(np.array([-3.4e38, np.inf, 1.0], np.float32), FP16).tolist() == [-65504.0, np.inf, 1.0]
    graph = planted()
    assert vanishes(graph.initializers["eps"], FP16)
    plan = make("precision.retype", {"to": "FP16"}).plan(graph)  # type: ignore[attr-defined]
    assert "would become zero" in next(iter(plan.kept.values())).text


def test_large_weights_are_converted_when_they_are_written(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((600, 1000)).astype(np.float32)
    model = to_model(small("g (float[2,600] x) => (float[2,1000] y) <float[1,1] w = {1}> { y = MatMul(x, w) }"))
    del model.graph.initializer[:]
    model.graph.initializer.append(numpy_helper.from_array(values, "w"))
    onnx.save(model, tmp_path / "big.onnx", save_as_external_data=True, location="big.data")
    graph = load(tmp_path / "big.onnx")
    made = retyped(graph.with_types(infer(graph)))
    assert isinstance(made.initializers["w"].span, Converted)
    save(made, tmp_path / "half.onnx")
    again = load(tmp_path / "half.onnx")
    assert again.initializers["w"].external
    assert np.array_equal(again.initializers["w"].array(), values.astype(np.float16))


def test_out_of_range() -> None:
    ranges = [TensorRange("a", 4, 1e5, 1.0, overflow=1), TensorRange("b", 4, 1e-5, 1e-6), TensorRange("c", 4, 1.0, 0.1)]
    lost = TensorRange("d", 10, 1.0, 1e-12, lost=9)
    assert [each.tensor for each in out_of_range([*ranges, lost])] == ["a", "b", "d"]


@pytest.mark.parametrize("budget", [1, 1 << 28])
def test_a_planted_overflow_is_found_kept_and_shown(tmp_path: Path, budget: int) -> None:
    np.savez(tmp_path / "data.npz", x=np.full((2, 4), 300, np.float32))
    graph, data = planted(), str(tmp_path / "data.npz")
    job = range_job(graph, tmp_path / "ranges", ((data,),))
    object.__setattr__(job, "budget", budget)
    found = out_of_range(read_ranges(run_here(job, tmp_path / "ranges", lambda event: None)))
    assert [each.tensor for each in found] == ["big"]
    for keep, broken in (([], ["big", "y0"]), (["big"], [])):
        made = retyped(graph, keep_tensors=keep)
        folder = tmp_path / f"verify{len(keep)}"
        told = outcome(run_here(rounded_job(graph, made, folder, files=(data,)), folder, lambda event: None))
        assert [each["tensor"] for each in told["broken"]][:2] == broken
        assert all(output["same"] for output in told["outputs"]) is bool(keep)
        assert told["rounded"] > 0


def test_rounding_is_that_of_numpy(tmp_path: Path) -> None:
    graph = small("g (float[64] x) => (float[64] y) <float k = {1.2345}> { a = Mul(x, k) y = Mul(a, k) }")
    made = retyped(graph)
    job = rounded_job(graph, made, tmp_path, seed=3)
    run_here(job, tmp_path, lambda event: None)
    from graftwerk.backend.engines.onnxruntime import run_model, run_trial

    given = run_trial(Path(job.reference), (), {}, 3).given.arrays
    got = run_model(job.model, given)["y"]
    k = np.float16(1.2345).astype(np.float32)
    step = (given["x"].astype(np.float16).astype(np.float32) * k).astype(np.float16).astype(np.float32)
    assert np.array_equal(got, (step * k).astype(np.float16).astype(np.float32))


def test_an_attention_mask_is_no_overflow(tmp_path: Path) -> None:
    job = range_job(masked(), tmp_path)
    assert out_of_range(read_ranges(run_here(job, tmp_path, lambda event: None))) == []
