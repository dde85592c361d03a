"""Retyped models of other people: valid, verified with every tensor rounded, and compiled as asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.compare.weights import magnitude
from graftwerk.backend.engine_jobs import BuildSettings, build_job
from graftwerk.backend.engines.report_file import read_report
from graftwerk.backend.engines.rounding import outcome
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, stage
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.precision.ranges import out_of_range, range_job, read_ranges
from graftwerk.backend.precision.rounded import rounded_job
from graftwerk.backend.precision.weights import retyped
from graftwerk.backend.quantize.requested import disagreements


@pytest.mark.parametrize("name", ["resnet50", "bert_ts", "gpt2_ts"])
def test_fp16_is_verified_and_achieved(name: str, shared: Path, tmp_path: Path) -> None:
    graph = load(shared / "models" / f"{name}.onnx")
    graph = graph.with_types(infer(graph))
    result = run_here(range_job(graph, tmp_path / "ranges"), tmp_path / "ranges", lambda event: None)
    keep = [each.tensor for each in out_of_range(read_ranges(result))]
    made = apply(make("precision.retype", {"to": "FP16", "keep_tensors": keep}), graph)
    onnx.shape_inference.infer_shapes(to_model(made), strict_mode=True, check_type=True)
    made = made.with_types(infer(made))
    casts = [sum(record.op_type == "Cast" for record in each.nodes.values()) for each in (graph, made)]
    assert casts[1] <= casts[0] + 2  # at most one behind the input and one before the output
    folder = tmp_path / "verify"
    told = outcome(run_here(rounded_job(graph, made, folder), folder, lambda event: None))
    assert told["broken"] == []
    assert told["rounded"] > 100
    assert all(output["sqnr_db"] > 50 for output in told["outputs"])
    built = run_here(build_job(made, tmp_path / "build", BuildSettings()), tmp_path / "build", lambda event: None)
    report = read_report(Path(built["report"]))
    assert not disagreements(made, report.nodes)
    assert {layer.precision for layer in report.layers} == {"FP16", ""}


def test_converted_weights_can_be_staged_and_compared(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((700, 500)).astype(np.float32)
    model = onnx.helper.make_model(onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [onnx.helper.make_tensor_value_info("x", 1, [1, 700])], [onnx.helper.make_tensor_value_info("y", 1, [1, 500])],
        [onnx.numpy_helper.from_array(values, "w")],
    ), opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)  # fmt: skip
    onnx.save(model, tmp_path / "m.onnx")
    graph = load(tmp_path / "m.onnx")
    made = apply(make("precision.retype", {"interface": "convert"}), graph.with_types(infer(graph)))
    again = load(stage(made, tmp_path / "job"))
    assert np.array_equal(again.initializers["w"].array(), values.astype(np.float16))
    assert magnitude(made.initializers["w"], again.initializers["w"]) is None
    other = Initializer.from_array(values.astype(np.float16) + np.float16(1), "w")
    assert magnitude(made.initializers["w"], other) is not None
    assert np.array_equal(retyped(made.initializers["w"], 1).array(), values.astype(np.float16).astype(np.float32))
