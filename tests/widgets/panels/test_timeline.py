"""The timeline: what it says, what a click and the pointer do, and that pyqtgraph waits until there is need of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from graftwerk.backend.engines.report import NodeTime, Profile
from graftwerk.widgets.panels.timeline import Timeline
from graftwerk.widgets.panels.timeline_plot import TimelinePlot
from graftwerk.widgets.theme import DARK, LIGHT, Theme, precision_color
from tests.clock import timed
from tests.widgets.panels.measured import digits_profile


def test_pyqtgraph_is_imported_with_the_first_profile_that_is_seen() -> None:
    code = """
import sys
from PySide6.QtWidgets import QApplication
from graftwerk.widgets.panels.precision import PrecisionPanel
from graftwerk.widgets.panels.timeline import Timeline
from graftwerk.backend.engines.report import NodeTime, Profile
app = QApplication([])
timeline, precision = Timeline(), PrecisionPanel()
timeline.show()
precision.show()
assert "pyqtgraph" not in sys.modules, "imported with nothing to show"
timeline.set_profile(Profile("onnxruntime", "", "CPU", 1, (NodeTime("a", "Conv", (1.0,), (0.0,)),), ()))
assert "pyqtgraph" in sys.modules
assert sys.modules["pyqtgraph"].Qt.QT_LIB == "PySide6"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def timeline(qtbot: QtBot) -> Timeline:
    panel = Timeline()
    qtbot.addWidget(panel)
    panel.resize(900, 240)
    panel.show()
    return panel


def show(timeline: Timeline, profile: Profile, qtbot: QtBot) -> TimelinePlot:
    """Waits until the plot has its place in the panel."""
    timeline.set_profile(profile)
    plot = timeline.plot
    assert plot is not None
    qtbot.waitUntil(lambda: plot.isVisible() and plot.width() == timeline.width() and plot.view.width() > 100)
    return plot


def profile_of(*layers: NodeTime, iterations: int = 2) -> Profile:
    return Profile("onnxruntime", "1.31", "CPU", iterations, layers, (1.0,))


TWO = profile_of(
    NodeTime("first", "Conv", (1.0, 2.0), (0.0, 0.0), ("node 1",), "FP32"),
    NodeTime("second", "Relu", (3.0, 2.0), (1.0, 2.0), ("node 2", "node 3"), "INT8"),
)


def place(timeline: Timeline, row: int, milliseconds: float) -> QPoint:
    """Pixels of the plot's viewport."""
    assert timeline.plot is not None
    scene = timeline.plot.view.mapViewToScene(QPointF(milliseconds, row + 0.5))
    return QPoint(timeline.plot.mapFromScene(scene))


def click(plot: TimelinePlot, at: QPoint) -> None:
    QTest.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)


def color_at(timeline: Timeline, row: int, milliseconds: float) -> str:
    assert timeline.plot is not None
    image: QImage = timeline.plot.viewport().grab().toImage()
    ratio = image.devicePixelRatio()
    at = place(timeline, row, milliseconds)
    return str(QColor(image.pixel(int(at.x() * ratio), int(at.y() * ratio))).name())


def test_without_a_profile_it_says_what_to_do(timeline: Timeline) -> None:
    assert timeline.plot is None
    timeline.set_profile(TWO)
    assert timeline.plot is not None
    timeline.set_profile(None)
    assert not timeline.plot.isVisible()


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_bars_have_the_colour_of_their_family_or_precision(timeline: Timeline, theme: Theme, qtbot: QtBot) -> None:
    timeline.set_theme(theme)
    show(timeline, TWO, qtbot)
    assert color_at(timeline, 0, 0.5) == theme.family("compute")
    assert color_at(timeline, 0, 2.5) == theme.family("activation")
    assert color_at(timeline, 1, 1.5) == theme.family("compute")
    assert color_at(timeline, 0, 4.05) == theme.surface  # behind the last bar
    timeline.switch.choose("precision")
    assert color_at(timeline, 0, 0.5) == precision_color("FP32")
    assert color_at(timeline, 0, 2.5) == precision_color("INT8")


