"""Opening, saving and closing models, recipes and pictures, and what is asked before data goes."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog, QMessageBox

from graftwerk import resources
from graftwerk.app.tab import Tab
from graftwerk.backend.document import Document, History
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import TEXT_FORMATS, save
from graftwerk.backend.operations.recipe import Recipe

if TYPE_CHECKING:
    from graftwerk.app.window import Window

MODELS = "ONNX models (*.onnx " + " ".join(f"*{ending}" for ending in TEXT_FORMATS) + ")"
RECIPES = "Recipes (*.recipe.json *.json)"


class FileControl:
    """The window's commands about files. Every Fault ends in the window's message, none leaves a half-open tab."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def new(self) -> None:
        """Asks for a new model's inputs, outputs and versions, and opens it in a tab."""
        from graftwerk.widgets.panels.new_form import NewModel

        dialog = NewModel(self.window)
        dialog.made.connect(lambda graph: self.window.add_tab(Document(graph)))
        dialog.open()

    def choose_and_open(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self.window, "Open models", self._folder(), f"{MODELS};;All files (*)")
        self.open(Path(name) for name in names)

    def open(self, paths: Iterable[Path]) -> None:
        """Opens each in a tab of its own; one that is open already is shown. What can't be opened is one message."""
        refused: list[tuple[Path, Fault]] = []
        for path in paths:
            known = next((tab for tab in self.window.tabs() if _same(tab.document.path, path)), None)
            if known is not None:
                self.window.show_tab(known)
                continue
            try:
                document = Document.open(path)
            except Fault as fault:
                refused.append((path, fault))
                continue
            self.window.add_tab(document)
            self.window.settings.add_recent(path)
            gc.freeze()  # a model's records are no garbage: no collection is to walk through a million of them
        if len(refused) == 1:
            self.window.show_fault(refused[0][1], f"{refused[0][0].name} can't be opened")
        elif refused:
            lines = "\n".join(f"{path.name}: {why.message}" for path, why in refused)
            details = "\n\n".join("\n".join(filter(None, [str(why), why.hint])) for _, why in refused)
            self.window.show_fault(Fault(lines), f"{len(refused)} files can't be opened", details)

    def open_sample(self) -> None:
        self.open([resources.model("digits.onnx")])

    def save(self) -> bool:
        """Saves the shown model; asks where, if it is a sample of the program or has no place yet."""
        tab = self.window.need_tab()
        path = tab.document.path
        if path is None or _bundled(path):
            return self.save_as()
        return self._save(tab, path)

    def save_as(self) -> bool:
        tab = self.window.need_tab()
        start = Path(self._folder()) / tab.title
        name, _ = QFileDialog.getSaveFileName(self.window, "Save the model", str(start), f"{MODELS};;All files (*)")
        return bool(name) and self._save(tab, Path(name))

    def _save(self, tab: Tab, path: Path) -> bool:
        from graftwerk.app.save_check import may_save

        if not may_save(self.window, tab):
            return False
        self.window.recovery.before_save(tab, path)
        try:
            moved = tab.document.save(path)
        except Fault as fault:
            self.window.show_fault(fault, "The model was not saved")
            return False
        self.window.settings.add_recent(path)
        by_itself = f"; its weights are in {moved}, for an ONNX file can't hold more than 2 GiB" if moved else ""
        self.window.say(f"Saved {path}{by_itself}")
        return True

    def export_deployable(self) -> None:
        """Saves a copy without the stand-ins of plugin nodes: what TensorRT with the plugins is to read."""
        tab = self.window.need_tab()
        start = Path(self._folder()) / f"{Path(tab.title).stem}.deploy.onnx"
        name, _ = QFileDialog.getSaveFileName(self.window, "Export for deployment", str(start), MODELS)
        if name:
            from graftwerk.backend.graph.standin import deployable

            self.window.attempt(lambda: save(deployable(tab.document.graph), Path(name)), f"Exported {name}")

    def save_recipe(self) -> None:
        tab = self.window.need_tab()
        start = Path(self._folder()) / f"{Path(tab.title).stem}.recipe.json"
        name, _ = QFileDialog.getSaveFileName(self.window, "Save the recipe", str(start), RECIPES)
        if name:
            self.window.attempt(lambda: tab.document.recipe.save(Path(name)), f"Saved {name}")

    def export_script(self) -> None:
        """Writes the edits as a Python script that runs without the window."""
        from graftwerk.backend.scripts.export import KINDS, write_script

        tab = self.window.need_tab()
        start = Path(self._folder()) / f"{Path(tab.title).stem}_edits.py"
        filters = {"onnx-graphsurgeon script (*.py)": KINDS[0], "Graftwerk script (*.py)": KINDS[1]}
        name, chosen = QFileDialog.getSaveFileName(self.window, "Export the edits", str(start), ";;".join(filters))
        if name:
            path = Path(name).with_suffix(".py")
            lost: list[str] = []
            kind = filters.get(chosen, KINDS[0])
            done = self.window.attempt(lambda: lost.extend(write_script(tab.document, path, kind)), f"Exported {path}")
            if done and lost:
                self.window.say(f"Exported {path}; graphsurgeon doesn't keep {', '.join(lost)}")

    def apply_recipe(self) -> None:
        """Replays a recipe on the shown model; where a step can't be done, the recipe's panel says why."""
        tab = self.window.need_tab()
        name, _ = QFileDialog.getOpenFileName(self.window, "Apply a recipe", self._folder(), RECIPES)
        if not name:
            return

        def work() -> History:
            return tab.document.with_recipe(Recipe.load(Path(name)))

        self.window.recipes.rewrite(tab, work, f"Applied {Path(name).name}")

    def export_picture(self) -> None:
        tab = self.window.need_tab()
        start = Path(self._folder()) / f"{Path(tab.title).stem}.png"
        parts = ("Whole graph", "Visible part")
        kinds = [f"{part}, {form.upper()} (*.{form})" for part in parts for form in ("png", "svg")]
        name, kind = QFileDialog.getSaveFileName(self.window, "Export a picture", str(start), ";;".join(kinds))
        if name:
            ending = ".svg" if "SVG" in kind else ".png"
            path = Path(name) if Path(name).suffix else Path(name + ending)
            whole = kind.startswith("Whole")
            self.window.attempt(lambda: tab.canvas.export(path, whole=whole), f"Exported {path}")

    def may_close(self, tab: Tab) -> bool:
        """Asks what to do with unsaved changes; False where the user would rather stay."""
        if not tab.document.dirty:
            return True
        buttons = QMessageBox.StandardButton
        self.window.show_tab(tab)
        answer = QMessageBox.question(
            self.window,
            "Unsaved changes",
            f"{tab.title} has unsaved changes.",
            buttons.Save | buttons.Discard | buttons.Cancel,
            buttons.Save,
        )
        return answer == buttons.Discard or (answer == buttons.Save and self.save())

    def _folder(self) -> str:
        tab = self.window.tab
        if tab is not None and tab.document.path is not None and not _bundled(tab.document.path):
            return str(tab.document.path.parent)
        recent = self.window.settings.recent
        return str(recent[0].parent if recent and not _bundled(recent[0]) else Path.cwd())


def _same(one: Path | None, other: Path) -> bool:
    return one is not None and one.resolve() == other.resolve()


def _bundled(path: Path) -> bool:
    return resources.model("digits.onnx").parent in path.resolve().parents
