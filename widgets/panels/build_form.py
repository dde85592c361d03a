"""What a build is asked: targets, shapes, options, and where the engine goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from graftwerk.backend.engine_jobs import BuildSettings
from graftwerk.backend.engines.shapes import Range
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.panels.option_form import OptionForm
from graftwerk.widgets.panels.parts import fit_height, note, scrolling, section
from graftwerk.widgets.panels.shape_form import ShapeForm, default_ranges, dynamic_inputs
from graftwerk.widgets.theme import mono_font

#: What NVIDIA sells under a compute capability (its CUDA GPUs page).
_GPUS = {
    "sm75": "Turing: T4, RTX 20", "sm80": "Ampere: A100, A30", "sm86": "Ampere: A10, RTX 30", "sm87": "Orin",
    "sm89": "Ada: L4, L40, RTX 40", "sm90": "Hopper: H100, H200", "sm100": "Blackwell: B200",
    "sm120": "Blackwell: RTX 50", "sm121": "Blackwell: GB10",
}  # fmt: skip
_CHIPS = 3


class BuildDialog(QDialog):
    """Asks for a build's settings; what can't be built as it stands is said in words beside the button.

    `library` is what `QueryRtx` gave, {} while it is not known. Shapes that are left as they were filled in are left
    out of the settings, so they follow the model when its inputs are edited.
    """

    def __init__(
        self,
        graph: Graph,
        library: dict[str, Any],
        settings: BuildSettings,
        engine_path: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Build an engine")
        self._inputs = dynamic_inputs(graph)
        self._defaults = default_ranges(graph)
        self._settings = settings
        self.targets: dict[str, QPushButton] = {}
        self.profiles: list[ShapeForm] = []
        self.tabs = QTabWidget()
        self.options = OptionForm(library.get("options", []), settings.options)
        self.options.changed.connect(self.check)
        self.engine = QLineEdit(settings.engine or engine_path)
        self.engine.setFont(mono_font())
        self.engine.setPlaceholderText("Only kept with the job")
        self.engine.textChanged.connect(self.check)
        self.reason = note(role="warning")
        self.build_button = QPushButton("Build")
        self.build_button.setProperty("primary", True)
        self.build_button.setDefault(True)
        self.build_button.clicked.connect(self._accept)
        self._lay_out(graph, library)
        self.check()

    def settings(self) -> BuildSettings:
        """What was chosen. Raises Fault where it can't be built; the dialog is only accepted where it can."""
        chosen = tuple(name for name, chip in self.targets.items() if chip.isChecked())
        if not chosen:
            raise Fault("Choose at least one target")
        engine = self.engine.text().strip()
        if engine and not Path(engine).expanduser().parent.is_dir():
            raise Fault("The engine's folder does not exist", str(Path(engine).expanduser().parent))
        profiles = [form.shapes() for form in self.profiles]
        if len(profiles) == 1:
            profiles = [{name: s for name, s in profiles[0].items() if s != self._defaults[name]}]
        kept = tuple(profile for profile in profiles if profile)
        options = self.options.values() if self.options.inputs else self._settings.options
        return BuildSettings(chosen, str(Path(engine).expanduser()) if engine else "", kept, options)

    def check(self) -> bool:
        """Whether it can be built as it stands; says why not."""
        text = ""
        try:
            self.settings()
        except Fault as fault:
            text = ". ".join(filter(None, [str(fault), fault.hint]))
        self.reason.setText(text)
        self.reason.setToolTip(text)
        self.reason.setVisible(bool(text))
        self.build_button.setEnabled(not text)
        self.build_button.setToolTip(text)
        return not text

    def _accept(self) -> None:
        if self.check():
            self.accept()

    def _lay_out(self, graph: Graph, library: dict[str, Any]) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(20, 18, 20, 12)
        column.setSpacing(8)
        title = QLabel("Build an engine")
        title.setProperty("role", "title")
        column.addWidget(title)
        version = library.get("version", "")
        column.addWidget(note(f"TensorRT-RTX {version}".strip() + ", on this machine. No GPU is needed."))
        column.addWidget(section("Targets"))
        column.addLayout(self._chips(library.get("targets", list(self._settings.targets))))
        column.addWidget(section("Shapes"))
        self._add_shapes(column)
        column.addWidget(section("Engine file"))
        column.addLayout(self._file_row())
        column.addWidget(section("Options"))
        if self.options.inputs:
            column.addWidget(self.options)
        else:
            column.addWidget(note("The library has not answered yet. Its options show here once it has."))
        column.addStretch(1)
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        foot = QHBoxLayout()
        foot.setContentsMargins(20, 4, 20, 16)
        foot.addWidget(self.reason, 1)
        foot.addStretch(0)
        foot.addWidget(cancel, 0, Qt.AlignmentFlag.AlignBottom)
        foot.addWidget(self.build_button, 0, Qt.AlignmentFlag.AlignBottom)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(inside), 1)
        outer.addLayout(foot)
        fit_height(self, inside, foot, 660)

    def _chips(self, names: list[str]) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(8)
        for place in range(_CHIPS):
            grid.setColumnStretch(place, 1)
        for number, name in enumerate(names):
            gpus = _GPUS.get(name, "")
            chip = QPushButton(f"{name.upper()}\n{gpus}" if gpus else name.upper())
            chip.setCheckable(True)
            chip.setAutoDefault(False)
            chip.setChecked(name in self._settings.targets)
            chip.toggled.connect(self.check)
            self.targets[name] = chip
            grid.addWidget(chip, number // _CHIPS, number % _CHIPS)
        return grid

    # Shapes

    def _add_shapes(self, column: QVBoxLayout) -> None:
        if not self._inputs:
            column.addWidget(note("All inputs have fixed shapes."))
            return
        text = "The engine runs from min to max and is fastest at opt."
        column.addWidget(note(text))
        self.tabs.setTabsClosable(True)
        self.tabs.tabCloseRequested.connect(self._remove_profile)
        self.tabs.setTabBarAutoHide(True)
        self.tabs.setDocumentMode(True)
        column.addWidget(self.tabs)
        add = QPushButton("Add a profile")
        add.setFlat(True)
        add.setAutoDefault(False)
        add.setStyleSheet("padding-left: 0; padding-right: 0;")
        add.setToolTip("An engine can hold several optimization profiles: one for each range of shapes it is fast at")
        add.clicked.connect(lambda: self._add_profile({}))
        column.addWidget(add, 0, Qt.AlignmentFlag.AlignLeft)
        for profile in self._settings.profiles or ({},):
            self._add_profile(profile)

    def _add_profile(self, given: dict[str, Any]) -> None:
        shapes: dict[str, Range] = {name: self._given(given, name) for name in self._inputs}
        form = ShapeForm(self._inputs, ("min", "opt", "max"), shapes)
        form.changed.connect(self.check)
        form.layout().setContentsMargins(0, 8, 0, 0)  # type: ignore[union-attr]
        self.profiles.append(form)
        self.tabs.addTab(form, "")
        self._number_tabs()
        self.tabs.setCurrentWidget(form)
        self.check()

    def _given(self, given: dict[str, Any], name: str) -> Range:
        """What was chosen before, if it still has the input's number of dimensions."""
        kept = given.get(name)
        if kept is not None and all(len(shape) == len(self._inputs[name]) for shape in kept):
            low, best, high = (tuple(shape) for shape in kept)
            return low, best, high
        return self._defaults[name]

    def _remove_profile(self, index: int) -> None:
        form = self.tabs.widget(index)
        if isinstance(form, ShapeForm) and len(self.profiles) > 1:
            self.profiles.remove(form)
            self.tabs.removeTab(index)
            form.deleteLater()
            self._number_tabs()
            self.check()

    def _number_tabs(self) -> None:
        for index in range(self.tabs.count()):
            self.tabs.setTabText(index, f"Profile {index + 1}")

    # The engine's file

    def _file_row(self) -> QHBoxLayout:
        browse = QPushButton("Browse…")
        browse.setAutoDefault(False)
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.addWidget(self.engine, 1)
        row.addWidget(browse)
        return row

    def _browse(self) -> None:
        kinds = "TensorRT engines (*.engine *.plan);;All files (*)"
        chosen, _ = QFileDialog.getSaveFileName(self, "Write the engine to", self.engine.text(), kinds)
        if chosen:
            self.engine.setText(chosen)
