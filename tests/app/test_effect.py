"""--dry-run and --verify: what an edit would do, and whether it left what is computed as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from graftwerk.app.main import main

Output = pytest.CaptureFixture[str]


def test_a_dry_run_tells_and_writes_nothing(models: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "out.onnx"
    model = str(models / "digits_bn.onnx")
    assert main(["run", "cleanup.fuse_batch_norm", model, "-o", str(out), "--dry-run"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == ["Nodes: 43 → 31 (-12)", "Removed: BatchNormalization ×12", "Changed: Conv ×12"]
    assert told[3].startswith("Weights: 62 → 26 (-36); values ")
    assert told[4].startswith("File: ")
    assert not out.exists()


def test_verified_on_random_and_given_inputs(models: Path, tmp_path: Path, capsys: Output) -> None:
    out, given = tmp_path / "out.onnx", tmp_path / "given.npz"
    np.savez(given, input=np.random.default_rng(1).normal(size=(3, 1, 8, 8)).astype(np.float32))
    command = ["run", "cleanup.simplify", str(models / "digits_bn.onnx"), "-o", str(out), "--json", "--verify"]
    assert main([*command, "--verify-inputs", str(given)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["effect"]["removed"] == {"BatchNormalization": 12}
    assert found["effect"]["file_bytes"][1] < found["effect"]["file_bytes"][0]
    assert abs(found["effect"]["file_bytes"][1] - out.stat().st_size) < 16
    assert found["verification"]["state"] == "verified"
    assert 0 < found["verification"]["largest"] < 1e-3
    assert "3 sets of inputs" in found["verification"]["text"]
    assert (found["verification"]["relative"], found["verification"]["absolute"]) == (1e-3, 1e-5)


def test_an_edit_that_changes_what_is_computed_differs(models: Path, tmp_path: Path, capsys: Output) -> None:
    weight = onnx.load(models / "digits.onnx").graph.initializer[0].name
    command = ["run", "weights.fill", str(models / "digits.onnx"), "--tensors", weight, "--value", "0.5"]
    assert main([*command, "-o", str(tmp_path / "out.onnx"), "--verify"]) == 1
    assert capsys.readouterr().out.startswith("differs: logits by up to ")


def test_a_retype_is_verified_rounded(models: Path, capsys: Output) -> None:
    command = ["run", "precision.retype", str(models / "digits.onnx"), "--to", "FP16", "--dry-run", "--verify"]
    assert main(command) == 0
    assert "tolerance 0.01 relative + 0.01, 2 sets of inputs, 32 tensors rounded)" in capsys.readouterr().out


def test_what_can_not_be_run_is_not_verified(tmp_path: Path, capsys: Output) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (bfloat16[2,3] x) => (bfloat16[2,3] y) { a = Identity(x) y = Relu(a) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "bf16.onnx")
    assert main(["run", "cleanup.remove_noops", str(tmp_path / "bf16.onnx"), "--dry-run", "--verify"]) == 1
    assert "not verified: " in capsys.readouterr().out.splitlines()[-1]
