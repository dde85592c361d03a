"""Run `graftwerk MODEL` until its window has painted the graph; print when that was, and how large the process is, as
JSON. With --settle, go on until the window is complete and shapes are inferred, and print that too.

usage: first_picture.py [--settle] BEGIN MODEL, BEGIN what time.monotonic() was when this process was started.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from graftwerk.app.main import main

if TYPE_CHECKING:
    from graftwerk.app.window import Window


def watch(begin: float, settle: bool) -> None:
    from PySide6.QtCore import QObject, QTimer
    from PySide6.QtGui import QPaintEvent

    from graftwerk.widgets.canvas.view import Canvas

    paint = Canvas.paintEvent

    def painted(canvas: Canvas, event: QPaintEvent) -> None:
        paint(canvas, event)
        if canvas.graph.nodes and canvas.window().isVisible():
            setattr(Canvas, "paintEvent", paint)  # noqa: B010
            QTimer.singleShot(0, lambda: shown(canvas.window()))  # when the rest of the window is painted as well

    def shown(window: QObject) -> None:
        tell(begin)
        if not settle:
            os._exit(0)
        timer = QTimer(window)
        timer.timeout.connect(lambda: settled(window))  # type: ignore[arg-type]
        timer.start(50)

    def settled(window: Window) -> None:
        if window.tab is not None and window.tab.inference.known:
            tell(begin)
            os._exit(0)

    setattr(Canvas, "paintEvent", painted)  # noqa: B010


def tell(begin: float) -> None:
    told = {"seconds": time.monotonic() - begin, **sizes(os.getpid()), "workers_mb": 0.0}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _parent(folder) == os.getpid():
            told["workers_mb"] += sizes(int(folder.name))["pss_mb"]
    print(json.dumps(told), flush=True)


def sizes(process: int) -> dict[str, float]:
    """What a process has in memory: `rss_mb`, and `pss_mb` where pages that several processes share count in parts."""
    lines = (line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines())
    return {f"{name[0][:-1].lower()}_mb": int(name[1]) / 1024 for name in lines if name[0] in ("Rss:", "Pss:")}


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has just ended
        return -1


if __name__ == "__main__":
    options = sys.argv[1:]
    settling = options[0] == "--settle"
    start, *models = options[settling:]
    watch(float(start), settling)
    main(models)
