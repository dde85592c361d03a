"""The panel of patterns: what it says of a text, and how it lists what was found."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.match.library import entries
from graftwerk.backend.match.matcher import find
from graftwerk.backend.match.pattern import parse
from graftwerk.widgets.panels.patterns import Patterns, distinct
from tests.backend.operations.law_models import graph_of, parsed

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def graph() -> Graph:
    return graph_of(parsed("""g (float[2] x) => (float[2] y) <float one = {1}, float two = {2}> {
        ["/l0/exp"] a = Exp(x) ["/l0/add"] b = Add(a, one) ["/l1/exp"] c = Exp(b) ["/l1/add"] d = Add(c, one)
        ["/l2/exp"] e = Exp(d) ["/l2/add"] y = Add(e, two)
    }"""))


@pytest.fixture
def panel(qtbot: QtBot, graph: Graph) -> Patterns:
    made = Patterns()
    qtbot.addWidget(made)
    made.set_entries(entries())
    made.set_graph(graph)
    made.show()
    return made


def rows(panel: Patterns) -> list[str]:
    return [item.text(0) for row in range(panel.rows.topLevelItemCount()) if (item := panel.rows.topLevelItem(row))]


def type_lines(panel: Patterns, text: str) -> None:
    first, *others = text.split("\n")
    QTest.keyClicks(panel.text, first)
    for line in others:
        QTest.keyClick(panel.text, Qt.Key.Key_Return)
        QTest.keyClicks(panel.text, line)


PATTERN = "a = Exp(x)\ny = Add(a, #c=1.0)"


def test_typed_found_ticked_and_replaced(qtbot: QtBot, panel: Patterns, graph: Graph) -> None:
    type_lines(panel, PATTERN)
    qtbot.waitUntil(panel.find_button.isEnabled)
    with qtbot.waitSignal(panel.search) as asked:
        QTest.mouseClick(panel.find_button, LEFT)
    assert asked.args == [PATTERN]
    panel.show_found(find([parse(PATTERN)], graph, near=True))
    assert rows(panel)[:2] == ["l0", "l1"]
    assert rows(panel)[2].startswith("Not quite: A constant of /l2/add is 2")
    assert panel.state.text() == "2 occurrences · 1 near miss"

    with qtbot.waitSignal(panel.replace) as all_of_them:
        QTest.mouseClick(panel.replace_all, LEFT)
    assert all_of_them.args == [PATTERN, ()]
    first, nearly = panel.rows.topLevelItem(0), panel.rows.topLevelItem(2)
    assert first is not None
    assert nearly is not None
    first.setCheckState(0, Qt.CheckState.Unchecked)
    assert panel.state.text() == "2 occurrences, 1 ticked · 1 near miss"
    with qtbot.waitSignal(panel.replace) as one:
        QTest.mouseClick(panel.replace_all, LEFT)
    assert one.args is not None
    assert [graph.ref(node) for node in one.args[1]] == ["/l1/exp", "/l1/add"]
    with qtbot.waitSignal(panel.selected) as selected:
        panel.rows.setCurrentItem(nearly)  # a near miss can be looked at too
    assert selected.args is not None
    assert [graph.ref(node) for node in selected.args[0].nodes] == ["/l2/exp", "/l2/add"]


def test_another_text_or_graph_takes_the_list_away(qtbot: QtBot, panel: Patterns, graph: Graph) -> None:
    panel.set_pattern(PATTERN)
    panel.show_found(find([parse(PATTERN)], graph))
    type_lines(panel, "\n-> y")
    qtbot.waitUntil(lambda: not rows(panel))
    assert "Find again" in panel.state.text()
    assert not panel.replace_all.isEnabled()
    panel.show_found(find([parse(PATTERN)], graph))
    panel.set_graph(graph_of(parsed("g (float[2] x) => (float[2] y) { y = Exp(x) }")))
    assert rows(panel) == []
    assert "Find again" in panel.state.text()


def test_a_text_that_is_no_pattern_is_told_at_once(qtbot: QtBot, panel: Patterns) -> None:
    QTest.keyClicks(panel.text, "y = Exp(x")
    qtbot.waitUntil(panel.problem.isVisible)
    assert panel.problem.text().startswith("line 1: 'y = Exp(x' is no node")
    assert not panel.find_button.isEnabled()
    assert panel.text.property("invalid")


def test_the_library_and_relaxing(panel: Patterns) -> None:
    row = panel.names.findData("gelu")
    panel.names.setCurrentIndex(row)
    panel.names.activated.emit(row)
    assert panel.pattern_text() == "gelu"
    assert not panel.keep.isEnabled()
    panel.no_values.trigger()
    assert panel.names.currentIndex() == 0
    assert panel.pattern_text().splitlines()[0] == "a = Div(x, #:scalar)"
    assert panel.keep.isEnabled()
    panel.set_pattern("y = Softmax(x) {axis=-1}")
    panel.no_attributes.trigger()
    assert panel.pattern_text() == "y = Softmax(x)\n-> y"


def test_scopes_that_are_the_same_everywhere_are_left_out() -> None:
    assert distinct(["/m/l.0/act/Div", "/m/l.1/act/Div"]) == ["l.0", "l.1"]
    assert distinct(["/m/l.0/a", "/m/l.0/b/a"]) == ["a", "b/a"]
    assert distinct(["one"]) == ["one"]
    assert distinct(["x/y", "x/y"]) == ["y", "y"]
