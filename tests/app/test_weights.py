"""Weights in the window, by mouse: opened from the inspector and the menu, edited in cells, replaced, exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QMenu, QWidget

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.operations.registry import Selection, make
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.inspector import Inspector
from graftwerk.widgets.panels.weight_view import WeightView
from graftwerk.widgets.theme import DARK, LIGHT
from tests.app.driving import LEFT, NONE, answering, choose, dialog_of, messages, pick, text_of, wait_until

STEM = "stem.conv.weight"


def opened(window: Window, name: str = STEM) -> WeightView:
    view = window.weights.view(name)
    wait_until(lambda: view.histogram.statistics is not None, "for the statistics")
    return view


def cell(view: WeightView, row: int, column: int) -> QPoint:
    table = view.table.view
    return table.visualRect(table.model().index(row, column)).center()


def type_into(view: WeightView, row: int, column: int, text: str) -> None:
    """Double-clicks a cell, types, and presses Enter."""
    table = view.table.view
    at = cell(view, row, column)
    QTest.mouseClick(table.viewport(), LEFT, NONE, at)
    QTest.mouseDClick(table.viewport(), LEFT, NONE, at)
    wait_until(lambda: table.viewport().findChildren(QLineEdit), "for the cell's editor")
    editor = table.viewport().findChildren(QLineEdit)[-1]
    editor.selectAll()
    QTest.keyClicks(editor, text)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    wait_until(lambda: not table.viewport().findChildren(QLineEdit), "for the cell's editor to go")


def press(button: QWidget) -> None:
    QTest.mouseClick(button, LEFT)


def test_what_takes_one_weight_is_grey_where_two_are_selected(window: Window, digits: Tab) -> None:
    shown = window.menus.shown["operation.weights.replace"]
    menu = next(one for one in window.findChildren(QMenu) if shown in one.actions())
    for names, enabled in (((STEM,), True), ((STEM, "stem.conv.bias"), False)):
        digits.select(Selection((), names))
        menu.popup(QPoint())
        assert shown.isEnabled() is enabled
        menu.close()
    assert "here are 2: stem.conv.weight, stem.conv.bias" in shown.toolTip()


def test_a_double_click_in_the_inspector_opens_the_values(window: Window, digits: Tab) -> None:
    digits.select(Selection((), (STEM,)))
    rows = window.docks.inspector.rows
    wait_until(lambda: window.docks.inspector.name.text() == STEM, "for the inspector")
    at = rows.visualRect(rows.model().index(1, 0)).center()
    QTest.mouseDClick(rows.viewport(), LEFT, NONE, at)
    view = dialog_of(window, WeightView)
    assert view.name == STEM
    QTest.mouseDClick(rows.viewport(), LEFT, NONE, at)
    assert len(window.weights.views) == 1  # the one that is open comes to the front
    view.close()
    assert not window.weights.views


def test_the_menu_opens_the_largest_weight_of_a_node(window: Window, digits: Tab) -> None:
    menu = next(m for m in window.menuBar().findChildren(QMenu) if m.title() == "Weights")
    action = window.menus.shown["weights.view"]
    digits.select(Selection())
    window.menus.refresh()
    assert not action.isEnabled()
    digits.select(Selection((digits.graph.find("/stem/conv/Conv"),)))
    window.menus.refresh()
    menu.popup(window.mapToGlobal(QPoint(300, 40)))
    pick(menu, "View Values")
    assert dialog_of(window, WeightView).name == STEM


def test_edited_cells_are_one_step_that_can_be_undone(window: Window, digits: Tab) -> None:
    view = opened(window)
    before = np.array(digits.graph.initializers[STEM].array())
    assert not view.apply_button.isEnabled()
    type_into(view, 0, 0, "2.5")
    type_into(view, 1, 2, "-1e-3")
    assert view.apply_button.text() == "Apply 2 edits"
    assert digits.graph.initializers[STEM].array()[0, 0, 0, 0] == before[0, 0, 0, 0]
    press(view.apply_button)
    after = digits.graph.initializers[STEM].array()
    assert after[0, 0, 0, 0] == np.float32(2.5)
    assert after[0, 0, 1, 2] == np.float32(-1e-3)
    assert np.count_nonzero(after != before) == 2
    assert not view.table.edits
    assert len(digits.document.revisions) == 2
    window.edits.undo()
    wait_until(lambda: view.weight is digits.graph.initializers[STEM], "for the viewer to follow")
    np.testing.assert_array_equal(digits.graph.initializers[STEM].array(), before)


def test_what_a_datatype_can_t_hold_is_refused_in_the_cell(window: Window, digits: Tab) -> None:
    view = opened(window)
    type_into(view, 0, 0, "1e60")
    assert "larger than FP32 can hold" in view.message.text()
    type_into(view, 0, 0, "many")
    assert "not a number" in view.message.text()
    assert not view.table.edits
    type_into(view, 0, 0, "nan")
    assert dict(view.table.edits) == {"0,0,0,0": "nan"}
    assert not view.message.isVisible()
    press(view.revert_button)
    assert not view.table.edits
    assert not view.apply_button.isEnabled()


def test_slices_are_chosen_by_axis_and_place(window: Window, digits: Tab) -> None:
    view = opened(window)
    values = digits.graph.initializers[STEM].array()
    view.slices.places[0].setValue(5)
    shown = view.table.model.index(2, 1).data()
    assert float(shown) == float(f"{values[5, 0, 2, 1]:.6g}")
    view.slices.rows.setCurrentIndex(0)
    assert view.table.model.rowCount() == values.shape[0]
    view.slices.columns.setCurrentIndex(0)  # the rows give way
    assert view.slices.rows.currentIndex() != 0
    assert view.table.model.columnCount() == values.shape[0]


def test_image_and_histogram_show_what_was_read(window: Window, digits: Tab) -> None:
    view = opened(window, "layer1.0.conv1.weight")
    values = digits.graph.initializers["layer1.0.conv1.weight"].array()
    view.slices.rows.setCurrentIndex(0)
    view.slices.columns.setCurrentIndex(1)
    bar = view.tabs.tabBar()
    QTest.mouseClick(bar, LEFT, NONE, bar.tabRect(1).center())
    wait_until(lambda: view.image.values is not None and view.image.values.shape == values.shape[:2], "for the image")
    assert view.image.values is not None
    np.testing.assert_array_equal(view.image.values, values[:, :, 0, 0].astype(np.float64))
    assert "Every value" in view.image.note.text()
    QTest.mouseClick(bar, LEFT, NONE, bar.tabRect(2).center())
    found = view.histogram.statistics
    assert found is not None
    assert sum(found.histogram) == values.size
    assert f"{values.min():.5g}" == view.figures["minimum"].text()
    QTest.mouseClick(view.histogram.log, LEFT, NONE, QPoint(8, view.histogram.log.height() // 2))
    assert view.histogram.log.isChecked()
    for theme in (DARK, LIGHT):
        window.set_theme(theme)
        assert not view.grab().isNull()


def test_a_file_replaces_the_values_and_one_that_doesn_t_fit_is_refused(
    window: Window, digits: Tab, tmp_path: Path
) -> None:
    view = opened(window)
    np.save(tmp_path / "bad.npy", np.zeros((2, 2), np.float32))
    np.save(tmp_path / "good.npy", np.full((32, 1, 3, 3), 0.25, np.float32))
    with answering(choose(tmp_path / "bad.npy")):
        press(view.replace_button)
    dialog = dialog_of(window, OperationDialog)
    assert not dialog.apply_button.isEnabled()
    assert "The file holds [2, 2]; [32, 1, 3, 3] is needed" in dialog.reason.text()
    dialog.form.editors["file"].set_value(str(tmp_path / "good.npy"))
    wait_until(dialog.apply_button.isEnabled, "for the form")
    press(dialog.apply_button)
    assert digits.graph.initializers[STEM].array().max() == 0.25
    assert view.weight is digits.graph.initializers[STEM]


def test_values_are_exported(window: Window, digits: Tab, tmp_path: Path) -> None:
    view = opened(window)
    with answering(choose(tmp_path / "w.npy")):
        press(view.export_button)
    wait_until((tmp_path / "w.npy").exists, "for the file")
    np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), digits.graph.initializers[STEM].array())
    digits.select(Selection((digits.graph.find("/stem/conv/Conv"),)))
    window.weights.export(digits, (STEM,), tmp_path / "no" / "w.npy")
    wait_until(lambda: messages(window), "for the refusal")
    assert "Can't write" in text_of(messages(window)[0])


def test_another_type_says_what_it_loses(window: Window, digits: Tab) -> None:
    view = opened(window)
    press(view.type_button)
    dialog = dialog_of(window, OperationDialog)
    assert "values change" in dialog.reason.text()
    assert not dialog.apply_button.isEnabled()
    dialog.form.editors["accept_loss"].set_value(True)
    wait_until(dialog.apply_button.isEnabled, "for the form")
    press(dialog.apply_button)
    assert digits.graph.initializers[STEM].dtype == 10
    assert view.about.text().startswith("FP16")


def test_a_weight_that_goes_is_said_to_be_gone(window: Window, digits: Tab) -> None:
    view = opened(window)
    window.menus.trigger(next(a for a in window.menus.all() if a.id == "select.all"))
    window.edits.apply(make("tensor.rename", {"tensor": STEM, "name": "w"}))
    wait_until(lambda: view.weight is None, "for the viewer to follow")
    assert "no weight of this name" in view.message.text()
    assert not view.apply_button.isEnabled()


def test_weights_are_stripped_and_put_back_in_jobs(window: Window, digits: Tab, models: Path) -> None:
    before = digits.graph.initializers
    window.edits.apply(make("weights.strip", {"smallest": 1}))
    wait_until(lambda: digits.graph.incomplete is not None, "for the job")
    assert all(weight.stripped == "digits.onnx" for weight in digits.graph.initializers.values())
    digits.select(Selection((), (STEM,)))
    inspector = window.docks.inspector
    wait_until(lambda: any("was in digits.onnx" in str(index.data()) for index in rows_of(inspector)), "for the rows")
    view = window.weights.view(STEM)
    assert "stripped" in view.message.text()
    assert not view.export_button.isEnabled()
    window.edits.apply(make("weights.put_back", {"file": str(models / "digits.onnx")}))
    wait_until(lambda: digits.graph.incomplete is None, "for the job")
    for name, weight in before.items():
        np.testing.assert_array_equal(digits.graph.initializers[name].array(), weight.array())
    wait_until(lambda: view.histogram.statistics is not None, "for the viewer to follow")
    assert view.export_button.isEnabled()


def rows_of(inspector: Inspector) -> list[QModelIndex]:
    model = inspector.rows.model()
    return [model.index(row, 0) for row in range(model.rowCount())]
