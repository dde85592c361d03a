"""The dialog that asks for the name of a pattern to keep."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtWidgets import QDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from graftwerk.backend.match.library import Entry
from graftwerk.widgets.panels.parts import mark_invalid, note


class PatternDialog(QDialog):
    """Name, title and note. A name that is taken by the user's own pattern is allowed, and said to replace it."""

    def __init__(self, entries: Mapping[str, Entry], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save Pattern")
        self._entries = entries
        self.name, self.heading, self.remark = QLineEdit(), QLineEdit(), QLineEdit()
        self.name.setPlaceholderText("my_block")
        self.name.textChanged.connect(self._check)
        self.reason = note(role="warning")
        self.save = QPushButton("Save")
        self.save.setProperty("primary", True)
        self.save.setDefault(True)
        self.save.clicked.connect(self.accept)
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        form = QFormLayout()
        form.setHorizontalSpacing(14)
        form.addRow("Name", self.name)
        form.addRow("Title", self.heading)
        form.addRow("Note", self.remark)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(10)
        column.addLayout(form)
        column.addWidget(self.reason)
        column.addLayout(buttons)
        self.resize(420, self.sizeHint().height())
        self._check()

    def answer(self) -> tuple[str, str, str]:
        """Name, title and note."""
        return self.name.text().strip(), self.heading.text().strip(), self.remark.text().strip()

    def _check(self) -> None:
        name = self.name.text().strip()
        there = self._entries.get(name)
        text = "A recipe uses it by this name: @pattern=NAME"
        if name and not name.isidentifier():
            text = "Letters, digits and _ only, such as my_block"
        elif there is not None:
            text = "It replaces your pattern of this name" if there.own else "It goes before the program's of this name"
        self.reason.setText(text)
        mark_invalid(self.name, bool(name) and not name.isidentifier())
        self.save.setEnabled(name.isidentifier())
