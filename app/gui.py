"""Starting the window: the first model is read and drawn before anything that can wait."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QMessageLogContext, QObject, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication, QWidget

from graftwerk.app.settings import Settings
from graftwerk.app.window import Window


def make_application() -> QApplication:
    """The one QApplication of the process."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    qInstallMessageHandler(_tell)
    sys.setswitchinterval(0.001)  # threads that prepare jobs are not to keep the window waiting for 5 ms a turn
    application = QApplication(sys.argv[:1])
    application.setApplicationName("graftwerk")
    application.setApplicationDisplayName("Graftwerk")
    application.setDesktopFileName("graftwerk")
    return application


def _tell(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
    """Qt's messages on stderr, without those that say each time that an offscreen window has no frame to ask about."""
    if not text.startswith("This plugin does not support"):
        sys.stderr.write(f"{text}\n")


class FirstPaint(QObject):
    """Calls `then` once a widget has been painted with all that is in it."""

    def __init__(self, widget: QWidget, then: Callable[[], object]) -> None:
        super().__init__(widget)
        self._then = then
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self._then)  # the children are painted before the next event
        return False


def run(arguments: Sequence[str]) -> int:
    """Opens the window on the given models and runs until it is closed."""
    application = make_application()
    window = Window(Settings(), complete=False)
    sys.excepthook = window.report_defect
    signal.signal(signal.SIGINT, lambda *_: window.close())

    def end(number: int, frame: object) -> None:
        window.shut()
        application.exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    wake = QTimer()
    wake.timeout.connect(lambda: None)  # lets Python see a signal while Qt waits
    wake.start(500)

    def complete() -> None:
        window.complete()
        window.engines.ask_library()
        window.recovery.start()
        gc.freeze()  # what is there now stays: a collection need not walk through it
        gc.enable()

    FirstPaint(window, complete)
    window.files.open(Path(name) for name in arguments)
    if application.platformName() != "offscreen":  # whose screen is smaller than any real one
        window.resize(window.size().boundedTo(window.screen().availableSize()))
    window.show()
    return int(application.exec())
