"""The layer table: sorting, filtering, selection both ways, copying and exporting."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from graftwerk.backend.engines.report import Layer, LayerTensor, NodeOutcome, NodeTime, Profile, Report
from graftwerk.backend.graph.files import load
from graftwerk.widgets.panels.layer_model import (
    INPUTS,
    KIND,
    NAME,
    NODES,
    NUMBER,
    PRECISION,
    TIME,
    natural,
    tensor_text,
)
from graftwerk.widgets.panels.layers import LayerTable
from graftwerk.widgets.theme import LIGHT
from tests.clock import timed
from tests.widgets.panels.measured import digits_profile, digits_report

HALF = LayerTensor("x", "FP16", "(NHWC) Channel major format", (-1, 3, 8, 8))
REPORT = Report(
    "tensorrt-rtx", "1.7", ("sm89", "sm120"), 0.5, 2_130_000,
    (
        Layer("conv 10", "correlation", "INT8", (HALF,), (), "tactic a", ("/a/Conv", "/a/Relu"), 0.5),
        Layer("conv 9", "correlation", "INT8", (), (HALF,), "tactic b", ("/b/Conv",), 12.0),
        Layer("requantize", "kgen", "FP32", (), (), "tactic c", ("/a/Conv",), 0.009),
        Layer("copy", "shape_call"),
    ),
    {"/a/Conv": NodeOutcome("conv 10", "INT8", ("requantize",)), "/a/Relu": NodeOutcome("conv 10", "INT8"),
     "/b/Conv": NodeOutcome("conv 9", "INT8")},
)  # fmt: skip


@pytest.fixture
def table(qtbot: QtBot) -> LayerTable:
    panel = LayerTable()
    qtbot.addWidget(panel)
    panel.resize(1100, 260)
    panel.set_report(REPORT, None, None)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


def column(table: LayerTable, number: int) -> list[str]:
    return [str(table.model.index(row, number).data()) for row in range(table.model.rowCount())]


def click(table: LayerTable, row: int, number: int = NAME, add: bool = False) -> None:
    at = table.table.visualRect(table.model.index(row, number)).center()
    modifier = Qt.KeyboardModifier.ControlModifier if add else Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(table.table.viewport(), Qt.MouseButton.LeftButton, modifier, at)


def sort(table: LayerTable, number: int) -> None:
    """Clicks on a column's header."""
    header = table.table.horizontalHeader()
    table.table.scrollTo(table.model.index(0, number))
    at = QPoint(header.sectionViewportPosition(number) + 12, header.height() // 2)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)


def test_what_the_cells_say(table: LayerTable) -> None:
    columns = (NUMBER, NAME, KIND, PRECISION, NODES, INPUTS, TIME)
    row = {number: str(table.model.index(0, number).data()) for number in columns}
    assert row == {
        NUMBER: "0", NAME: "conv 10", KIND: "correlation", PRECISION: "INT8", NODES: "/a/Conv + Relu",
        INPUTS: "FP16 ?×3×8×8 NHWC", TIME: "500 µs",
    }  # fmt: skip
    assert "x: FP16 ?×3×8×8 NHWC" in table.model.index(0, INPUTS).data(Qt.ItemDataRole.ToolTipRole)
    assert tensor_text(LayerTensor("s", "INT64")) == "INT64"


def test_sorting_by_a_click_on_a_header(table: LayerTable) -> None:
    sort(table, TIME)
    assert column(table, TIME) == ["", "9 µs", "500 µs", "12.0 ms"]
    sort(table, TIME)
    assert column(table, TIME) == ["12.0 ms", "500 µs", "9 µs", ""]
    sort(table, NAME)
    assert column(table, NAME)[:2] == ["conv 9", "conv 10"]
    assert sorted(["layer10", "layer2", "Layer1"], key=natural) == ["Layer1", "layer2", "layer10"]


def test_filtering_by_words_and_precisions(table: LayerTable) -> None:
    QTest.keyClicks(table.filter, "conv TACTIC")
    assert column(table, NAME) == ["conv 10", "conv 9", "requantize"]
    QTest.mouseClick(table.chips["INT8"], Qt.MouseButton.LeftButton)
    assert column(table, NAME) == ["conv 10", "conv 9"]
    assert table.count.text() == "2 of 4 layers"
    table.filter.clear()
    QTest.mouseClick(table.chips[""], Qt.MouseButton.LeftButton)
    assert column(table, NAME) == ["conv 10", "conv 9", "copy"]
    assert table.chips["INT8"].text() == "INT8 2"


def test_a_click_says_which_layers_are_selected(table: LayerTable, qtbot: QtBot) -> None:
    with qtbot.waitSignal(table.layers_selected) as caught:
        click(table, 1)
    assert caught.args == [("conv 9",)]
    with qtbot.waitSignal(table.layers_selected) as caught:
        click(table, 3, add=True)
    assert caught.args == [("conv 9", "copy")]


def test_sorting_and_filtering_keep_the_selection(table: LayerTable, qtbot: QtBot) -> None:
    click(table, 1)
    with qtbot.assertNotEmitted(table.layers_selected):
        sort(table, NAME)
        table.filter.setText("requantize")
        table.filter.clear()
    assert table.selected() == ("conv 9",)
    rows = [index.row() for index in table.table.selectionModel().selectedRows()]
    assert rows == [column(table, NAME).index("conv 9")]


def test_selecting_from_outside_makes_no_signal_and_brings_the_row_into_view(table: LayerTable, qtbot: QtBot) -> None:
    many = replace(REPORT, layers=tuple(replace(REPORT.layers[0], name=f"layer {at}") for at in range(500)))
    table.set_report(many, None, None)
    with qtbot.assertNotEmitted(table.layers_selected):
        table.select_layers(("layer 400", "layer 401"))
    assert table.selected() == ("layer 400", "layer 401")
    visible = table.table.viewport().rect()
    assert visible.intersects(table.table.visualRect(table.model.index(400, NAME)))


def test_a_helper_that_the_user_selected_stays_selected(table: LayerTable) -> None:
    click(table, 2)
    table.select_layers(("conv 10",))  # what the window answers: the primary layer of the helper's nodes
    assert table.selected() == ("requantize",)
    table.select_layers(("conv 9",))
    assert table.selected() == ("conv 9",)


def test_copying_gives_tab_separated_values_with_a_header(table: LayerTable) -> None:
    click(table, 0)
    click(table, 2, add=True)
    QTest.keyClick(table.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    rows = list(csv.reader(io.StringIO(QApplication.clipboard().text()), delimiter="\t"))
    assert rows[0] == ["#", "Layer", "Kind", "Precision", "ONNX nodes", "Inputs", "Outputs", "Tactic", "Time (ms)"]
    assert [row[1] for row in rows[1:]] == ["conv 10", "requantize"]
    assert rows[1][4] == "/a/Conv, /a/Relu"
    assert [float(row[8]) for row in rows[1:]] == [0.5, 0.009]


def test_exporting_writes_what_is_shown(
    table: LayerTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "layers.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    table.filter.setText("conv")
    sort(table, NAME)
    QTest.mouseClick(table.export, Qt.MouseButton.LeftButton)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert [row["Layer"] for row in rows] == ["conv 9", "conv 10", "requantize"]
    assert rows[0]["Outputs"] == "FP16 ?×3×8×8 NHWC"


def test_a_file_that_can_not_be_written_is_told(
    table: LayerTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nowhere" / "layers.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    QTest.mouseClick(table.export, Qt.MouseButton.LeftButton)
    assert table.message.isVisible()
    assert "No such file or directory" in table.message.text()


def test_no_time_column_where_nothing_was_timed(table: LayerTable) -> None:
    assert not table.table.isColumnHidden(TIME)
    table.set_report(digits_report(), None, digits_profile())
    assert table.table.isColumnHidden(TIME)
    assert "no times" in table.header.text()
    report = digits_report()
    timed = Profile(report.backend, report.version, "GPU", 1, (NodeTime(report.layers[2].name, "", (0.25,)),), ())
    table.set_report(report, None, timed)
    assert not table.table.isColumnHidden(TIME)
    assert column(table, TIME)[2] == "250 µs"


def test_stand_ins_are_named(table: LayerTable) -> None:
    assert not table.message.isVisible()
    table.set_report(replace(REPORT, stand_ins=("/nms", "/grid")), None, None)
    assert table.message.isVisible()
    assert table.message.text() == "compiled as original subgraph: /nms, /grid"


def test_a_filter_can_be_cleared_and_goes_with_its_model(table: LayerTable, models: Path) -> None:
    assert not table.all_layers.isVisible()
    digits, encoder = load(models / "digits.onnx"), load(models / "encoder.onnx")
    table.set_report(REPORT, digits, None)
    table.filter.setText("nothing of this kind")
    assert table.count.text() == f"0 of {len(REPORT.layers)} layers"
    table.all_layers.click()
    assert table.model.rowCount() == len(REPORT.layers)
    assert not table.all_layers.isVisible()
    table.filter.setText("conv")
    table.chips["INT8"].setChecked(True)
    table.set_report(REPORT, digits, None, stale=True)
    assert table.filter.text() == "conv", "another report of the same model"
    assert "of an earlier revision" in table.header.text()
    table.set_report(REPORT, encoder, None)
    assert table.model.rowCount() == len(REPORT.layers)
    assert not any(chip.isChecked() for chip in table.chips.values())


def test_without_a_report_it_says_what_to_do(table: LayerTable) -> None:
    assert table.table.isVisible()
    table.set_report(None, None, None)
    assert not table.table.isVisible()
    assert table.model.rowCount() == 0


def test_fifty_thousand_layers(table: LayerTable) -> None:
    """Loose bounds, for machines that are busy: the work is a pass over lists, without a call of Python per pair."""
    real = digits_report()
    copies = -(-50_000 // len(real.layers))
    layers = tuple(replace(layer, name=f"{layer.name} {at}") for at in range(copies) for layer in real.layers)
    big = replace(real, layers=layers)
    assert timed(table.set_report, big, None, None)[1] < 1.0

    def sort_and_filter() -> None:
        table.model.sort(NAME)
        table.filter.setText("conv")
        table.grab()

    assert timed(sort_and_filter)[1] < 5.0
    assert table.model.rowCount(QModelIndex()) > 1000


def test_a_layer_that_is_pointed_at_is_marked_on_both_sides(qtbot: QtBot, table: LayerTable) -> None:
    table.set_theme(LIGHT)
    table.set_hovered_layer("requantize")
    cells = [table.model.index(row, NUMBER) for row in range(table.model.rowCount())]
    marked = [cell.row() for cell in cells if cell.data(Qt.ItemDataRole.BackgroundRole) is not None]
    assert [table.model.layer(row).name for row in marked] == ["requantize"]
    cell = table.table.visualRect(table.model.index(1, NAME)).center()
    with qtbot.waitSignal(table.layer_hovered) as heard:
        QTest.mouseMove(table.table.viewport(), cell)
    assert heard.args == [table.model.layer(1).name]
