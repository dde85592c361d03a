"""Q/DQ from elsewhere is audited, and made such as TensorRT takes it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from graftwerk.app.main import main
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.backend.quantize.audit import audit
from tests.backend.operations.cases_quantize import unsigned
from tests.backend.operations.law_models import graph_of, parsed
from tests.backend.quantize.test_precision import layers, precisions


class Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, path: Path) -> None:
        self.batches = iter(np.split(np.load(path)["input"][:128], 4))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"input": batch}


def test_what_onnxruntime_quantized_builds_and_keeps_its_accuracy(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    quantize_static(
        models / "digits.onnx", path, Images(models / "digits_calib.npz"), quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
    )  # fmt: skip
    foreign = typed(load(path))
    assert "Relu" not in {record.op_type for record in foreign.nodes.values()}  # their ranges begin at zero
    assert Counter(one.rule for one in audit(foreign)) == {"asymmetric": 22, "bias": 13, "junction": 1}
    with pytest.raises(Fault):
        precisions(foreign, tmp_path / "refused")

    operation = make("qdq.make_symmetric", {})
    result = apply(operation, foreign)
    assert {one.rule for one in audit(result)} == {"junction"}
    assert all("steps 1." in one or "steps 2.0" in one for one in operation.remarks(foreign, result))
    assert set(precisions(result, tmp_path / "built").values()) == {"INT8"}
    assert len(layers(result)) == 13
    held = np.load(models / "digits_eval.npz")

    def accuracy(model: Graph) -> float:
        logits = run_model(to_model(model), {"input": held["input"]})["logits"]
        return float((logits.argmax(1) == held["label"]).mean())

    assert accuracy(result) >= accuracy(foreign) - 0.005


def test_the_new_grid_holds_what_the_old_one_did() -> None:
    graph = unsigned()
    result = apply(make("qdq.make_symmetric", {}), graph)
    assert not audit(result)
    x = np.array([[[[-3.0, 0.5], [7.3, 25.4]]]], np.float32)
    before, after = (run_model(to_model(one), {"x": x})["y"] for one in (graph, result))
    assert np.abs(before - after).max() < 0.25  # two steps of the new grid, at most
    reason = why_blocked(make("qdq.make_symmetric", {}), result)
    assert reason is not None
    assert reason.text == "Every Q/DQ pair is symmetric"


def test_each_rule_names_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = graph_of(parsed("""g (float[2,4] x, float[2,4] w) => (float[4,4] y, float[2,4] v)
        <float s = {0.1}, float t = {0.2}, float[4] c = {1, 2, 3, 4}, int8 z = {0}, int8[4] zs = {0, 0, 0, 0}> {
            [q1] a = QuantizeLinear(x, s, z) [d1] b = DequantizeLinear(a, s, z)
            [q2] d = QuantizeLinear(b, t, z) [d2] e = DequantizeLinear(d, t, z)
            [q3] f = QuantizeLinear<axis = 1>(w, c, zs) [d3] g = DequantizeLinear<axis = 1>(f, c, zs)
            [q4] h = QuantizeLinear(w, s, z) [d4] i = DequantizeLinear(h, t, z)
            [q5] j = QuantizeLinear(w, s, z) [d5] k = DequantizeLinear(j, s, z)
            [join] y = Concat<axis = 0>(e, k) v = Add(g, i)
        }"""))
    found = {(one.rule, one.where) for one in audit(graph)}
    assert found == {("twice", "d2"), ("channels", "d3"), ("alone", "q4"), ("alone", "d4"), ("junction", "join")}
    path = tmp_path / "m.onnx"
    path.write_bytes(to_model(graph).SerializeToString())
    assert main(["quantize", str(path), "--audit"]) == 1
    told = capsys.readouterr().out
    assert "join: Concat joins 2 tensors with 2 different scales" in told
    assert "5 found" in told
