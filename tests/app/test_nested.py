"""Graphs inside a graph: opened by a double click, left by the breadcrumbs, looked at and not edited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QToolButton

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.graph.graph import NodeRef
from graftwerk.backend.operations.rename import RenameNode
from tests.app import driving
from tests.app.driving import context_menu, double_click, entry, messages, nodes_of, pick, point_of, text_of, wait_until

Open = Callable[[Path], Tab]


def branch(name: str, op_type: str, inner: list[onnx.NodeProto] | None = None) -> onnx.GraphProto:
    """A body that captures x of the graph around it."""
    made = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, [2])
    nodes = [*(inner or []), helper.make_node(op_type, ["x"], [f"{name}_y"], name=f"{name}_node")]
    return helper.make_graph(nodes, name, [], [made])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An If with two branches, one of which holds a Loop."""
    true = numpy_helper.from_array(np.array(True), "go")
    count = numpy_helper.from_array(np.array(3, np.int64), "count")
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"], name="again"),
            helper.make_node("Add", ["sum", "x"], ["next"], name="step"),
        ],
        "body",
        [info("turn", TensorProto.INT64, []), info("going", TensorProto.BOOL, []), info("sum", TensorProto.FLOAT, [2])],
        [info("goes", TensorProto.BOOL, []), info("next", TensorProto.FLOAT, [2])],
    )
    loop = helper.make_node("Loop", ["count", "go", "x"], ["summed"], name="loop", body=body)
    choice = helper.make_node(
        "If", ["c"], ["y"], name="choice",
        then_branch=branch("then", "Relu", [loop]), else_branch=branch("else", "Neg"),
    )  # fmt: skip
    graph = helper.make_graph(
        [choice], "g", [info("c", TensorProto.BOOL, []), info("x", TensorProto.FLOAT, [2])],
        [info("y", TensorProto.FLOAT, [2])], [true, count],
    )  # fmt: skip
    path = tmp_path / "choice.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def crumbs(tab: Tab) -> list[str]:
    return [one.text() for one in tab.breadcrumbs.findChildren(QToolButton) if one.isVisible()]


def open_branch(tab: Tab, label: str) -> None:
    double_click(tab, nodes_of(tab.graph, "If")[0])
    wait_until(lambda: isinstance(QApplication.activePopupWidget(), QMenu))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    assert [action.text() for action in menu.actions()] == ["else_branch", "then_branch"]
    pick(menu, label)


@pytest.mark.parametrize(("label", "op_type"), [("then_branch", "Relu"), ("else_branch", "Neg")])
def test_each_branch_can_be_opened(open_model: Open, model: Path, label: str, op_type: str) -> None:
    tab = open_model(model)
    open_branch(tab, label)
    assert op_type in [record.op_type for record in tab.graph.nodes.values()]
    assert tab.canvas.graph is tab.graph


def test_bodies_inside_bodies_and_the_way_back(window: Window, open_model: Open, model: Path) -> None:
    tab = open_model(model)
    outer = tab.graph
    open_branch(tab, "then_branch")
    inner = tab.graph
    double_click(tab, nodes_of(inner, "Loop")[0])
    assert [record.name for record in tab.graph.nodes.values()] == ["again", "step"]
    wait_until(lambda: len(crumbs(tab)) == 2)
    driving.click(tab, next(iter(tab.graph.nodes)))
    assert tab.selection.nodes
    button = next(one for one in tab.breadcrumbs.findChildren(QToolButton) if one.isVisible() and "choice" in one.text()
                  and "onnx" not in one.text())  # fmt: skip
    QTest.mouseClick(button, driving.LEFT)
    assert tab.graph is inner
    window.menus.shown["view.up"].trigger()
    assert tab.graph is outer
    assert tab.read_only() is None
    assert not window.menus.shown["view.up"].isEnabled()


def test_a_body_is_not_edited_and_says_why(window: Window, open_model: Open, model: Path) -> None:
    tab = open_model(model)
    open_branch(tab, "else_branch")
    node = next(iter(tab.graph.nodes))
    before = tab.document.graph
    with context_menu(tab, point_of(tab, node)) as menu:
        delete = entry(menu, "Delete")
        assert not delete.isEnabled()
        assert "looked at, not edited" in delete.toolTip()
    window.edits.apply(RenameNode(NodeRef("else_node"), "other"))
    (box,) = messages(window)
    assert "looked at, not edited" in text_of(box)
    box.close()
    assert tab.document.graph is before
    driving.press_key(window, Qt.Key.Key_Delete)
    assert tab.document.graph is before


def test_undo_shows_the_model_again(window: Window, open_model: Open, model: Path) -> None:
    tab = open_model(model)
    tab.document.apply(RenameNode(NodeRef("choice"), "decision"))
    open_branch(tab, "then_branch")
    tab.document.undo()
    assert tab.graph is tab.document.graph
    assert tab.canvas.graph is tab.graph
    assert tab.read_only() is None
