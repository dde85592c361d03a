"""What a running job talks to.

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class JobContext(Protocol):
    """The job's way to the program that asked for it. All methods may be called from any thread of the worker."""

    @property
    def folder(self) -> Path:
        """The job's own folder: artifacts go here. `output.log` in it holds what libraries print."""

    def phase(self, name: str) -> None:
        """Say what is done now, e.g. "Building the engine"."""

    def progress(self, done: int, total: int) -> None:
        """Say how far the work is; only where both are real counts. Call it as often as you like: what comes within
        50 ms of the last is dropped, but not the end."""

    def log(self, text: str, level: str = "info") -> None:
        """Add to the job's log; levels are verbose, info, warning, error."""

    def cancelled(self) -> bool:
        """Whether the job was asked to stop; it should then raise `Cancelled` soon, for it is killed otherwise."""
