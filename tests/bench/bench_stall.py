"""The longest time that the window does not answer while a model is compiled and its report is laid over the graph."""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter

from PySide6.QtCore import QEventLoop, QTimer

from graftwerk.app.gui import make_application
from graftwerk.app.tab import Tab
from tests.bench.bench_edit import shown
from tests.bench.rows import Row, model

#: How often the window is asked, milliseconds; and how often after the build, while its report is shown.
TICK, AFTER = 5, 100
BOUND = 50.0


def main() -> list[Row]:
    make_application()
    rows = []
    for name in ("resnet50", "bert_ts", "gpt2_ts"):
        with shown(model(name)) as tab:
            rows.append(Row(f"longest stall while {name} is built", longest_stall(tab), "ms", bound=BOUND))
    return rows


def longest_stall(tab: Tab) -> float:
    """Milliseconds between two ticks of the event loop, less those that a tick waits for. Builds the shown model."""
    window = tab.window()
    ticks, after = [perf_counter()], 0
    loop, timer = QEventLoop(), QTimer()

    def tick() -> None:
        nonlocal after
        ticks.append(perf_counter())
        after += task.over
        if after == AFTER:
            loop.quit()

    timer.timeout.connect(tick)
    task = window.engines.build()  # type: ignore[attr-defined]
    timer.start(TICK)
    loop.exec()
    if tab.report is None:
        raise SystemExit(f"{tab.title} was not built: {task.view.line}")
    return 1e3 * max(later - earlier for earlier, later in pairwise(ticks)) - TICK
