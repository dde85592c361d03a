"""Where the time goes: order, sums, spread, and clicks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from statistics import median

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from graftwerk.backend.engines.report import NodeTime, Profile
from graftwerk.widgets.panels.times import MOST_NODES, TimesPanel, spread
from tests.widgets.panels.measured import digits_profile


@pytest.fixture
def panel(qtbot: QtBot) -> TimesPanel:
    made = TimesPanel()
    qtbot.addWidget(made)
    made.resize(900, 240)
    made.show()
    qtbot.waitExposed(made)
    return made


def click(panel: TimesPanel, row: int) -> None:
    at = panel.list.visualRect(panel.list.rows.index(row)).center()
    QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)


def profile_of(*layers: NodeTime) -> Profile:
    return Profile("onnxruntime", "1", "CPU", 3, layers, (9.0,))


SOME = profile_of(
    NodeTime("a", "Conv", (1.0, 2.0, 9.0), (), ("node a",)),
    NodeTime("b", "Relu", (3.0, 3.0, 3.0), (), ("node b",)),
    NodeTime("c", "Conv", (2.5, 2.5, 2.5), (), ("node c", "node d")),
)


def test_nodes_stand_in_the_order_of_their_medians(panel: TimesPanel) -> None:
    panel.set_profile(SOME)
    assert [(bar.name, bar.value, bar.text) for bar in panel.list.rows.bars] == [
        ("node b", 3.0, "3.00 ms   40.0 %"), ("node c", 2.5, "2.50 ms   33.3 %"), ("node a", 2.0, "2.00 ms   26.7 %"),
    ]  # fmt: skip
    assert "median 2.00 ms, p10 1.20 ms, p90 7.60 ms over 3 iterations" in panel.list.rows.bars[2].tip
    assert spread(NodeTime("x", "Conv", ()))[-1] == "median 0 µs, p10 0 µs, p90 0 µs over 0 iterations"


def test_a_plugins_kernels_are_one_row_marked_as_stand_in(panel: TimesPanel, qtbot: QtBot) -> None:
    inner = [NodeTime(f"_inlfunc_MHA_1_MHA_1 {at}", "MatMul", (0.5 + at / 10,), (), ("MHA",)) for at in range(3)]
    panel.set_profile(replace(profile_of(NodeTime("conv", "Conv", (1.0,), (), ("conv",)), *inner), stand_ins=("MHA",)))
    bars = panel.list.rows.bars
    assert [(bar.name, bar.kind) for bar in bars] == [("MHA", "stand-in, 3 kernels"), ("conv", "Conv")]
    assert bars[0].value == pytest.approx(1.8)
    assert bars[0].tip.splitlines()[2:] == [
        "3 kernels, the sum of their medians:", "MatMul  700 µs", "MatMul  600 µs", "MatMul  500 µs",
    ]  # fmt: skip
    with qtbot.waitSignal(panel.node_selected) as caught:
        click(panel, 0)
    assert caught.args == ["MHA"]
    panel.set_selection(("MHA",))
    assert [index.row() for index in panel.list.selectedIndexes()] == [0]


def test_a_click_or_enter_selects_a_node(panel: TimesPanel, qtbot: QtBot) -> None:
    panel.set_profile(SOME)
    with qtbot.waitSignal(panel.node_selected) as caught:
        click(panel, 1)
    assert caught.args == ["node c"]
    QTest.keyClick(panel.list, Qt.Key.Key_Down)
    with qtbot.waitSignal(panel.node_selected) as caught:
        QTest.keyClick(panel.list, Qt.Key.Key_Return)
    assert caught.args == ["node a"]


def test_a_selection_from_outside_marks_rows_without_a_signal(panel: TimesPanel, qtbot: QtBot) -> None:
    panel.set_profile(SOME)
    with qtbot.assertNotEmitted(panel.node_selected):
        panel.set_selection(("node a", "node d"))
    assert sorted(index.row() for index in panel.list.selectedIndexes()) == [1, 2]
    panel.set_selection(())
    assert not panel.list.selectedIndexes()


def test_operators_add_up_and_lead_to_their_nodes(panel: TimesPanel, qtbot: QtBot) -> None:
    panel.set_profile(SOME)
    QTest.mouseClick(panel.switch.buttons["operators"], Qt.MouseButton.LeftButton)
    assert [(bar.name, bar.value, bar.kind) for bar in panel.list.rows.bars] == [
        ("Conv", 4.5, "2 nodes"), ("Relu", 3.0, "1 node"),
    ]  # fmt: skip
    with qtbot.assertNotEmitted(panel.node_selected):
        click(panel, 0)
    assert [bar.name for bar in panel.list.rows.bars] == ["node c", "node a"]
    assert panel.switch.current == "nodes"
    QTest.mouseClick(panel.all_nodes, Qt.MouseButton.LeftButton)
    assert len(panel.list.rows.bars) == 3
    assert not panel.all_nodes.isVisible()


def test_what_is_not_listed_is_summed_up(panel: TimesPanel) -> None:
    panel.set_profile(profile_of(*(NodeTime(str(at), "Add", (1.0,)) for at in range(MOST_NODES + 50))))
    assert len(panel.list.rows.bars) == MOST_NODES
    assert panel.rest.text() == "and 50 nodes more, 50.0 ms"


def test_a_real_profile(panel: TimesPanel) -> None:
    profile = digits_profile()
    panel.set_profile(profile)
    values = [bar.value for bar in panel.list.rows.bars]
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(sum(median(layer.milliseconds) for layer in profile.layers))
    panel.switch.choose("operators")
    sums: dict[str, float] = defaultdict(float)
    for layer in profile.layers:
        sums[layer.kind] += median(layer.milliseconds)
    assert {bar.name: bar.value for bar in panel.list.rows.bars} == pytest.approx(dict(sums))


def test_names_give_way_to_their_bars(panel: TimesPanel, qtbot: QtBot) -> None:
    """The longest bar with its value stays inside of the row, however long the name."""
    panel.set_profile(profile_of(NodeTime("/a/very/long/name" * 30, "Conv", (1.0,)), NodeTime("b", "Relu", (0.5,))))
    image = panel.list.viewport().grab().toImage()
    margin = image.width() - 6
    background = image.pixel(margin, image.height() - 4)
    assert all(image.pixel(margin, y) == background for y in range(40))


def test_without_a_profile_it_says_what_to_do(panel: TimesPanel) -> None:
    panel.set_profile(SOME)
    assert panel.list.isVisible()
    panel.set_profile(None)
    assert not panel.list.isVisible()
