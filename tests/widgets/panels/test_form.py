"""Forms: every registered operation has one that gives the operation back, and it says why it can't be done."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QListWidget
from pytestqt.qtbot import QtBot

import graftwerk.backend.operations.all  # noqa: F401
from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph, NodeRef, TensorName
from graftwerk.backend.operations.attributes import SetAttribute
from graftwerk.backend.operations.delete import DeleteNodes
from graftwerk.backend.operations.qdq_insert import InsertQdq, InsertQdqLayer
from graftwerk.backend.operations.registry import Operation, Selection, make, operations
from graftwerk.backend.operations.rename import RenameNode
from graftwerk.widgets.panels.editors import MappingEditor
from graftwerk.widgets.panels.form import OperationDialog, OperationForm
from graftwerk.widgets.panels.name_edit import OFFERED, NameEdit, Names
from tests.backend.operations import law_models
from tests.clock import timed


@pytest.fixture
def digits(models: Path) -> Graph:
    return load(models / "digits.onnx")


@pytest.mark.parametrize("id", sorted(operations()))
def test_a_form_gives_back_the_operation_that_it_was_made_from(id: str, digits: Graph, qtbot: QtBot) -> None:
    conv = next(node for node, record in digits.nodes.items() if record.op_type == "Conv")
    output = digits.nodes[conv].output[0]
    cls = operations()[id].cls
    choices = (Selection((conv,)), Selection((), (output,)), Selection((), (digits.inputs[0].name,)),
               Selection((), (digits.outputs[0].name,)))  # fmt: skip
    suggested = [found for chosen in choices if not isinstance(found := cls.suggest(digits, chosen), Reason)]
    for operation in suggested:
        form = OperationForm(operation, digits)
        qtbot.addWidget(form)
        reason = form.check()
        if reason is None:
            assert form.operation() == operation


def test_a_dialog_says_why_and_applies_once_it_can(digits: Graph, qtbot: QtBot) -> None:
    node = next(iter(digits.nodes))
    old = digits.ref(node)
    taken = digits.nodes[list(digits.nodes)[1]].name
    dialog = OperationDialog(RenameNode(old, old), digits)
    qtbot.addWidget(dialog)
    assert not dialog.apply_button.isEnabled()
    assert "already" in dialog.reason.text()
    name = dialog.form.editors["name"]
    name.set_value(taken)
    qtbot.waitUntil(lambda: "Another node" in dialog.reason.text())
    assert not dialog.apply_button.isEnabled()
    name.set_value("fresh")
    qtbot.waitUntil(dialog.apply_button.isEnabled)
    assert dialog.reason.text() == ""
    with qtbot.waitSignal(dialog.accepted_operation) as emitted:
        dialog.apply_button.click()
    assert emitted.args == [RenameNode(NodeRef(old), "fresh")]


def shown(operation: Operation, graph: Graph, qtbot: QtBot) -> OperationDialog:
    dialog = OperationDialog(operation, graph)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    qtbot.waitUntil(dialog.isActiveWindow)
    return dialog


def test_enter_applies_where_all_is_filled(digits: Graph, qtbot: QtBot) -> None:
    conv = next(digits.ref(node) for node, record in digits.nodes.items() if record.op_type == "Conv")
    dialog = shown(InsertQdqLayer(conv), digits, qtbot)
    assert dialog.focusWidget() is dialog.apply_button, "not the scales, which are optional and of many lines"
    with qtbot.waitSignal(dialog.accepted_operation) as emitted:
        QTest.keyClick(dialog.focusWidget(), Qt.Key.Key_Return)
    assert emitted.args == [InsertQdqLayer(conv)]
    dialog = shown(InsertQdqLayer(conv), digits, qtbot)
    with qtbot.waitSignal(dialog.accepted_operation):
        QTest.keyClick(dialog.form.editors["scales"].input, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)


def test_the_cursor_stands_in_the_first_line_to_type(digits: Graph, qtbot: QtBot) -> None:
    old = digits.ref(next(iter(digits.nodes)))
    dialog = shown(RenameNode(old, old), digits, qtbot)
    line = dialog.form.editors["name"].input
    assert dialog.focusWidget() is line
    assert isinstance(line, QLineEdit)
    assert line.selectedText() == old
    dialog = shown(InsertQdq(TensorName(digits.inputs[0].name)), digits, qtbot)
    assert dialog.focusWidget() is dialog.form.editors["scale"].input


def test_what_cannot_be_read_is_marked_where_it_stands(digits: Graph, qtbot: QtBot) -> None:
    conv = next(digits.ref(node) for node, record in digits.nodes.items() if record.op_type == "Conv")
    form = OperationForm(SetAttribute(conv, "group", 1), digits)
    qtbot.addWidget(form)
    value = form.editors["value"]
    value.set_value("text")
    reason = form.check()
    assert reason is not None
    assert "integer" in reason.text
    assert value.input.property("invalid") is True
    value.input.setPlainText("NOTSET")  # type: ignore[attr-defined]
    reason = form.check()
    assert reason is not None
    assert reason.hint == 'A text needs quotes: "NOTSET"'
    scale = OperationForm(InsertQdq(TensorName(digits.inputs[0].name)), digits)
    qtbot.addWidget(scale)
    line = scale.editors["scale"]
    line.input.setText("a lot")  # type: ignore[attr-defined]
    reason = scale.check()
    assert reason is not None
    assert "not a number" in reason.text
    line.input.setText("0.03125")  # type: ignore[attr-defined]
    assert scale.check() is None
    assert line.input.property("invalid") is False


def test_lists_of_names_are_edited(digits: Graph, qtbot: QtBot) -> None:
    refs = [digits.ref(node) for node in digits.nodes]
    form = OperationForm(DeleteNodes((NodeRef(refs[0]),)), digits)
    qtbot.addWidget(form)
    form.show()
    editor = form.editors["nodes"]
    line = editor.input
    assert isinstance(line, NameEdit)
    line.setText(refs[1])
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert editor.value() == refs[:2]
    assert line.text() == ""
    names = editor.findChild(QListWidget)
    assert isinstance(names, QListWidget)
    names.item(0).setSelected(True)
    QTest.keyClick(names, Qt.Key.Key_Delete)
    made: Operation = form.operation()
    assert made == DeleteNodes((NodeRef(refs[1]),))


def test_names_are_found_quickly_among_a_hundred_thousand(qtbot: QtBot) -> None:
    names = Names(lambda: (f"/model/layers.{number // 10}/self_attn/Tensor_{number}" for number in range(100_000)))
    names.like("x")  # lists them
    spent = []
    for text in ("/", "tensor", "Tensor_99999", "layers.777/", "nothing like it"):
        found, seconds = timed(names.like, text)
        spent.append(seconds)
        assert len(found) <= OFFERED
        assert all(text.lower() in name.lower() for name in found)
    assert names.like("Tensor_99999") == ["/model/layers.9999/self_attn/Tensor_99999"]
    assert max(spent) < 0.1


def test_typing_offers_names(qtbot: QtBot) -> None:
    edit = NameEdit(Names(lambda: ["alpha", "beta", "alphabet"]))
    qtbot.addWidget(edit)
    edit.show()
    QTest.keyClicks(edit, "alph")
    offered = edit.completer().model()
    assert [offered.index(row, 0).data() for row in range(offered.rowCount())] == ["alpha", "alphabet"]


def test_a_mapping_has_a_row_for_each_pair(qtbot: QtBot) -> None:
    graph = law_models.chain()
    form = OperationForm(make("graph.merge", {"file": "other.onnx", "connect": {"x": "r"}}), graph)
    qtbot.addWidget(form)
    form.show()
    editor = form.editors["connect"]
    assert isinstance(editor, MappingEditor)
    assert [tuple(edit.text() for edit in row) for row in editor.rows] == [("x", "r"), ("", "")]
    QTest.keyClicks(editor.rows[1][0], "left")
    with pytest.raises(Fault, match="left has nothing beside it"):
        editor.value()
    QTest.keyClicks(editor.rows[1][1], "s")
    assert editor.value() == {"x": "r", "left": "s"}
    assert len(editor.rows) == 3
    QTest.keyClicks(editor.rows[2][0], "x")
    with pytest.raises(Fault, match="x stands there twice"):
        editor.value()
    editor.set_value({"a": "b"})
    assert editor.value() == {"a": "b"}
