"""Patterns in the window: the library, searching beside the window's thread, and replacing what was found."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer

from graftwerk.app.actions import Action, needs_tab
from graftwerk.backend.fault import Reason
from graftwerk.backend.operations.registry import Lines

if TYPE_CHECKING:
    from graftwerk.app.window import Window
    from graftwerk.backend.graph.graph import NodeId
    from graftwerk.backend.match.matcher import Found

#: How often progress is shown, milliseconds.
_TICK = 100


def pattern_actions() -> Iterator[Action]:
    """Finding, for the menu Select."""
    yield Action(
        "select.like_this", "Find All Like This", "Select", lambda w: w.patterns.find_like_selection(), "Ctrl+Shift+L",
        _needs_nodes,
    )  # fmt: skip
    yield Action("select.patterns", "Patterns", "Select", lambda w: w.patterns.show(), "", needs_tab)


def _needs_nodes(window: Window) -> Reason | None:
    if window.tab is None or not window.tab.selection.nodes:
        return needs_tab(window) or Reason("Select the nodes of one occurrence")
    return None


class PatternControl:
    """One search runs at a time; another one, or another graph, ends it."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._search: _Search | None = None
        self._ticker = QTimer(window)
        self._ticker.setInterval(_TICK)
        self._ticker.timeout.connect(self._tick)

    @property
    def searching(self) -> bool:
        return self._search is not None

    def connect(self) -> None:
        """Joins the panel with the window."""
        panel = self.window.docks.patterns
        panel.search.connect(self.search)
        panel.stop.connect(self.stop)
        panel.from_selection.connect(self.take_selection)
        panel.selected.connect(lambda selection: self.window.need_tab().select(selection, reveal=True))
        panel.replace.connect(self.replace)
        panel.save.connect(self.save)
        panel.delete.connect(self.delete)

    def show(self) -> None:
        self.window.docks.show("patterns")
        self.window.docks.patterns.text.setFocus()

    def fill(self) -> None:
        """Shows the graph's state in the panel, and lists the library where that was not done yet."""
        panel, tab = self.window.docks.patterns, self.window.tab
        lost = self._search is not None and (tab is None or tab.graph.revision != self._search.revision)
        if lost:
            self.stop()
            self._search = None  # what it finds is of another graph
            self._ticker.stop()
        panel.set_graph(tab.graph if tab is not None else None)
        if lost:
            panel.say_changed()
        if panel.names.count() < 2 and tab is not None:
            self._list()

    def _list(self, current: str = "") -> None:
        from graftwerk.backend.match.library import entries

        self.window.attempt(lambda: self.window.docks.patterns.set_entries(entries(), current))

    def find_like_selection(self) -> None:
        self.show()
        self.take_selection()
        panel = self.window.docks.patterns
        if panel.find_button.isEnabled():
            self.search(panel.pattern_text())

    def take_selection(self) -> None:
        """Makes the selected nodes the pattern."""
        from graftwerk.backend.match.selection import pattern_of

        tab = self.window.need_tab()
        if not tab.selection.nodes:
            self.window.say("Select the nodes of one occurrence first", error=True)
            return
        self.window.attempt(
            lambda: self.window.docks.patterns.set_pattern(str(pattern_of(tab.graph, tab.selection.nodes)))
        )

    def search(self, text: str) -> None:
        """Looks for a pattern in the shown graph, near misses included."""
        from graftwerk.backend.match.library import forms_of
        from graftwerk.backend.match.matcher import find

        self.stop()
        tab, panel = self.window.need_tab(), self.window.docks.patterns
        graph = tab.graph
        panel.set_graph(graph)
        panel.show_found(None)
        search = self._search = _Search(graph.revision)

        def show(ready: Future[Found]) -> None:
            if self._search is not search:
                return
            self._search = None
            self._ticker.stop()
            panel.show_progress(0, 0)
            if self.window.attempt(ready.result):
                panel.show_found(ready.result())

        self._ticker.start()
        self.window.jobs.compute(lambda: find(forms_of(text), graph, near=True, go_on=search.go_on), show)

    def stop(self) -> None:
        """Ends the search that runs: what it has found by then is shown."""
        if self._search is not None:
            self._search.stopped = True

    def _tick(self) -> None:
        if self._search is not None:
            self.window.docks.patterns.show_progress(self._search.done, self._search.total)

    def replace(self, text: str, nodes: tuple[NodeId, ...]) -> None:
        """Opens the form that replaces the occurrences of a pattern, of some nodes or of all."""
        from graftwerk.backend.operations.pattern_replace import ReplacePattern

        graph = self.window.need_tab().graph
        within = tuple(graph.ref(node) for node in nodes)
        self.window.edits.ask(ReplacePattern(Lines(text), "CustomPlugin", within=within))

    # The library

    def save(self, text: str) -> None:
        """Asks for a name, and keeps a pattern under it."""
        from graftwerk.backend.match import library
        from graftwerk.backend.match.pattern import parse
        from graftwerk.widgets.panels.pattern_dialog import PatternDialog

        dialog = PatternDialog(library.entries(), self.window)

        def keep() -> None:
            name, title, remark = dialog.answer()
            entry = library.Entry(name, title or name, remark, (parse(text),), own=True)
            if self.window.attempt(lambda: library.save(entry), f"Saved the pattern {name}"):
                self._list(name)

        dialog.accepted.connect(keep)
        dialog.open()

    def delete(self, name: str) -> None:
        from graftwerk.backend.match import library

        if self.window.attempt(lambda: library.delete(name), f"Deleted the pattern {name}"):
            self._list()


class _Search:
    """What a search in another thread and the window tell each other."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.done, self.total, self.stopped = 0, 1, False

    def go_on(self, done: int, total: int) -> bool:
        self.done, self.total = done, max(1, total)
        return not self.stopped
