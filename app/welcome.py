"""What the window shows with no model open: what to do first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from graftwerk import resources
from graftwerk.widgets.icons import app_icon

if TYPE_CHECKING:
    from graftwerk.app.window import Window

RECENT_SHOWN = 8


class Welcome(QWidget):
    """Open, a sample, or one of the recent files; models can be dropped anywhere in the window."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        mark = QLabel(self)
        mark.setPixmap(app_icon().pixmap(64, 64))
        title = QLabel("Open a model", self)
        title.setProperty("role", "title")
        hint = QLabel("Drop an ONNX file here, or", self)
        hint.setProperty("role", "muted")
        choose = QPushButton("Open…", self)
        choose.setProperty("primary", True)
        choose.clicked.connect(lambda: window.files.choose_and_open())
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(choose)
        for path in resources.bundled_models():
            sample = QPushButton(path.stem, self)
            sample.setToolTip(f"Open the bundled sample {path.name}")
            sample.clicked.connect(lambda _=False, one=path: window.files.open([one]))
            buttons.addWidget(sample)
        buttons.addStretch(1)
        self._recent = QVBoxLayout()
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addStretch(2)
        for widget in (mark, title, hint):
            column.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addLayout(buttons)
        column.addSpacing(16)
        column.addLayout(self._recent)
        column.addStretch(3)

    def refresh(self) -> None:
        """Lists the recent files anew."""
        while (item := self._recent.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for path in self._window.settings.recent[:RECENT_SHOWN]:
            button = QPushButton(f"{path.name}    {path.parent}", self)
            button.setFlat(True)
            button.clicked.connect(lambda _=False, one=path: self._window.files.open([one]))
            self._recent.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
