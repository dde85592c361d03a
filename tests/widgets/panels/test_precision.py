"""The precision panel: what the bars add up to, and what a click on one selects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from graftwerk.backend.engines.report import Layer, NodeOutcome, Report
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.panels.precision import PrecisionPanel, asked_and_got, in_order
from graftwerk.widgets.panels.stacks import StackedBars
from tests.widgets.panels.measured import DIGITS, digits_report

MIXED = Report(
    "tensorrt-rtx", "1.7", ("sm89",), 0.5, 1000,
    (
        Layer("a", "gemm", "INT8", milliseconds=3.0), Layer("b", "gemm", "INT8", milliseconds=1.0),
        Layer("c", "kgen", "FP16", milliseconds=4.0), Layer("d", "shape_call", milliseconds=2.0),
    ),
    {},
)  # fmt: skip


@pytest.fixture
def panel(qtbot: QtBot) -> PrecisionPanel:
    made = PrecisionPanel()
    qtbot.addWidget(made)
    made.resize(1000, 240)
    made.show()
    return made


@pytest.fixture(scope="module")
def graph() -> Graph:
    """The digits classifier with the types that its file declares."""
    return load(DIGITS)


def charts(panel: PrecisionPanel, qtbot: QtBot) -> tuple[StackedBars, StackedBars]:
    found = panel.charts
    assert found is not None
    qtbot.waitUntil(lambda: found[0].isVisible() and found[0].view.width() > 100)
    return found


def click(chart: StackedBars, key: Hashable) -> None:
    at = chart.place_of(key).toPoint()
    QTest.mouseClick(chart.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)


def test_without_a_report_there_is_nothing_but_advice(panel: PrecisionPanel, qtbot: QtBot) -> None:
    assert panel.charts is None
    panel.set_report(MIXED, None, None)
    first, _ = charts(panel, qtbot)
    panel.set_report(None, None, None)
    assert not first.isVisible()


def test_layers_are_counted_by_precision(panel: PrecisionPanel, qtbot: QtBot) -> None:
    panel.set_report(MIXED, None, None)
    chart, _ = charts(panel, qtbot)
    assert [(row.name, row.total, row.text) for row in chart.rows] == [
        ("FP16", 1, "1 layer · 25.0 %"), ("INT8", 2, "2 layers · 50.0 %"), ("no arithmetic", 1, "1 layer · 25.0 %"),
    ]  # fmt: skip


def test_times_are_added_up_by_precision(panel: PrecisionPanel, qtbot: QtBot) -> None:
    panel.set_report(MIXED, None, None)
    chart, _ = charts(panel, qtbot)
    QTest.mouseClick(panel.switch.buttons["time"], Qt.MouseButton.LeftButton)
    assert [(row.name, row.text) for row in chart.rows] == [
        ("FP16", "4.00 ms · 40.0 %"), ("INT8", "4.00 ms · 40.0 %"), ("no arithmetic", "2.00 ms · 20.0 %"),
    ]  # fmt: skip


def test_time_can_not_be_chosen_where_nothing_was_timed(panel: PrecisionPanel, qtbot: QtBot) -> None:
    panel.set_report(MIXED, None, None)
    panel.switch.choose("time")
    panel.set_report(digits_report(), None, None)
    assert panel.switch.current == "layers"
    assert not panel.switch.buttons["time"].isEnabled()
    assert "No device" in panel.switch.buttons["time"].toolTip()


def test_a_click_selects_the_layers_of_a_precision(panel: PrecisionPanel, qtbot: QtBot) -> None:
    panel.set_report(MIXED, None, None)
    chart, _ = charts(panel, qtbot)
    with qtbot.waitSignal(panel.layers_selected) as caught:
        click(chart, "INT8")
    assert caught.args == [("a", "b")]


def test_a_real_report_against_its_graph(panel: PrecisionPanel, graph: Graph, qtbot: QtBot) -> None:
    report = digits_report()
    panel.set_report(report, graph, None)
    counted, asked = charts(panel, qtbot)
    found = Counter(layer.precision for layer in report.layers)
    assert {row.name: row.total for row in counted.rows} == {name or "no arithmetic": n for name, n in found.items()}
    assert [row.name for row in asked.rows] == ["FP32"]
    outcomes = asked_and_got(report, graph)
    assert set(outcomes) == {"FP32"}
    assert asked.rows[0].total == sum(map(len, outcomes["FP32"].values()))
    convolutions = {ref for ref in outcomes["FP32"]["FP32"] if ref.endswith("/Conv")}
    assert len(convolutions) == sum(node.op_type == "Conv" for node in graph.nodes.values())
    with qtbot.waitSignal(panel.layers_selected) as caught:
        click(asked, ("FP32", "FP32"))
    assert caught.args is not None
    assert set(caught.args[0]) == {report.nodes[ref].layer for ref in outcomes["FP32"]["FP32"]}


def test_what_became_of_a_node_instead_is_shown_beside(panel: PrecisionPanel, graph: Graph, qtbot: QtBot) -> None:
    report = digits_report()
    outcomes = asked_and_got(report, graph)["FP32"]["FP32"]
    one, two = outcomes[:2]
    changed = replace(report, nodes=report.nodes | {
        one: NodeOutcome("x", "INT8"), two: NodeOutcome("", "", (), "folded"),
    })  # fmt: skip
    panel.set_report(changed, graph, None)
    _, asked = charts(panel, qtbot)
    segments = asked.rows[0].segments
    assert segments[0].key == ("FP32", "FP32")  # what was asked for stands first
    assert {(("FP32", "INT8"), 1), (("FP32", "folded"), 1)} <= {(segment.key, segment.value) for segment in segments}
    assert "1 node asked for FP32, got INT8" in {segment.tip for segment in segments}
    assert asked.rows[0].text.endswith(f"{len(outcomes) - 2} as asked")


def test_precisions_stand_in_the_order_of_a_legend() -> None:
    assert in_order(["", "INT8", "odd", "FP32", "FP16"]) == ["FP32", "FP16", "INT8", "", "odd"]
