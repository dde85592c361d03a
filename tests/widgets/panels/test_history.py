"""The recipe's panel: its rows are edited by mouse and keys, and ask for another recipe."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.document import Document
from graftwerk.backend.operations.step import Step
from graftwerk.widgets.panels.history import History
from graftwerk.widgets.panels.history_rows import ROW
from graftwerk.widgets.panels.step_text import StepText
from tests.backend.operations import law_models as models

STEPS = [
    Step("node.rename", {"node": "Relu_0", "name": "a"}, "so that it is found"),
    Step("node.rename", {"node": "Sigmoid_1", "name": "b"}),
    Step("node.rename", {"node": "Neg_2", "name": "c"}),
]


@pytest.fixture
def document() -> Document:
    made = Document(models.chain())
    made.rewrite(made.rewritten(STEPS, {}))
    return made


@pytest.fixture
def panel(document: Document, qtbot: QtBot) -> History:
    made = History()
    qtbot.addWidget(made)
    made.resize(300, 420)
    made.show()
    made.set_document(document)

    def follow(steps: list[Step], parameters: dict[str, Any]) -> None:
        document.rewrite(document.rewritten(steps, parameters))
        made.refresh()

    made.changed.connect(follow)
    return made


def states(panel: History) -> list[str]:
    rows = [panel.model.index(row).data(ROW) for row in range(panel.model.rowCount())]
    return ["off" if row.off else row.state for row in rows]


def names(document: Document) -> list[str]:
    return [step.values["name"] for step in document.recipe.steps]


def press(panel: History, row: int, key: Qt.Key, alt: bool = False) -> None:
    index = panel.model.index(row)
    panel.list.setCurrentIndex(index)
    modifier = Qt.KeyboardModifier.AltModifier if alt else Qt.KeyboardModifier.NoModifier
    QTest.keyClick(panel.list, key, modifier)


def choose(menu: QMenu, *titles: str) -> None:
    for title in titles:
        (action,) = (each for each in menu.actions() if each.text().startswith(title))
        if action.menu() is None:
            action.trigger()
        else:
            menu = action.menu()  # type: ignore[assignment]


def test_steps_are_left_out_moved_and_deleted(panel: History, document: Document) -> None:
    assert states(panel) == ["done", "done", "done", "here"]
    press(panel, 2, Qt.Key.Key_Space)
    assert states(panel) == ["done", "done", "off", "here"]
    assert [node.name for node in document.graph.nodes.values()] == ["a", "Sigmoid_1", "c"]
    press(panel, 2, Qt.Key.Key_Space)
    press(panel, 3, Qt.Key.Key_Up, alt=True)
    assert names(document) == ["a", "c", "b"]
    press(panel, 1, Qt.Key.Key_Delete)
    assert names(document) == ["c", "b"]
    document.undo()
    assert names(document) == ["a", "c", "b"]


def test_dragging_a_row_moves_the_step(panel: History, document: Document) -> None:
    data = panel.model.mimeData([panel.model.index(3)])
    panel.model.dropMimeData(data, Qt.DropAction.MoveAction, 1, 0, panel.model.index(-1))
    assert names(document) == ["c", "a", "b"]


def test_a_click_shows_a_revision_and_a_double_click_asks_for_the_form(panel: History, qtbot: QtBot) -> None:
    place = panel.list.visualRect(panel.model.index(1)).center()
    with qtbot.waitSignal(panel.go) as went:
        QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert went.args == [1]
    with qtbot.waitSignal(panel.edit) as asked:
        QTest.mouseDClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert asked.args == [1]


def test_the_menu_makes_parameters_and_selectors(panel: History, document: Document) -> None:
    choose(panel.menu_for(1), "Make a parameter of", "name")
    assert document.recipe.parameters == {"name": "a"}
    assert panel.parameters.isVisible()
    choose(panel.menu_for(1), "Select by", "@op=Relu")
    assert document.recipe.steps[0].values == {"node": "@op=Relu", "name": "$name"}
    panel.parameters.item(0, 1).setText("changed")  # type: ignore[union-attr]
    assert document.recipe.parameters == {"name": "changed"}
    assert next(iter(document.graph.nodes.values())).name == "changed"
    panel.parameters.item(0, 0).setText("no name")  # type: ignore[union-attr]
    assert panel.parameters.item(0, 0).text() == "name"  # type: ignore[union-attr]


def test_a_step_that_cannot_be_done_says_why_and_the_rest_waits(panel: History, document: Document) -> None:
    broken = Step("node.rename", {"node": "gone", "name": "b"})
    panel.changed.emit([STEPS[0], broken, STEPS[2]], {})
    assert states(panel) == ["done", "here", "stopped", "waiting"]
    assert "There is no such node" in panel.model.index(2).data(ROW).below
    press(panel, 2, Qt.Key.Key_Delete)
    assert states(panel) == ["done", "done", "here"]


def test_a_step_as_text(qtbot: QtBot) -> None:
    dialog = StepText(STEPS[0], {"who": "z"})
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.text.setPlainText('{"operation": "node.rename", "node": "Relu_0"')
    assert "Not JSON" in dialog.problem.text()
    assert not dialog.ok.isEnabled()
    dialog.text.setPlainText(json.dumps({"operation": "node.rename", "node": "Relu_0", "name": "$whom"}))
    assert "no parameter whom" in dialog.problem.text()
    dialog.text.setPlainText(json.dumps({"operation": "node.rename", "node": "Relu_0", "name": "$who"}))
    with qtbot.waitSignal(dialog.accepted_step) as taken:
        dialog.ok.click()
    assert taken.args == [Step("node.rename", {"node": "Relu_0", "name": "$who"})]


def test_pictures_of_all_states(panel: History, document: Document) -> None:
    """Texts are inside their cards, in rows of one and of two lines."""
    panel.changed.emit([STEPS[0], Step("node.rename", {"node": "gone", "name": "b"}), STEPS[2]], {"batch": 8})
    heights = [panel.list.visualRect(panel.model.index(row)).height() for row in range(4)]
    assert heights[1] > heights[0] == heights[3]
    assert panel.grab().height() == 420
    assert panel.list.indexAt(QPoint(20, heights[0] + 5)).row() == 1
