"""Graphs inside a graph: opened by a double click, edited there, left by the breadcrumbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu, QToolButton

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import NodeRef, TensorName
from graftwerk.backend.operations.delete import DeleteNodes
from graftwerk.backend.operations.fold import FoldConstants
from graftwerk.backend.operations.insert import InsertNode
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.rename import RenameNode, RenameTensor
from graftwerk.backend.operations.within import Within
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.inspector_page import Row
from graftwerk.widgets.panels.rows_view import RowsView
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


def row_of(rows: RowsView, key: str) -> QModelIndex | None:
    """A row of the inspector, brought into view."""
    for number in range(rows.lines.rowCount()):
        line = rows.line(rows.lines.index(number))
        if isinstance(line, Row) and line.key == key:
            rows.scrollTo(rows.lines.index(number))
            return rows.lines.index(number)
    return None


def open_branch(tab: Tab, label: str) -> None:
    double_click(tab, nodes_of(tab.graph, "If")[0])
    choose(label)


def choose(label: str) -> None:
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


def test_edit_inside_opens_what_is_inside(window: Window, open_model: Open, model: Path) -> None:
    tab = open_model(model)
    driving.click(tab, nodes_of(tab.graph, "If")[0])
    window.menus.shown["operation.graph.within"].trigger()
    choose("else_branch")
    assert [record.name for record in tab.graph.nodes.values()] == ["else_node"]


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
    assert tab.path == ()
    assert not window.menus.shown["view.up"].isEnabled()


def test_a_branch_is_edited_by_mouse(window: Window, open_model: Open, model: Path) -> None:
    """Select and delete in a body: one edit of the model, undone and redone while the body stays open."""
    tab = open_model(model)
    path = ("choice", "else_branch")
    tab.document.apply(Within.of(path, InsertNode(TensorName("x"), "Relu", name="relu")))
    before = tab.document.graph
    open_branch(tab, "else_branch")
    node = nodes_of(tab.graph, "Relu")[0]
    driving.click(tab, node)
    assert tab.selection.nodes == (node,)
    with context_menu(tab, point_of(tab, node)) as menu:
        assert entry(menu, "Delete").isEnabled()
    driving.press_key(window, Qt.Key.Key_Delete)
    dialog = driving.dialog_of(window, OperationDialog)
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    assert [record.op_type for record in tab.graph.nodes.values()] == ["Neg"]
    assert tab.nesting == 1
    step = tab.document.revisions[-1].operation
    assert isinstance(step, Within)
    assert step.path == ("choice", "else_branch")
    assert step.contained == DeleteNodes((NodeRef("relu"),))
    edited = tab.document.graph
    driving.press_key(window, Qt.Key.Key_Z, driving.CONTROL)
    assert tab.document.graph is before
    assert [record.op_type for record in tab.graph.nodes.values()] == ["Relu", "Neg"]
    window.menus.shown["edit.redo"].trigger()
    assert tab.document.graph is edited
    assert [record.op_type for record in tab.graph.nodes.values()] == ["Neg"]
    assert "Delete" in window.docks.history.list.model().index(2, 0).data()


def test_the_recipe_of_an_edit_inside_replays(open_model: Open, window: Window, model: Path) -> None:
    tab = open_model(model)
    open_branch(tab, "then_branch")
    driving.double_click(tab, nodes_of(tab.graph, "Loop")[0])
    window.edits.apply(InsertNode(TensorName("next"), "Tanh"))
    assert nodes_of(tab.graph, "Tanh")
    recipe = Recipe.loads(tab.document.recipe.dumps())
    replayed = replay(recipe, load(model))
    assert to_model(replayed) == to_model(tab.document.graph)
    onnx.checker.check_model(to_model(replayed))


def test_a_node_that_stays_keeps_its_place_and_selection(open_model: Open, window: Window, model: Path) -> None:
    tab = open_model(model)
    open_branch(tab, "then_branch")
    kept = nodes_of(tab.graph, "Relu")[0]
    driving.click(tab, kept)
    window.edits.apply(InsertNode(TensorName("summed"), "Abs"))
    assert nodes_of(tab.graph, "Relu") == [kept]
    assert tab.selection.nodes == (kept,)


def test_a_function_is_edited_in_the_inspector(open_model: Open, window: Window, tmp_path: Path) -> None:
    """The attribute of a node inside a function, for both of its calls; types inside are shown."""
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        g (float[2,3] x) => (float[2,3] y) { a = local.Act(x) y = local.Act(a) }
        <domain: "local", opset_import: ["" : 17]> Act (v) => (w) { l = LeakyRelu <alpha = 0.5> (v) w = Neg(l) }"""
    parsed = onnx.parser.parse_model(text)
    path = tmp_path / "act.onnx"
    onnx.save(parsed, path)
    tab = open_model(path)
    double_click(tab, nodes_of(tab.graph, "Act")[0])
    assert tab.path == ("function::local::Act",)
    node = nodes_of(tab.graph, "LeakyRelu")[0]
    assert str(tab.graph.type_of("l")) == "2×3 FP32"
    driving.click(tab, node)
    rows = window.docks.inspector.rows
    wait_until(lambda: row_of(rows, "alpha") is not None)
    index = row_of(rows, "alpha")
    assert index is not None
    QTest.mouseClick(rows.viewport(), driving.LEFT, pos=rows.visualRect(index).center())
    editor = rows.findChild(QLineEdit)
    assert isinstance(editor, QLineEdit)
    editor.setText("0.25")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    wait_until(lambda: tab.document.can_undo)
    record = tab.document.graph.functions[0].node[0]
    assert record.attribute[0].f == 0.25
    assert tab.graph.nodes[node].attribute[0].f == 0.25
    assert tab.nesting == 1


