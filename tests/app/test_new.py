"""A model from nothing: by the form in the window, and by the command."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from PySide6.QtTest import QTest

from graftwerk.app.main import main
from graftwerk.app.window import Window
from graftwerk.backend.graph import encode, files
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.types import TensorType
from graftwerk.widgets.panels.new_form import NewModel
from tests.app.driving import LEFT, answering, choose, dialog_of, wait_until


def test_a_model_is_made_built_and_saved(window: Window, tmp_path: Path) -> None:
    window.menus.shown["file.new"].trigger()
    form = dialog_of(window, NewModel)
    form.name.setText("net")
    QTest.mouseClick(form.add_output, LEFT)
    assert not form.create_button.isEnabled()  # the output has no name yet
    assert "needs a name" in form.reason.text()
    row = form.outputs[0]
    QTest.keyClicks(row.name, "x")
    assert "another type" in form.reason.text()
    row.name.clear()
    QTest.keyClicks(row.name, "y")
    QTest.keyClicks(row.dims, "batch,-1")
    assert "'-1' is neither" in form.reason.text()
    row.dims.setText("batch,10")
    row.dtype.setCurrentText("FP16")
    form.opset.setValue(17)
    assert form.ir.value() == 8
    QTest.mouseClick(form.create_button, LEFT)
    wait_until(lambda: window.tab is not None, "for the new tab")
    tab = window.tab
    assert tab is not None
    assert [node.op_type for node in tab.graph.nodes.values()] == ["Placeholder"]
    wait_until(lambda: any("Nothing computes y yet" in problem.message for problem in tab.problems))
    path = tmp_path / "net.onnx"
    with answering(choose(path)):
        window.menus.shown["file.save"].trigger()
    wait_until(path.exists, "for the file")
    onnx.checker.check_model(str(path))
    graph = load(path)
    assert graph.opset() == 17
    assert str(TensorType.of(graph.outputs[0].type)) == "batch×10 FP16"


def test_rows_can_be_removed_and_a_model_may_be_empty(window: Window) -> None:
    window.files.new()
    form = dialog_of(window, NewModel)
    QTest.mouseClick(form.inputs[0].remove, LEFT)
    assert form.create_button.isEnabled()
    QTest.mouseClick(form.create_button, LEFT)
    wait_until(lambda: window.tab is not None, "for the new tab")
    assert window.tab is not None
    assert not window.tab.graph.nodes
    assert not window.tab.canvas.grab().isNull()


def test_the_command_makes_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.onnx"
    arguments = ["new", "-o", str(path), "--input", "x:float32:1x3x224x224", "--opset", "21", "--producer", "me"]
    assert main([*arguments, "--graph-output", "y:int64:n", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["opset"], said["ir_version"], said["incomplete"]) == (21, 10, "Nothing computes y yet")
    graph = load(path)
    assert graph.skeleton.name == "m"
    assert graph.model.producer_name == "me"
    for bad in (["--input", "x:float32"], ["--opset", "3"], ["--input", "x:float32:2", "--input", "x:float32:2"]):
        assert main(["new", "-o", str(tmp_path / "bad.onnx"), *bad]) == 3
        assert "hint: " in capsys.readouterr().err
    assert not (tmp_path / "bad.onnx").exists()


def test_weights_are_listed_and_exported(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(models / "digits.onnx")
    assert main(["weights", "list", model, "stem.*", "--statistics", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["stem.conv.weight", "stem.conv.bias"]
    assert rows[0]["shape"] == [32, 1, 3, 3]
    assert rows[0]["minimum"] < 0 < rows[0]["maximum"]
    assert main(["weights", "list", model]) == 0
    assert "stem.conv.weight  FP32  32×1×3×3" in capsys.readouterr().out
    out = tmp_path / "w.npz"
    assert main(["weights", "export", model, "stem.conv.weight", "layer1.*", "-o", str(out), "--json"]) == 0
    assert "layer1.0.conv1.weight" in json.loads(capsys.readouterr().out)["weights"]
    for bad, said in ((["nothing"], "no such weight"), (["stem.*"], "holds one array")):
        assert main(["weights", "export", model, *bad, "-o", str(tmp_path / "w.npy")]) == 3
        assert said in capsys.readouterr().err
    assert main(["weights", "export", model, "stem.*", "-o", model]) == 3
    assert main(["run", "weights.replace", model, "-o", str(tmp_path / "m.onnx"), "--tensor", "stem.conv.weight",
                 "--file", str(out), "--member", "stem.conv.weight"]) == 0  # fmt: skip


def test_a_save_says_that_it_moved_the_weights(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (encode, files):
        monkeypatch.setattr(module, "MESSAGE_LIMIT", 100_000)
    arguments = ["run", "node.rename", str(models / "digits.onnx"), "-o", str(tmp_path / "m.onnx")]
    assert main([*arguments, "--node", "/stem/conv/Conv", "--name", "first", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["external"] == "m.onnx.data"
    assert "2 GiB" in said.err
    assert (tmp_path / "m.onnx.data").exists()
