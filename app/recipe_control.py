"""The window's commands that change the recipe of the shown model: it is replayed from the first line that differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from graftwerk.backend.document import History
from graftwerk.backend.operations.step import Step

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window


class RecipeControl:
    """Replays recipes beside the window's thread, and shows what came of it."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def change(self, steps: Sequence[Step], parameters: Mapping[str, Any]) -> None:
        """Gives the shown model another recipe."""
        tab = self.window.need_tab()
        self.rewrite(tab, lambda: tab.document.rewritten(steps, parameters), "Changed the recipe")

    def rewrite(self, tab: Tab, work: Callable[[], History], done: str) -> None:
        """Shows the history that `work` makes; a Fault changes nothing, a step that can't be done stops there."""
        before = tab.document.history

        def show(ready: Future[History]) -> None:
            if not (self.window.attempt(ready.result) and tab in self.window.tabs()):
                return
            if [r.graph.revision for r in tab.document.revisions] != [r.graph.revision for r in before.revisions]:
                self.window.say("The model was edited while the recipe was replayed; do it again", error=True)
                return
            history = ready.result()
            tab.document.rewrite(history)
            if history.stopped is None:
                self.window.say(done)
            else:
                self.window.say(f"{history.stopped.where}: {history.stopped.message}", error=True)
                self.window.docks.show("recipe")

        self.window.say("Replaying the recipe …")
        self.window.jobs.compute(work, show)  # a recipe may fold constants, which takes its time
