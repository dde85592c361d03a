"""What a graph asks for, held against what a real engine does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.quantize.requested import disagreements, precision_requested
from graftwerk.resources import model as bundled
from tests.backend.engines.rtx_models import Weights, attention, built, halved, model, quantized, saved, weight
from tests.backend.engines.test_rtx_report import asked_of


def opened(a_model: ModelProto, folder: Path) -> Graph:
    graph = load(Path(saved(a_model, folder)))
    return graph.with_types(infer(graph))


def requested(graph: Graph) -> dict[str, str]:
    return {graph.ref(node): precision_requested(graph, node) for node in graph.nodes}


@pytest.mark.parametrize(("change", "plain"), [(None, "FP32"), (quantized, "FP32"), (halved, "FP16")])
@pytest.mark.parametrize("name", ["digits", "digits_bn"])
def test_asked_and_got_agree(
    tmp_path: Path, name: str, change: Callable[[ModelProto], ModelProto] | None, plain: str
) -> None:
    a_model = onnx.load(bundled(name))
    a_model = change(a_model) if change else a_model
    graph = opened(a_model, tmp_path)
    asked = requested(graph)
    assert {ref: asked[ref] for ref in asked_of(a_model, plain)} == asked_of(a_model, plain)
    report, _ = built(tmp_path, str(tmp_path / "model.onnx"))
    assert disagreements(graph, report.nodes) == {}


def test_bert_and_an_attention_get_what_they_ask_for(tmp_path: Path, shared: Path) -> None:
    bert = onnx.load(shared / "models/bert_ts.onnx")
    for a_model, precision in ((bert, "FP32"), (attention(TensorProto.BFLOAT16), "BF16")):
        graph = opened(a_model, tmp_path)
        assert set(requested(graph).values()) == {precision, ""}
        report, _ = built(tmp_path, str(tmp_path / "model.onnx"))
        assert disagreements(graph, report.nodes) == {}


def pooled(before: bool, after: bool) -> ModelProto:
    """A MaxPool with Q/DQ before it, after it, or both; and a MatMul whose weight is dequantized behind a Transpose."""
    parameters = ["scale", "zero"]

    def pair(tensor: str, wanted: bool) -> list[onnx.NodeProto]:
        if not wanted:
            return [helper.make_node("Relu", [tensor], [f"{tensor}d"], f"{tensor}_relu")]
        return [
            helper.make_node("QuantizeLinear", [tensor, *parameters], [f"{tensor}q"], f"{tensor}_q"),
            helper.make_node("DequantizeLinear", [f"{tensor}q", *parameters], [f"{tensor}d"], f"{tensor}_dq"),
        ]

    nodes = [
        *pair("x", before),
        helper.make_node("MaxPool", ["xd"], ["m"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        *pair("m", after),
        helper.make_node("DequantizeLinear", ["w8", *parameters], ["w0"], "w_dq"),
        helper.make_node("Transpose", ["w0"], ["w"], "turn"),
        helper.make_node("MatMul", ["md", "w"], ["y"], "product"),
    ]
    weights: Weights = {
        "scale": np.array(0.1, np.float32), "zero": np.array(0, np.int8), "w8": np.ones((8, 8), np.int8),
    }  # fmt: skip
    return model(nodes, weights, {"x": (1, [1, 4, 16, 16])}, {"y": 1})


@pytest.mark.parametrize(
    ("before", "after", "pool", "product"),
    [
        (True, True, "INT8", "INT8"),
        (False, True, "INT8", "INT8"),
        (True, False, "INT8", "FP32"),
        (False, False, "FP32", "FP32"),
    ],
)
def test_q_and_dq_around_a_node(tmp_path: Path, before: bool, after: bool, pool: str, product: str) -> None:
    graph = opened(pooled(before, after), tmp_path)
    asked = requested(graph)
    assert (asked["pool"], asked["product"]) == (pool, product)
    assert asked["turn"] == asked["w_dq"] == ""
    report, _ = built(tmp_path, str(tmp_path / "model.onnx"))
    assert disagreements(graph, report.nodes) == {}


def test_a_convolution_that_loses_its_precision_is_found(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "product")]
    graph = opened(model(nodes, {"w": weight(16, 16)}, {"x": (1, ["N", 16])}, {"y": 1}), tmp_path)
    report, _ = built(tmp_path, saved(halved(onnx.load(tmp_path / "model.onnx")), tmp_path))
    assert disagreements(graph, report.nodes) == {"product": ("FP32", "FP16")}
