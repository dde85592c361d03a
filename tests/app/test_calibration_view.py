"""Calibration in the window: measured from the form, looked into, chosen by mouse, kept, compared and put on pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QTableWidget

from graftwerk.app.quantize_control import ask, show
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.operations.registry import make
from graftwerk.backend.quantize.calibration import Calibration, load
from graftwerk.backend.quantize.histogram import Observer
from graftwerk.backend.quantize.methods import METHODS, amax
from graftwerk.backend.quantize.pairs import calibrated, find_pairs, scales
from graftwerk.widgets.panels.calibrate_form import CalibrateDialog
from graftwerk.widgets.panels.calibration_view import CalibrationView
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.table_dialog import TableDialog
from tests.app.driving import LEFT, NONE, answering, choose, dialog_of, finish, messages, text_of, wait_until


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path / "kept"))


def made(*names: str) -> Calibration:
    """Normal values with an outlier, so that the methods differ; the last tensor is zero throughout."""
    histograms = {}
    for at, name in enumerate(names):
        observer = Observer()
        values = np.random.default_rng(at).normal(size=20_000).astype(np.float32)
        observer.add(np.append(values, np.float32(12)) * np.float32(at + 1 < len(names)))
        histograms[name] = observer.histogram()
    return Calibration(histograms, ops=dict.fromkeys(names[1:], "Conv"), samples=4, data="random")


def opened(window: Window, tab: Tab, calibration: Calibration) -> CalibrationView:
    view = show(window, tab, calibration)
    wait_until(lambda: view.settled and range_of(view, len(calibration.tensors) - 1), "for the figures")
    return view


def click_method(view: CalibrationView, row: int) -> None:
    place = view.methods.visualRect(view.methods.model().index(row, 0)).center()
    QTest.mouseClick(view.methods.viewport(), LEFT, NONE, place)


def text_in(table: QTableWidget, row: int, column: int) -> str:
    item = table.item(row, column)
    return item.text() if item is not None else ""


def range_of(view: CalibrationView, row: int) -> str:
    return text_in(view.table, row, 3)


def test_methods_are_shown_and_chosen(window: Window, digits: Tab) -> None:
    calibration = made("input", "a", "b", "zero")
    view = opened(window, digits, calibration)
    assert range_of(view, 0) == f"{calibration.amax('input'):.5g}"
    assert range_of(view, 3) == "zero throughout"
    assert "20,001 values up to 12, both signs" in view.caption.text()
    for row, method in enumerate(METHODS):
        assert text_in(view.methods, row, 1) == f"{amax(calibration.histograms['input'], method):.5g}"
    assert not view.one.isEnabled()
    view.select_tensor("zero")
    view.select_tensor("input")
    assert digits.selection.tensors == ("input",)

    view.select_tensor("a")
    wait_until(lambda: view.settled and text_in(view.methods, 0, 1), "for the methods")
    click_method(view, METHODS.index("max"))
    QTest.mouseClick(view.same, LEFT)
    wait_until(lambda: range_of(view, 1) == range_of(view, 2) == "12" and view.settled, "for all of Conv")
    assert range_of(view, 0) != "12"
    click_method(view, METHODS.index("mse"))
    QTest.mouseClick(view.one, LEFT)
    wait_until(lambda: range_of(view, 1) != "12" and view.settled, "for the one")
    assert text_in(view.methods, METHODS.index("mse"), 0) == "● mse"
    click_method(view, METHODS.index("percentile"))
    QTest.mouseClick(view.all, LEFT)
    wait_until(lambda: view.settled and all(text_in(view.table, row, 2) == "percentile" for row in range(4)))
    assert (view.calibration.method, dict(view.calibration.by_op), dict(view.calibration.by_tensor)) == (
        "percentile", {}, {},
    )  # fmt: skip


def test_the_line_is_dragged_by_hand(window: Window, digits: Tab) -> None:
    view = opened(window, digits, made("input", "a"))
    wait_until(lambda: view.plot.clip is not None, "for the line")
    box = view.plot.plot.getPlotItem().getViewBox()
    assert view.plot.clip is not None
    before = float(view.plot.clip.value())

    def at(value: float) -> QPoint:
        place: QPoint = view.plot.plot.mapFromScene(box.mapViewToScene(QPointF(value, box.viewRect().center().y())))
        return place

    viewport, start, end = view.plot.plot.viewport(), at(before), at(before * 1.5)
    QTest.mousePress(viewport, LEFT, NONE, start)
    QTest.mouseMove(viewport, (start + end) / 2)
    QTest.mouseMove(viewport, end)
    QTest.mouseRelease(viewport, LEFT, NONE, end)
    wait_until(lambda: "input" in view.calibration.given and view.settled, "for the range by hand")
    assert view.calibration.given["input"] == pytest.approx(before * 1.5, rel=0.05)
    assert text_in(view.table, 0, 2) == "by hand"
    assert range_of(view, 0) == f"{view.calibration.given['input']:.5g}"


def test_kept_compared_and_put_on_pairs(window: Window, digits: Tab, tmp_path: Path) -> None:
    window.edits.apply(make("qdq.insert", {"tensor": "input"}))
    (pair,) = find_pairs(digits.document.graph).values()
    assert not calibrated(digits.document.graph, pair)
    view = opened(window, digits, made("input", "a"))
    path = tmp_path / "kept.calibration.npz"
    with answering(choose(path)):
        QTest.mouseClick(view.foot["save"], LEFT)
    assert load(path).amax("input") == view.calibration.amax("input")
    click_method(view, METHODS.index("max"))
    QTest.mouseClick(view.all, LEFT)
    with answering(choose(path)):
        QTest.mouseClick(view.foot["compare"], LEFT)
    table = dialog_of(window, TableDialog).table
    assert [text_in(table, row, 0) for row in range(table.rowCount())] == ["input"]
    QTest.mouseClick(view.foot["use"], LEFT)
    form = dialog_of(window, OperationDialog)
    QTest.mouseClick(form.apply_button, LEFT)
    (pair,) = find_pairs(digits.document.graph).values()
    assert calibrated(digits.document.graph, pair)
    assert scales(digits.document.graph, pair) == pytest.approx([12 / 127])


def test_measured_from_the_form(window: Window, digits: Tab, models: Path, tmp_path: Path) -> None:
    dialog = ask(window)
    assert "Name the data first" in dialog.reason.text()
    dialog.add_paths([str(tmp_path / "none.npz")])
    assert "There is no such file" in dialog.reason.text()
    assert not dialog.start.isEnabled()
    dialog.paths.setPlainText(str(models / "digits_calib.npz"))
    dialog.batches.setValue(32)
    dialog.most.setValue(64)
    dialog.std.setText("0.5 x")
    assert not dialog.start.isEnabled()
    dialog.std.setText("0.5")
    QTest.mouseClick(dialog.start, LEFT)
    finish(window.jobs.tasks[-1])
    view = dialog_of(window, CalibrationView)
    assert view.calibration.samples == 64
    assert "input" in view.calibration.histograms
    assert not list((tmp_path / "kept" / "calibrating").iterdir())


def test_a_calibration_that_fails_names_the_input(window: Window, digits: Tab, tmp_path: Path) -> None:
    np.save(tmp_path / "wrong.npy", np.zeros((1, 3, 8, 8), np.float32))
    dialog: CalibrateDialog = ask(window)
    dialog.paths.setPlainText(str(tmp_path / "wrong.npy"))
    QTest.mouseClick(dialog.start, LEFT)
    finish(window.jobs.tasks[-1])
    (box,) = messages(window)
    assert "input" in text_of(box)
    assert "1x3x8x8" in text_of(box)
    box.close()
