from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox, QWidget

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.operations.registry import make
from tests.app.conftest import Open
from tests.app.driving import LEFT, answering, press, wait_until


def checked(tab: Tab) -> None:
    wait_until(lambda: tab.validation.known and not tab.validation.busy, "for the check")


def break_it(tab: Tab) -> None:
    tab.document.apply(make("node.insert", {
        "tensor": "image" if tab.graph.is_input("image") else tab.graph.inputs[0].name, "op_type": "Cast",
        "attributes": {"to": "INT32"},
    }))  # fmt: skip


def test_an_edit_that_makes_the_model_invalid_is_allowed_shown_and_gone_with_it(window: Window, digits: Tab) -> None:
    checked(digits)
    assert digits.problems == ()
    break_it(digits)
    checked(digits)
    problem = digits.validation.errors()[0]
    assert "INT32" in problem.message
    window.docks.show("problems")
    panel = window.docks.problems
    wait_until(lambda: panel.count >= 1)
    QTest.mouseClick(panel.list.viewport(), LEFT, pos=panel.list.visualRect(panel.model.index(0)).center())
    assert [digits.graph.ref(node) for node in digits.selection.nodes] == [problem.where]
    window.edits.undo()
    checked(digits)
    assert digits.problems == ()


def test_the_button_of_a_problem_does_its_repair(window: Window, open_model: Open, tmp_path: Path) -> None:
    node = onnx.helper.make_node
    infos = [onnx.helper.make_tensor_value_info(name, 1, [2]) for name in "xy"]
    graph = onnx.helper.make_graph(
        [node("Relu", ["x"], ["y"], "n"), node("Abs", ["x"], ["z"], "m")], "g", infos[:1], infos[1:]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "unused.onnx")
    tab = open_model(tmp_path / "unused.onnx")
    checked(tab)
    window.docks.show("problems")
    panel = window.docks.problems
    wait_until(lambda: panel.count == 1 and not panel.button_rect(0).isEmpty())
    QTest.mouseClick(panel.list.viewport(), LEFT, pos=panel.button_rect(0).center())
    assert [record.op_type for record in tab.graph.nodes.values()] == ["Relu"]
    checked(tab)
    assert tab.problems == ()


def test_tensorrt_says_of_every_node_what_it_does_not_take(window: Window, open_model: Open, shared: Path) -> None:
    window.engines.ask_library()
    wait_until(lambda: window.engines.library, "for TensorRT-RTX")
    tab = open_model(shared / "onnx-edge" / "capability.onnx")
    checked(tab)
    refused = [one.where for one in tab.problems if one.message.startswith("TensorRT-RTX")]
    assert {"Fake1", "Fake2", "Fake3"} <= set(refused)


def test_a_model_that_is_not_valid_is_saved_only_when_asked_twice(window: Window, digits: Tab, tmp_path: Path) -> None:
    digits.document.path = tmp_path / "out.onnx"
    break_it(digits)
    with answering(press(QMessageBox.StandardButton.Cancel)):
        assert not window.files.save()
    assert not (tmp_path / "out.onnx").exists()

    def anyway(dialog: QWidget) -> None:
        assert isinstance(dialog, QMessageBox)
        assert "INT32" in dialog.informativeText()
        button = next(one for one in dialog.buttons() if one.text() == "Save Anyway")
        QTest.mouseClick(button, LEFT)

    with answering(anyway):
        assert window.files.save()
    assert (tmp_path / "out.onnx").exists()


def test_what_only_shape_inference_refuses_is_asked_about_too(window: Window, digits: Tab, tmp_path: Path) -> None:
    digits.document.path = tmp_path / "out.onnx"
    conv = next(digits.graph.ref(node) for node, one in digits.graph.nodes.items() if one.op_type == "Conv")
    digits.document.apply(make("attribute.set", {"node": conv, "name": "strides", "value": [0, 0]}))
    with answering(press(QMessageBox.StandardButton.Cancel)):
        assert not window.files.save()
    assert not (tmp_path / "out.onnx").exists()
    assert [problem.where for problem in digits.validation.errors()] == [conv]


def test_a_valid_model_is_saved_without_a_question(window: Window, digits: Tab, tmp_path: Path) -> None:
    digits.document.path = tmp_path / "out.onnx"
    digits.document.apply(make("node.rename", {"node": next(iter(digits.graph.names)), "name": "first"}))
    assert window.files.save()


@pytest.mark.parametrize("times", [3])
def test_results_of_an_older_revision_are_dropped(window: Window, digits: Tab, times: int) -> None:
    for _ in range(times):
        break_it(digits)
        digits.validation.check()
        window.edits.undo()
    checked(digits)
    assert digits.problems == ()
