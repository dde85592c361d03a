"""Compare With…: asks what the shown model is to be compared with, and opens the window that shows it."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from graftwerk.app.compare_window import CompareWindow, Side
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.graph.graph import Graph


class CompareControl:
    """The window's command; `shown` are the windows that are open."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.shown: list[CompareWindow] = []

    def ask(self) -> None:
        """Asks what to compare the shown model with."""
        tab = self.window.need_tab()
        dialog = CompareDialog(self._choices(tab), tab.title, self.window)
        dialog.chosen.connect(lambda title, graph: self.open(tab, title, graph))
        dialog.file_asked.connect(lambda: self.choose_file(tab))
        tab.destroyed.connect(dialog.close)
        dialog.open()

    def _choices(self, tab: Tab) -> list[tuple[str, str, Graph]]:
        """What is at hand: (group, title, graph)."""
        found = [("Open models", other.title, other.document.graph) for other in self.window.tabs() if other is not tab]
        for number, revision in enumerate(tab.document.revisions):
            if number != tab.document.at:
                title = f"{number}. {revision.operation.summary()}" if revision.operation else "As it was opened"
                found.append(("History", title, revision.graph))
        return found

    def choose_file(self, tab: Tab) -> None:
        from graftwerk.app.file_control import MODELS

        folder = str(tab.document.path.parent) if tab.document.path else ""
        name, _ = QFileDialog.getOpenFileName(self.window, "Compare with", folder, f"{MODELS};;All files (*)")
        if name:
            from graftwerk.backend.graph.files import load

            path = Path(name)
            self.window.say(f"Opening {path.name} …")
            self.window.jobs.compute(partial(load, path), partial(self._take_file, tab, path))

    def _take_file(self, tab: Tab, path: Path, ready: Future[Graph]) -> None:
        if tab in self.window.tabs() and self.window.attempt(ready.result):
            self.open(tab, path.name, ready.result())

    def open(self, tab: Tab, title: str, graph: Graph) -> CompareWindow:
        """Compares a graph, the older one, with the shown revision of a tab."""
        from graftwerk.app.compare_window import CompareWindow, Side

        here: Side = Side(tab.title, tab.document.graph)
        made = CompareWindow(self.window, Side(title, graph), here)
        self.shown.append(made)
        made.destroyed.connect(lambda: self.shown.remove(made))
        made.show()
        return made

    def set_theme(self) -> None:
        for one in self.shown:
            one.set_theme(self.window.theme)


class CompareDialog(QDialog):
    """`chosen` carries a title and a graph; `file_asked` says that it is to be a file."""

    chosen = Signal(str, object)
    file_asked = Signal()

    def __init__(self, choices: list[tuple[str, str, Graph]], title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Compare With")
        self.resize(460, 360)
        self.list = QListWidget()
        group = ""
        for name, text, graph in choices:
            if name != group:
                group = name
                head = QListWidgetItem(name)
                head.setFlags(Qt.ItemFlag.NoItemFlags)
                self.list.addItem(head)
            item = QListWidgetItem(f"    {text}")
            item.setData(Qt.ItemDataRole.UserRole, (text, graph))
            self.list.addItem(item)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.compare = self.buttons.addButton("Compare", QDialogButtonBox.ButtonRole.AcceptRole)
        self.file = self.buttons.addButton("A File…", QDialogButtonBox.ButtonRole.ActionRole)
        self.compare.setEnabled(False)
        self.list.itemSelectionChanged.connect(lambda: self.compare.setEnabled(bool(self.list.selectedItems())))
        self.list.itemActivated.connect(lambda item: self._take())
        self.compare.clicked.connect(self._take)
        self.file.clicked.connect(self._ask_file)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addWidget(QLabel(f"Compare {title} with"))
        column.addWidget(self.list, 1)
        column.addWidget(self.buttons)

    def _take(self) -> None:
        items = self.list.selectedItems()
        data = items[0].data(Qt.ItemDataRole.UserRole) if items else None
        if data is not None:
            self.chosen.emit(*data)
            self.accept()

    def _ask_file(self) -> None:
        self.accept()
        self.file_asked.emit()
