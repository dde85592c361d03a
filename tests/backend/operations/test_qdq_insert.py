from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.constants import constant
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import TensorName
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.qdq_insert import InsertQdq
from graftwerk.backend.operations.registry import why_blocked
from graftwerk.backend.quantize.pairs import UNCALIBRATED, calibrated, find_pairs, per_channel, scales
from tests.backend.operations.qdq_models import checked, do, floats, ops, parse, run, why

CONV = "g (float[1,3,6,6] x) => (float[1,4,4,4] y) { y = Conv(x, w, b) }"
WEIGHTS = {
    "w": floats(np.random.default_rng(1).normal(0, 1, (4, 3, 3, 3))) * floats([1, 2, 3, 0]).reshape(4, 1, 1, 1),
    "b": np.ones(4, np.float32),
}  # fmt: skip


def test_an_activation_with_a_given_scale() -> None:
    before = parse(CONV, weights=WEIGHTS)
    graph = do(before, "qdq.insert", tensor="x", scale=0.05)
    assert ops(graph) == ["QuantizeLinear", "DequantizeLinear", "Conv"]
    (pair,) = find_pairs(graph).values()
    assert (pair.source, graph.nodes[graph.find("y")].input[0]) == ("x", pair.output)
    assert scales(graph, pair) == pytest.approx([0.05])
    zero = constant(graph, pair.zero_point)
    assert zero is not None
    assert (zero.dtype.name, zero.item()) == ("int8", 0)
    assert graph.type_of(pair.quantized) == TensorType(TensorProto.INT8, (1, 3, 6, 6))
    assert not graph.nodes[pair.nodes[0]].metadata_props
    quantized = np.clip(np.round(floats([-9, 0.26, 9]) / 0.05), -128, 127) * 0.05
    feeds = {"x": np.tile(floats([-9, 0.26, 9]), (1, 3, 6, 2))}
    same = {"x": np.tile(floats(quantized), (1, 3, 6, 2))}
    assert np.allclose(run(graph, feeds)[0], run(before, same)[0], atol=1e-5)


def test_an_activation_without_a_scale_is_marked_as_not_calibrated() -> None:
    graph = do(parse(CONV, weights=WEIGHTS), "qdq.insert", tensor="x")
    (pair,) = find_pairs(graph).values()
    assert scales(graph, pair) == pytest.approx([6 / 127])
    assert [entry.key for entry in graph.nodes[pair.nodes[0]].metadata_props] == [UNCALIBRATED]
    assert not calibrated(graph, pair)
    moved = do(graph, "qdq.insert", tensor="w")
    assert [calibrated(moved, each) for each in find_pairs(moved).values() if each.source == "w"] == [True]


@pytest.mark.parametrize(("op", "bound"), [("Sigmoid", 1.0), ("Tanh", 1.0), ("Relu", 6.0)])
def test_a_guess_knows_the_bounds_of_operators(op: str, bound: float) -> None:
    graph = do(parse(f"g (float[4] x) => (float[4] y) {{ t = {op}(x) y = Neg(t) }}"), "qdq.insert", tensor="t")
    (pair,) = find_pairs(graph).values()
    assert scales(graph, pair) == pytest.approx([bound / 127])


def test_a_weight_per_output_channel() -> None:
    graph = do(parse(CONV, weights=WEIGHTS), "qdq.insert", tensor="w")
    (pair,) = find_pairs(graph).values()
    largest = np.abs(WEIGHTS["w"]).max(axis=(1, 2, 3))
    assert pair.axis == 0
    assert scales(graph, pair) == pytest.approx([*(largest[:3] / 127), 1.0])
    assert not graph.nodes[pair.nodes[0]].metadata_props
    steps = (np.append(largest[:3], 127) / 127).astype(np.float32).reshape(4, 1, 1, 1)
    rounded = np.round(WEIGHTS["w"] / steps) * steps
    assert np.allclose(run(graph)[0], run(parse(CONV, weights={**WEIGHTS, "w": rounded}))[0], atol=1e-4)


