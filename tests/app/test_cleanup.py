"""Clean-up in the window: told before it is done, verified after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.engines.verify_change import Verdict
from graftwerk.backend.operations.registry import Operation, make
from graftwerk.widgets.panels.effect_view import EffectView
from graftwerk.widgets.panels.form import OperationDialog
from tests.app import driving
from tests.app.driving import dialog_of, messages, press_key, text_of, wait_until

Open = Callable[[Path], Tab]


def start(window: Window, id: str) -> tuple[OperationDialog, EffectView]:
    """Opens the form of an operation from the menu, and waits for what it tells."""
    window.menus.shown[f"operation.{id}"].trigger()
    dialog = dialog_of(window, OperationDialog)
    view = dialog.findChild(EffectView)
    assert view is not None
    wait_until(lambda: not view.cancel_button.isVisible() and view.text().strip(), "for the effect")
    return dialog, view


def accept(dialog: OperationDialog) -> None:
    QTest.mouseClick(dialog.apply_button, driving.LEFT)


def verdict(tab: Tab) -> Verdict:
    """What stands with the shown step once it is verified."""
    found = tab.document.verdicts
    shown = tab.document.graph.revision
    wait_until(lambda: shown in found and found[shown].state != "running", "for the verification")
    return found[shown]


def test_every_form_of_clean_up_tells_first(window: Window, open_model: Open, models: Path) -> None:
    tab = open_model(models / "digits_bn.onnx")
    before = tab.document.graph.revision
    dialog, view = start(window, "cleanup.fuse_batch_norm")
    assert "Removed\nBatchNormalization ×12" in view.text()
    assert "Nodes\n43 → 31 (-12)" in view.text()
    assert "bytes" in view.text()
    assert tab.document.graph.revision == before
    accept(dialog)
    assert len(tab.graph.nodes) == 31
    found = verdict(tab)
    assert found.state == "verified"
    assert "max error" in found.text
    assert "tolerance 0.001 relative + 1e-05, 2 sets of inputs" in found.text
    row = window.docks.history.model.rows[1]
    assert (row.below, row.role) == (found.text, "success")
    press_key(window, Qt.Key.Key_Z, driving.CONTROL)
    press_key(window, Qt.Key.Key_Z, driving.CONTROL | driving.SHIFT)
    assert verdict(tab) is found


def test_what_a_job_has_worked_out_is_not_done_again(window: Window, open_model: Open, models: Path) -> None:
    tab = open_model(models / "digits_bn.onnx")
    dialog, view = start(window, "cleanup.simplify")
    assert "BatchNormalization ×12" in view.text()
    listed = len(window.jobs.tasks)
    accept(dialog)
    assert len(tab.graph.nodes) == 31  # at once
    assert [task.view.title.split()[0] for task in window.jobs.tasks[listed:]] == ["Verify"]
    assert verdict(tab).state == "verified"


def test_an_edit_beside_the_form_is_taken_into_account(window: Window, open_model: Open, models: Path) -> None:
    tab = open_model(models / "digits_bn.onnx")
    dialog, view = start(window, "cleanup.fuse_batch_norm")
    name = next(record.name for record in tab.graph.nodes.values() if record.op_type == "BatchNormalization")
    tab.document.apply(make("node.bypass", {"nodes": [name]}))
    wait_until(lambda: "BatchNormalization ×11" in view.text(), "for the new effect")
    accept(dialog)
    assert len(tab.graph.nodes) == 32  # the one that was bypassed is still there
    assert verdict(tab).state == "verified"


def test_working_it_out_can_be_cancelled(window: Window, open_model: Open, models: Path) -> None:
    tab = open_model(models / "digits_bn.onnx")
    window.menus.shown["operation.cleanup.simplify"].trigger()
    dialog = dialog_of(window, OperationDialog)
    view = dialog.findChild(EffectView)
    assert view is not None
    QTest.mouseClick(view.cancel_button, driving.LEFT)
    wait_until(lambda: "cancelled" in view.text(), "for the job to stop")
    assert dialog.apply_button.isEnabled()
    accept(dialog)
    wait_until(lambda: len(tab.graph.nodes) == 31, "for the job that applies it")


def test_what_finds_nothing_to_do_says_so(window: Window, digits: Tab) -> None:
    _, view = start(window, "cleanup.simplify")
    assert "nothing left for onnxslim to do" in view.text()


def test_a_clean_up_that_changes_what_is_computed_is_loud(window: Window, digits: Tab) -> None:
    """A weight is changed behind the back of an operation that claims to change nothing."""
    before = digits.document.graph
    name = next(name for name, weight in before.initializers.items() if weight.size > 100)
    other: Operation = make("weights.fill", {"tensors": [name], "value": 0.25})
    digits.document.apply(other)
    window.cleanup.verify(digits, before, make("cleanup.sort", {}))
    found = verdict(digits)
    assert found.state == "differs"
    wait_until(lambda: messages(window), "for the message")
    assert "does not compute the same any more" in text_of(messages(window)[0])
    assert any("differs: " in problem.message for problem in digits.problems)
    assert window.docks.history.model.rows[1].role == "error"
    messages(window)[0].close()


def test_a_retype_is_verified_with_its_tensors_rounded(window: Window, digits: Tab) -> None:
    dialog, view = start(window, "precision.retype")
    assert "bytes" in view.text()
    accept(dialog)
    found = verdict(digits)
    assert found.state == "verified"
    assert "32 tensors rounded" in found.text


def test_what_can_not_be_run_is_not_verified(window: Window, open_model: Open, tmp_path: Path) -> None:
    """ONNX Runtime knows no operator of TensorRT's plugins, and nothing stands in for this one."""
    text = """<ir_version: 8, opset_import: ["" : 17, "trt.plugins" : 1]>
        g (float[2,3] x) => (float[2,3] y) { a = Identity(x) b = trt.plugins.Own(a) y = Relu(b) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "plugin.onnx")
    tab = open_model(tmp_path / "plugin.onnx")
    dialog, view = start(window, "cleanup.remove_noops")
    assert "Identity ×1" in view.text()
    accept(dialog)
    found = verdict(tab)
    assert found.state == "not verified"
    assert "Own" in found.text
    assert window.docks.history.model.rows[1].role == "warning"