def test_what_can_t_be_done_inside_says_why(window: Window, open_model: Open, model: Path) -> None:
    tab = open_model(model)
    open_branch(tab, "else_branch")
    before = tab.document.graph
    window.edits.apply(RenameTensor(TensorName("x"), "other"))
    (box,) = messages(window)
    assert "of the graph around the body" in text_of(box)
    box.close()
    assert tab.document.graph is before


def test_a_form_belongs_to_the_graph_that_it_was_opened_in(window: Window, open_model: Open, model: Path) -> None:
    tab = open_model(model)
    open_branch(tab, "else_branch")
    window.edits.ask(RenameNode(NodeRef("else_node"), "negative"))
    tab.go_up(0)
    dialog = driving.dialog_of(window, OperationDialog)
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    step = tab.document.revisions[-1].operation
    assert isinstance(step, Within)
    assert step.path == ("choice", "else_branch")


def test_a_slow_operation_inside_runs_as_a_job(window: Window, open_model: Open, tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[2] x, bool c) => (float[2] y) {
            y = If (c) < then_branch = t () => (float[2] a) <float[2] w = {1, 2}> { v = Mul(w, w) a = Add(x, v) },
                         else_branch = e () => (float[2] b) { b = Abs(x) } > }"""
    path = tmp_path / "fold.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    tab = open_model(path)
    double_click(tab, nodes_of(tab.graph, "If")[0])
    wait_until(lambda: isinstance(QApplication.activePopupWidget(), QMenu))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    pick(menu, "then_branch")
    window.edits.apply(FoldConstants())
    wait_until(lambda: tab.document.can_undo)
    assert [record.op_type for record in tab.graph.nodes.values()] == ["Add"]
    assert tab.nesting == 1


def test_what_a_panel_names_is_shown_in_the_model(open_model: Open, model: Path) -> None:
    tab = open_model(model)
    open_branch(tab, "then_branch")
    tab.select_refs(("then_node",))
    assert tab.nesting == 1
    tab.select_refs(("choice",))
    assert tab.nesting == 0
    assert [tab.graph.nodes[node].op_type for node in tab.selection.nodes] == ["If"]


def test_undo_shows_the_model_again(window: Window, open_model: Open, model: Path) -> None:
    tab = open_model(model)
    tab.document.apply(RenameNode(NodeRef("choice"), "decision"))
    open_branch(tab, "then_branch")
    tab.document.undo()
    assert tab.graph is tab.document.graph
    assert tab.canvas.graph is tab.graph
    assert tab.path == ()