def test_merged_bars_are_painted(timeline: Timeline, qtbot: QtBot) -> None:
    starts = [at * 1e-3 for at in range(5000)]
    layers = [NodeTime(str(at), "Conv", (1e-3,), (start,), (str(at),)) for at, start in enumerate(starts)]
    show(timeline, profile_of(*layers, iterations=1), qtbot)
    for milliseconds in (0.01, 2.5, 4.99):
        assert color_at(timeline, 0, milliseconds) == LIGHT.family("compute")


def test_a_click_selects_the_first_node_behind_the_bar(timeline: Timeline, qtbot: QtBot) -> None:
    plot = show(timeline, TWO, qtbot)
    with qtbot.waitSignal(timeline.node_selected) as caught:
        click(plot, place(timeline, 1, 3.0))
    assert caught.args == ["node 2"]
    with qtbot.assertNotEmitted(timeline.node_selected):
        click(plot, place(timeline, 0, 4.06))


def test_a_selected_node_is_outlined_in_all_rows(timeline: Timeline, qtbot: QtBot) -> None:
    plot = show(timeline, TWO, qtbot)
    before = plot.viewport().grab().toImage()
    timeline.set_selection(("node 3",))
    chosen = plot.item.chosen
    assert timeline.bars is not None
    assert timeline.bars.node[chosen].tolist() == [1, 1]
    assert sorted(timeline.bars.row[chosen].tolist()) == [0, 1]
    after = plot.viewport().grab().toImage()
    accent = QColor(LIGHT.edge_strong).rgb()
    count = [sum(image.pixel(x, y) == accent for x in range(image.width()) for y in range(0, image.height(), 3))
             for image in (before, after)]
    assert count[1] > count[0] + 20
    timeline.set_selection(())
    assert not len(plot.item.chosen)


def test_selecting_all_of_a_large_profile_stays_quick(timeline: Timeline, qtbot: QtBot) -> None:
    """100,000 outlines one by one take seconds; they fall on the same pixels."""
    times = tuple(1e-3 for _ in range(20))
    layers = [NodeTime(str(at), "Conv", times, tuple(at * 1e-3 for _ in range(20)), (str(at),)) for at in range(5000)]
    plot = show(timeline, profile_of(*layers, iterations=20), qtbot)
    timeline.set_selection([str(at) for at in range(5000)])
    assert len(plot.item.chosen) == 100_000
    assert timed(plot.grab)[1] < 1.0


def test_a_selection_outlives_another_profile(timeline: Timeline) -> None:
    timeline.set_selection(("node 1",))
    timeline.set_profile(TWO)
    assert timeline.plot is not None
    assert len(timeline.plot.item.chosen) == 2


def test_pointing_at_a_bar_tells_about_it(timeline: Timeline, qtbot: QtBot) -> None:
    plot = show(timeline, TWO, qtbot)
    with qtbot.waitSignal(plot.hovered):
        QTest.mouseMove(plot.viewport(), place(timeline, 0, 2.5))
    assert timeline.detail == "node 2  Relu  3.00 ms  75.0 %  INT8"
    tip = timeline.tip(plot.item.hovered).splitlines()
    assert tip[:3] == ["node 2", "Relu · INT8", "3.00 ms, 75.0 % of iteration 1"]
    assert "does the work of node 3 too" in tip


def test_a_plugins_kernels_go_by_its_name_and_are_marked(timeline: Timeline, qtbot: QtBot) -> None:
    inner = [NodeTime(f"_inlfunc_P {at}", "Mul", (1.0, 1.0), (at, at), ("P",), "FP32") for at in (0.0, 1.0)]
    show(timeline, replace(profile_of(*inner), stand_ins=("P",)), qtbot)
    assert "stand-in for P" in timeline.header.text()
    assert timeline.tip(0).splitlines()[:2] == ["P", "Mul · FP32 · in a plugin's stand-in"]
    timeline.set_selection(("P",))
    assert timeline.detail == "P  median 2.00 ms  in 2 kernels  FP32  in a plugin's stand-in"


