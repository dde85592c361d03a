"""A weight of the model, looked into: as a table that can be edited, as an image, as a histogram."""

from __future__ import annotations

from math import ceil, sqrt

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QPushButton, QTabWidget, QVBoxLayout, QWidget

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.plane import Plane, Values
from graftwerk.backend.graph.statistics import Statistics
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES, TensorType
from graftwerk.backend.operations.weight_values import no_numbers, no_values
from graftwerk.backend.operations.weights_edit import SetElements
from graftwerk.widgets.panels.inspector_page import size_text
from graftwerk.widgets.panels.parts import ElidedLabel, note
from graftwerk.widgets.panels.readout import number_text
from graftwerk.widgets.panels.weight_histogram import WeightHistogram
from graftwerk.widgets.panels.weight_image import WeightImage
from graftwerk.widgets.panels.weight_slice import SliceChooser
from graftwerk.widgets.panels.weight_table import WeightTable
from graftwerk.widgets.theme import LIGHT, Theme, mono_font

_FIGURES = ("minimum", "maximum", "mean", "deviation", "zeros", "NaN", "infinite")


class WeightView(QDialog):
    """Stays open beside the window, and follows the weight of its name through the revisions.

    `operation_requested` carries the `weights.set` of the edited cells; `replace`, `export` and `change_type` the
    weight's name.
    """

    operation_requested = Signal(object)
    replace = Signal(str)
    export = Signal(str)
    change_type = Signal(str)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self.weight: Initializer | None = None
        self._values: Values | None = None
        self.setWindowTitle(name)
        self.title = ElidedLabel(name)
        self.title.setProperty("role", "title")
        self.about = QLabel()
        self.about.setProperty("role", "muted")
        self.slices = SliceChooser()
        self.table, self.image, self.histogram = WeightTable(), WeightImage(), WeightHistogram()
        self.tabs = QTabWidget()
        self.message = note(role="error")
        self.message.hide()
        self.apply_button, self.revert_button = QPushButton("Apply"), QPushButton("Revert")
        self.replace_button, self.export_button = QPushButton("Replace…"), QPushButton("Export…")
        self.type_button = QPushButton("Change type…")
        self.figures = {word: QLabel("…") for word in _FIGURES}
        self._lay_out()
        self._connect()
        self.set_theme(LIGHT)
        self.resize(860, 620)

    def _lay_out(self) -> None:
        for word, widget in (("Table", self.table), ("Image", self.image), ("Histogram", self.histogram)):
            page = QWidget()
            inside = QVBoxLayout(page)
            inside.setContentsMargins(0, 10, 0, 0)
            inside.addWidget(widget)
            self.tabs.addTab(page, word)
        facts = QGridLayout()
        facts.setHorizontalSpacing(24)
        facts.setVerticalSpacing(0)
        for column, (word, label) in enumerate(self.figures.items()):
            caption = QLabel("std" if word == "deviation" else {"minimum": "min", "maximum": "max"}.get(word, word))
            caption.setProperty("role", "muted")
            label.setFont(mono_font())
            facts.addWidget(caption, 0, column)
            facts.addWidget(label, 1, column)
        facts.setColumnStretch(len(self.figures), 1)
        buttons = QHBoxLayout()
        self.apply_button.setProperty("primary", True)
        for button in (self.replace_button, self.export_button, self.type_button):
            buttons.addWidget(button)
        buttons.addStretch(1)
        for button in (self.revert_button, self.apply_button):
            buttons.addWidget(button)
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)
        column_layout = QVBoxLayout(self)
        column_layout.setContentsMargins(18, 16, 18, 16)
        column_layout.setSpacing(10)
        column_layout.addWidget(self.title)
        column_layout.addWidget(self.about)
        column_layout.addLayout(facts)
        column_layout.addWidget(self.slices)
        column_layout.addWidget(self.tabs, 1)
        column_layout.addWidget(self.message)
        column_layout.addLayout(buttons)

    def _connect(self) -> None:
        self.slices.changed.connect(self._show_slice)
        self.tabs.currentChanged.connect(self._show_slice)
        self.table.model.changed.connect(self._on_edits)
        self.table.model.refused.connect(self._say)
        self.histogram.found.connect(self._show_figures)
        self.apply_button.clicked.connect(self._apply)
        self.revert_button.clicked.connect(self.table.model.clear_edits)
        self.replace_button.clicked.connect(lambda: self.replace.emit(self.name))
        self.export_button.clicked.connect(lambda: self.export.emit(self.name))
        self.type_button.clicked.connect(lambda: self.change_type.emit(self.name))

    def set_theme(self, theme: Theme) -> None:
        for part in (self.table, self.image, self.histogram):
            part.set_theme(theme)

    def set_graph(self, graph: Graph, read_only: str = "") -> None:
        """Shows the weight as it is in a revision; edits that were not applied go where it is another one now."""
        weight = graph.initializers.get(self.name)
        if weight is not None and weight is self.weight:
            return
        self.weight, self._values = weight, None
        self.table.model.edits = {}
        if weight is None:
            self._blank("The model has no weight of this name any more")
            return
        kind = TensorType(0, weight.dims)
        name = DTYPE_NAMES.get(weight.dtype, str(weight.dtype))
        self.about.setText(f"{name} · {kind} · {number_text(weight.size)} elements · {size_text(weight.nbytes)}")
        reason = no_values(weight)
        if reason is not None:
            self._blank(". ".join(filter(None, [reason.text, reason.hint])))
            return
        try:
            self._values = Values(weight)
        except Fault as fault:
            self._blank(". ".join(filter(None, [str(fault), fault.hint])))
            return
        self._say(read_only)
        numbers = no_numbers(weight) is None
        for at in (1, 2):
            self.tabs.setTabEnabled(at, numbers)
        for button in (self.replace_button, self.type_button):
            button.setEnabled(not read_only)
        self.export_button.setEnabled(True)
        self.table.model.editable = not read_only and (numbers or weight.dtype == 8)
        self.slices.set_dims(weight.dims)
        for label in self.figures.values():
            label.setText("…" if numbers else "–")
        self.histogram.show_weight(weight if numbers else None)
        self._show_slice()
        self._on_edits()

    def _blank(self, why: str) -> None:
        self._say(why)
        self.table.show_plane(None, 0)
        self.image.show_plane(None)
        self.histogram.show_weight(None)
        for label in self.figures.values():
            label.setText("–")
        for button in (self.export_button, self.type_button):
            button.setEnabled(False)
        self.replace_button.setEnabled(self.weight is not None)
        self._on_edits()

    def _plane(self, wrap: int) -> Plane | None:
        if self.weight is None or self._values is None:
            return None
        rows, columns = self.slices.axes() if len(self.weight.dims) > 1 else (-2, -1)
        return Plane(self._values, self.weight.dims, rows, columns, self.slices.fixed(), wrap)

    def _show_slice(self) -> None:
        """Shows the chosen slice in the part that is in front."""
        if self.weight is None or self._values is None:
            return
        self.slices.setVisible(len(self.weight.dims) > 2 and self.tabs.currentIndex() < 2)
        if self.tabs.currentIndex() == 0:
            self.table.show_plane(self._plane(16), self.weight.dtype)
        elif self.tabs.currentIndex() == 1:
            self.image.show_plane(self._plane(max(1, ceil(sqrt(self.weight.size)))))

    def _show_figures(self, found: object) -> None:
        if not isinstance(found, Statistics):
            for label in self.figures.values():
                label.setText("–")
            return
        about = "~" if found.count < found.total else ""  # what a sample says of the whole
        values = {word: getattr(found, word) for word in _FIGURES[:4]}
        for word, value in values.items():
            self.figures[word].setText(f"{about}{value:.5g}")
        for word, count in (("zeros", found.zeros), ("NaN", found.nans), ("infinite", found.infinities)):
            share = f" ({count / found.count:.2%})" if count else ""
            self.figures[word].setText(f"{about if count else ''}{number_text(count)}{share}")
        tip = f"Of a sample: {number_text(found.count)} of {number_text(found.total)} values" if about else ""
        for label in self.figures.values():
            label.setToolTip(tip)

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def _on_edits(self) -> None:
        count = len(self.table.edits)
        self.apply_button.setEnabled(bool(count))
        self.revert_button.setEnabled(bool(count))
        self.apply_button.setText(f"Apply {count} edit{'s' * (count != 1)}" if count else "Apply")
        if count:
            self._say("")

    def _apply(self) -> None:
        self.operation_requested.emit(SetElements(TensorName(self.name), dict(self.table.edits)))
