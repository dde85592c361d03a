"""What a trial run is asked: the inputs' data or shapes, how often, and in which form of the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from graftwerk.backend.engines.onnxruntime import TIMED_LEVELS
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.panels.parts import fit_height, note, scrolling, section
from graftwerk.widgets.panels.shape_form import ShapeForm, default_ranges, dynamic_inputs
from graftwerk.widgets.theme import mono_font

_SUFFIXES = (".npz", ".npy", ".pb")
_LEVELS = {
    "off": "Every node as the model has it",
    "basic": "Constants folded, redundant nodes removed",
    "extended": "Nodes fused for the CPU",
}
#: Parameter, label, help, least, most, what it is when nothing was chosen.
_NUMBERS = (
    ("iterations", "Iterations", "Timed runs", 1, 100_000, 20),
    ("warmup", "Warm-up", "Runs before them that are not timed", 0, 100_000, 3),
    ("threads", "Threads", "0: ONNX Runtime's choice", 0, 1024, 0),
    ("seed", "Seed", "Of the random inputs", 0, 2**31 - 1, 0),
)


class ProfileDialog(QDialog):
    """Asks for a profile's settings. `settings` are keyword arguments of `ProfileOnnxRuntime`, chosen before."""

    def __init__(self, graph: Graph, settings: dict[str, Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Profile")
        inputs = dynamic_inputs(graph)
        self._defaults = {name: best for name, (_, best, _) in default_ranges(graph).items()}
        given = settings.get("shapes", {})
        fits = {name: tuple(given[name]) for name in inputs if len(given.get(name, ())) == len(inputs[name])}
        shapes = {name: (fits.get(name, self._defaults[name]),) for name in inputs}
        self.shapes = ShapeForm(inputs, ("shape",), shapes)
        self.shapes.changed.connect(self.check)
        self.files = QListWidget()
        self.files.setFont(mono_font())
        self.files.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.files.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.files.addItems([str(path) for path in settings.get("files", ())])
        self.numbers: dict[str, QSpinBox] = {}
        for name, label, _, low, high, usual in _NUMBERS:
            box = QSpinBox()
            box.setRange(low, high)
            box.setValue(settings.get(name, usual))
            box.setAccessibleName(label)
            self.numbers[name] = box
        self.level = QComboBox()
        for level in TIMED_LEVELS:
            self.level.addItem(_LEVELS[level], level)
        self.level.setCurrentIndex(self.level.findData(settings.get("optimization", "off")))
        self.reason = note(role="warning")
        self.profile_button = QPushButton("Profile")
        self.profile_button.setProperty("primary", True)
        self.profile_button.setDefault(True)
        self.profile_button.clicked.connect(self._accept)
        self.remove_button = QPushButton("Remove")
        self._on_files()
        self._lay_out(bool(inputs))

    def settings(self) -> dict[str, Any]:
        """Keyword arguments of `ProfileOnnxRuntime`. Raises Fault where something doesn't fit.

        Shapes left as they were filled in are left out, and so follow the model when its inputs are edited.
        """
        shapes = {name: shape for name, (shape,) in self.shapes.shapes().items()}
        return {
            "files": tuple(self._paths()),
            "shapes": {name: shape for name, shape in shapes.items() if shape != self._defaults[name]},
            **{name: box.value() for name, box in self.numbers.items()},
            "optimization": self.level.currentData(),
        }

    def check(self) -> bool:
        """Whether it can be run as it stands; says why not."""
        text = ""
        try:
            self.settings()
            gone = next((path for path in self._paths() if not Path(path).is_file()), "")
            text = f"{gone}: the file is gone" if gone else ""
        except Fault as fault:
            text = ". ".join(filter(None, [str(fault), fault.hint]))
        self.reason.setText(text)
        self.reason.setToolTip(text)
        self.reason.setVisible(bool(text))
        self.profile_button.setEnabled(not text)
        return not text

    def add_files(self, paths: list[str]) -> None:
        """Adds files of inputs, each once."""
        self.files.addItems([path for path in paths if path not in self._paths() and Path(path).suffix in _SUFFIXES])
        self._on_files()

    def _paths(self) -> list[str]:
        return [self.files.item(row).text() for row in range(self.files.count())]

    def _accept(self) -> None:
        if self.check():
            self.accept()

    def _lay_out(self, dynamic: bool) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(20, 18, 20, 8)
        column.setSpacing(8)
        title = QLabel("Profile with ONNX Runtime")
        title.setProperty("role", "title")
        column.addWidget(title)
        column.addWidget(note("Times on this machine's CPU. They are no estimate of an engine's."))
        column.addWidget(section("Inputs"))
        column.addWidget(note("Random numbers, or the arrays of .npz, .npy and .pb files."))
        column.addWidget(self.files)
        column.addLayout(self._file_buttons())
        if dynamic:
            column.addWidget(section("Shapes of random inputs"))
            column.addWidget(self.shapes)
        column.addWidget(section("Runs"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setColumnStretch(2, 1)
        for row, (name, label, text, *_) in enumerate(_NUMBERS):
            grid.addWidget(QLabel(label), row, 0)
            grid.addWidget(self.numbers[name], row, 1)
            grid.addWidget(note(text), row, 2)
        grid.addWidget(QLabel("Times of"), len(_NUMBERS), 0)
        self.level.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.level.setMinimumContentsLength(20)
        grid.addWidget(self.level, len(_NUMBERS), 1, 1, 2)
        column.addLayout(grid)
        column.addStretch(1)
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        foot = QHBoxLayout()
        foot.setContentsMargins(20, 4, 20, 16)
        foot.addWidget(self.reason, 1)
        foot.addStretch(0)
        foot.addWidget(cancel, 0, Qt.AlignmentFlag.AlignBottom)
        foot.addWidget(self.profile_button, 0, Qt.AlignmentFlag.AlignBottom)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(inside), 1)
        outer.addLayout(foot)
        fit_height(self, inside, foot, 540)

    def _file_buttons(self) -> QHBoxLayout:
        add = QPushButton("Add files…")
        add.setAutoDefault(False)
        add.clicked.connect(self._browse)
        self.remove_button.setAutoDefault(False)
        self.remove_button.clicked.connect(self._remove)
        self.files.itemSelectionChanged.connect(self._on_files)
        row = QHBoxLayout()
        row.addWidget(add)
        row.addWidget(self.remove_button)
        row.addStretch(1)
        return row

    def _browse(self) -> None:
        kinds = "Arrays (" + " ".join(f"*{suffix}" for suffix in _SUFFIXES) + ")"
        chosen, _ = QFileDialog.getOpenFileNames(self, "Data of inputs", "", kinds)
        self.add_files(chosen)

    def _remove(self) -> None:
        for item in self.files.selectedItems():
            self.files.takeItem(self.files.row(item))
        self._on_files()

    def _on_files(self) -> None:
        rows = min(self.files.count(), 4)
        self.files.setVisible(rows > 0)
        self.files.setFixedHeight(rows * max(self.files.sizeHintForRow(0), 1) + 4)
        self.remove_button.setVisible(rows > 0)
        self.remove_button.setEnabled(bool(self.files.selectedItems()))
        self.remove_button.setToolTip("" if self.files.selectedItems() else "Select files in the list first")
        self.check()