@pytest.mark.parametrize(
    ("text", "shape", "axis"),
    [
        ("g (float[1,3,4,4] x) => (float[1,5,6,6] y) { y = ConvTranspose(x, w) }", (3, 5, 3, 3), 1),
        ("g (float[2,3] x) => (float[2,5] y) { y = Gemm(x, w) }", (3, 5), 1),
        ("g (float[2,3] x) => (float[2,5] y) { y = Gemm<transB=1>(x, w) }", (5, 3), 0),
        ("g (float[2,3] x) => (float[2,5] y) { y = MatMul(x, w) }", (3, 5), 1),
        ("g (float[4,2,3] x) => (float[4,2,5] y) { y = MatMul(x, w) }", (4, 3, 5), 2),
        ("g (float[2,3] x) => (float[2,5] y) { t = Transpose<perm=[1,0]>(w) y = MatMul(x, t) }", (5, 3), 1),
        ("g (float[2,3] x) => (float[5,3] y) { y = MatMul(w, x) }", (5, 2), None),
    ],
)
def test_the_axis_is_that_of_the_output_channels(text: str, shape: tuple[int, ...], axis: int | None) -> None:
    values = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    graph = parse(text, weights={"w": values})
    tensor = "t" if "t =" in text else "w"
    after = do(graph, "qdq.insert", tensor=tensor)
    (pair,) = find_pairs(after).values()
    seen = values.T if tensor == "t" else values
    if axis is None:
        assert not per_channel(after, pair)
        assert scales(after, pair) == pytest.approx([np.abs(values).max() / 127])
    else:
        others = tuple(at for at in range(values.ndim) if at != axis)
        assert pair.axis == axis
        assert scales(after, pair) == pytest.approx(np.abs(seen).max(axis=others) / 127)
    assert np.allclose(run(after)[0], run(graph)[0], atol=0.3)


def test_a_weight_that_is_read_along_two_axes_has_one_scale() -> None:
    text = "g (float[3,3] x) => (float[3,3] y) { a = MatMul(x, w) y = Gemm<transB=1>(a, w) }"
    graph = do(parse(text, weights={"w": np.eye(3, dtype=np.float32)}), "qdq.insert", tensor="w")
    (pair,) = find_pairs(graph).values()
    assert not per_channel(graph, pair)


def test_given_scales_along_an_axis() -> None:
    graph = do(parse(CONV, weights=WEIGHTS), "qdq.insert", tensor="w", granularity="channel", axis=-4,
               scales=[0.1, 0.2, 0.3, 0.4])  # fmt: skip
    (pair,) = find_pairs(graph).values()
    assert pair.axis == 0
    assert scales(graph, pair) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    checked(graph)


def test_weights_below_opset_13_are_quantized_per_tensor() -> None:
    graph = do(parse(CONV, opset=12, ir=7, weights=WEIGHTS), "qdq.insert", tensor="w")
    (pair,) = find_pairs(graph).values()
    assert not per_channel(graph, pair)
    checked(graph)


def test_fp8_from_opset_19_on() -> None:
    graph = do(parse(CONV, opset=19, ir=9, weights=WEIGHTS), "qdq.insert_layer", node="y", dtype="fp8e4m3fn")
    first, second = find_pairs(graph).values()
    kinds = {graph.type_of(pair.quantized) for pair in (first, second)}
    assert {kind.dtype for kind in kinds if kind} == {TensorProto.FLOAT8E4M3FN}
    found = scales(graph, second if second.source == "w" else first)
    assert found is not None
    assert found[0] == pytest.approx(np.abs(WEIGHTS["w"][0]).max() / 448)
    assert np.allclose(run(graph)[0], run(parse(CONV, weights=WEIGHTS))[0], atol=3)


def test_fp16_scales_have_the_type_of_the_tensor() -> None:
    text = "g (float16[2,3] x) => (float16[2,5] y) { y = MatMul(x, w) }"
    graph = parse(text, opset=19, ir=9, weights={"w": np.ones((3, 5), np.float16)})
    after = do(graph, "qdq.insert_layer", node="y")
    assert {after.initializers[pair.scale].dtype for pair in find_pairs(after).values()} == {TensorProto.FLOAT16}
    checked(after)
    assert why(parse(text, weights={"w": np.ones((3, 5), np.float16)}), "qdq.insert", tensor="x") == (
        "QuantizeLinear of FP16 needs opset 19; the model has 17"
    )


