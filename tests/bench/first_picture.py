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

from graftwerk.app.main import main


def watch(begin: float, settle: bool) -> None:
    """Hooks into the two steps of the start: the window is painted, then it is completed."""
    from PySide6.QtCore import QTimer
    from PySide6.QtGui import QPaintEvent

    from graftwerk.app.window import Window
    from graftwerk.widgets.canvas.view import Canvas

    paint, complete = Canvas.paintEvent, Window.complete
    painted: list[Canvas] = []

    def paint_and_note(canvas: Canvas, event: QPaintEvent) -> None:
        paint(canvas, event)
        if canvas.graph.nodes:
            painted.append(canvas)

    def tell_and_complete(window: Window) -> None:
        if not painted:
            raise SystemExit("the window is about to be completed, but no graph was painted")
        tell(begin)
        if not settle:
            os._exit(0)
        complete(window)
        timer = QTimer(window)
        timer.timeout.connect(lambda: settled(window))
        timer.start(50)

    def settled(window: Window) -> None:
        if window.tab is not None and window.tab.inference.known:
            tell(begin)
            os._exit(0)

    setattr(Canvas, "paintEvent", paint_and_note)  # noqa: B010
    setattr(Window, "complete", tell_and_complete)  # noqa: B010


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
