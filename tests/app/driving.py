"""A user's hands for the tests of the window: mouse, keys and dialogs, and patience for conditions, never for times."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QEventLoop, QPoint, Qt, QTimer
from PySide6.QtGui import QAction, QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QMenu, QMessageBox, QWidget

from graftwerk.app.jobs import Task
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.graph.graph import Graph, NodeId

D = TypeVar("D", bound=QDialog)
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
#: Far more than anything here takes, milliseconds: a test that hangs is to end.
PATIENCE = 20_000


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Lets the window live until a condition holds."""
    if condition():
        return
    loop, late, check = QEventLoop(), QTimer(), QTimer()
    check.timeout.connect(lambda: loop.quit() if condition() else None)
    late.timeout.connect(lambda: loop.exit(1))
    check.start(2)
    late.start(PATIENCE)
    ended = loop.exec()
    check.stop()  # a frame that a failure keeps alive would keep it asking
    assert ended == 0, f"gave up waiting {what}"


def finish(task: Task) -> Task:
    """Waits for a job to end."""
    wait_until(lambda: task.over, f"for {task.view.title}")
    return task


def nodes_of(graph: Graph, op_type: str) -> list[NodeId]:
    return [node for node, record in graph.nodes.items() if record.op_type == op_type]


# Mouse on the canvas


def point_of(tab: Tab, node: NodeId) -> QPoint:
    """The middle of a node's box in pixels of the canvas, brought into view."""
    canvas = tab.canvas
    box = canvas.picture.diagram.box(node)
    assert box is not None
    return point_of_box(tab, box)


def point_of_box(tab: Tab, box: int) -> QPoint:
    canvas = tab.canvas
    canvas.reveal_box(box)
    picture = canvas.picture
    x, y = (picture.left[box] + picture.right[box]) / 2, (picture.top[box] + picture.bottom[box]) / 2
    return QPoint(*map(round, canvas.camera.to_view(float(x), float(y))))


def click(tab: Tab, node: NodeId, modifiers: Qt.KeyboardModifier = NONE) -> None:
    QTest.mouseClick(tab.canvas, LEFT, modifiers, point_of(tab, node))


def double_click(tab: Tab, node: NodeId) -> None:
    at = point_of(tab, node)
    QTest.mouseClick(tab.canvas, LEFT, NONE, at)
    QTest.mouseDClick(tab.canvas, LEFT, NONE, at)


def drag(tab: Tab, start: QPoint, end: QPoint) -> None:
    """Presses at one place, moves in steps to another, and lets go there."""
    canvas = tab.canvas
    QTest.mousePress(canvas, LEFT, NONE, start)
    for step in range(1, 9):
        QTest.mouseMove(canvas, start + (end - start) * step / 8)
    QTest.mouseRelease(canvas, LEFT, NONE, end)


@contextmanager
def context_menu(tab: Tab, at: QPoint) -> Iterator[QMenu]:
    """Opens the canvas's context menu at a place; closes it again."""
    canvas = tab.canvas
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, canvas.mapToGlobal(at))
    QApplication.sendEvent(canvas, event)
    wait_until(lambda: isinstance(QApplication.activePopupWidget(), QMenu), "for the context menu")
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    try:
        yield menu
    finally:
        menu.close()


def entry(menu: QMenu, title: str) -> QAction:
    """The entry of a menu; dots at its end need not be given."""
    found = [action for action in menu.actions() if action.text().rstrip("…") == title]
    assert found, f"{title} is not among {[action.text() for action in menu.actions()]}"
    return found[0]


def pick(menu: QMenu, title: str) -> None:
    """Clicks an entry of an open menu."""
    QTest.mouseClick(menu, LEFT, NONE, menu.actionGeometry(entry(menu, title)).center())


def press_key(window: Window, key: Qt.Key, modifiers: Qt.KeyboardModifier = NONE) -> None:
    """Presses a key where the window has the keyboard, as it has once a dialog before it is closed."""
    window.activateWindow()
    wait_until(window.isActiveWindow, "for the keyboard")
    QTest.keyClick(window.focusWidget() or window, key, modifiers)


# Dialogs


def dialog_of(window: Window, kind: type[D]) -> D:
    """The dialog of a kind that is open beside the window."""
    wait_until(lambda: any(one.isVisible() for one in window.findChildren(kind)), f"for a {kind.__name__}")
    return next(one for one in window.findChildren(kind) if one.isVisible())


def messages(window: Window) -> list[QMessageBox]:
    return [box for box in window.findChildren(QMessageBox) if box.isVisible()]


def text_of(box: QMessageBox) -> str:
    return f"{box.text()}\n{box.informativeText()}\n{box.detailedText()}"


@contextmanager
def answering(*answers: Callable[[QWidget], object]) -> Iterator[None]:
    """Answers the modal dialogs that open meanwhile, one after the other; each must come."""
    left = list(answers)
    answered: list[QWidget] = []

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if dialog is not None and left and dialog.isVisible() and dialog not in answered:
            answered.append(dialog)
            left.pop(0)(dialog)

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(2)
    yield
    timer.stop()
    assert not left, f"{len(left)} dialogs did not come"


def press(button: QMessageBox.StandardButton) -> Callable[[QWidget], None]:
    """The answer that presses a button of a message."""

    def answer(dialog: QWidget) -> None:
        assert isinstance(dialog, QMessageBox)
        QTest.mouseClick(dialog.button(button), LEFT)

    return answer


def choose(path: Path, kind: str = "") -> Callable[[QWidget], None]:
    """The answer that chooses a file, and one of the kinds of files."""

    def answer(dialog: QWidget) -> None:
        assert isinstance(dialog, QFileDialog)
        if kind:
            dialog.selectNameFilter(kind)
        dialog.setDirectory(str(path.parent))
        dialog.selectFile(str(path))
        dialog.done(QDialog.DialogCode.Accepted)

    return answer


# Processes


def children(parent: int | None = None) -> set[int]:
    """Process ids of the living children of this process (or another), by Linux's /proc."""
    parent = parent or os.getpid()
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, owner = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:  # it has just ended
                continue
            if int(owner) == parent and state != "Z":
                found.add(int(folder.name))
    return found
