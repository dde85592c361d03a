"""The checklist answers from what was measured, and says where it doesn't know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.quantize.calibration import Calibration
from graftwerk.backend.quantize.checklist import Answer, checklist
from graftwerk.backend.quantize.errors import TensorError
from graftwerk.backend.quantize.histogram import Observer


@pytest.fixture
def placed(models: Path) -> Graph:
    return typed(apply(make("qdq.place", {}), typed(load(models / "digits.onnx"), symbolic=False)), symbolic=False)


def answers(graph: Graph, errors: list[TensorError], **more: Calibration | int) -> dict[str, Answer]:
    found = checklist(graph, errors, **more)  # type: ignore[arg-type]
    assert all(one.evidence for one in found)
    return {one.question.split("?")[0]: one for one in found}


def test_good_errors_accuse_nothing_but_the_ends(placed: Graph) -> None:
    output = placed.outputs[0].name
    errors = [TensorError("a", "Conv", 45.0, 1.0, 0.1, 0.0), TensorError(output, "Gemm", 38.0, 1.0, 0.1, None)]
    found = answers(placed, errors)
    assert found["Are inputs or outputs quantized"].where == (placed.inputs[0].name,)
    assert [one.verdict for one in found.values()].count("yes") == 1
    assert found["Was there too little data"].verdict == "not known"
    assert found["Is it the wrong method of calibration"].verdict == "not known"


def test_a_fall_a_cut_and_a_lost_output_are_named(placed: Graph) -> None:
    output = placed.outputs[0].name
    errors = [
        TensorError("a", "Conv", 42.0, 1.0, 0.1, 0.0), TensorError("b", "Conv", 12.0, 0.9, 9.0, 0.2),
        TensorError(output, "Gemm", 9.0, 0.8, 5.0, None),
    ]  # fmt: skip
    found = answers(placed, errors)
    assert found["Is there one layer where it falls"].verdict == "yes"
    assert found["Is there one layer where it falls"].where == ("b",)
    assert found["Do pairs cut values off"].where == ("b",)
    assert found["Have all outputs fallen, or one"].where == (output,)


def test_little_data_and_a_wrong_method_are_seen(placed: Graph) -> None:
    observer = Observer()
    values = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    observer.add(np.append(values, np.float32(60.0)))  # one outlier, that max follows
    calibration = Calibration(histograms={"a": observer.histogram()}, method="max", samples=4)
    found = answers(placed, [TensorError("a", "Conv", 15.0, 0.9, 1.0, 0.0)], calibration=calibration, batch=2)
    assert found["Was there too little data"].verdict == "yes"
    assert found["Is it the wrong method of calibration"].where == ("a",)
    assert "2 at once" in found["Was the batch too small"].evidence
