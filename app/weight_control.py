"""Weights in the window: the viewers that are open, and what their buttons do."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.graph import TensorName
from graftwerk.backend.operations.registry import FilePath

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.widgets.panels.weight_view import WeightView

ARRAYS = "numpy arrays (*.npy *.npz)"


class WeightControl:
    """Opens viewers and connects them to the tab whose weight they show. What they need is imported then."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.views: list[WeightView] = []
        self._owners: dict[WeightView, tuple[Tab, tuple[str, ...]]] = {}

    def why_not(self) -> Reason | None:
        """Why there is no weight to look into."""
        if self.window.tab is None:
            return Reason("Open a model first")
        return None if self._selected() else Reason("Select a weight, or a node that reads one")

    def _selected(self) -> tuple[str, ...]:
        tab = self.window.tab
        if tab is None:
            return ()
        from graftwerk.backend.operations.weight_values import selected_weights

        return selected_weights(tab.graph, tab.selection)

    def view_selected(self) -> None:
        """Opens the selected weight; of a node's weights the largest."""
        tab = self.window.need_tab()
        names = self._selected()
        if names:
            self.view(max(names, key=lambda name: tab.graph.initializers[name].nbytes))

    def view(self, name: str) -> WeightView:
        """Opens a viewer for a weight of the shown graph, or brings the one that is open to the front."""
        from graftwerk.widgets.panels.weight_view import WeightView

        tab = self.window.need_tab()
        path = tab.path
        for open_view in self.views:
            if (open_view.name, self._owners[open_view]) == (name, (tab, path)):
                open_view.raise_()
                open_view.activateWindow()
                return open_view
        made = WeightView(name, self.window)
        self._owners[made] = (tab, path)
        made.set_theme(self.window.theme)
        made.set_graph(tab.graph)
        made.operation_requested.connect(lambda operation: self.window.edits.apply_to(tab, operation, path))
        made.replace.connect(self._replace)
        made.export.connect(self._export)
        made.change_type.connect(self._change_type)
        self.views.append(made)
        tab.changed.connect(self._follow)
        tab.destroyed.connect(made.close)
        made.finished.connect(lambda: self._forget(made))
        made.show()
        return made

    def set_theme(self) -> None:
        for view in self.views:
            view.set_theme(self.window.theme)

    def _follow(self) -> None:
        """Shows the weights as they are in the shown revisions; one in a body, while that body is shown."""
        for view in self.views:
            tab, path = self._owners[view]
            if not path or tab.path == path:
                view.set_graph(tab.graph if path else tab.document.graph)

    def _show(self, name: str) -> Tab | None:
        """Brings the graph to the front that the viewer shows which speaks; None where that is gone."""
        view = next((one for one in self.views if one.name == name and one.isActiveWindow()), None)
        view = view or next((one for one in self.views if one.name == name), None)
        if view is None:
            return None
        tab, path = self._owners[view]
        self.window.show_tab(tab)
        if tab.path != path:
            tab.go_up(0)
        return tab if tab.path == path else None

    def _forget(self, view: WeightView) -> None:
        if view in self.views:
            self.views.remove(view)
            del self._owners[view]
        view.deleteLater()

    def _replace(self, name: str) -> None:
        from graftwerk.backend.operations.weights_file import ReplaceWeight

        tab = self._show(name)
        if tab is not None:
            path, _ = QFileDialog.getOpenFileName(self.window, f"Replace {name}", self._folder(tab), ARRAYS)
            if path:
                self.window.edits.ask(ReplaceWeight(TensorName(name), FilePath(path)))

    def _change_type(self, name: str) -> None:
        from graftwerk.backend.operations.registry import Selection
        from graftwerk.backend.operations.weights_type import SetDtype

        tab = self._show(name)
        suggested = SetDtype.suggest(tab.graph, Selection((), (name,))) if tab is not None else None
        if isinstance(suggested, SetDtype):
            self.window.edits.ask(suggested)

    def _export(self, name: str) -> None:
        tab = self._show(name)
        if tab is not None:
            plain = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
            start = str(Path(self._folder(tab)) / f"{plain}.npy")
            path, _ = QFileDialog.getSaveFileName(self.window, f"Export {name}", start, ARRAYS)
            if path:
                self.export(tab, (name,), Path(path))

    def export_selected(self) -> None:
        """Asks for a file and writes the selected weights to it."""
        tab, names = self.window.need_tab(), self._selected()
        ending = "npy" if len(names) == 1 else "npz"
        start = str(Path(self._folder(tab)) / f"{Path(tab.title).stem}.{ending}")
        path, _ = QFileDialog.getSaveFileName(self.window, "Export weights", start, ARRAYS)
        if path:
            self.export(tab, names, Path(path))

    def export(self, tab: Tab, names: tuple[str, ...], path: Path) -> None:
        """Writes weights to a file on a thread, and says when that is done."""
        from graftwerk.backend.graph.numpy_files import export

        weights = [tab.graph.initializers[name] for name in names]

        def show(ready: Future[None]) -> None:
            self.window.attempt(ready.result, f"Exported {path}")

        self.window.say(f"Exporting to {path.name} …")
        self.window.jobs.compute(lambda: export(weights, path), show)

    def _folder(self, tab: Tab) -> str:
        return str(tab.document.path.parent if tab.document.path is not None else Path.cwd())
