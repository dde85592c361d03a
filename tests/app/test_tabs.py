"""Opening and closing models: several at once, unsaved changes, files that are no models, the empty window."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton, QWidget

from graftwerk.app.settings import Settings
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.operations.rename import RenameNode
from tests.app import driving
from tests.app.driving import answering, messages, press, press_key, text_of, wait_until

Open = Callable[[Path], Tab]
Button = QMessageBox.StandardButton


def rename_first(tab: Tab) -> None:
    """An edit like any other."""
    node = next(iter(tab.graph.nodes))
    tab.document.apply(RenameNode(tab.graph.ref(node), "renamed"))


@pytest.fixture
def copies(models: Path, tmp_path: Path) -> list[Path]:
    return [Path(shutil.copy(models / "digits.onnx", tmp_path / name)) for name in ("one.onnx", "two.onnx")]


def test_several_models_stand_in_tabs_and_keep_what_is_theirs(window: Window, open_model: Open, models: Path) -> None:
    digits, encoder = open_model(models / "digits.onnx"), open_model(models / "encoder.onnx")
    assert window.tabs() == [digits, encoder]
    driving.click(encoder, next(iter(encoder.graph.nodes)))
    rename_first(encoder)
    window.show_tab(digits)
    assert window.windowTitle().startswith("digits.onnx")
    assert not digits.selection.nodes
    assert not window.menus.shown["edit.undo"].isEnabled()
    window.show_tab(encoder)
    assert encoder.selection.nodes
    assert window.menus.shown["edit.undo"].isEnabled()
    assert [window._tabs.tabText(at) for at in range(2)] == ["digits.onnx", "encoder.onnx •"]


def test_a_file_that_is_open_is_shown_not_opened_again(window: Window, copies: list[Path], tmp_path: Path) -> None:
    window.files.open(copies)
    assert window.tab is window.tabs()[1]
    link = tmp_path / "link.onnx"
    link.symlink_to(copies[0])
    window.files.open([tmp_path / "." / "one.onnx", link])
    assert len(window.tabs()) == 2
    assert window.tab is window.tabs()[0]


def test_unsaved_changes_are_asked_about(window: Window, copies: list[Path]) -> None:
    window.files.open(copies)
    one, two = window.tabs()
    rename_first(one)
    rename_first(two)
    with answering(press(Button.Cancel)):
        window.close()
    assert window.isVisible()
    assert len(window.tabs()) == 2
    with answering(press(Button.Save)):
        QTest.mouseClick(close_button(window, 0), driving.LEFT)
    assert window.tabs() == [two]
    assert "renamed" in [node.name for node in onnx.load(copies[0]).graph.node]
    with answering(press(Button.Discard)):
        press_key(window, Qt.Key.Key_W, driving.CONTROL)
    assert window.tabs() == []
    assert "renamed" not in [node.name for node in onnx.load(copies[1]).graph.node]
    assert window._stack.currentWidget() is window._welcome


def close_button(window: Window, index: int) -> QWidget:
    bar = window._tabs.tabBar()
    return bar.tabButton(index, bar.ButtonPosition.RightSide) or bar.tabButton(index, bar.ButtonPosition.LeftSide)


def test_a_save_that_fails_keeps_the_tab(window: Window, copies: list[Path]) -> None:
    window.files.open(copies[:1])
    rename_first(window.need_tab())
    window.need_tab().document.path = copies[0].parent / "gone" / "one.onnx"
    with answering(press(Button.Save)):
        window.close_tab()
    assert len(window.tabs()) == 1
    assert window.need_tab().document.dirty
    (box,) = messages(window)
    assert "gone" in text_of(box)
    box.close()


def test_closing_a_clean_model_asks_nothing(window: Window, copies: list[Path]) -> None:
    window.files.open(copies[:1])
    rename_first(window.need_tab())
    window.need_tab().document.undo()
    window.close_tab()
    assert window.tabs() == []
    assert window.windowTitle() == "Graftwerk"


def test_files_are_dropped_on_the_window(window: Window, copies: list[Path], tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in copies])
    left, none, copy = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.DropAction.CopyAction
    enter = QDragEnterEvent(QPointF(300, 300).toPoint(), copy, data, left, none)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(300, 300), copy, data, left, none))
    wait_until(lambda: len(window.tabs()) == 2, "for the models")
    web = QMimeData()
    web.setUrls([QUrl("https://example.org/model.onnx")])
    enter = QDragEnterEvent(QPointF(300, 300).toPoint(), copy, web, left, none)
    enter.ignore()
    QApplication.sendEvent(window, enter)
    assert not enter.isAccepted()


def test_the_empty_window_offers_what_was_open(window: Window, settings: Settings, copies: list[Path]) -> None:
    assert window._stack.currentWidget() is window._welcome
    window.files.open(copies)
    window.close_tab()
    window.close_tab()
    assert settings.recent == [copies[1], copies[0]]
    wait_until(lambda: len(welcome_buttons(window, ".onnx")) == 2)
    QTest.mouseClick(welcome_buttons(window, "one.onnx")[0], driving.LEFT)
    assert window.need_tab().title == "one.onnx"
    assert settings.recent == copies
    copies[1].unlink()
    window.close_tab()
    wait_until(lambda: len(welcome_buttons(window, ".onnx")) == 1)
    with answering(driving.choose(copies[0])):
        QTest.mouseClick(welcome_buttons(window, "Open…")[0], driving.LEFT)
    assert window.need_tab().document.path == copies[0]


def welcome_buttons(window: Window, text: str) -> list[QPushButton]:
    return [one for one in window._welcome.findChildren(QPushButton) if text in one.text() and one.isVisible()]


def test_samples_open_from_the_empty_window(window: Window) -> None:
    QTest.mouseClick(welcome_buttons(window, "encoder")[0], driving.LEFT)
    assert window.need_tab().title == "encoder.onnx"


# Files that are no models


def bad_files(models: Path, tmp_path: Path) -> dict[str, Path]:
    whole = (models / "digits.onnx").read_bytes()
    made = {"truncated.onnx": whole[: len(whole) // 2], "empty.onnx": b"", "text.onnx": b"no", "zip.onnx": b"PK\3\4"}
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    outside = helper.make_tensor("w", TensorProto.FLOAT, [4], np.zeros(4, np.float32))
    outside.ClearField("float_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../outside.bin")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [outside])
    onnx.save(helper.make_model(graph), tmp_path / "outside.onnx")
    (tmp_path / "folder.onnx").mkdir()
    names = (*made, "outside.onnx", "folder.onnx", "missing.onnx")
    return {name: tmp_path / name for name in names}


def test_what_is_no_model_is_one_message_each(window: Window, models: Path, tmp_path: Path) -> None:
    for name, path in bad_files(models, tmp_path).items():
        window.files.open([path])
        (box,) = messages(window)
        assert name in text_of(box)
        assert "Traceback" not in text_of(box)
        assert window.tabs() == []
        assert path not in window.settings.recent
        QTest.mouseClick(box.button(Button.Ok), driving.LEFT)
        wait_until(lambda: not messages(window))
    window.files.open([models / "digits.onnx"])
    assert len(window.tabs()) == 1


def test_several_bad_files_are_one_message(window: Window, models: Path, tmp_path: Path) -> None:
    bad = bad_files(models, tmp_path)
    window.files.open([*bad.values(), models / "digits.onnx"])
    (box,) = messages(window)
    assert all(name in text_of(box) for name in bad)
    assert [tab.title for tab in window.tabs()] == ["digits.onnx"]
    box.close()


def test_every_odd_model_opens_or_says_why_not(window: Window, shared: Path) -> None:
    files = sorted((shared / "onnx-edge").rglob("*.onnx"))
    assert len(files) > 20
    opened = 0
    for path in files:
        window.files.open([path])
        boxes = messages(window)
        try:
            load(path)
        except Fault:
            assert len(boxes) == 1, path.name
            boxes[0].close()
            wait_until(lambda: not messages(window))
            continue
        opened += 1
        assert boxes == [], path.name
        tab = window.need_tab()
        assert tab.document.path == path
        wait_until(lambda: tab.inference.known)  # noqa: B023 - waited for here
        for key in ("outline", "recipe", "inspector", "problems"):
            window.docks.show(key)
        for node in tab.graph.nodes:
            tab.select_refs((tab.graph.ref(node),))
        tab.select_all()
        assert not tab.document.dirty
        window.close_tab()
    assert opened > 20