def wheel(timeline: Timeline, at: QPoint, steps: int) -> None:
    assert timeline.plot is not None
    viewport = timeline.plot.viewport()
    where = viewport.mapToGlobal(at)
    event = QWheelEvent(QPointF(at), QPointF(where), QPoint(), QPoint(0, 120 * steps), Qt.MouseButton.NoButton,
                        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)  # fmt: skip
    QApplication.sendEvent(viewport, event)


def test_the_wheel_zooms_the_time_at_the_pointer_and_a_double_click_shows_all(
    timeline: Timeline, qtbot: QtBot
) -> None:
    plot = show(timeline, TWO, qtbot)
    view = plot.view
    whole, rows = view.viewRange()
    at = place(timeline, 0, 2.5)
    wheel(timeline, at, 8)
    zoomed, same_rows = view.viewRange()
    assert zoomed[1] - zoomed[0] < 0.6 * (whole[1] - whole[0])
    assert same_rows == rows
    assert view.mapSceneToView(plot.mapToScene(at)).x() == pytest.approx(2.5, abs=0.05)
    click(plot, at)
    QTest.mouseDClick(plot.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    QTest.mouseRelease(plot.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    qtbot.waitUntil(lambda: view.viewRange()[0] == whole)


def test_rows_that_do_not_fit_are_reached_by_the_scroll_bar(timeline: Timeline, qtbot: QtBot) -> None:
    many = profile_of(NodeTime("a", "Conv", (1.0,) * 60, (0.0,) * 60, ("n",)), iterations=60)
    plot = show(timeline, many, qtbot)
    qtbot.waitUntil(plot.rows_bar.isVisible)
    plot.rows_bar.setValue(plot.rows_bar.maximum())
    assert plot.view.viewRange()[1][1] == pytest.approx(60, abs=0.2)
    timeline.set_profile(TWO)
    qtbot.waitUntil(lambda: not plot.rows_bar.isVisible())


def test_the_header_tells_when_there_are_no_start_times(timeline: Timeline) -> None:
    timeline.resize(1400, 240)
    timeline.set_profile(TWO)
    assert "start times" not in timeline.header.text()
    layers = tuple(replace(layer, start_milliseconds=()) for layer in TWO.layers)
    timeline.set_profile(replace(TWO, layers=layers))
    assert timeline.header.text().endswith("no start times: nodes stand in their order")


def fits(timeline: Timeline, width: int) -> bool:
    return timeline.width() == width and width - 60 < timeline.header.width() < width


def test_the_header_gives_way_to_shorter_ones(timeline: Timeline, qtbot: QtBot) -> None:
    timeline.set_profile(digits_profile())
    found = []
    for width in (1600, 700, 480):
        timeline.resize(width, 240)
        qtbot.waitUntil(partial(fits, timeline, width))
        found.append(timeline.header.text())
        assert timeline.header.fontMetrics().horizontalAdvance(found[-1]) <= timeline.header.width()
    assert len(found[0]) > len(found[1]) >= len(found[2])
    assert all("latency p50" in text and "sum of nodes" in text and "ONNX Runtime" in text for text in found)


def test_a_real_profile_end_to_end(timeline: Timeline, qtbot: QtBot) -> None:
    profile = digits_profile()
    plot = show(timeline, profile, qtbot)
    assert timeline.bars is not None
    bar = int(np.argmax(timeline.bars.length))
    middle = float(timeline.bars.start[bar] + timeline.bars.length[bar] / 2)
    with qtbot.waitSignal(timeline.node_selected) as caught:
        at = place(timeline, int(timeline.bars.row[bar]), middle)
        click(plot, at)
    assert caught.args is not None
    assert caught.args[0] in profile.layers[int(timeline.bars.node[bar])].onnx_nodes
