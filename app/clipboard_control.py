"""Copying, cutting and pasting nodes, between tabs and windows of the program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QGuiApplication

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, why_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.graph.graph import Graph, NodeId

#: What the clipboard holds beside the text: the path of a fragment in the user's data folder.
_FORMAT = "application/x-graftwerk-fragment"
_ACTIONS = ("edit.cut", "edit.copy", "edit.paste")


class ClipboardControl:
    """The window's clipboard: a fragment with its weights in a file, and a line of text for each node."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def watch(self, tab: Tab) -> None:
        """Gives a canvas the usual keys. They are its own, because tables and text fields copy with them too."""
        for name in _ACTIONS:
            action = self.window.menus.shown[name]
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            self.window.removeAction(action)
            tab.canvas.addAction(action)

    def why_not_copy(self) -> Reason | None:
        tab = self.window.tab
        return None if tab is not None and tab.selection.nodes else Reason("Select a node first")

    def why_not_paste(self) -> Reason | None:
        if self.window.tab is None:
            return Reason("Open a model first")
        return None if self.window.tab.painting is None else Reason("Leave the precision painter first")

    def copy(self) -> None:
        from graftwerk.backend.operations.fragment import fragment, kept

        tab = self.window.need_tab()
        nodes = tab.selection.nodes
        data = QMimeData()
        data.setData(_FORMAT, str(kept(fragment(tab.graph, nodes))).encode())
        data.setText(_text(tab.graph, nodes))
        QGuiApplication.clipboard().setMimeData(data)
        self.window.say(f"Copied: {_count(len(nodes))}")

    def cut(self) -> None:
        """Copies, and deletes as Delete does; where that has to ask something, its form is shown."""
        from graftwerk.backend.operations.delete import DeleteNodes

        tab = self.window.need_tab()
        delete = DeleteNodes(tuple(tab.graph.ref(node) for node in tab.selection.nodes))
        self.copy()
        self._apply_or_ask(delete, tab)

    def paste(self) -> None:
        """Adds what was copied, and selects it; where an input has no tensor here, the form asks for it.

        Raises Fault where no nodes were copied, or their file is gone.
        """
        from graftwerk.backend.operations.paste import PasteNodes

        tab = self.window.need_tab()
        data = QGuiApplication.clipboard().mimeData()
        if data is None or not data.hasFormat(_FORMAT):
            raise Fault("There are no nodes on the clipboard", "", "Copy some with Ctrl+C")
        path = Path(bytes(data.data(_FORMAT).data()).decode())
        if not path.is_file():
            raise Fault("What was copied is not there any more", str(path), "Copy it again")
        before = tab.graph

        def select() -> None:
            fresh = tuple(node for node in tab.graph.nodes if node not in before.nodes)
            if fresh:
                tab.select(Selection(fresh), reveal=True)

        self._apply_or_ask(PasteNodes(FilePath(str(path))), tab, select)

    def _apply_or_ask(self, operation: Operation, tab: Tab, then: Callable[[], None] = lambda: None) -> None:
        if why_blocked(operation, tab.graph) is None:
            self.window.edits.apply(operation, then)
        else:
            self.window.edits.ask(operation)


def _text(graph: Graph, nodes: Sequence[NodeId]) -> str:
    chosen = set(nodes)
    records = (graph.nodes[node] for node in graph.nodes if node in chosen)
    return "\n".join(f"{', '.join(one.output)} = {one.op_type}({', '.join(one.input)})" for one in records)


def _count(number: int) -> str:
    return f"{number} node{'s' * (number != 1)}"
