"""Run `graftwerk MODEL` until the window has painted the graph, then print when and how large it was, as JSON, and leave.

usage: first_picture.py BEGIN MODEL, BEGIN the reading of time.monotonic() when this process was started.
"""

from __future__ import annotations

import json
import os
import sys
import time

from graftwerk.app.main import main


def watch(begin: float) -> None:
    """Sees to it that the first paint of a graph is told of, once everything that belongs to the same frame is done."""
    from PySide6.QtCore import QTimer
    from PySide6.QtGui import QPaintEvent

    from graftwerk.widgets.canvas.view import Canvas

    paint = Canvas.paintEvent

    def paint_and_tell(canvas: Canvas, event: QPaintEvent) -> None:
        paint(canvas, event)
        if canvas.graph.nodes and canvas.window().isVisible():
            Canvas.paintEvent = paint  # type: ignore[method-assign]
            QTimer.singleShot(0, lambda: tell(begin))

    Canvas.paintEvent = paint_and_tell  # type: ignore[method-assign]


def tell(begin: float) -> None:
    seconds = time.monotonic() - begin
    with open("/proc/self/smaps_rollup") as file:
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in file if line.startswith(("Rss:", "Pss:"))}
    print(json.dumps({"seconds": seconds, "pss_mb": sizes["Pss"], "rss_mb": sizes["Rss"]}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    watch(float(sys.argv[1]))
    main(sys.argv[2:])
