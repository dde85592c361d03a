"""calibrate and quantize from the command line: what they write, what they say, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graftwerk.app.main import main
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.quantize.calibration import load
from graftwerk.backend.quantize.trt_cache import read_cache


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path / "kept"))


def test_from_float_to_a_calibrated_model(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = str(models / "digits.onnx"), str(models / "digits_calib.npz")
    ranges, cache, out = (tmp_path / name for name in ("c.npz", "c.cache", "int8.onnx"))
    asked = ["calibrate", model, "--data", data, "--batch", "32", "-o", str(ranges), "--cache", str(cache), "--json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == 256
    found = load(ranges)
    assert told["tensors"]["input"]["amax"] == found.amax("input")
    assert read_cache(cache)["input"] == pytest.approx(found.amax("input"), rel=1e-6)
    assert not list((tmp_path / "kept" / "calibrating").iterdir())

    again = ["calibrate", model, "--data", data, "--batch", "64", "-o", str(tmp_path / "again.npz"), "--compare"]
    assert main([*again, str(ranges), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []  # batches make no difference
    assert main([*again, str(ranges), "--method", "max", "--json"]) == 0
    differ = json.loads(capsys.readouterr().out)["differences"]
    assert len(differ) > 10
    assert differ[0]["before"] == pytest.approx(found.amax(differ[0]["tensor"]))

    assert main(["quantize", model, "--calibration", str(ranges), "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["layers"]) == 13
    assert told["remarks"] == []
    held = np.load(models / "digits_eval.npz")
    logits = [run_model(path, {"input": held["input"]})["logits"] for path in (Path(model), out)]
    before, after = ((one.argmax(1) == held["label"]).mean() for one in logits)
    assert after >= before - 0.005

    assert main(["quantize", model, "--data", data, "--batch", "64", "--skip-last", "-o", str(out)]) == 0
    assert "stays in float: The last layer is kept in float" in capsys.readouterr().out


def test_what_can_t_be_is_said(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = str(models / "digits.onnx"), str(tmp_path / "c.npz")
    np.save(tmp_path / "wrong.npy", np.zeros((1, 3, 8, 8), np.float32))
    for arguments, says in (
        (["calibrate", model, "-o", out], "There is no data"),
        (["calibrate", model, "--data", str(tmp_path / "wrong.npy"), "-o", out], "the data 1x3x8x8"),
        (["calibrate", model, "--random", "1", "--percentile", "101", "-o", out], "--percentile is 101"),
        (["quantize", model, "--calibration", model, "-o", str(tmp_path / "x.onnx")], "Not a calibration"),
        (["quantize", model, "--calibration", out, "--random", "2", "-o", str(tmp_path / "x.onnx")], "are both given"),
        (["quantize", model, "--keep", "nobody", "-o", str(tmp_path / "x.onnx")], "There is no such node"),
    ):
        assert main(arguments) == 3, arguments
        assert says in capsys.readouterr().err
    assert not Path(out).exists()


def test_the_rules_are_told_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["quantize", "--rules"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.count("    TensorRT developer guide") == 5
    assert "residual: The other branch of a residual Add" in told
