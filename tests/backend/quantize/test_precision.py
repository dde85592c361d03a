"""What the pairs are for: a real compiler computes the quantized layers in INT8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.engines.report_file import read_report
from graftwerk.backend.engines.tensorrt_rtx import BuildRtx
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.quantize.scales import COMPUTE, scale_of
from tests.backend.engines.rtx_models import Recorder
from tests.backend.operations.qdq_models import do


def layers(graph: Graph) -> list[str]:
    return [graph.ref(node) for node, record in graph.nodes.items() if record.op_type in COMPUTE]


def precisions(graph: Graph, folder: Path) -> dict[str, str]:
    context = Recorder(folder)
    result = BuildRtx(str(stage(graph, folder / "stage"))).run(context)
    report = read_report(Path(result["report"]))
    return {ref: report.nodes[ref].precision for ref in layers(graph)}


@pytest.mark.parametrize(("name", "count"), [("digits", 13), ("encoder", 16)])
def test_every_bundled_layer_is_computed_in_int8(models: Path, tmp_path: Path, name: str, count: int) -> None:
    graph = load(models / f"{name}.onnx")
    for ref in layers(graph):
        graph = do(graph, "qdq.insert_layer", node=ref)
    assert precisions(graph, tmp_path) == dict.fromkeys(layers(graph), "INT8")
    assert len(layers(graph)) == count


@pytest.mark.parametrize(("name", "count"), [("resnet50", 54), ("bert_ts", 96)])
def test_every_exported_layer_is_computed_in_int8(shared: Path, tmp_path: Path, name: str, count: int) -> None:
    graph = load(shared / "models" / f"{name}.onnx")
    for ref in layers(graph):
        graph = do(graph, "qdq.insert_layer", node=ref)
    assert precisions(graph, tmp_path) == dict.fromkeys(layers(graph), "INT8")
    assert len(layers(graph)) == count


def test_removing_one_pair_takes_one_layer_back_to_float(models: Path, tmp_path: Path) -> None:
    graph = load(models / "digits.onnx")
    for ref in layers(graph):
        graph = do(graph, "qdq.insert_layer", node=ref)
    graph = do(graph, "qdq.remove", node="stem.conv.weight_DequantizeLinear")
    found = precisions(graph, tmp_path)
    assert {ref for ref, precision in found.items() if precision != "INT8"} == {"/stem/conv/Conv"}


def test_measured_scales_keep_the_accuracy(models: Path) -> None:
    """Ranges of the calibration images by max: of 500 labelled ones a few may change sides, no more."""
    before = graph = load(models / "digits.onnx")
    images = np.load(models / "digits_calib.npz")["input"]
    factors = {before.nodes[before.find(ref)].input[0] for ref in layers(before)}
    inner = sorted(factors - {"input"})
    found = {"input": images, **run_model(to_model(before), {"input": images}, outputs=inner)}
    measured = {tensor: scale_of(float(np.abs(found[tensor]).max())) for tensor in factors}
    for ref in layers(graph):
        graph = do(graph, "qdq.insert_layer", node=ref, scales=measured)
    held = np.load(models / "digits_eval.npz")

    def accuracy(model: Graph) -> float:
        logits = run_model(to_model(model), {"input": held["input"]})["logits"]
        return float((logits.argmax(1) == held["label"]).mean())

    assert accuracy(graph) >= accuracy(before) - 0.01
