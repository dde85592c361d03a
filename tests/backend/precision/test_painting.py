"""Painted precisions: what can be painted, what is written, and what a real build makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engine_jobs import BuildSettings, build_job
from graftwerk.backend.engines.report_file import read_report
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.backend.quantize.pairs import calibrated, find_pairs, scales
from graftwerk.backend.quantize.requested import disagreements, precision_requested
from tests.backend.operations.law_models import digits, residual, small

CONV1, DOWN = "/layer2/layer2.0/conv1/Conv", "/layer2/layer2.0/downsample/downsample.0/Conv"


def painted(graph: Graph, nodes: dict[str, str], **more: object) -> Graph:
    made = apply(make("precision.paint", {"nodes": nodes, **more}), graph)
    onnx.shape_inference.infer_shapes(to_model(made), strict_mode=True, check_type=True)
    return made.with_types(infer(made))


def count(graph: Graph, op_type: str) -> int:
    return sum(record.op_type == op_type for record in graph.nodes.values())


def test_a_tensor_has_one_cast_and_one_pair_for_all_its_readers() -> None:
    made = painted(digits(), {CONV1: "INT8", DOWN: "INT8"})
    assert len(find_pairs(made)) == 3  # the activation, which both read, and two weights
    assert count(made, "Cast") == 0
    assert {precision_requested(made, made.find(ref)) for ref in (CONV1, DOWN)} == {"INT8"}
    half = painted(digits(), {CONV1: "FP16", DOWN: "FP16"})
    assert count(half, "Cast") == 3  # one for what both read, and one behind each


def test_scales_from_the_table_and_guesses_that_say_so(tmp_path: Path) -> None:
    tensor = "/maxpool/MaxPool_output_0"
    made = painted(digits(), {CONV1: "INT8"})
    assert [calibrated(made, pair) for pair in find_pairs(made).values() if pair.source == tensor] == [False]
    table = tmp_path / "scales.json"
    table.write_text(json.dumps({tensor: 0.25}))
    made = painted(digits(), {CONV1: "INT8"}, table=str(table))
    pair = next(pair for pair in find_pairs(made).values() if pair.source == tensor)
    assert calibrated(made, pair)
    assert np.array_equal(scales(made, pair), [0.25])  # type: ignore[arg-type]
    table.write_text("[1]")
    with pytest.raises(Fault, match="no scale table"):
        painted(digits(), {CONV1: "INT8"}, table=str(table))


def test_painting_over_takes_the_pairs_off() -> None:
    made = painted(painted(digits(), {CONV1: "INT8", DOWN: "INT8"}), {CONV1: "FP16"})
    assert len(find_pairs(made)) == 2
    assert precision_requested(made, made.find(CONV1)) == "FP16"
    assert precision_requested(made, made.find(DOWN)) == "INT8"
    again = painted(made, {CONV1: "FP32", DOWN: "FP32"})
    assert not find_pairs(again)
    assert count(again, "Cast") == 0
    assert len(again.initializers) == len(digits().initializers)


def test_fp8_needs_opset_19() -> None:
    text = "g (float[1,3,8,8] x) => (float[1,4,6,6] y) <float[4,3,3,3] w = {WWW}> { y = Conv(x, w) }"
    text = text.replace("WWW", ",".join(["0.5"] * 108))
    reason = why_blocked(make("precision.paint", {"nodes": {"Conv_0": "FP8"}}), small(text))
    assert reason is not None
    assert "opset 19" in reason.text
    made = painted(small(text, opset=19), {"Conv_0": "FP8"})
    assert precision_requested(made, made.find("Conv_0")) == "FP8"


@pytest.mark.parametrize(("node", "precision", "why"), [
    ("Add_2", "INT8", "no INT8 form"), ("Add_2", "INT3", "no precision"), ("nowhere", "FP16", "no such node"),
])  # fmt: skip
def test_why_not(node: str, precision: str, why: str) -> None:
    reason = why_blocked(make("precision.paint", {"nodes": {node: precision}}), residual())
    assert reason is not None
    assert why in reason.text


def test_the_build_achieves_what_was_painted(tmp_path: Path) -> None:
    paint = {"/stem/conv/Conv": "FP16", "/stem/relu/Relu": "FP16", CONV1: "INT8", DOWN: "INT8"}
    made = painted(digits(), paint)
    report = read_report(Path(run_here(build_job(made, tmp_path, BuildSettings()), tmp_path, lambda e: None)["report"]))
    assert not disagreements(made, report.nodes)
    assert {ref: report.nodes[ref].precision for ref in paint} == paint
