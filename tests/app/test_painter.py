"""The precision painter, by mouse: click, drag, selection, Esc, apply as one step, undo, and the comparison."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from graftwerk.app.painter import Painter
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.operations.precision_paint import Paint
from graftwerk.backend.quantize.requested import disagreements, precision_requested
from graftwerk.widgets.theme import precision_color
from tests.app.driving import CONTROL, LEFT, click, drag, nodes_of, point_of, press_key, wait_until


def opened(window: Window, tab: Tab) -> Painter:
    window.menus.shown["precision.painter"].trigger()
    return window.paintings[tab]


def choose(painter: Painter, brush: str) -> None:
    button = painter.bar.brushes[brush]
    QTest.mouseClick(button, LEFT, Qt.KeyboardModifier.NoModifier, button.rect().center())


def press(button: object) -> None:
    QTest.mouseClick(button, LEFT)  # type: ignore[call-overload]


def test_click_and_drag_paint_and_esc_takes_a_stroke_back(window: Window, digits: Tab) -> None:
    painter = opened(window, digits)
    first, second, *_ = nodes_of(digits.graph, "Conv")
    choose(painter, "INT8")
    click(digits, first)
    assert painter.paint == {first: "INT8"}
    assert digits.canvas.look.overlay.colors[first] == precision_color("INT8")
    choose(painter, "FP16")
    relu = nodes_of(digits.graph, "Relu")[0]
    end = point_of(digits, second)
    digits.canvas.zoom_fit()
    start, end = point_of(digits, relu), point_of(digits, second)
    start = point_of(digits, relu)
    drag(digits, start, end)
    assert painter.paint[relu] == painter.paint[second] == "FP16"
    before = dict(painter.paint)
    QTest.mousePress(digits.canvas, LEFT, Qt.KeyboardModifier.NoModifier, point_of(digits, first))
    assert painter.paint[first] == "FP16"
    QTest.keyClick(digits.canvas, Qt.Key.Key_Escape)
    assert painter.paint == before
    QTest.mouseRelease(digits.canvas, LEFT, Qt.KeyboardModifier.NoModifier, point_of(digits, first))
    assert digits.document.at == 0


def test_a_node_that_cannot_have_it_says_why(window: Window, digits: Tab) -> None:
    painter = opened(window, digits)
    choose(painter, "INT8")
    click(digits, nodes_of(digits.graph, "Add")[0])
    assert not painter.paint
    assert "Add has no INT8 form" in painter.bar.said.text()


def test_selection_is_painted_and_erased(window: Window, digits: Tab) -> None:
    painter = opened(window, digits)
    convolutions = nodes_of(digits.graph, "Conv")[:2]
    for node in convolutions:
        click(digits, node, CONTROL)
    assert not painter.paint
    choose(painter, "BF16")
    press(painter.bar.fill)
    assert not painter.paint  # Conv takes no BF16 in opset 17
    assert "no BF16" in painter.bar.said.text()
    choose(painter, "FP16")
    press(painter.bar.fill)
    assert painter.paint == dict.fromkeys(convolutions, "FP16")
    choose(painter, "")
    click(digits, convolutions[0])
    assert painter.paint == {convolutions[1]: "FP16"}
    press(painter.bar.clear)
    assert not painter.paint


def test_apply_is_one_step_and_the_preview_is_held_against_it(
    window: Window, digits: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter = opened(window, digits)
    convolutions = nodes_of(digits.graph, "Conv")
    choose(painter, "INT8")
    click(digits, convolutions[1])
    choose(painter, "FP16")
    click(digits, convolutions[0])
    revision = digits.document.graph
    said: list[str] = []
    monkeypatch.setattr(window, "say", lambda text, error=False: said.append(text))
    press(painter.bar.apply)
    assert digits not in window.paintings
    assert not digits.canvas.brush
    assert isinstance(digits.document.revisions[digits.document.at].operation, Paint)
    assert digits.document.at == 1
    wait_until(lambda: any("painted nodes run as painted" in text for text in said), "for the compile")
    assert any("2 of 2 painted nodes run as painted" in text for text in said)
    assert digits.overlay == "precision"
    assert digits.report is not None
    missed = disagreements(digits.graph, digits.report.nodes)
    assert not missed.keys() & {digits.graph.ref(node) for node in convolutions[:2]}
    assert [precision_requested(digits.graph, node) for node in convolutions[:2]] == ["FP16", "INT8"]
    window.menus.shown["edit.undo"].trigger()
    assert digits.document.graph is revision


def test_esc_without_a_stroke_closes_the_painter(window: Window, digits: Tab) -> None:
    painter = opened(window, digits)
    choose(painter, "FP16")
    click(digits, nodes_of(digits.graph, "Conv")[0])
    digits.canvas.setFocus()
    press_key(window, Qt.Key.Key_Escape)
    assert digits not in window.paintings
    assert digits.document.at == 0
    assert not digits.canvas.look.overlay.colors
    click(digits, nodes_of(digits.graph, "Conv")[0])
    assert digits.selection.nodes == (nodes_of(digits.graph, "Conv")[0],)
