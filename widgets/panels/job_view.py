"""What the window knows of one job while it runs and after: the value that the jobs panel shows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from graftwerk.backend.jobs.protocol import Event, Failed, Finished, Log, Phase, Progress, Started

State = Literal["waiting", "running", "done", "failed", "cancelled"]
#: Log lines kept for each job; the whole log lies in the job's folder.
LOG_LINES = 5000


@dataclass(eq=False)
class JobView:
    """A job as it stands: fed with its events, in order. Times are `time.monotonic` seconds."""

    title: str
    state: State = "waiting"
    phase: str = ""
    done: int = 0
    total: int = 0
    started: float | None = None
    ended: float | None = None
    log: list[tuple[str, str]] = field(default_factory=list)
    failure: Failed | None = None
    cancelling: bool = False

    def take(self, event: Event) -> None:
        """Takes the next event of the job."""
        match event:
            case Started():
                self.state, self.started = "running", time.monotonic()
            case Phase(name):
                self.phase, self.done, self.total = name, 0, 0
            case Progress(done, total):
                self.done, self.total = done, total
            case Log(level, text):
                self.log.append((level, text))
                del self.log[:-LOG_LINES]
            case Finished():
                self.state, self.ended = "done", time.monotonic()
            case Failed(cancelled=cancelled):
                self.state, self.ended = ("cancelled" if cancelled else "failed"), time.monotonic()
                self.failure = event

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        if self.started is None:
            return 0.0
        return (self.ended if self.ended is not None else time.monotonic()) - self.started

    @property
    def line(self) -> str:
        """One line of progress: phase and clock, counts only where they are real."""
        if self.state == "waiting":
            return "waiting"
        count = f" {self.done}/{self.total}" if self.total else ""
        clock = f"{int(self.seconds) // 60:02d}:{int(self.seconds) % 60:02d}"
        doing = "cancelling" if self.cancelling else self.phase + count
        what = doing if self.state == "running" else self.state
        return f"{what} · {clock}" if what else clock
