"""Everything that can be done: each action in every state of the window, each operation with its reason."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QMenu, QMessageBox

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.operations.plugin import ReplaceWithPlugin
from graftwerk.backend.operations.registry import Selection, make, operations
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.node_form import AttributesDialog, NodeDialog, SwapDialog
from graftwerk.widgets.panels.palette import Palette
from graftwerk.widgets.panels.rename_form import RenameDialog
from tests.app import driving
from tests.app.driving import context_menu, dialog_of, entry, messages, nodes_of, pick, point_of, text_of, wait_until

Open = Callable[[Path], Tab]
#: Operations that have a form of their own.
FORMS: dict[str, type[QDialog]] = {
    "attribute.set_all": AttributesDialog, "node.swap": SwapDialog, "graph.rename_pattern": RenameDialog,
}  # fmt: skip


@contextmanager
def dialogs_closed() -> Iterator[list[str]]:
    """Whatever opens is noted and closed again."""
    seen: list[str] = []

    def close() -> None:
        for widget in QApplication.topLevelWidgets():
            if widget.isVisible() and isinstance(widget, QDialog | QMenu):
                seen.append(widget.windowTitle() or type(widget).__name__)
                widget.close()
        popup = QApplication.activePopupWidget()
        if popup is not None:
            seen.append(type(popup).__name__)
            popup.close()

    timer = QTimer()
    timer.timeout.connect(close)
    timer.start(2)
    yield seen
    close()
    timer.stop()


def all_ids(window: Window) -> list[str]:
    """What quits comes last."""
    return sorted(window.menus.shown, key=lambda key: key in ("file.close", "file.quit"))


def test_every_action_without_a_model(window: Window) -> None:
    dark = window.theme.dark
    for key in all_ids(window):
        action = next(one for one in window.menus.all() if one.id == key)
        with dialogs_closed():
            window.menus.trigger(action)
            QApplication.processEvents()
        for tab in window.tabs():  # the sample
            window.show_tab(tab)
            window.close_tab()
    assert window.theme.dark is not dark


def test_every_action_with_a_model(window: Window, digits: Tab, models: Path) -> None:
    conv = nodes_of(digits.graph, "Conv")[1]
    for key in all_ids(window)[:-2]:
        if window.tab is None:
            window.files.open([models / "digits.onnx"])
        tab = window.need_tab()
        tab.select(Selection((conv,)) if conv in tab.graph.nodes else Selection())
        action = next(one for one in window.menus.all() if one.id == key)
        with dialogs_closed():
            window.menus.trigger(action)
            QApplication.processEvents()
        tab.document.go(0)
    wait_until(lambda: all(task.over for task in window.jobs.tasks), "for the jobs")
    assert {task.view.state for task in window.jobs.tasks} <= {"done", "cancelled"}


def test_titles_and_shortcuts_are_given_once(window: Window) -> None:
    shortcuts = [action.shortcut for action in window.menus.all() if action.shortcut]
    assert len(shortcuts) == len(set(shortcuts))
    titles = [(action.menu, action.title) for action in window.menus.all()]
    assert len(titles) == len(set(titles))
    assert {f"operation.{key}" for key in operations()} <= window.menus.shown.keys()


def test_every_action_stands_in_a_menu(window: Window) -> None:
    listed = {action for menu in window.menuBar().actions() for action in submenu(menu).actions()}
    for key, action in window.menus.shown.items():
        assert action in listed, key


def submenu(action: object) -> QMenu:
    menu = action.menu()  # type: ignore[attr-defined]
    assert isinstance(menu, QMenu)
    return menu


# Operations: enabled where they can be done, and else with the reason


@pytest.fixture
def rich(window: Window, quantized_digits: Path) -> Tab:
    """Digits with a Q/DQ pair, a plugin node, a call of a function, a second output, an input that nothing reads,
    something to fold, a Q/DQ pair with a zero point, a node that does nothing, a batch norm behind a convolution,
    nodes out of order, a name that two nodes share, and weights in all places: in a Constant, bound for a file,
    stripped; and a pair between a convolution and its activation."""
    model = onnx.load(quantized_digits)
    model.graph.input.append(helper.make_tensor_value_info("spare", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]))
    model.graph.node.append(helper.make_node("Neg", ["folded"], ["second"], name="also_foldable"))
    model.graph.node.append(helper.make_node("Neg", ["two"], ["folded"], name="foldable"))
    model.graph.initializer.append(helper.make_tensor("shift", TensorProto.UINT8, [], [7]))
    for kind, read, made in (("QuantizeLinear", "two", "stored"), ("DequantizeLinear", "stored", "shifted")):
        model.graph.node.append(helper.make_node(kind, [read, "two", "shift"], [made], name=made))
    image = model.graph.input[0]
    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, [1, image.type.tensor_type.shape.dim[1].dim_value, 1, 1],
                                [1.0] * image.type.tensor_type.shape.dim[1].dim_value)  # fmt: skip
    model.graph.initializer.extend([kernel, helper.make_tensor("ones", TensorProto.FLOAT, [1], [1.0])])
    model.graph.node.append(helper.make_node("Conv", [image.name, "kernel"], ["gray"], name="gray"))
    norm = helper.make_node("BatchNormalization", ["gray", *["ones"] * 4], ["normal"], name="normal")
    model.graph.node.extend([norm, helper.make_node("Identity", ["normal"], ["same"], name="same")])
    model.graph.node.append(helper.make_node("Abs", ["same"], ["absolute"], name="absolute"))
    model.graph.node.append(helper.make_node("Abs", ["two"], ["unread"], name="unused"))
    model.graph.node.append(helper.make_node("Abs", ["two"], ["unread_too"], name="unused"))
    model.graph.node.append(helper.make_node("Twice", ["two"], ["twice"], name="call", domain="local"))
    body = [helper.make_node("Add", ["v", "v"], ["w"])]
    model.functions.append(helper.make_function("local", "Twice", ["v"], ["w"], body, model.opset_import))
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.ir_version = max(8, model.ir_version)
    model.graph.output.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, []))
    onnx.save(model, quantized_digits)
    document = Document.open(quantized_digits)
    graph = document.graph
    document.apply(ReplaceWithPlugin((graph.ref(nodes_of(graph, "GlobalAveragePool")[0]),), "Average"))
    between = graph.nodes[nodes_of(graph, "Relu")[-1]].input[0]
    document.apply(make("qdq.insert", {"tensor": between}))
    weights = list(graph.initializers)
    document.apply(make("weights.to_constants", {"tensors": weights[:1]}))
    document.apply(make("weights.to_external", {"tensors": weights[1:2], "smallest": 0}))
    document.apply(make("weights.strip", {"tensors": weights[2:3], "smallest": 1}))
    return window.add_tab(document)


def selections(tab: Tab) -> dict[str, Selection]:
    graph = tab.graph
    conv, plugin = nodes_of(graph, "Conv")[0], nodes_of(graph, "Average")[0]
    inner = graph.nodes[conv].output[0]
    return {
        "nothing": Selection(), "a layer": Selection((conv,)), "a plugin": Selection((plugin,)),
        "a call": Selection((nodes_of(graph, "Twice")[0],)),
        "two layers": Selection(tuple(nodes_of(graph, "Conv")[:2])), "a tensor": Selection((), (inner,)),
        "an input": Selection((), (graph.inputs[0].name,)), "a spare input": Selection((), ("spare",)),
        "an output": Selection((), (graph.outputs[0].name,)),
        "a pair": Selection((nodes_of(graph, "DequantizeLinear")[0],)), "all": Selection(tuple(graph.nodes)),
    }  # fmt: skip


def test_each_operation_says_why_it_cannot_be_done(window: Window, rich: Tab) -> None:
    possible: set[str] = set()
    for name, selection in selections(rich).items():
        rich.select(selection)
        with context_menu(rich, QPoint(3, 3)) as menu:
            shown = {action.text().rstrip("…"): action for action in menu.actions() if action.text()}
            for info in operations().values():
                action = shown[info.title]
                reason = next(
                    one for one in window.menus.all() if one.id == f"operation.{info.id}"
                ).why_not(window)
                assert action.isEnabled() == (reason is None), (info.id, name)
                if reason is None:
                    possible.add(info.id)
                else:
                    assert reason.text
                    assert action.toolTip() == f"{action.text()}: {reason.text}"
    assert possible == operations().keys()


def test_an_enabled_operation_starts(window: Window, rich: Tab) -> None:
    """What the menu offers opens its form or is done; what the form is filled with can be done or says why not."""
    prepared = rich.document.at
    for selection in selections(rich).values():
        for info in operations().values():
            rich.document.go(prepared)
            rich.select(selection)
            action = next(one for one in window.menus.all() if one.id == f"operation.{info.id}")
            if action.why_not(window) is not None or info.slow:
                continue
            revision = rich.graph.revision
            window.menus.trigger(action)
            if not info.parameters and not info.tells:
                assert rich.graph.revision != revision, info.id
                continue
            if info.id in ("node.add", "node.insert"):  # which ask for the operator first
                wait_until(lambda: isinstance(QApplication.activePopupWidget(), Palette))
                popup = QApplication.activePopupWidget()
                assert isinstance(popup, Palette)
                assert popup.model.rowCount()
                popup.close()
                continue
            if info.id == "graph.within":  # which opens what is inside
                assert rich.path
                rich.go_up(0)
                continue
            dialog = dialog_of(window, FORMS.get(info.id, OperationDialog))
            assert isinstance(dialog, OperationDialog | NodeDialog)
            assert dialog.windowTitle() == info.title
            assert dialog.apply_button.isEnabled() or dialog.reason.text(), info.id
            dialog.reject()
            dialog.deleteLater()
            assert messages(window) == []


def test_shortcuts_work_after_a_menu_was_seen(window: Window, digits: Tab) -> None:
    """An operation that was grey in a menu can be started by its key once something is selected."""
    digits.canvas.select(())
    with context_menu(digits, QPoint(3, 3)) as menu:
        assert not entry(menu, "Delete").isEnabled()
    relu = nodes_of(digits.graph, "Relu")[0]
    driving.click(digits, relu)
    driving.press_key(window, Qt.Key.Key_Delete)
    dialog_of(window, OperationDialog).reject()


def test_a_blocked_action_says_why_in_the_status_line(window: Window, digits: Tab) -> None:
    driving.press_key(window, Qt.Key.Key_Z, driving.CONTROL)
    digits.canvas.select(())
    driving.press_key(window, Qt.Key.Key_Delete)
    assert "Select" in window.status._message.text()


def test_the_form_belongs_to_the_model_it_was_opened_for(
    window: Window, digits: Tab, open_model: Open, models: Path
) -> None:
    relu = nodes_of(digits.graph, "Relu")[0]
    driving.click(digits, relu)
    with context_menu(digits, point_of(digits, relu)) as menu:
        pick(menu, "Rename node")
    dialog = dialog_of(window, OperationDialog)
    other = open_model(models / "encoder.onnx")
    editor = dialog.form.editors["name"]
    editor.set_value("first_relu")
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    assert digits.graph.nodes[relu].name == "first_relu"
    assert not other.document.dirty


# What nobody foresaw


def test_a_defect_is_told_with_details_and_the_window_goes_on(
    window: Window, digits: Tab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", window.report_defect)

    def defective() -> None:
        raise KeyError("nobody foresaw this")

    for _ in range(3):
        QTimer.singleShot(0, defective)
    wait_until(lambda: messages(window))
    QApplication.processEvents()
    (box,) = messages(window)  # one, however often it happens
    assert "nobody foresaw this" in box.detailedText()
    assert "Traceback" in box.detailedText()
    assert "Graftwerk" in text_of(box)
    assert capsys.readouterr().err.count("Traceback") == 3
    QTest.mouseClick(box.button(QMessageBox.StandardButton.Ok), driving.LEFT)
    wait_until(lambda: not messages(window))
    driving.click(digits, nodes_of(digits.graph, "Conv")[0])
    assert digits.selection.nodes
    QTimer.singleShot(0, defective)
    wait_until(lambda: messages(window))
    messages(window)[0].close()


def test_the_details_of_a_defect_can_be_copied(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        raise ValueError("copied")
    except ValueError as error:
        window.report_defect(ValueError, error, error.__traceback__)
    (box,) = messages(window)
    copy = next(button for button in box.buttons() if button.text().startswith("Copy"))
    QTest.mouseClick(copy, driving.LEFT)
    text = QApplication.clipboard().text()
    assert "ValueError: copied" in text
    assert "Python" in text
    assert box.isVisible()
    box.close()


def test_a_fault_that_nobody_caught_is_no_defect(window: Window) -> None:
    window.report_defect(Fault, Fault("It is full", "/disk", "Free some space"), None)
    (box,) = messages(window)
    assert "It is full" in text_of(box)
    assert "Traceback" not in text_of(box)
    box.close()
