"""Nodes copied, cut and pasted with the keys, between two models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.widgets.panels.paste_form import PasteDialog
from tests.app import driving
from tests.app.driving import click, wait_until
from tests.backend.operations.law_models import parsed

Open = Callable[[Path], Tab]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "files"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    model = parsed("g (float[2,3] x) => (float[2,3] y) { a = Relu(x) b = Mul(a, w) y = Tanh(b) }")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w"))
    return _saved(tmp_path / "source.onnx", model)


def _saved(path: Path, model: onnx.ModelProto) -> Path:
    onnx.save(model, path)
    return path


def _key(tab: Tab, key: Qt.Key) -> None:
    window = tab.window()
    assert isinstance(window, Window)
    tab.canvas.setFocus()
    driving.press_key(window, key, driving.CONTROL)


def _ops(tab: Tab) -> list[str]:
    return [record.op_type for record in tab.graph.nodes.values()]


def _mul(tab: Tab) -> int:
    return driving.nodes_of(tab.graph, "Mul")[0]


def test_a_node_and_its_weight_go_to_another_tab(
    window: Window, open_model: Open, source: Path, tmp_path: Path, kept: Path
) -> None:
    first = open_model(source)
    click(first, _mul(first))
    _key(first, Qt.Key.Key_C)
    assert QGuiApplication.clipboard().text() == "b = Mul(a, w)"
    assert len(list(kept.iterdir())) == 1
    path = _saved(tmp_path / "target.onnx", parsed("t (float[2,3] x) => (float[2,3] b) { a = Neg(x) b = Abs(a) }"))
    second = open_model(path)
    before = second.document.graph
    _key(second, Qt.Key.Key_V)
    assert sorted(_ops(second)) == ["Abs", "Mul", "Neg"]
    pasted = second.graph.nodes[_mul(second)]
    assert list(pasted.input) == ["a", "w"]
    assert list(pasted.output) == ["b_1"]  # b is taken
    np.testing.assert_array_equal(second.graph.initializers["w"].array(), [1, 2, 3])
    assert second.selection.nodes == (_mul(second),)
    window.menus.shown["edit.undo"].trigger()
    assert second.document.graph is before


def test_cut_bridges_the_gap_and_paste_brings_it_back(open_model: Open, source: Path) -> None:
    tab = open_model(source)
    click(tab, _mul(tab))
    _key(tab, Qt.Key.Key_X)
    assert _ops(tab) == ["Relu", "Tanh"]
    assert "w" not in tab.graph.initializers
    _key(tab, Qt.Key.Key_V)
    assert list(tab.graph.nodes[_mul(tab)].input) == ["a", "w"]


def test_what_finds_no_tensor_is_asked(open_model: Open, source: Path, tmp_path: Path, window: Window) -> None:
    first = open_model(source)
    click(first, _mul(first))
    _key(first, Qt.Key.Key_C)
    path = _saved(tmp_path / "other.onnx", parsed("t (float[2,3] p) => (float[2,3] q) { q = Abs(p) }"))
    second = open_model(path)
    _key(second, Qt.Key.Key_V)
    dialog = driving.dialog_of(window, PasteDialog)
    assert _ops(second) == ["Abs"]
    assert not dialog.apply_button.isEnabled()
    assert "Nothing here fits what the nodes read as a (2×3 FP32)" in dialog.reason.text()
    dialog.inputs["a"].setText("q")
    wait_until(dialog.apply_button.isEnabled)
    dialog.inputs["a"].clear()
    dialog.as_inputs.click()
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, Qt.MouseButton.LeftButton)
    assert [info.name for info in second.graph.inputs] == ["p", "a"]
    assert sorted(_ops(second)) == ["Abs", "Mul"]
    np.testing.assert_array_equal(second.graph.initializers["w"].array(), [1, 2, 3])


def test_other_texts_are_refused(open_model: Open, source: Path, window: Window) -> None:
    tab = open_model(source)
    QGuiApplication.clipboard().setText("hello")
    _key(tab, Qt.Key.Key_V)
    wait_until(lambda: driving.messages(window))
    assert "There are no nodes on the clipboard" in driving.messages(window)[0].informativeText()
    for box in driving.messages(window):
        box.close()
    assert _ops(tab) == ["Relu", "Mul", "Tanh"]
