"""How a command ends where the system asks it to: orderly, so that its files and workers go with it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGTERM", "SIGHUP")

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def orderly_end() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit while the block runs: what is open is closed on the way out."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the cleaning up
        raise SystemExit(128 + number)

    with _handled(_NAMES, leave):
        yield


@contextmanager
def noted_end() -> Iterator[list[int]]:
    """As `orderly_end`, Ctrl+C too, for a block that runs Qt's event loop, which lets no exception through.

    Gives a list that signals are added to: whoever runs the loop leaves it where there is one. SystemExit is raised
    after the block.
    """
    came: list[int] = []
    with _handled((*_NAMES, "SIGINT"), lambda number, frame: came.append(number)):
        yield came
    if came:
        raise SystemExit(128 + came[0])


@contextmanager
def _handled(names: tuple[str, ...], handler: Handler) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        for name in names:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup's choice stays
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
