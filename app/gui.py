"""Starting the window: the first model is read and drawn before anything that can wait."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from graftwerk.app.settings import Settings
from graftwerk.app.window import Window


def make_application() -> QApplication:
    """The one QApplication of the process."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    application = QApplication(sys.argv[:1])
    application.setApplicationName("graftwerk")
    application.setApplicationDisplayName("Graftwerk")
    application.setDesktopFileName("graftwerk")
    return application


def run(arguments: Sequence[str]) -> int:
    """Opens the window on the given models and runs until it is closed."""
    application = make_application()
    window = Window(Settings())
    sys.excepthook = window.report_defect
    signal.signal(signal.SIGINT, lambda *_: window.close())
    wake = QTimer()
    wake.timeout.connect(lambda: None)  # lets Python see a Ctrl+C while Qt waits
    wake.start(500)
    window.files.open(Path(name) for name in arguments)
    window.show()
    QTimer.singleShot(0, window.engines.ask_library)
    return int(application.exec())
