"""What a new model is to be: its name, inputs and outputs, and the versions of its format."""

from __future__ import annotations

import onnx
from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.new import OPSET, Port, least_ir, new_model, parse_dtype, parse_shape
from graftwerk.backend.graph.types import DTYPE_NAMES
from graftwerk.widgets.panels.parts import mark_invalid, note, scrolling, section
from graftwerk.widgets.theme import mono_font


class PortRow(QWidget):
    """One input or output: name, datatype, dimensions, and a button that removes it."""

    changed = Signal()
    removed = Signal(object)

    def __init__(self, name: str, dims: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name, self.dims, self.dtype = QLineEdit(name), QLineEdit(dims), QComboBox()
        self.dtype.addItems([short for short in DTYPE_NAMES.values() if not short.startswith("COMPLEX")])
        for edit, what in ((self.name, "Name"), (self.dims, "Dimensions")):
            edit.setFont(mono_font())
            edit.setAccessibleName(what)
            edit.textChanged.connect(self.changed)
        self.dims.setPlaceholderText("scalar")
        self.dims.setToolTip("Sizes, names of open dimensions, or ? : batch,3,224,224")
        self.dtype.setAccessibleName("Datatype")
        self.remove = QPushButton("Remove")
        self.remove.setAutoDefault(False)
        self.remove.clicked.connect(lambda: self.removed.emit(self))
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.name, 3)
        line.addWidget(self.dtype)
        line.addWidget(self.dims, 4)
        line.addWidget(self.remove)
        self.dtype.currentIndexChanged.connect(self.changed)

    def port(self) -> Port:
        """Raises Fault where the dimensions can't be read; marks them."""
        mark_invalid(self.dims, False)
        try:
            dims = parse_shape(self.dims.text())
        except Fault:
            mark_invalid(self.dims, True)
            raise
        return Port(self.name.text().strip(), parse_dtype(self.dtype.currentText()), dims)


class NewModel(QDialog):
    """`made` carries the Graph once the form is answered; until then the form says what is wrong with it."""

    made = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New model")
        self.inputs: list[PortRow] = []
        self.outputs: list[PortRow] = []
        self.name = QLineEdit("model")
        self.producer = QLineEdit("Graftwerk")
        self.opset, self.ir = QSpinBox(), QSpinBox()
        self.opset.setRange(7, onnx.defs.onnx_opset_version())
        self.opset.setValue(OPSET)
        self.reason = note(role="warning")
        self.add_input, self.add_output = QPushButton("Add input"), QPushButton("Add output")
        self.create_button, self.cancel_button = QPushButton("Create"), QPushButton("Cancel")
        self._rows = {"input": QVBoxLayout(), "output": QVBoxLayout()}
        self._lay_out()
        for edit in (self.name, self.producer):
            edit.textChanged.connect(self.check)
        self.opset.valueChanged.connect(self._on_opset)
        self.ir.valueChanged.connect(self.check)
        self.add_input.clicked.connect(lambda: self.add("input"))
        self.add_output.clicked.connect(lambda: self.add("output"))
        self.create_button.clicked.connect(self._create)
        self.cancel_button.clicked.connect(self.reject)
        self._on_opset()
        self.add("input", "x", "1,3,224,224")

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(20, 18, 20, 4)
        heading = QLabel("New model")
        heading.setProperty("role", "title")
        column.addWidget(heading)
        form = QFormLayout()
        form.addRow("Name", self.name)
        column.addLayout(form)
        for what, button in (("input", self.add_input), ("output", self.add_output)):
            column.addWidget(section(f"{what.capitalize()}s"))
            if what == "output":
                text = "They may be marked later. What is named here is made by a Placeholder at first."
                column.addWidget(note(text))
            column.addLayout(self._rows[what])
            button.setAutoDefault(False)
            line = QHBoxLayout()
            line.addWidget(button)
            line.addStretch(1)
            column.addLayout(line)
        column.addWidget(section("Format"))
        versions = QFormLayout()
        versions.addRow("Opset", self.opset)
        versions.addRow("IR version", self.ir)
        versions.addRow("Producer", self.producer)
        column.addLayout(versions)
        column.addStretch(1)
        self.create_button.setProperty("primary", True)
        self.create_button.setDefault(True)
        self.cancel_button.setAutoDefault(False)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.create_button)
        foot = QVBoxLayout()
        foot.setContentsMargins(20, 0, 20, 16)
        self.reason.setMinimumHeight(2 * self.reason.fontMetrics().lineSpacing())
        foot.addWidget(self.reason)
        foot.addLayout(buttons)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(inside), 1)
        outer.addLayout(foot)
        self.resize(620, 600)

    def add(self, what: str, name: str = "", dims: str = "") -> PortRow:
        """Adds a row for an input or output."""
        rows = self.inputs if what == "input" else self.outputs
        row = PortRow(name, dims)
        rows.append(row)
        self._rows[what].addWidget(row)
        row.changed.connect(self.check)
        row.removed.connect(self._remove)
        if not name:
            row.name.setFocus()
        self.check()
        return row

    def _remove(self, row: PortRow) -> None:
        for rows in (self.inputs, self.outputs):
            if row in rows:
                rows.remove(row)
        row.hide()
        row.deleteLater()
        self.check()

    def _on_opset(self) -> None:
        least = least_ir(self.opset.value())
        self.ir.setRange(least, onnx.IR_VERSION)
        self.ir.setValue(least)
        self.check()

    def _graph(self) -> object:
        return new_model(
            self.name.text(), [row.port() for row in self.inputs], [row.port() for row in self.outputs],
            opset=self.opset.value(), ir=self.ir.value(), producer=self.producer.text().strip(),
        )  # fmt: skip

    def check(self) -> bool:
        """Whether the form can be answered; says why not."""
        try:
            self._graph()
        except Fault as fault:
            self.reason.setText("\n".join(filter(None, [str(fault), fault.hint])))
            self.create_button.setEnabled(False)
            return False
        self.reason.setText("")
        self.create_button.setEnabled(True)
        return True

    def _create(self) -> None:
        if self.check():
            graph = self._graph()
            self.accept()
            self.made.emit(graph)
