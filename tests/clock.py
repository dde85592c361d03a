"""How long work takes, apart from what else the machine and the process do."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def timed(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, float]:
    """What `work` returns, and the seconds of the calling thread's own time that it takes.

    The collector pauses: by then a test process holds the graphs of a thousand other tests, and walking through them
    would be charged to whichever work happens to set it off.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        start = time.thread_time()
        result = work(*args, **kwargs)
        return result, time.thread_time() - start
    finally:
        if running:
            gc.enable()
