"""The window answers while a model is compiled and its report is laid over the graph."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from time import thread_time

import pytest
from PySide6.QtCore import QTimer

from graftwerk.app.window import Window
from tests.app.conftest import Open
from tests.app.driving import finish, wait_until

#: Seconds of work in the window's thread between two ticks. Its own time is measured, which does not depend on what
#: else the machine does; the 50 ms that are promised by the clock are held by the benchmark `stall`, with room for
#: slower machines here.
MOST = 0.15


@pytest.mark.parametrize("name", ["resnet50", "bert_ts", "gpt2_ts"])
def test_no_long_work_in_the_windows_thread_during_a_build(
    window: Window, open_model: Open, shared: Path, name: str
) -> None:
    tab = open_model(shared / "models" / f"{name}.onnx")
    ticks = [thread_time()]
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(thread_time()))
    timer.start(5)
    finish(window.engines.build())
    seen = len(ticks)
    wait_until(lambda: len(ticks) > seen + 20, "for the report to be shown")
    assert tab.report is not None
    assert len(ticks) > 40
    assert max(later - earlier for earlier, later in pairwise(ticks)) < MOST
