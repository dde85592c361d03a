"""What became of every node, told from the builder's log and held against a second reading of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from graftwerk.backend.engines.report import Report
from graftwerk.backend.engines.rtx_attribution import attribute
from graftwerk.backend.engines.rtx_kernels import CONTRACTIONS
from graftwerk.backend.engines.rtx_log import engine_layers, static_tensors
from graftwerk.backend.engines.source import SourceGraph, source_of
from graftwerk.resources import model as bundled
from tests.backend.engines.rtx_models import Weights, attention, built, halved, model, quantized, saved, weight
from tests.backend.engines.rtx_raw import MATRIX_KINDS, NAMES, raw_layers, source_from

#: Operators that do no arithmetic on data: constants, shapes, views, identities, and what selects or makes positions.
IDLE = {
    "Constant", "ConstantOfShape", "Shape", "Size", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity",
    "Concat", "Expand", "Range", "Slice", "Split", "Transpose", "Cast", "Dropout",
}  # fmt: skip


def hold_against_the_log(report: Report, source: SourceGraph, log: str, asked: dict[str, str]) -> None:
    """Everything the report says of layers that multiply is what the log's lines say; `asked` is by node."""
    raw = raw_layers(log)
    assert [layer.name for layer in report.layers] == list(raw)
    by_name = {layer.name: layer for layer in report.layers}
    for name, line in raw.items():
        layer = by_name[name]
        assert layer.kind == line.kind
        assert [tensor.dtype for tensor in layer.inputs] == [NAMES.get(t.dtype, t.dtype.upper()) for t in line.inputs]
        assert [list(tensor.shape) for tensor in layer.outputs] == [tensor.dims for tensor in line.outputs]
        if line.kind in MATRIX_KINDS:
            assert {layer.precision} == {NAMES[dtype] for dtype in line.factors()}, name
    for node in source.nodes:
        if node.op_type in CONTRACTIONS:
            outcome = report.nodes[node.ref]
            assert node.ref in raw[outcome.layer].nodes
            assert outcome.precision == asked[node.ref] == by_name[outcome.layer].precision
            naming = {line.name for line in raw.values() if node.ref in line.nodes}
            assert set(outcome.helpers) == naming - {outcome.layer}


def told(log: str, source: SourceGraph) -> Report:
    lines = log.split("\n")
    found = attribute(engine_layers(lines), source, static_tensors(lines))
    return Report("tensorrt-rtx", "", ("sm89",), 0.0, 0, found.layers, found.nodes, found.warnings)


def asked_of(a_model: ModelProto, plain: str) -> dict[str, str]:
    """INT8 where both factors come from a DequantizeLinear, else the type of the model."""
    dequantized = {node.output[0] for node in a_model.graph.node if node.op_type == "DequantizeLinear"}
    return {
        node.name: "INT8" if dequantized.issuperset(node.input[:2]) else plain
        for node in a_model.graph.node
        if node.op_type in CONTRACTIONS
    }


def mapped_share(report: Report, source: SourceGraph) -> float:
    """Of the nodes that do arithmetic at run time, those that have a layer."""
    shapes: set[str] = set()
    for node in source.nodes:  # what is computed from shapes and constants is no work on data
        if node.op_type in ("Shape", "Constant") or all(
            name in shapes or name in source.constants for name in node.inputs if name
        ):
            shapes.update(node.outputs)
    working = [node for node in source.nodes if node.op_type not in IDLE and not shapes.issuperset(node.outputs)]
    return sum(report.nodes[node.ref].state == "layer" for node in working) / len(working)


def test_shared_log_fp32(shared: Path) -> None:
    log = (shared / "rtx17-logs/resnet50_fp32_sm89.verbose.log").read_text()
    source = source_from(log)
    report = told(log, source)
    hold_against_the_log(report, source, log, dict.fromkeys((node.ref for node in source.nodes), "FP32"))
    assert mapped_share(report, source) == 1.0
    assert report.warnings == ()


