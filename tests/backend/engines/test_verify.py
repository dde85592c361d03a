"""Verification: what differs is seen, what can't be compared is said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graftwerk.backend.engine_jobs import verify_job
from graftwerk.backend.engines.report import Verification
from graftwerk.backend.engines.report_file import read_verification
from graftwerk.backend.engines.verify import difference
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.qdq_insert import InsertQdqLayer
from graftwerk.backend.operations.registry import apply


def verify(one: Graph, other: Graph, folder: Path) -> Verification:
    result = run_here(verify_job(one, other, folder), folder, lambda event: None)
    return read_verification(Path(result["verification"]))


def test_a_model_equals_itself_and_says_what_was_not_checked(models: Path, tmp_path: Path) -> None:
    graph = load(models / "encoder.onnx")
    found = verify(graph, graph, tmp_path)
    assert found.same
    assert [output.identical for output in found.outputs] == [True]
    assert found.outputs[0].sqnr_db is None
    assert "FP32" in found.precision
    assert any("TensorRT" in text for text in found.not_checked)


def test_quantizing_a_layer_differs_a_little(models: Path, tmp_path: Path) -> None:
    graph = load(models / "digits.onnx")
    conv = next(graph.ref(node) for node, record in graph.nodes.items() if record.op_type == "Conv")
    found = verify(graph, apply(InsertQdqLayer(conv, {"input": 5 / 127}), graph), tmp_path)
    assert not found.same
    assert found.outputs[0].sqnr_db is not None
    assert found.outputs[0].sqnr_db > 20
    assert "Q/DQ" in found.precision


def test_a_renamed_output_is_left_out_by_name(models: Path, tmp_path: Path) -> None:
    graph = load(models / "digits.onnx")
    edit = Edit(graph)
    edit.rename_tensor("logits", "scores")
    with pytest.raises(Fault, match="no output in common"):
        verify(graph, edit.commit(), tmp_path)


def test_differences_are_those_of_the_arrays() -> None:
    one = np.array([1.0, -2.0, np.nan, np.inf], np.float32)
    assert difference("x", one, one.copy(), 0.0, 0.0).identical
    moved = difference("x", one, np.array([1.5, -2.0, np.nan, np.inf], np.float32), 0.1, 0.0)
    assert (moved.largest, moved.scale, moved.same) == (0.5, 2.0, False)
    assert moved.sqnr_db == pytest.approx(10 * math.log10(5.0 / 0.25))
    assert not difference("x", one, np.array([1.0, -2.0, 0.0, np.inf], np.float32), 1.0, 1.0).same
    assert not difference("x", one, one[:3], 1.0, 1.0).same
    assert not difference("x", one, one.astype(np.float64), 1.0, 1.0).identical


def test_what_there_was_to_compare_is_said(tmp_path: Path) -> None:
    empty = difference("x", np.empty((0, 3), np.float32), np.empty((0, 3), np.float32), 0.0, 0.0)
    assert (empty.elements, empty.same) == (0, True)
    nan = np.array([1.0, np.nan, np.nan], np.float32)
    some = difference("x", nan, np.array([1.0, 2.0, np.nan], np.float32), 0.0, 0.0)
    assert (some.elements, some.nans, some.other_nans, some.same) == (3, 2, 1, False)

    nodes = [helper.make_node("Log", ["x"], ["y"])]
    values = {"e": np.empty((0, 2), np.float32), "n": np.array([-1.0], np.float32)}
    for name, words in (("e", "0 elements"), ("n", "all NaN")):
        infos = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        weights = [numpy_helper.from_array(values[name], "x")]
        onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], infos, weights), ir_version=8,
                                    opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")  # fmt: skip
        graph = load(tmp_path / "m.onnx")
        found = verify(graph, graph, tmp_path / name)
        assert any(text.startswith("output y, which") and words in text for text in found.not_checked)
        assert found.same == (name == "n")
