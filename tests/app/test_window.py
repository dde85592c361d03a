"""The window itself: what it remembers, themes, the palette, the search, and work without a mouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from graftwerk.app.settings import Settings
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.graph.graph import NodeRef
from graftwerk.backend.operations.qdq_insert import InsertQdqLayer
from graftwerk.backend.operations.rename import RenameNode
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.palette import Palette
from graftwerk.widgets.theme import DARK, LIGHT
from tests.app import driving
from tests.app.driving import children, nodes_of, press_key, wait_until

Open = Callable[[Path], Tab]


def palette_of(window: Window) -> Palette:
    wait_until(lambda: isinstance(QApplication.activePopupWidget(), Palette), "for the palette")
    palette = QApplication.activePopupWidget()
    assert isinstance(palette, Palette)
    return palette


def test_the_layout_is_remembered_and_can_be_reset(settings: Settings) -> None:
    first = Window(settings)
    first.resize(790, 700)  # what fits on the offscreen screen
    first.show()
    docks = first.docks._docks
    docks["outline"].hide()
    first.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docks["layers"])
    first.close()
    first.deleteLater()

    second = Window(settings)
    second.show()
    docks = second.docks._docks
    assert (second.width(), second.height()) == (790, 700)
    assert docks["outline"].isHidden()
    assert second.dockWidgetArea(docks["layers"]) == Qt.DockWidgetArea.LeftDockWidgetArea
    second.menus.shown["view.reset"].trigger()
    assert not docks["outline"].isHidden()
    assert second.dockWidgetArea(docks["layers"]) == Qt.DockWidgetArea.BottomDockWidgetArea
    assert docks["layers"] in second.tabifiedDockWidgets(docks["timeline"])
    second.close()
    second.deleteLater()
    assert not children()


def test_a_spoilt_settings_file_is_no_obstacle(qapp: QApplication, tmp_path: Path) -> None:
    file = tmp_path / "window.ini"
    spoilt = ["theme=@Invalid()", 'recent="[1, {"', "docks=nonsense", "geometry=@ByteArray(xx)", "targets=7"]
    file.write_text("\n".join(["[General]", *spoilt, ""]))
    window = Window(Settings(file))
    window.show()
    assert window.isVisible()
    assert window.settings.recent == []
    window.files.open_sample()
    assert window.engines.settings(window.need_tab()).targets == ("sm89",)
    window.close()
    window.deleteLater()


@pytest.mark.parametrize("dark", [False, True])
def test_the_theme_is_switched_and_remembered(window: Window, settings: Settings, digits: Tab, dark: bool) -> None:
    window.set_theme(LIGHT if dark else DARK)
    background = window.grab().toImage().pixelColor(300, 400).lightness()
    window.menus.shown["view.theme"].trigger()
    assert window.theme.dark is dark
    assert window.menus.shown["view.theme"].isChecked() is dark
    assert digits.canvas.theme.dark is dark
    assert (window.grab().toImage().pixelColor(300, 400).lightness() < background) is dark
    again = Window(Settings(Path(settings._store.fileName())))
    assert again.theme.dark is dark
    again.close()
    again.deleteLater()


def test_the_palette_does_what_was_chosen(window: Window, digits: Tab) -> None:
    press_key(window, Qt.Key.Key_P, driving.CONTROL | driving.SHIFT)
    palette = palette_of(window)
    QTest.keyClicks(palette.search, "dark theme")
    QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert window.theme.dark
    assert not palette.isVisible()


def test_the_palette_says_why_not(window: Window, digits: Tab) -> None:
    press_key(window, Qt.Key.Key_P, driving.CONTROL | driving.SHIFT)
    palette = palette_of(window)
    QTest.keyClicks(palette.search, "undo")
    item = palette.model.data(palette.model.index(0), Qt.ItemDataRole.UserRole)
    assert (item.title, item.enabled, item.reason) == ("Undo", False, "Nothing to undo")
    QTest.keyClick(palette.search, Qt.Key.Key_Escape)
    assert not palette.isVisible()


def test_find_reveals_a_node(window: Window, open_model: Open, shared: Path) -> None:
    tab = open_model(shared / "models" / "bert_ts.onnx")
    last = nodes_of(tab.graph, "Softmax")[-1]
    press_key(window, Qt.Key.Key_F, driving.CONTROL)
    palette = palette_of(window)
    QTest.keyClicks(palette.search, tab.graph.nodes[last].name)
    QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert tab.selection.nodes == (last,)
    box = tab.canvas.picture.diagram.box(last)
    assert box is not None
    frame = tab.canvas.camera.frame
    assert frame.left <= tab.canvas.picture.left[box] <= frame.right
    assert frame.top <= tab.canvas.picture.top[box] <= frame.bottom


def test_find_follows_an_edit(window: Window, digits: Tab) -> None:
    window.searching.find()
    palette_of(window).hide()
    digits.document.apply(RenameNode(NodeRef("/stem/relu/Relu"), "unheard_of"))
    press_key(window, Qt.Key.Key_F, driving.CONTROL)
    QTest.keyClicks(palette_of(window).search, "unheard_of")
    QTest.keyClick(palette_of(window).search, Qt.Key.Key_Return)
    assert [digits.graph.nodes[node].name for node in digits.selection.nodes] == ["unheard_of"]


def test_the_search_field_finds_commands_and_nodes(window: Window, digits: Tab) -> None:
    QTest.mouseClick(window.toolbar._search, driving.LEFT)
    palette = palette_of(window)
    QTest.keyClicks(palette.search, "maxpool maxpool")
    QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert [digits.graph.nodes[node].op_type for node in digits.selection.nodes] == ["MaxPool"]
    QTest.mouseClick(window.toolbar._search, driving.LEFT)
    QTest.keyClicks(palette.search, "select all")
    QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert len(digits.selection.nodes) == len(digits.graph.nodes)


def test_the_whole_job_by_keyboard(window: Window, digits: Tab) -> None:
    digits.canvas.setFocus()
    press_key(window, Qt.Key.Key_Down)
    (first,) = digits.selection.nodes
    for _ in range(2):
        QTest.keyClick(digits.canvas, Qt.Key.Key_Down)
    (third,) = digits.selection.nodes
    assert third != first
    conv = nodes_of(digits.graph, "Conv")[0]
    digits.select_refs((digits.graph.ref(conv),))
    press_key(window, Qt.Key.Key_Q, driving.SHIFT)
    dialog = driving.dialog_of(window, OperationDialog)
    QTest.keyClick(dialog, Qt.Key.Key_Return)
    assert digits.document.dirty
    press_key(window, Qt.Key.Key_F5)
    driving.finish(window.jobs.tasks[-1])
    assert digits.report is not None
    press_key(window, Qt.Key.Key_Z, driving.CONTROL)
    assert not digits.document.dirty
    digits.canvas.setFocus()
    press_key(window, Qt.Key.Key_Escape)
    assert not digits.selection.nodes
    press_key(window, Qt.Key.Key_A, driving.CONTROL)
    assert len(digits.selection.nodes) == len(digits.graph.nodes)


def test_keys_typed_into_a_field_are_no_shortcuts(window: Window, digits: Tab) -> None:
    """Q, F and Del belong to the text while one is edited."""
    digits.select_refs(("/stem/relu/Relu",))
    window.docks.show("layers")
    driving.finish(window.engines.build())
    field = window.docks.layers.filter
    wait_until(field.isVisible)
    window.activateWindow()
    wait_until(window.isActiveWindow)
    field.setFocus()
    zoom = digits.canvas.camera
    QTest.keyClicks(field, "qf")
    QTest.keyClick(field, Qt.Key.Key_Delete)
    assert field.text() == "qf"
    assert digits.canvas.camera == zoom
    assert not digits.document.dirty


def test_history_goes_back_to_a_step(window: Window, digits: Tab) -> None:
    refs = [digits.graph.ref(node) for node in nodes_of(digits.graph, "Conv")[:3]]
    for ref in refs:
        digits.document.apply(InsertQdqLayer(ref))
    window.docks.history.go.emit(1)
    assert len(digits.document.recipe.steps) == 1
    assert digits.canvas.graph is digits.graph
    window.docks.history.go.emit(3)
    assert len(digits.document.recipe.steps) == 3


def test_steps_that_an_edit_took_the_place_of_are_put_back(window: Window, digits: Tab) -> None:
    panel = window.docks.history
    first, second, third = [digits.graph.ref(node) for node in nodes_of(digits.graph, "Conv")[:3]]
    digits.document.apply(InsertQdqLayer(first))
    digits.document.apply(InsertQdqLayer(second))
    assert not panel.aside_button.isVisibleTo(panel)
    panel.go.emit(1)
    window.edits.apply(InsertQdqLayer(third))
    assert panel.aside_button.isVisibleTo(panel)
    assert panel.aside_button.text() == "1 step set aside ▾"
    panel.aside_menu().actions()[0].trigger()
    wait_until(lambda: not digits.document.aside)
    operations = [revision.operation for revision in digits.document.revisions[1:]]
    assert operations == [InsertQdqLayer(NodeRef(ref)) for ref in (first, third, second)]
    assert not panel.aside_button.isVisibleTo(panel)


def test_targets_are_chosen_in_the_tool_bar(window: Window, digits: Tab, settings: Settings) -> None:
    window.engines.ask_library()
    wait_until(lambda: window.engines.library)
    menu = window.toolbar._menu
    menu.popup(window.mapToGlobal(window.rect().center()))
    driving.pick(menu, "SM120")
    menu.close()
    assert window.engines.settings(digits).targets == ("sm89", "sm120")
    menu.popup(window.mapToGlobal(window.rect().center()))
    driving.pick(menu, "SM89")
    menu.close()
    assert window.engines.settings(digits).targets == ("sm120",)
    assert "SM120" in window.toolbar._targets.text()
    assert settings.read("targets", []) == ["sm120"]
    driving.finish(window.engines.build())
    assert digits.report is not None
    assert digits.report.targets == ("sm120",)
