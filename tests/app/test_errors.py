"""The error of every tensor along the network, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graftwerk.app.main import main
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.quantize.calibration import Calibration


def test_errors_are_those_of_running_both(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, quantized = models / "digits.onnx", tmp_path / "int8.onnx"
    Calibration(given={"/stem/relu/Relu_output_0": 1.0}).save(tmp_path / "c.npz")  # far too small a range
    assert main(["quantize", str(model), "--calibration", str(tmp_path / "c.npz"), "-o", str(quantized)]) == 0
    data = np.load(models / "digits_eval.npz")["input"][:70]
    np.savez(tmp_path / "held.npz", input=data)
    capsys.readouterr()
    asked = ["errors", str(model), str(quantized), "--data", str(tmp_path / "held.npz"), "--batch", "32"]
    assert main([*asked, "--json"]) == 0
    told = {one["tensor"]: one for one in json.loads(capsys.readouterr().out)["tensors"]}
    assert next(iter(told)) == "/stem/conv/Conv_output_0"  # the order of the network
    for name in ("/layer1/layer1.0/conv1/Conv_output_0", "logits"):
        one, other = (run_model(path, {"input": data}, [name])[name] for path in (model, quantized))
        expected = 10 * np.log10((one**2).sum() / ((one - other) ** 2).sum())
        assert told[name]["sqnr"] == pytest.approx(expected, abs=0.01)
        # Sums in another order may round to the next step.
        assert told[name]["largest"] == pytest.approx(np.abs(one - other).max(), rel=0.01)
    relu = run_model(model, {"input": data}, ["/stem/relu/Relu_output_0"])["/stem/relu/Relu_output_0"]
    assert told["/stem/relu/Relu_output_0"]["saturated"] == pytest.approx((relu > 1).mean(), abs=1e-4)
    assert told["/stem/conv/Conv_output_0"]["saturated"] is None
    assert main(asked) == 0
    assert "% cut off" in capsys.readouterr().out

    assert main(["errors", str(model), str(model), "--random", "2", "--json"]) == 0
    assert {one["sqnr"] for one in json.loads(capsys.readouterr().out)["tensors"]} == {None}
    assert main(["errors", str(model), str(models / "encoder.onnx"), "--random", "1"]) == 3
    assert "no tensor in common" in capsys.readouterr().err
    assert main(["errors", str(model), str(model)]) == 3
    assert "There is no data" in capsys.readouterr().err