def test_shared_log_qdq(shared: Path) -> None:
    log = (shared / "rtx17-logs/resnet50_qdq_sm89.verbose.log").read_text()
    source = source_from(log)
    convolutions = [node.ref for node in source.nodes if node.op_type == "Conv"]
    asked = {node.ref: "INT8" if node.op_type == "Conv" else "FP32" for node in source.nodes}
    report = told(log, source)
    hold_against_the_log(report, source, log, asked)
    assert len(convolutions) == 53
    assert {report.nodes[ref].precision for ref in convolutions} == {"INT8"}
    assert all(report.nodes[ref].helpers for ref in convolutions), "each is requantized by a kernel of its own"
    # A residual branch has a Q/DQ equal to the convolution's beside it, and merged with it. That can't be told here:
    # the log does not hold the scales.
    merged = {node.name for node in source.nodes if report.nodes[node.ref].state == "free"} - {"/Flatten"}
    assert len(merged) == 32
    assert all("antizeLinear" in name and ".weight" not in name for name in merged)
    others = SourceGraph(tuple(node for node in source.nodes if node.name not in merged), source.constants)
    assert mapped_share(report, others) == 1.0
    weights = [node for node in source.nodes if node.name.endswith(".weight_QuantizeLinear")]
    assert {report.nodes[node.ref].state for node in weights} == {"folded"}


def test_bert(shared: Path, tmp_path: Path) -> None:
    path = shared / "models/bert_ts.onnx"
    report, log = built(tmp_path, str(path))
    source = source_of(onnx.load(path))
    hold_against_the_log(report, source, log, dict.fromkeys((node.ref for node in source.nodes), "FP32"))
    assert mapped_share(report, source) >= 0.95
    fusions = report.horizontal_fusions
    assert len(fusions) == 12, "q, k and v of each block in one GEMM"
    assert all({ref.split("/")[-2] for ref in group} == {"query", "key", "value"} for group in fusions.values())


@pytest.mark.parametrize(("change", "plain"), [(None, "FP32"), (quantized, "FP32"), (halved, "FP16")])
def test_resnet(shared: Path, tmp_path: Path, change: object, plain: str) -> None:
    a_model = onnx.load(shared / "models/resnet50.onnx")
    a_model = change(a_model) if callable(change) else a_model
    report, log = built(tmp_path, saved(a_model, tmp_path))
    source = source_of(a_model)
    asked = asked_of(a_model, plain)
    hold_against_the_log(report, source, log, asked)
    assert list(asked.values()).count("INT8") == (53 if change is quantized else 0)
    assert mapped_share(report, source) == 1.0


@pytest.mark.parametrize("name", ["digits", "digits_bn", "encoder"])
@pytest.mark.parametrize("change", [None, quantized])
def test_bundled_models(tmp_path: Path, name: str, change: object) -> None:
    a_model = onnx.load(bundled(name))
    a_model = change(a_model) if callable(change) else a_model
    report, log = built(tmp_path, saved(a_model, tmp_path))
    source = source_of(a_model)
    hold_against_the_log(report, source, log, asked_of(a_model, "FP32"))
    assert mapped_share(report, source) >= 0.95


@pytest.mark.parametrize(("dtype", "precision"), [(TensorProto.FLOAT16, "FP16"), (TensorProto.BFLOAT16, "BF16")])
def test_attention_is_one_kernel_and_its_products_one_gemm(tmp_path: Path, dtype: int, precision: str) -> None:
    report, log = built(tmp_path, saved(attention(dtype), tmp_path))
    kernel = report.nodes["qk"].layer
    assert {report.nodes[ref].layer for ref in ("qk", "softmax", "pv")} == {kernel}
    assert "mha" in kernel
    assert [set(group) for group in report.horizontal_fusions.values()] == [{"q", "k", "v"}]
    assert {report.nodes[ref].precision for ref in ("q", "k", "v", "qk", "pv", "projection")} == {precision}
    assert report.nodes["o_join"].state == "free"
    factors = raw_layers(log)[report.nodes["projection"].layer].factors()
    assert {NAMES[dtype] for dtype in factors} == {precision}


