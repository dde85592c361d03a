"""What an operation would do to the model: counted before it is done, and shown in its form."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from graftwerk.backend.operations.effect import Effect
from graftwerk.widgets.panels.parts import clear, note, section, set_role

#: Remarks that are shown; how many more there are is told.
_REMARKS = 6
#: Lines that there is room for from the start, so that the dialog stays as it is once the figures come.
_LINES = 7


class EffectView(QFrame):
    """Says that it is being worked out, why it can't be, or the figures. `cancelled`: the user waits no longer."""

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.said = note()
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setAutoDefault(False)
        self.cancel_button.setToolTip("Work it out no longer; the operation can be applied all the same")
        self.cancel_button.clicked.connect(self.cancelled)
        self._facts = QGridLayout()
        self._facts.setHorizontalSpacing(14)
        self._facts.setVerticalSpacing(2)
        self._facts.setColumnStretch(1, 1)
        top = QHBoxLayout()
        top.addWidget(self.said, 1)
        top.addWidget(self.cancel_button, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(section("What it would do"))
        column.addLayout(self._facts)
        column.addLayout(top)
        column.addStretch(1)
        self.setMinimumHeight((_LINES + 2) * (self.fontMetrics().lineSpacing() + 2))
        self.say("")

    def wait(self, text: str) -> None:
        """It is being worked out, and can be cancelled."""
        self._show([], text, "muted")
        self.cancel_button.show()

    def say(self, text: str, role: str = "muted") -> None:
        """There are no figures, and why."""
        self._show([], text, role)

    def show_effect(self, effect: Effect) -> None:
        more = len(effect.remarks) - _REMARKS
        remarks = [*effect.remarks[:_REMARKS], *([f"and {more} more like these"] if more > 0 else [])]
        self._show(effect.facts(), "\n".join(remarks), "muted")

    def text(self) -> str:
        """All that is shown."""
        cells = (self._facts.itemAtPosition(row, column) for row in range(self._facts.rowCount()) for column in (0, 1))
        labels = [cell.widget() for cell in cells if cell is not None]
        return "\n".join([*(label.text() for label in labels if isinstance(label, QLabel)), self.said.text()])

    def _show(self, facts: list[tuple[str, str]], text: str, role: str) -> None:
        self.cancel_button.hide()
        if facts or self._facts.count():
            clear(self._facts)
        for row, (name, figure) in enumerate(facts):
            self._facts.addWidget(note(name), row, 0, Qt.AlignmentFlag.AlignTop)
            self._facts.addWidget(note(figure, role=""), row, 1)
        set_role(self.said, role)
        self.said.setText(text)
        self.said.setVisible(bool(text))
