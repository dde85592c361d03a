from __future__ import annotations

import json
from pathlib import Path

import pytest

from graftwerk.app.main import main


def test_equal_models_end_with_zero(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(models / "digits.onnx")
    assert main(["diff", path, path]) == 0
    assert capsys.readouterr().out == "no difference; 31 nodes are on both sides\n"


def test_what_differs_is_told_line_by_line_and_ends_with_one(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(models / "digits_bn.onnx"), str(models / "digits.onnx")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("12 nodes removed, 22 nodes changed")
    assert "− BatchNormalization /stem/bn/BatchNormalization" in lines
    assert "    input 2: none → stem.conv.bias" in lines
    assert any("relative L2" in line for line in lines)


def test_json_has_all_of_it(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(models / "digits_bn.onnx"), str(models / "digits.onnx"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["equal"] is False
    assert told["counts"] == {"removed": 12, "changed": 22}
    assert told["same_nodes"] == 31
    changed = next(one for one in told["weights"] if one["before"] == "stem.conv.weight")
    assert changed["changes"][0]["magnitude"]["relative_l2"] > 0


def test_without_weights_their_values_are_left_alone(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [str(models / "digits_bn.onnx"), str(models / "digits.onnx")]
    assert main(["diff", *both, "--no-weights", "--all"]) == 1
    out = capsys.readouterr().out
    assert "relative L2" not in out
    assert "The values of the weights were not compared" in out


def test_a_file_that_is_no_model_is_a_fault(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.onnx").write_text("no")
    assert main(["diff", str(models / "digits.onnx"), str(tmp_path / "no.onnx")]) == 3
    assert "hint" in capsys.readouterr().err