def test_names_that_are_missing_odd_or_shared(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w2"], ["c"], "twice"),
        helper.make_node("Sigmoid", ["c"], ["d"], "twice"),
        helper.make_node("MatMul", ["d", "w"], ["e"], "odd] [ONNX Layer: x, LayerType: gemm"),
        helper.make_node("TopK", ["e", "k"], ["top", "where"]),
        helper.make_node("Softmax", ["top"], ["y"], "Metadata: {z}"),
    ]
    weights: Weights = {"w": weight(16, 16), "w2": weight(16, 16), "k": np.array([4])}
    a_model = model(nodes, weights, {"x": (1, ["N", 16])}, {"y": 1, "where": 7})
    report, _ = built(tmp_path, saved(a_model, tmp_path))
    odd = "odd] [ONNX Layer: x, LayerType: gemm"
    assert list(report.nodes) == ["a", "b", "c", "d", odd, "top", "Metadata: {z}"]
    assert {outcome.state for outcome in report.nodes.values()} == {"layer"}
    assert report.nodes[odd].layer.startswith(odd)
    assert report.nodes["a"].layer != report.nodes["c"].layer
    assert any("2 nodes are named 'twice'" in warning for warning in report.warnings)


def test_functions_and_bodies_count_for_the_node_that_holds_them(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    inner = helper.make_function("f", "Inner", ["X"], ["Y"], [helper.make_node("Sigmoid", ["X"], ["Y"])], opsets)
    steps = [helper.make_node("Relu", ["X"], ["t"], "r"), helper.make_node("Inner", ["t"], ["Y"], "i", domain="f")]
    outer = helper.make_function("f", "Outer", ["X"], ["Y"], steps, opsets)

    def branch(op: str, name: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, 1, None)
        return helper.make_graph([helper.make_node(op, ["c"], [name])], f"{name}_graph", [], [out])

    branches: dict[str, Any] = {"then_branch": branch("Exp", "t"), "else_branch": branch("Neg", "e")}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
        helper.make_node("Outer", ["a"], ["b"], "p | q (P)", domain="f"),
        helper.make_node("Outer", ["b"], ["c"], domain="f"),
        helper.make_node("ReduceSum", ["x"], ["sum"], "sum_all", keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"], "ask"),
        helper.make_node("If", ["positive"], ["y"], "choose", **branches),
    ]
    weights: Weights = {"w": weight(16, 16), "zero": np.array(0, np.float32)}
    a_model = model(nodes, weights, {"x": (1, [8, 16])}, {"y": 1}, functions=[inner, outer])
    report, log = built(tmp_path, saved(a_model, tmp_path), stand_ins=("p | q (P)",))
    assert " | p | q (P) (Outer)" in log
    assert {"first", "p | q (P)", "c", "sum_all", "ask", "choose"} == set(report.nodes)
    assert {ref for ref, outcome in report.nodes.items() if outcome.state != "layer"} <= {"ask"}, "the host compares"
    assert report.stand_ins == ("p | q (P)",)
    assert report.nodes["choose"].helpers, "one branch is the primary's, the other and the jumps help"


def test_what_vanishes(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "one"], ["same"], "times_one"),
        helper.make_node("Relu", ["x"], ["nobody"], "unread"),
        helper.make_node("Exp", ["x"], ["e1"], "twin_1"),
        helper.make_node("Exp", ["x"], ["e2"], "twin_2"),
        helper.make_node("Add", ["e1", "e2"], ["s"], "sum"),
        helper.make_node("Add", ["w", "w"], ["w2"], "constant"),
        helper.make_node("Mul", ["s", "w2"], ["m"], "product"),
        helper.make_node("Shape", ["m"], ["dims"], "known_shape"),
        helper.make_node("Identity", ["m"], ["m2"], "identity"),
        helper.make_node("Reshape", ["m2", "dims"], ["m3"], "reshape"),
        helper.make_node("Add", ["m3", "same"], ["y"], "last"),
    ]
    weights: Weights = {"one": np.array(1, np.float32), "w": weight(16)}
    a_model = model(nodes, weights, {"x": (1, [8, 16])}, {"y": 1})
    report, _ = built(tmp_path, saved(a_model, tmp_path))
    states = {ref: outcome.state for ref, outcome in report.nodes.items()}
    assert {ref for ref, state in states.items() if state == "folded"} == {"constant", "known_shape"}
    assert {ref for ref, state in states.items() if state == "layer"} == {"twin_1", "twin_2", "sum", "product", "last"}
    assert report.nodes["twin_1"] == report.nodes["twin_2"]
    assert sum("twin_1" in layer.onnx_nodes or "twin_2" in layer.onnx_nodes for layer in report.layers) == 1
    assert {states[ref] for ref in ("times_one", "unread", "identity", "reshape")} == {"free"}
    assert [warning for warning in report.warnings if "times_one" in warning and "unread" not in warning]