BRANCHES = "g (float[4] x) => (float[4] y, float[4] z) { t = Relu(x) y = Neg(t) z = Abs(t) }"


def test_only_some_consumers_and_the_others_join_later() -> None:
    graph = do(parse(BRANCHES), "qdq.insert", tensor="t", scale=0.1, only=["y"])
    (pair,) = find_pairs(graph).values()
    assert graph.consumers(pair.output) == (graph.find("y"),)
    assert "with another scale" in why(graph, "qdq.insert", tensor="t", scale=0.2)
    after = do(graph, "qdq.insert", tensor="t")
    assert len(find_pairs(after)) == 1
    assert set(after.consumers(pair.output)) == {after.find("y"), after.find("z")}
    assert why(after, "qdq.insert", tensor="t") == "t_DequantizeLinear quantizes t already"
    assert why(graph, "qdq.insert", tensor="t", only=["t"]) == "t does not read t"


def test_a_graph_output_keeps_its_name() -> None:
    graph = do(parse("g (float[4] x) => (float[4] y) { y = Neg(x) }"), "qdq.insert", tensor="y", scale=0.1)
    assert ops(graph) == ["Neg", "QuantizeLinear", "DequantizeLinear"]
    assert [info.name for info in graph.outputs] == ["y"]
    assert np.array_equal(run(graph, {"x": floats([0.04, 0.06, 1, 99])})[0], floats([0, -0.1, -1, -12.8]))


def test_an_output_with_consumers_stays_in_float() -> None:
    text = "g (float[4] x) => (float[4] t, float[4] y) { t = Neg(x) y = Abs(t) }"
    graph = do(parse(text), "qdq.insert", tensor="t", scale=1.0)
    first, second = run(graph, {"x": floats([0.25, 0.75, 2, 3])})
    assert np.array_equal(first, floats([-0.25, -0.75, -2, -3]))
    assert np.array_equal(second, floats([0, 1, 2, 3]))


@pytest.mark.parametrize(
    ("text", "tensor", "expected"),
    [
        (BRANCHES, "nothing", "There is no tensor 'nothing'"),
        ("g (int64[4] x) => (int64[4] y) { y = Neg(x) }", "x", "x is INT64; only float tensors are quantized"),
        ("g (float[4] x) => (float[4] y) { l = Constant<value_float=1.0>() y = Clip(x, l) }", "l",
         "y takes l as a parameter, which stays in float"),
    ],
)  # fmt: skip
def test_what_is_not_quantized(text: str, tensor: str, expected: str) -> None:
    assert why(parse(text), "qdq.insert", tensor=tensor) == expected


def test_opset_and_granularity_are_checked() -> None:
    assert why(parse(CONV, opset=9, ir=4, weights=WEIGHTS), "qdq.insert", tensor="x") == (
        "QuantizeLinear needs opset 10; the model has 9"
    )
    assert "FP8 needs opset 19" in why(parse(CONV, weights=WEIGHTS), "qdq.insert", tensor="x", dtype="fp8e4m3fn")
    old = parse(CONV, opset=11, ir=6, weights=WEIGHTS)
    assert "need opset 13" in why(old, "qdq.insert", tensor="w", granularity="channel")
    graph = parse(CONV, weights=WEIGHTS)
    assert "only weights per channel" in why(graph, "qdq.insert", tensor="x", granularity="channel")
    assert why(graph, "qdq.insert", tensor="w", granularity="channel", axis=4) == "w has 4 axes; 4 is none of them"
    assert "not 2" in why(graph, "qdq.insert", tensor="w", granularity="channel", scales=[1, 2])
    assert "positive" in why(graph, "qdq.insert", tensor="w", granularity="channel", scales=[1, 2, 3, -1])
    assert "need granularity" in why(graph, "qdq.insert", tensor="w", scales=[1, 2, 3, 4])
    assert "parameter" in why(graph, "qdq.insert", tensor="b")


def test_a_pair_is_not_doubled() -> None:
    graph = do(parse(CONV, weights=WEIGHTS), "qdq.insert", tensor="x", scale=0.1)
    (pair,) = find_pairs(graph).values()
    for tensor in (pair.quantized, pair.output):
        assert "is quantized already" in why(graph, "qdq.insert", tensor=tensor)
    assert "as a parameter" in why(graph, "qdq.insert", tensor=pair.scale)


