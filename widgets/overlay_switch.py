"""The switch over the canvas: which picture of the same graph is painted."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QToolButton, QWidget

#: Key, title, and what has to be done before it shows anything.
OVERLAYS = (
    ("none", "Operators", "Colours by family of operator"),
    ("fusion", "Fusion", "Which nodes became one engine layer"),
    ("precision", "Precision", "Requested against achieved precision"),
    ("time", "Time", "Where the time goes"),
)
NEEDS_REPORT = "Build (F5) or switch the live preview on (F7) to see this"
NEEDS_PROFILE = "Profile (F6) to see this"


class OverlaySwitch(QFrame):
    """One checked button of four. `chosen` carries the key of the one that was clicked."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "segments")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QToolButton] = {}
        for key, title, tip in OVERLAYS:
            button = QToolButton(self)
            button.setText(title)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.clicked.connect(lambda _=False, name=key: self.chosen.emit(name))
            self._group.addButton(button)
            self._buttons[key] = button
            row.addWidget(button)

    def set_state(self, key: str, *, has_report: bool, has_profile: bool) -> None:
        """Checks a button, and enables those that have something to show; the others say what they need."""
        self._buttons[key].setChecked(True)
        for name, _, tip in OVERLAYS:
            missing = ""
            if name in ("fusion", "precision") and not has_report:
                missing = NEEDS_REPORT
            elif name == "time" and not has_profile:
                missing = NEEDS_PROFILE
            self._buttons[name].setEnabled(not missing)
            self._buttons[name].setToolTip(missing or tip)
