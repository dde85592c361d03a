"""The path from the model to the graph that is shown: `model.onnx › If_3 · then_branch`."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget


class Breadcrumbs(QWidget):
    """Buttons for the outer graphs, a text for the shown one. `activated` carries the depth to go back to."""

    activated = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(2)

    def set_path(self, path: Sequence[str]) -> None:
        """Shows the names from the model down to the shown graph."""
        while (item := self._row.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        for depth, name in enumerate(path):
            if depth:
                self._row.addWidget(self._text("›"))
            if depth == len(path) - 1:
                self._row.addWidget(self._text(name))
            else:
                button = QToolButton(self)
                button.setText(name)
                button.setAutoRaise(True)
                button.setCursor(Qt.CursorShape.PointingHandCursor)
                button.clicked.connect(lambda _=False, at=depth: self.activated.emit(at))
                self._row.addWidget(button)
        self._row.addStretch(1)

    def _text(self, text: str) -> QLabel:
        label = QLabel(text, self)
        label.setProperty("role", "muted")
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        return label
