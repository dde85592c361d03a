"""A recipe's line as text: the way to write what a form has no field for, such as `$NAME` for a number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from graftwerk.backend.fault import Fault
from graftwerk.backend.operations.step import Step
from graftwerk.widgets.panels.parts import note
from graftwerk.widgets.theme import mono_font

_WIDTH, _HEIGHT = 520, 320


class StepText(QDialog):
    """Edits one step as JSON. `accepted_step` carries what became of it; what can't be read is said while typing."""

    accepted_step = Signal(object)

    def __init__(self, step: Step, parameters: Mapping[str, Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Edit a step")
        self._parameters = parameters
        self.text = QPlainTextEdit(json.dumps(step.to_json(), indent=2, ensure_ascii=False))
        self.text.setFont(mono_font())
        self.text.textChanged.connect(self._check)
        self.problem = note("", "error")
        self.problem.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.ok = buttons.button(QDialogButtonBox.StandardButton.Ok)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(note("$NAME stands for one of the recipe's parameters, @op=Conv for nodes that match."))
        column.addWidget(self.text, 1)
        column.addWidget(self.problem)
        column.addWidget(buttons)
        self.resize(_WIDTH, _HEIGHT)
        self._check()

    def step(self) -> Step:
        """Raises Fault where the text is no step."""
        try:
            data = json.loads(self.text.toPlainText())
        except ValueError as error:
            raise Fault(f"Not JSON: {error}") from None
        step = Step.from_json(data)
        step.operation(self._parameters)
        return step

    def accept(self) -> None:
        self.accepted_step.emit(self.step())
        super().accept()

    def _check(self) -> None:
        try:
            self.step()
            self.problem.setText("")
        except Fault as fault:
            self.problem.setText(". ".join(filter(None, [fault.message, fault.hint])))
        self.ok.setEnabled(not self.problem.text())
