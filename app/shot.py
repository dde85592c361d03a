"""Pictures of the real window, made without a display: the command `shot`, and the pictures of the documentation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QBuffer, QEventLoop, QIODevice, QTimer
from PySide6.QtGui import QImageWriter

from graftwerk.app.ending import noted_end
from graftwerk.app.gui import make_application
from graftwerk.app.settings import Settings
from graftwerk.app.window import Window
from graftwerk.backend.atomic import atomic
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.protocol import Failed
from graftwerk.backend.operations.registry import Selection

#: How long a build or a profile may take before the picture is given up, milliseconds.
PATIENCE = 600_000


@dataclass(frozen=True, slots=True)
class Shot:
    """What a picture shows. `zoom` None fits the graph."""

    model: Path
    output: Path
    size: tuple[int, int] = (1600, 1000)
    overlay: str = "none"
    zoom: float | None = None
    select: str | None = None
    theme: str = "light"
    target: str = "sm89"


def take(shot: Shot) -> None:
    """Opens the window on the model, compiles or profiles it if the overlay needs that, and saves what it looks like.

    Raises Fault where the model can't be opened, compiled or profiled, or the picture can't be written.
    """
    _kind(shot.output)  # before the work
    document = Document.open(shot.model)
    make_application()
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as folder:
        settings = Settings(Path(folder) / "window.ini")
        settings.dark = shot.theme == "dark"
        settings.write("targets", [shot.target])
        window = Window(settings)
        try:
            window.resize(*shot.size)
            tab = window.add_tab(document)
            window.show()
            _prepare(window, shot)
            if shot.select is not None:
                tab.select(Selection((tab.graph.find(shot.select),)), reveal=True)
            if shot.zoom is not None:
                tab.canvas.set_zoom(shot.zoom)
            elif shot.select is None:
                tab.canvas.zoom_fit()
            save(window, shot.output)
        finally:
            window.shut()
            window.deleteLater()


def save(window: Window, path: Path) -> None:
    """Saves what the window looks like. Raises Fault where the file can't be written."""
    make_application().processEvents()
    wait(lambda: window.docks.settled)
    content = QBuffer()
    content.open(QIODevice.OpenModeFlag.WriteOnly)
    if not window.grab().save(content, _kind(path)):
        raise Fault("The picture can't be made", str(path), "Choose a smaller size or scale.")
    try:
        with atomic(path) as out:
            out.write(content.data().data())
    except OSError as error:
        hint = "Choose a folder that exists, is writable and has space left."
        raise Fault(f"Can't write the picture: {error.strerror}", str(path), hint) from error


def _kind(path: Path) -> str:
    """The kind of picture that a name asks for."""
    kinds = {bytes(kind.data()).decode() for kind in QImageWriter.supportedImageFormats()}
    kind = path.suffix.lower().removeprefix(".")
    if kind not in kinds:
        known = ", ".join(f".{one}" for one in sorted(kinds & {"png", "jpg", "jpeg", "bmp", "webp"}))
        raise Fault("The name does not say a kind of picture that can be written", str(path), f"It ends in {known}.")
    return kind


def _prepare(window: Window, shot: Shot) -> None:
    tab = window.need_tab()
    window.engines.ask_library()
    wait(lambda: bool(window.engines.library or window.engines.missing))
    wait(lambda: tab.inference.known)
    known = window.engines.library.get("targets", [])
    if known and shot.target not in known:
        raise Fault("TensorRT-RTX doesn't build for this target", shot.target, f"It builds for {', '.join(known)}.")
    if shot.overlay in ("fusion", "precision"):
        task = window.engines.build()
        wait(lambda: task.over)
        _raise(task.view.failure)
    elif shot.overlay == "time":
        task = window.engines.profile()
        wait(lambda: task.over)
        _raise(task.view.failure)
    tab.set_overlay(shot.overlay)


def _raise(failure: Failed | None) -> None:
    if failure is not None:
        raise Fault(failure.message, failure.where, failure.hint)


def wait(condition: Callable[[], bool], patience: int = PATIENCE) -> None:
    """Lets the window live until a condition holds. Raises Fault when it does not within `patience` milliseconds."""
    if condition():
        return
    loop = QEventLoop()
    check = QTimer()
    with noted_end() as signals:
        check.timeout.connect(lambda: loop.quit() if signals or condition() else None)
        check.start(10)
        QTimer.singleShot(patience, lambda: loop.exit(1))
        code = loop.exec()
    if code == 1:
        hint = "The machine may be too busy, or the model too large for it."
        raise Fault(f"Gave up waiting after {patience // 1000} s", hint=hint)
