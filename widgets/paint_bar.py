"""The bar of the precision painter: brushes, what is painted so far, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from graftwerk.widgets.theme import precision_color

#: The brush that takes paint off.
ERASER = ""
_HELP = "Click or drag over nodes; Ctrl+drag selects. Esc cancels a stroke, and closes the painter."


class PaintBar(QFrame):
    """One checked brush of several. It paints nothing: it tells which button was clicked."""

    brush_chosen = Signal(str)
    selection_painted = Signal()
    cleared = Signal()
    applied = Signal()
    closed = Signal()

    def __init__(self, brushes: tuple[str, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 0, 12, 6)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._brushes(brushes))
        column.addLayout(row)
        self.fill = self._button("Paint Selection", "Paint all selected nodes", self.selection_painted)
        self.said = QLabel(_HELP, self)
        self.said.setProperty("role", "muted")
        self.said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.said.setWordWrap(True)
        column.addWidget(self.said)
        row.addWidget(self.fill)
        row.addStretch(1)
        self.clear = self._button("Clear", "Take all paint off", self.cleared)
        self.apply = self._button("Apply", "Write the fewest Casts and Q/DQ pairs that give this", self.applied)
        self.apply.setProperty("primary", True)
        self.close_button = self._button("Close", "Leave the painter; nothing is written (Esc)", self.closed)
        for button in (self.clear, self.apply, self.close_button):
            row.addWidget(button)

    def _brushes(self, names: tuple[str, ...]) -> QFrame:
        frame = QFrame(self)
        frame.setProperty("role", "segments")
        row = QHBoxLayout(frame)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self._group = QButtonGroup(self)
        self.brushes: dict[str, QToolButton] = {}
        for name in (*names, ERASER):
            button = QToolButton(frame)
            button.setText(name or "Eraser")
            button.setCheckable(True)
            button.setToolTip(f"Ask for {name}" if name else "Leave a node as it is")
            if name:
                button.setIcon(_swatch(precision_color(name)))
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.clicked.connect(lambda _=False, one=name: self.brush_chosen.emit(one))
            self._group.addButton(button)
            self.brushes[name] = button
            row.addWidget(button)
        return frame

    def _button(self, title: str, tip: str, signal: object) -> QPushButton:
        button = QPushButton(title, self)
        button.setToolTip(tip)
        button.clicked.connect(lambda: signal.emit())  # type: ignore[attr-defined]
        return button

    def set_state(self, brush: str, counts: Mapping[str, int], reason: str = "") -> None:
        """Shows the brush, how many nodes have which paint, and why the last node could not be painted."""
        self.brushes[brush].setChecked(True)
        told = ", ".join(f"{count} × {name}" for name, count in counts.items())
        self.said.setText(reason or told or _HELP)
        self.said.setToolTip(reason or told or _HELP)
        self.said.setProperty("role", "error" if reason else "muted")
        self.said.style().unpolish(self.said)
        self.said.style().polish(self.said)
        self.apply.setEnabled(bool(counts))
        self.clear.setEnabled(bool(counts))


def _swatch(color: str) -> QIcon:
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor(color))
    return QIcon(pixmap)
