"""The two searches: nodes, operators and tensors of the shown graph, and every action of the window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer

from graftwerk.app.actions import Action
from graftwerk.app.edit_control import LARGE
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import Selection

if TYPE_CHECKING:
    from graftwerk.app.window import Window
    from graftwerk.widgets.panels.palette import Palette, PaletteItem


#: Waits for a pause in editing, milliseconds.
PAUSE = 800


class SearchControl:
    """Opens the palette over what is asked for, and does what was chosen in it."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._palette: Palette | None = None
        self._items: tuple[int, list[PaletteItem]] = (-1, [])
        self._timer = QTimer(window)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(self._prepare)

    def graph_changed(self) -> None:
        """Lists what the shown graph holds, on a thread when the hands rest: a large one takes half a second."""
        self._timer.start()

    def stop(self) -> None:
        """To be called when the window closes."""
        self._timer.stop()

    def _prepare(self) -> None:
        tab = self.window.tab
        if tab is None or self._items[0] == tab.graph.revision:
            return
        graph = tab.graph

        def take(ready: Future[list[PaletteItem]]) -> None:
            self._items = (graph.revision, ready.result())

        self.window.jobs.compute(lambda: list(_items(graph)), take)

    def find(self) -> None:
        """Nodes by name and operator, tensors by name."""
        self._with_items(lambda items: self._open(items, "Find a node, an operator or a tensor"))

    def commands(self) -> None:
        """Every action, with the reason of those that can't be done now."""
        self._open(self._action_items(), "Find a command")

    def everything(self) -> None:
        """Commands, and what the shown graph holds."""
        show = partial(self._open, placeholder="Search nodes, tensors, actions")
        if self.window.tab is None:
            show(self._action_items())
        else:
            self._with_items(lambda items: show(self._action_items() + items))

    def _open(self, items: list[PaletteItem], placeholder: str) -> None:
        from graftwerk.widgets.panels.palette import Palette

        if self._palette is None:
            self._palette = Palette(self.window)
            self._palette.chosen.connect(self._choose)
        self._palette.set_theme(self.window.theme)
        self._palette.open_with(items, placeholder)

    def _choose(self, payload: object) -> None:
        if isinstance(payload, Action):
            self.window.menus.trigger(payload)
        elif isinstance(payload, Selection):
            self.window.need_tab().select(payload, reveal=True)

    def _action_items(self) -> list[PaletteItem]:
        from graftwerk.widgets.panels.palette import PaletteItem

        found = []
        for action in self.window.menus.all():
            reason = action.why_not(self.window)
            found.append(
                PaletteItem(
                    action.title, action.menu, action.shortcut, reason is None, reason.text if reason else "", action
                )
            )
        return found

    def _with_items(self, then: Callable[[list[PaletteItem]], None]) -> None:
        """Calls `then` with what the shown graph holds; that of a large one that was not listed yet is on a thread."""
        graph = self.window.need_tab().graph

        def take(ready: Future[list[PaletteItem]]) -> None:
            if self.window.tab is not None and self.window.tab.graph.revision == graph.revision:
                self._items = (graph.revision, ready.result())
                then(self._items[1])

        if self._items[0] != graph.revision and len(graph.nodes) >= LARGE:
            self.window.jobs.compute(lambda: list(_items(graph)), take)
            return
        if self._items[0] != graph.revision:
            self._items = (graph.revision, list(_items(graph)))
        then(self._items[1])


def _items(graph: Graph) -> Iterator[PaletteItem]:
    from graftwerk.widgets.panels.palette import PaletteItem

    for node, record in graph.nodes.items():
        yield PaletteItem(record.name or graph.ref(node), record.op_type, "", True, "", Selection((node,)))
    for tensor in graph.tensors():
        yield PaletteItem(tensor, "tensor", "", True, "", Selection((), (tensor,)))
