"""The command line as scripts use it: exit codes, what is printed, what is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from graftwerk.app.main import main
from graftwerk.backend.engines.onnxruntime import run_model


def test_info_tells_what_a_model_holds(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(models / "digits.onnx"), "--json", "--nodes"]) == 0
    facts = json.loads(capsys.readouterr().out)
    model = onnx.load(models / "digits.onnx")
    assert facts["nodes"] == len(model.graph.node)
    assert [node["op"] for node in facts["node_list"]] == [node.op_type for node in model.graph.node]
    assert facts["parameters"] == sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    assert facts["inputs"] == {"input": "N×1×8×8 FP32"}


@pytest.mark.parametrize("command", ["info", "build", "profile", "shot"])
def test_a_file_that_is_no_model_is_one_line_and_a_hint(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"PK\x03\x04 not a model")
    more = ["-o", str(tmp_path / "out.png")] if command in ("build", "shot") else []
    assert main([command, str(bad), *more]) == 3
    shown = capsys.readouterr()
    lines = shown.err.strip().splitlines()
    assert lines[0].startswith("graftwerk: bad.onnx")
    assert len(lines) <= 2
    assert "Traceback" not in shown.err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["info"], ["run", "qdq.insert", "m.onnx"], ["build", "m.onnx"], ["--frobnicate"],
        ["shot", "m", "-o", "x", "--size", "3"],
    ],
)
def test_wrong_usage_exits_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["ops", "node.renam"], ["run", "node.renam", "m.onnx", "-o", "o.onnx"]])
def test_a_mistyped_operation_is_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "Did you mean node.rename" in capsys.readouterr().err


def test_a_mistyped_command_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["frobnicate"]) == 2
    assert "frobnicate: There is no such command or file" in capsys.readouterr().err
    assert main(["aply", "recipe.json", "model.onnx"]) == 2
    assert "Did you mean apply?" in capsys.readouterr().err


def test_every_operation_is_listed_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", "--json"]) == 0
    listed = {one["id"]: one for one in json.loads(capsys.readouterr().out)}
    assert {"qdq.insert", "qdq.insert_layer", "graph.fold_constants"} <= listed.keys()
    for one in listed.values():
        assert one["doc"], one["id"]
        assert all(parameter["label"] for parameter in one["parameters"])


def test_run_applies_one_operation(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "quantized.onnx"
    source = models / "digits.onnx"
    conv = next(node for node in onnx.load(source).graph.node if node.op_type == "Conv")
    assert main(["run", "qdq.insert_layer", str(source), "-o", str(out), "--node", conv.name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["incomplete"] is None
    made = onnx.load(out)
    onnx.checker.check_model(made)
    assert sum(node.op_type == "QuantizeLinear" for node in made.graph.node) == 2


def test_a_blocked_operation_says_why_and_writes_nothing(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.onnx"
    assert main(["run", "qdq.insert_layer", str(models / "digits.onnx"), "-o", str(out), "--node", "nowhere"]) == 3
    assert "nowhere" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(("operation", "said"), [
    (["interface.static_batch", "--size", "3"], "2 sets of inputs)"),
    (["interface.mark_outputs", "--op-types", "Relu"], "added outputs not compared)"),
    (["interface.set_layout", "--tensors", "input", "--to", "NHWC"], "2 sets of inputs)"),
])  # fmt: skip
def test_edits_of_the_interface_are_verified(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], operation: list[str], said: str
) -> None:
    out = tmp_path / "out.onnx"
    source = str(models / "digits.onnx")
    assert main(["run", operation[0], source, "-o", str(out), *operation[1:], "--verify"]) == 0
    assert said in capsys.readouterr().out


def test_a_model_that_became_invalid_is_never_verified(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit = ["interface.set_input", str(models / "digits.onnx"), "--tensor", "input", "--name", "x", "--dtype", "FP16"]
    assert main(["run", *edit, "-o", str(tmp_path / "out.onnx"), "--verify"]) == 1
    assert "not verified: the model is not valid" in capsys.readouterr().out


def test_nothing_to_do_is_done(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.onnx"
    assert main(["run", "cleanup.sort", str(models / "digits.onnx"), "-o", str(out)]) == 0
    assert "nothing to do: the nodes are in topological order" in capsys.readouterr().err
    assert onnx.load(out) == onnx.load(models / "digits.onnx")


def test_a_recipe_replays_on_another_export(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = models / "digits.onnx"
    conv = [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"][1]
    recipe = tmp_path / "edits.recipe.json"
    steps = [{"operation": "qdq.insert_layer", "node": conv}]
    recipe.write_text(json.dumps({"graftwerk_recipe": 1, "steps": steps}))
    for name in ("digits.onnx", "digits_bn.onnx"):
        out = tmp_path / name
        assert main(["apply", str(recipe), str(models / name), "-o", str(out)]) == 0
        image = np.load(models / "digits_eval.npz")["input"][:4]
        (before,) = run_model(models / name, {"input": image}).values()
        (after,) = run_model(out, {"input": image}).values()
        assert after.shape == before.shape
        assert not np.array_equal(after, before)
    capsys.readouterr()
    steps.append({"operation": "qdq.insert", "tensor": "gone"})
    recipe.write_text(json.dumps({"graftwerk_recipe": 1, "steps": steps}))
    assert main(["apply", str(recipe), str(source), "-o", str(tmp_path / "never.onnx")]) == 3
    assert "step 2" in capsys.readouterr().err
    assert not (tmp_path / "never.onnx").exists()


def test_a_script_takes_other_values_for_a_recipe_s_parameters(models: Path, tmp_path: Path) -> None:
    recipe, script, out = tmp_path / "edits.recipe.json", tmp_path / "edit.py", tmp_path / "out.onnx"
    steps = [{"operation": "tensor.rename", "tensor": "input", "name": "$called"}]
    recipe.write_text(json.dumps({"graftwerk_recipe": 2, "parameters": {"called": "x"}, "steps": steps}))
    model = str(models / "digits.onnx")
    for kind in ("graphsurgeon", "graftwerk"):
        arguments = ["export", str(recipe), model, "-o", str(script), "--for", kind]
        assert main([*arguments, "--set", "called=pixels"]) == 0
        subprocess.run([sys.executable, script, model, out], check=True, cwd=tmp_path)
        assert [info.name for info in onnx.load(out).graph.input] == ["pixels"]
        assert main([*arguments, "--set", "cald=pixels"]) == 3


def test_build_leaves_an_engine_and_its_report(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, report = tmp_path / "digits.engine", tmp_path / "digits.json"
    arguments = ["build", str(models / "digits.onnx"), "-o", str(engine), "--target", "sm89", "--report", str(report)]
    assert main([*arguments, "--shapes", "input:1x1x8x8,4x1x8x8,16x1x8x8", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    made = json.loads(report.read_text())
    assert engine.stat().st_size == facts["engine_bytes"] == made["engine_bytes"]
    assert made["targets"] == ["sm89"]
    assert len(made["layers"]) == facts["layers"] > 0
    convolutions = [node.name for node in onnx.load(models / "digits.onnx").graph.node if node.op_type == "Conv"]
    assert all(made["nodes"][name]["layer"] for name in convolutions)
    assert main([*arguments, "--shapes", "input:1x2x8x8"]) == 3
    assert main([*arguments[:4], "--target", "sm12"]) == 3


def test_profile_times_every_node(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "profile.json"
    source = models / "digits.onnx"
    arguments = ["profile", str(source), "--iterations", "5", "--report", str(report), "--shapes", "input:8x1x8x8"]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    made = json.loads(report.read_text())
    assert facts["backend"] == made["backend"] == "onnxruntime"
    assert facts["latency_ms_p50"] > 0
    timed = {ref for layer in made["layers"] for ref in layer["onnx_nodes"]}
    assert {node.name for node in onnx.load(source).graph.node} <= timed | set(made["not_run"])
