"""Parts of models: extracted and split by mouse, and by the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from graftwerk.app.main import main
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.operations.keep import Keep
from graftwerk.widgets.panels.form import OperationDialog
from tests.app import driving
from tests.app.driving import choose, click, context_menu, entry, messages, point_of, text_of, wait_until
from tests.backend.operations import graft_files as files
from tests.backend.operations.law_models import parsed

Open = Callable[[Path], Tab]


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    text = "g (float[2,3] x) => (float[2,3] y) { a = Relu(x) b = Mul(a, w) c = Neg(a) d = Add(b, c) y = Tanh(d) }"
    model = parsed(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w"))
    path = tmp_path / "chain.onnx"
    onnx.save(model, path)
    return path


def operators(graph: Graph) -> list[str]:
    return [record.op_type for record in graph.nodes.values()]


def named(tab: Tab, op_type: str) -> int:
    return driving.nodes_of(tab.graph, op_type)[0]


def test_a_selection_is_extracted_by_mouse(window: Window, open_model: Open, chain: Path, tmp_path: Path) -> None:
    tab = open_model(chain)
    before = tab.document.graph
    click(tab, named(tab, "Mul"))
    click(tab, named(tab, "Neg"), driving.SHIFT)
    click(tab, named(tab, "Add"), driving.SHIFT)
    menu = window.menus.shown["subgraph.extract"]
    assert menu.isEnabled()
    driving.press_key(window, Qt.Key.Key_E, driving.CONTROL | driving.SHIFT)
    wait_until(lambda: window.tab is not tab)
    part = window.need_tab()
    assert operators(part.graph) == ["Mul", "Neg", "Add"]
    assert [info.name for info in part.graph.inputs] == ["a"]
    assert [info.name for info in part.graph.outputs] == ["d"]
    assert list(part.graph.initializers) == ["w"]
    assert part.title == "chain.part.onnx"
    assert part.document.dirty
    assert tab.document.graph is before
    assert not tab.document.dirty
    target = tmp_path / "saved" / "part.onnx"
    target.parent.mkdir()
    with driving.answering(choose(target)):
        window.menus.shown["file.save"].trigger()
    assert not part.document.dirty
    a = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    np.testing.assert_array_equal(run_model(target, {"a": a})["d"], a * [1, 2, 3] - a)


def test_what_lies_between_two_selected_tensors(window: Window, open_model: Open, chain: Path) -> None:
    tab = open_model(chain)
    tab.canvas.select((), ("d", "a"))
    window.menus.shown["subgraph.extract"].trigger()
    assert operators(window.need_tab().graph) == ["Mul", "Neg", "Add"]


def test_a_model_is_split_in_two_tabs(window: Window, open_model: Open, chain: Path) -> None:
    tab = open_model(chain)
    click(tab, named(tab, "Mul"))
    window.menus.shown["subgraph.split"].trigger()
    assert [each.title for each in window.tabs()] == ["chain.onnx", "chain.1.onnx", "chain.2.onnx"]
    _, first, second = window.tabs()
    assert operators(first.graph) == ["Relu", "Mul"]
    assert operators(second.graph) == ["Neg", "Add", "Tanh"]
    assert [info.name for info in second.graph.inputs] == ["b", "a"]


def test_a_branch_is_extracted_from_inside(window: Window, open_model: Open, tmp_path: Path) -> None:
    tab = open_model(Path(files.PAIR))
    tab.open_nested(named(tab, "If"), "then_branch")
    click(tab, named(tab, "Relu"))
    window.menus.shown["subgraph.extract"].trigger()
    part = window.need_tab()
    assert (operators(part.graph), [info.name for info in part.graph.inputs]) == (["Relu"], ["left"])
    assert not part.graph.reserved


def test_what_can_t_be_split_says_why(window: Window, open_model: Open, chain: Path) -> None:
    tab = open_model(chain)
    tab.canvas.select((), ("y",))
    window.menus.shown["subgraph.split"].trigger()
    (box,) = messages(window)
    assert "No output behind the cut needs this tensor" in text_of(box)
    box.close()
    assert window.tabs() == [tab]


def test_cropping_is_an_edit_from_the_context_menu(window: Window, open_model: Open, chain: Path) -> None:
    tab = open_model(chain)
    node = named(tab, "Mul")
    click(tab, node)
    with context_menu(tab, point_of(tab, node)) as menu:
        entry(menu, "Crop to selection").trigger()
    dialog = driving.dialog_of(window, OperationDialog)
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    assert operators(tab.graph) == ["Mul"]
    assert isinstance(tab.document.revisions[-1].operation, Keep)
    tab.document.undo()
    assert len(tab.graph.nodes) == 5


def test_another_model_is_merged_from_the_menu(window: Window, open_model: Open, chain: Path) -> None:
    tab = open_model(chain)
    window.menus.shown["operation.graph.merge"].trigger()
    dialog = driving.dialog_of(window, OperationDialog)
    assert not dialog.apply_button.isEnabled()
    dialog.form.editors["file"].set_value(files.SCALE)
    dialog.form.editors["series"].set_value(True)
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    assert operators(tab.graph)[-2:] == ["Mul", "Add"]
    assert [info.name for info in tab.graph.outputs] == ["y_1"]
    tab.document.undo()
    assert [info.name for info in tab.graph.outputs] == ["y"]


def test_the_form_says_which_ports_have_no_partner(window: Window, open_model: Open, chain: Path) -> None:
    """Nodes are replaced by a model with more ports: the form lists both sides, and takes a mapping."""
    tab = open_model(chain)
    click(tab, named(tab, "Tanh"))
    with context_menu(tab, point_of(tab, named(tab, "Tanh"))) as menu:
        entry(menu, "Replace with model").trigger()
    dialog = driving.dialog_of(window, OperationDialog)
    dialog.form.editors["file"].set_value(files.PAIR)
    wait_until(lambda: "left, c of the other model; d of the nodes" in dialog.reason.text())
    dialog.form.editors["file"].set_value(files.SCALE)
    dialog.form.editors["inputs"].set_value({"x": "b"})
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    (mul,) = [record for record in tab.graph.nodes.values() if record.op_type == "Mul" and "b" in record.input]
    assert mul.input[0] == "b"
    assert [info.name for info in tab.graph.outputs] == ["y"]


# Commands


def test_the_extract_command(chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "part.onnx"
    assert main(["extract", str(chain), "--inputs", "a", "--outputs", "d", "-o", str(target), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "output": str(target), "nodes": 3, "inputs": {"a": "2×3 FP32"}, "outputs": {"d": "2×3 FP32"},
    }  # fmt: skip
    assert operators(load(target)) == ["Mul", "Neg", "Add"]
    assert main(["extract", str(chain), "--nodes", "Neg_2", "-o", str(target)]) == 0
    assert "3 nodes" not in capsys.readouterr().out
    assert main(["extract", str(chain), "--inputs", "y", "--outputs", "d", "-o", str(target)]) == 3
    assert "No output needs it" in capsys.readouterr().err
    assert operators(load(target)) == ["Neg"]


def test_parts_are_taken_by_selectors(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = str(models / "encoder.onnx"), str(tmp_path / "part.onnx")
    whole = load(Path(source))
    scope = next("/" + "/".join(part) for part in map(scope_of, whole.nodes.values()) if len(part) > 1)
    assert main(["extract", source, "--nodes", f"@scope={scope}", "-o", out]) == 0
    part = load(Path(out))
    inside = [record.name for record in whole.nodes.values() if f"{record.name}/".startswith(f"{scope}/")]
    assert {record.name for record in part.nodes.values()} >= set(inside)
    ends = [info.name for info in part.outputs]
    assert main(["extract", source, "--outputs", f"@scope={scope}", "-o", out]) == 0
    assert [info.name for info in load(Path(out)).outputs] == ends
    inputs = [f"@scope={scope}", "attention_mask"]
    assert main(["extract", source, "--outputs", "@graph.output [0]", "--inputs", *inputs, "-o", out]) == 0
    assert [info.name for info in load(Path(out)).inputs] == [*(info.name for info in part.inputs), "attention_mask"]
    assert main(["extract", source, "--nodes", "@scope=/nowhere", "-o", out]) == 3
    assert "No node matches" in capsys.readouterr().err
    parts = [out, str(tmp_path / "rest.onnx")]
    assert main(["split", source, "--at", "@out0: op=Softmax [0]", "--complete", "--no-verify", "-o", *parts]) == 0


def test_the_split_command_verifies(chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    command = ["split", str(chain), "--at", "b", "-o", str(first), str(second)]
    assert main(command) == 3
    assert "Both sides of the cut need a" in capsys.readouterr().err
    assert not first.exists()
    assert main([*command, "--complete", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verification"]["verified"]
    assert told["verification"]["same"]
    assert told["verification"]["largest_difference"] == {"y": 0}
    assert operators(load(second)) == ["Neg", "Add", "Tanh"]
    assert main([*command, "--complete"]) == 0
    assert "they compute the same as the whole" in capsys.readouterr().out


def test_a_split_that_can_t_be_run_is_called_not_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = parsed("g (float[2,3] x) => (float[2,3] y) { a = Relu(x) b = trt.plugins.Gelu(a) y = Neg(b) }",
                   extra=', "trt.plugins" : 1')  # fmt: skip
    onnx.save(model, tmp_path / "plugin.onnx")
    parts = [str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")]
    assert main(["split", str(tmp_path / "plugin.onnx"), "--at", "a", "-o", *parts]) == 0
    assert "not verified: " in capsys.readouterr().out
