"""Find all like this, by mouse: from a selection to all of its occurrences, and one node in the place of each."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtTest import QTest

from graftwerk.app.main import main
from graftwerk.app.pattern_control import _Search
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.operations.registry import make
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.pattern_dialog import PatternDialog
from tests.app.driving import (
    CONTROL,
    LEFT,
    click,
    context_menu,
    dialog_of,
    entry,
    finish,
    nodes_of,
    point_of,
    wait_until,
)

Open = Callable[[Path], Tab]


def chain_around(tab: Tab) -> list[int]:
    """Div, Erf and Add of the first GELU."""
    graph = tab.graph
    erf = nodes_of(graph, "Erf")[0]
    div = graph.producer(graph.nodes[erf].input[0])
    assert div is not None
    return [div, erf, graph.consumers(graph.nodes[erf].output[0])[0]]


def test_from_a_selection_to_all_of_them(window: Window, open_model: Open, models: Path) -> None:
    tab = open_model(models / "encoder.onnx")
    before = len(tab.graph.nodes)
    chosen = chain_around(tab)
    click(tab, chosen[0])
    for node in chosen[1:]:
        click(tab, node, CONTROL)
    window.menus.shown["select.like_this"].trigger()
    panel = window.docks.patterns
    wait_until(lambda: not window.patterns.searching, "for the search")
    assert panel.isVisible()
    assert panel.state.text() == "2 occurrences"
    QTest.mouseClick(panel.select_all, LEFT)
    assert set(chosen) < set(tab.selection.nodes)
    assert len(tab.selection.nodes) == 6

    QTest.mouseClick(panel.replace_all, LEFT)
    dialog = dialog_of(window, OperationDialog)
    dialog.form.editors["op_type"].set_value("HalfGelu")
    wait_until(dialog.apply_button.isEnabled, "for the form")
    QTest.mouseClick(dialog.apply_button, LEFT)
    finish(window.jobs.tasks[-1])
    assert len(nodes_of(tab.graph, "HalfGelu")) == 2
    assert len(tab.graph.nodes) == before - 8  # the Constants that each had to itself went along
    wait_until(lambda: "Find again" in panel.state.text(), "for the list to go")
    window.edits.undo()
    assert len(tab.graph.nodes) == before


def test_a_pattern_is_saved_used_and_deleted(
    window: Window, open_model: Open, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path))
    tab = open_model(models / "encoder.onnx")
    window.docks.show("patterns")
    panel = window.docks.patterns
    wait_until(lambda: panel.names.count() > 1, "for the library")
    for node in chain_around(tab):
        click(tab, node, CONTROL)
    QTest.mouseClick(panel.take, LEFT)
    panel.keep.trigger()
    dialog = dialog_of(window, PatternDialog)
    QTest.keyClicks(dialog.name, "no name")
    assert not dialog.save.isEnabled()
    dialog.name.clear()
    QTest.keyClicks(dialog.name, "half_gelu")
    QTest.mouseClick(dialog.save, LEFT)
    wait_until(lambda: panel.pattern_text() == "half_gelu", "for the library")
    assert main(["find", str(models / "encoder.onnx"), "--pattern", "half_gelu", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["occurrences"]) == 2
    panel.remove.trigger()
    assert panel.names.findData("half_gelu") < 0
    assert main(["find", str(models / "encoder.onnx"), "--pattern", "half_gelu"]) == 3


def test_finding_needs_nodes(window: Window, open_model: Open, models: Path) -> None:
    tab = open_model(models / "encoder.onnx")
    action = window.menus.shown["select.like_this"]
    window.menus.refresh()
    assert not action.isEnabled()
    assert "Select the nodes" in action.toolTip()
    with context_menu(tab, point_of(tab, chain_around(tab)[0])) as menu:
        assert entry(menu, "Replace all like this").isEnabled()
        assert entry(menu, "Find All Like This").isEnabled()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches that wait at their fourth place until they are stopped."""

    def go_on(search: _Search, done: int, total: int) -> bool:
        search.done, search.total = done, total
        while done >= 3 and not search.stopped:
            threading.Event().wait(0.001)  # the window's turn
        return not search.stopped

    monkeypatch.setattr(_Search, "go_on", go_on)


def test_a_stopped_search_shows_what_it_found(window: Window, open_model: Open, models: Path, held: None) -> None:
    open_model(models / "encoder.onnx")
    window.docks.show("patterns")
    panel = window.docks.patterns
    panel.set_pattern("y = Add(...)")
    QTest.mouseClick(panel.find_button, LEFT)
    wait_until(lambda: panel.state.text().startswith("Looked at 3 of"), "for the progress")
    assert panel.find_button.text() == "Stop"
    QTest.mouseClick(panel.find_button, LEFT)
    wait_until(lambda: not window.patterns.searching, "for the search to end")
    assert panel.find_button.text() == "Find"
    assert panel.state.text() == "3 occurrences · stopped early"


def test_an_edit_while_a_search_runs_ends_it(window: Window, open_model: Open, models: Path, held: None) -> None:
    tab = open_model(models / "encoder.onnx")
    window.docks.show("patterns")
    panel = window.docks.patterns
    panel.set_pattern("y = Add(...)")
    QTest.mouseClick(panel.find_button, LEFT)
    wait_until(lambda: panel.state.text().startswith("Looked at 3 of"), "for the progress")
    first = nodes_of(tab.graph, "Add")[0]
    window.edits.apply(make("node.rename", {"node": tab.graph.ref(first), "name": "renamed"}))
    wait_until(lambda: "Find again" in panel.state.text(), "for the panel to notice")
    assert not window.patterns.searching
    assert panel.find_button.text() == "Find"
    assert panel.rows.topLevelItemCount() == 0