def test_a_layer_with_given_scales() -> None:
    graph = do(parse(CONV, weights=WEIGHTS), "qdq.insert_layer", node="y", scales={"x": 0.04})
    pairs = {pair.source: pair for pair in find_pairs(graph).values()}
    assert set(pairs) == {"x", "w"}
    assert scales(graph, pairs["x"]) == pytest.approx([0.04])
    assert list(graph.nodes[graph.find("y")].input) == [pairs["x"].output, pairs["w"].output, "b"]
    assert why(graph, "qdq.insert_layer", node="y") == "Both factors of y are quantized already"
    assert "has no quantized form" in why(parse(BRANCHES), "qdq.insert_layer", node="y")
    assert "positive" in why(parse(CONV, weights=WEIGHTS), "qdq.insert_layer", node="y", scales={"x": 0})


def test_layers_that_read_one_tensor_share_its_pair() -> None:
    text = "g (float[2,3] x) => (float[2,3] y, float[2,3] z) { y = MatMul(x, w) z = MatMul(x, v) }"
    weights = {"w": np.ones((3, 3), np.float32), "v": np.ones((3, 3), np.float32)}
    graph = do(do(parse(text, weights=weights), "qdq.insert_layer", node="y"), "qdq.insert_layer", node="z")
    assert sorted(pair.source for pair in find_pairs(graph).values()) == ["v", "w", "x"]
    checked(graph)


@pytest.mark.parametrize("name", ["digits", "digits_bn", "encoder"])
def test_bundled_models_quantize_and_come_back(models: Path, name: str) -> None:
    before = graph = load(models / f"{name}.onnx")
    for node, record in before.nodes.items():
        if record.op_type in ("Conv", "Gemm", "MatMul"):
            graph = do(graph, "qdq.insert_layer", node=before.ref(node))
    checked(graph)
    pairs = find_pairs(graph)
    assert len(pairs) > 20
    for pair in pairs.values():
        graph = do(graph, "qdq.remove", node=graph.ref(pair.dequantize))
    assert list(graph.nodes.values()) == list(before.nodes.values())
    assert graph.initializers.keys() == before.initializers.keys()


def half(dtype: str = "float16") -> str:
    return f"g ({dtype}[4] x) => ({dtype}[4] y) {{ t = Neg(x) y = Abs(t) }}"


@pytest.mark.parametrize("scale", [float("inf"), float("nan"), 1e300, -1.0, 1e-50])
def test_scales_are_finite_and_positive(scale: float) -> None:
    graph = parse(CONV, weights=WEIGHTS)
    reason = why_blocked(InsertQdq(TensorName("x"), scale), graph)
    assert reason is not None
    assert "scale" in reason.text.lower()
    given = why(graph, "qdq.insert", tensor="w", granularity="channel", scales=[1.0, 1.0, scale, 1.0])
    assert "positive number that FP32 can hold" in given
    assert "positive number" in why(graph, "qdq.insert_layer", node="y", scales={"x": scale})


@pytest.mark.parametrize("scale", [1e-30, 1e6])
def test_scales_are_checked_as_they_are_stored(scale: float) -> None:
    assert "FP16 can hold" in why(parse(half(), opset=19), "qdq.insert", tensor="x", scale=scale)
    graph = do(parse(half("float"), opset=19), "qdq.insert", tensor="x", scale=scale)
    (pair,) = find_pairs(graph).values()
    assert scales(graph, pair) == pytest.approx([scale])


def test_dead_channels_of_a_half_weight_have_a_scale() -> None:
    text = "g (float16[2,4] x) => (float16[2,2] y) { y = MatMul(x, w) }"
    values = np.array([[1, 1e-7]] * 4, np.float16)
    graph = do(parse(text, opset=19, weights={"w": values}), "qdq.insert", tensor="w")
    (pair,) = find_pairs(graph).values()
    found = scales(graph, pair)
    assert found is not None
    assert (found > 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_without_finite_values_has_no_scale(value: float) -> None:
    weights = {**WEIGHTS, "w": np.full((4, 3, 3, 3), value, np.float32)}
    with pytest.raises(Fault, match="NaN or infinity"):
        do(parse(CONV, weights=weights), "qdq.insert", tensor="w")
