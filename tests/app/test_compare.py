from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QListWidgetItem, QWidget

from graftwerk.app.compare_control import CompareDialog
from graftwerk.app.compare_window import CompareWindow
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.compare.result import NodeDifference
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import NodeId
from graftwerk.backend.operations.registry import make
from graftwerk.widgets.canvas.view import Canvas
from graftwerk.widgets.theme import DIFFERENCE_COLORS
from tests.app.conftest import Open
from tests.app.driving import LEFT, NONE, answering, choose, dialog_of, wait_until
from tests.widgets.color_vision import least_difference


def done(one: CompareWindow) -> CompareWindow:
    wait_until(lambda: not one.busy, "for the comparison")
    return one


@pytest.fixture
def fused(window: Window, digits: Tab, models: Path) -> CompareWindow:
    """The digits with batch normalizations (before) against those without."""
    return done(window.comparing.open(digits, "digits_bn.onnx", load(models / "digits_bn.onnx")))


def middle(canvas: Canvas, node: NodeId) -> QPoint:
    box = canvas.picture.diagram.box(node)
    assert box is not None
    picture = canvas.picture
    x, y = (picture.left[box] + picture.right[box]) / 2, (picture.top[box] + picture.bottom[box]) / 2
    return QPoint(*map(round, canvas.camera.to_view(float(x), float(y))))


def test_a_click_in_the_list_selects_and_centres_in_both(fused: CompareWindow) -> None:
    table, model = fused.differences.table, fused.differences.model
    at = next(n for n, row in enumerate(model.shown) if row.kind == "changed" and row.what == "Add")
    table.scrollTo(model.index(at, 0))
    QTest.mouseClick(table.viewport(), LEFT, NONE, table.visualRect(model.index(at, 1)).center())
    source = model.shown[at].source
    assert isinstance(source, NodeDifference)
    assert source.before_id is not None
    assert source.after_id is not None
    for canvas, node in ((fused.first, source.before_id), (fused.second, source.after_id)):
        assert canvas.selected_nodes == (node,)
        away = middle(canvas, node) - canvas.rect().center()
        assert abs(away.x()) <= 2
        assert abs(away.y()) <= 2


def test_panning_and_zooming_one_takes_the_other_along(fused: CompareWindow) -> None:
    assert fused.found is not None
    node = next(iter(fused.found.pairs))
    fused.link.show(node, fused.found.pairs[node])
    fused.first.set_zoom(0.9)
    camera = fused.first.camera
    fused.first.set_camera(camera.moved(37, -12))
    assert fused.second.camera.zoom == pytest.approx(0.9)
    mine, its = middle(fused.first, node), middle(fused.second, fused.found.pairs[node])
    offset = mine - its - (fused.first.rect().center() - fused.second.rect().center())
    assert (abs(offset.x()) <= 2, abs(offset.y()) <= 2) == (True, True)
    fused.second.set_camera(fused.second.camera.moved(-80, 5))
    assert fused.first.camera != camera.moved(37, -12)


def test_keys_go_through_the_differences_and_swap_turns_them_round(fused: CompareWindow) -> None:
    fused.activateWindow()
    wait_until(fused.isActiveWindow)
    first = fused.differences.model.shown[0]
    QTest.keyClick(fused, Qt.Key.Key_F8)
    assert fused.differences.current() is first
    QTest.keyClick(fused, Qt.Key.Key_F8)
    assert fused.differences.current() is fused.differences.model.shown[1]
    QTest.keyClick(fused, Qt.Key.Key_F8, Qt.KeyboardModifier.ShiftModifier)
    assert fused.differences.current() is first
    assert fused.found is not None
    removed = fused.found.counts()["removed"]
    QTest.mouseClick(fused.swap, LEFT)
    done(fused)
    assert fused.found.counts() == {"added": removed, "changed": fused.found.counts()["changed"]}


def test_what_is_coloured_is_what_differs_and_the_legend_says_so(fused: CompareWindow) -> None:
    assert fused.found is not None
    removed = {node.before_id for node in fused.found.nodes if node.kind == "removed"}
    wait_until(lambda: bool(fused.both.look.overlay.colors))
    shown = fused.first.look.overlay
    assert {node for node, color in shown.colors.items() if color == DIFFERENCE_COLORS["removed"]} == removed
    assert DIFFERENCE_COLORS["removed"] in {line.color for line in shown.legend}
    assert not set(fused.second.look.overlay.colors.values()) & {DIFFERENCE_COLORS["removed"]}


def test_one_graph_has_the_removed_nodes_beside_the_newer_ones(fused: CompareWindow) -> None:
    QTest.mouseClick(fused.buttons["both"], LEFT)
    assert fused.shown is not None
    whole = fused.shown.union
    assert len(whole.graph.nodes) == len(fused.after.graph.nodes) + len(whole.gone)
    at = next(n for n, row in enumerate(fused.differences.model.shown) if row.kind == "removed")
    fused.differences.table.selectRow(at)
    (here,) = fused.both.selected_nodes
    assert whole.graph.nodes[here].op_type == "BatchNormalization"


def test_a_node_that_is_clicked_shows_its_attributes_and_how_far_its_weights_are_apart(fused: CompareWindow) -> None:
    assert fused.found is not None
    chosen = next(n for n in fused.found.nodes if n.op_type == "Conv" and n.kind == "changed")
    assert chosen.before_id is not None
    with fused.link.apart():
        fused.first.reveal(chosen.before_id)
    QTest.mouseClick(fused.first, LEFT, NONE, middle(fused.first, chosen.before_id))
    assert fused.second.selected_nodes == (chosen.after_id,)
    text = fused.differences.detail.toPlainText()
    assert chosen.after in text
    assert "largest difference" in text
    assert "relative L2" in text


def test_a_revision_from_the_history_another_tab_or_a_file(
    window: Window, open_model: Open, models: Path, tmp_path: Path
) -> None:
    open_model(models / "encoder.onnx")
    tab = open_model(models / "digits.onnx")
    tab.document.apply(make("node.rename", {"node": "/stem/conv/Conv", "name": "first"}))
    window.menus.shown["view.compare"].trigger()
    dialog = dialog_of(window, CompareDialog)
    texts = [dialog.list.item(row).text().strip() for row in range(dialog.list.count())]
    assert texts == ["Open models", "encoder.onnx", "History", "As it was opened"]
    item: QListWidgetItem = dialog.list.item(3)
    QTest.mouseClick(dialog.list.viewport(), LEFT, NONE, dialog.list.visualItemRect(item).center())
    QTest.mouseClick(dialog.compare, LEFT)
    one = done(window.comparing.shown[-1])
    assert one.found is not None
    assert one.found.counts() == {"renamed": 1}
    one.close()

    window.menus.shown["view.compare"].trigger()
    with answering(choose(models / "digits_bn.onnx")):
        QTest.mouseClick(dialog_of(window, CompareDialog).file, LEFT)
    wait_until(lambda: window.comparing.shown and window.comparing.shown[-1] is not one)
    done(window.comparing.shown[-1])


def test_the_colours_can_be_told_apart_by_everyone() -> None:
    assert least_difference(dict(DIFFERENCE_COLORS))[0] > 10


def test_the_theme_follows_the_window(window: Window, fused: CompareWindow) -> None:
    window.toggle_theme()
    shown: QWidget = fused
    assert shown.isVisible()
    assert fused.first.theme.dark is window.theme.dark
