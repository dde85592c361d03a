"""Sensitivity from the command line, on the bundled network and its labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftwerk.app.main import main
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.quantize.score import compared

SPOILED = "/layer2/layer2.0/conv1/Conv"


@pytest.fixture
def spoiled(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments for a model one of whose layers has a weight far out in each channel: their steps become coarse."""
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path / "kept"))
    graph = load(models / "digits.onnx")
    name = graph.nodes[graph.find(SPOILED)].input[1]
    values = graph.initializers[name].array().copy()
    values[:, 0, 0, 0] = 20 * np.abs(values).max()
    edit = Edit(graph)
    edit.set_initializer(values, name)
    model = tmp_path / "spoiled.onnx"
    save(edit.commit(), model)
    data = np.load(models / "digits_eval.npz")
    np.savez(tmp_path / "held.npz", input=data["input"])
    ranges = str(tmp_path / "c.npz")
    assert main(["calibrate", str(model), "--data", str(models / "digits_calib.npz"), "--batch", "64", "-o", ranges,
                 "--method", "max"]) == 0  # fmt: skip
    return ["sensitivity", str(model), "--calibration", ranges, "--data", str(tmp_path / "held.npz")]


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_spoiled_layer_is_ranked_first_and_kept_in_float(
    spoiled: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(spoiled, capsys)
    assert len(found["layers"]) == 13
    assert found["layers"][0]["layer"] == SPOILED
    assert found["layers"][0]["sqnr"] < found["layers"][1]["sqnr"] - 6
    assert found["float"]["sqnr"] is None

    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept" / "sensitivity").rglob("*.json")}
    assert len(files) == 15
    assert told(spoiled, capsys) == found
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept" / "sensitivity").rglob("*.json")} == files

    out = tmp_path / "mixed.onnx"
    budget = 60 - found["all"]["sqnr"] - 3  # three decibels better than all quantized
    mixed = told([*spoiled, "--budget", str(budget), "-o", str(out)], capsys)["mixed"]
    assert mixed[-1]["keep"] == [SPOILED]
    assert mixed[-1]["sqnr"] >= found["all"]["sqnr"] + 3
    kept = load(out)
    makers = [kept.producer(name) for name in kept.nodes[kept.find(SPOILED)].input]
    assert "DequantizeLinear" not in {kept.nodes[node].op_type for node in makers if node is not None}


def test_labels_metrics_and_what_fails(
    spoiled: list[str], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = f"{models / 'digits_eval.npz'}:label"
    found = told([*spoiled, "--labels", labels, "--mode", "all but", "--workers", "1"], capsys)
    assert 0 <= found["all"]["task"] <= found["float"]["task"] <= 1
    assert all(one["task"] is not None for one in found["layers"])
    mean = "def mean(outputs, labels):\n    return outputs['logits'].mean()\n"
    bad = "def bad(outputs, labels):\n    raise RuntimeError('no such label')\n"
    (tmp_path / "mine.py").write_text(mean + bad)
    mine = told([*spoiled, "--metric", f"{tmp_path / 'mine.py'}:mean", "--most", "32"], capsys)
    assert isinstance(mine["float"]["task"], float)
    for extra, says in (
        (["--metric", f"{tmp_path / 'mine.py'}:bad"], "The metric failed: RuntimeError: no such label"),
        (["--metric", "nothing"], "There is no such metric"),
        (["--labels", labels, "--most", "10"], "500 labels for 10 samples"),
        (["--budget", "1"], "belong together"),
    ):
        assert main([*spoiled, *extra]) == 3
        assert says in capsys.readouterr().err


def test_scores() -> None:
    one = {"y": np.array([1.0, 2.0], np.float32), "n": np.array([1])}
    same = compared(one, one)
    assert (same.sqnr, same.mse) == (float("inf"), 0)
    assert same.cosine == pytest.approx(1)
    other = compared(one, {"y": np.array([1.0, 2.1], np.float32), "n": np.array([2])})
    assert other.sqnr == pytest.approx(10 * np.log10(5 / 0.01), abs=0.01)
    assert other.mse == pytest.approx(0.005, rel=1e-3)