def test_weights_that_stay_quantized(tmp_path: Path) -> None:
    values = helper.make_tensor("w4", TensorProto.INT4, [64, 64], [n % 15 - 7 for n in range(64 * 64)])
    nodes = [
        helper.make_node("DequantizeLinear", ["w4", "s"], ["w"], "unpack", axis=0, block_size=64),
        helper.make_node("MatMul", ["x", "w"], ["y"], "product"),
    ]
    weights: Weights = {"w4": values, "s": np.full((1, 64), 0.1, np.float16)}
    half = TensorProto.FLOAT16
    report, _ = built(tmp_path, saved(model(nodes, weights, {"x": (half, ["N", 64])}, {"y": half}, 21), tmp_path))
    assert report.nodes["unpack"].state == "layer"
    assert report.nodes["product"].precision == "FP16"


def test_one_engine_for_several_targets_has_one_list_of_layers(tmp_path: Path) -> None:
    path = saved(quantized(onnx.load(bundled("digits"))), tmp_path)
    names = {}
    for targets in (("sm80",), ("sm120", "sm80")):
        report, _ = built(tmp_path, path, targets=targets)
        assert report.targets == targets
        names[targets] = [layer.name for layer in report.layers]
        assert any("One engine for sm120, sm80" in warning for warning in report.warnings) == (len(targets) > 1)
    assert names["sm80",] == names["sm120", "sm80"]


def test_a_node_is_shown_in_the_layer_of_the_first_profile(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"], "m"), helper.make_node("Relu", ["a"], ["y"], "r")]
    a_model = model(nodes, {"w": weight(16, 16)}, {"x": (1, ["N", 16])}, {"y": 1})
    profiles = ({"x": ((1, 16), (1, 16), (1, 16))}, {"x": ((1, 16), (64, 16), (128, 16))})
    report, _ = built(tmp_path, saved(a_model, tmp_path), profiles=profiles)
    naming = [layer.name for layer in report.layers if "m" in layer.onnx_nodes]
    assert len(naming) == 2
    assert report.nodes["r"].layer == naming[0]
    assert report.nodes["r"].helpers == (naming[1],)
    assert any("once for each optimization profile" in warning for warning in report.warnings)


@pytest.mark.parametrize("broken", ["Name: a, LayerType: gemm, Inputs: nothing", "Name: a, LayerType: gemm"])
def test_a_log_of_another_form_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="as this program knows it"):
        engine_layers(["Layers:", broken, "", "I/O Tensors:"])
    with pytest.raises(ValueError, match="ends inside"):
        engine_layers(["Layers:", broken])
    assert engine_layers(["no layers here"]) == []
