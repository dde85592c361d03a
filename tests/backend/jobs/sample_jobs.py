"""Jobs that do what real ones do on a bad day. Imported by the tests and, by name, by the workers."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job


def wait_for_ever() -> NoReturn:
    while True:
        signal.pause()


@job("test.echo")
@dataclass(frozen=True)
class Echo:
    """Gives its parameters back, and who and where it is."""

    value: Any = None
    other: str = "ü"

    def run(self, context: JobContext) -> dict[str, Any]:
        context.phase("echo")
        context.progress(1, 2)
        context.log("a line\nof two", "warning")
        return {
            "value": self.value,
            "is_tuple": isinstance(self.value, tuple),
            "pid": os.getpid(),
            "folder": str(context.folder),
            "python": list(sys.version_info[:2]),
            "nice": os.nice(0),
            "modules": [name for name in ("numpy", "msgspec", "onnx", "fractions") if name in sys.modules],
        }


@job("test.large")
@dataclass(frozen=True)
class Large:
    """A result of `megabytes`, and as many log lines as there are."""

    megabytes: int

    def run(self, context: JobContext) -> dict[str, Any]:
        for number in range(5000):
            context.log(f"line {number} " + "x" * 100, "verbose")
        return {"text": "é" * (self.megabytes << 20)}


@job("test.count")
@dataclass(frozen=True)
class Count:
    """Counts as fast as it can, twice."""

    total: int

    def run(self, context: JobContext) -> dict[str, Any]:
        for phase in ("first", "second"):
            context.phase(phase)
            for number in range(self.total):
                context.progress(number + 1, self.total)
        return {}


@job("test.die")
@dataclass(frozen=True)
class Die:
    """Ends the process in one of the ways a process ends."""

    how: str

    def run(self, context: JobContext) -> dict[str, Any]:
        print("python's last words")
        libc = ctypes.CDLL(None)
        libc.printf(b"C's last words\n")
        if self.how == "abort":
            os.abort()
        if self.how == "segfault":
            ctypes.string_at(0)
        if self.how == "exit":
            os._exit(7)
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(self.how)


@job("test.memory")
@dataclass(frozen=True)
class Memory:
    """Needs more memory than it may have: Python's MemoryError, or a C library that aborts as C++'s new does."""

    def run(self, context: JobContext) -> dict[str, Any]:
        limit = 512 << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        kept = []
        while True:
            kept.append(bytearray(16 << 20))


@job("test.raise")
@dataclass(frozen=True)
class Raise:
    """Fails in Python."""

    what: str

    def run(self, context: JobContext) -> dict[str, Any]:
        if self.what == "fault":
            raise Fault("no such thing", "node 7", "Try another.")
        if self.what == "exit":
            sys.exit(3)
        if self.what == "not json":
            return {"path": Path("/")}
        raise KeyError(self.what)


@job("test.wait")
@dataclass(frozen=True)
class Wait:
    """Runs until it is cancelled (`polite`), or for ever; with a child process of its own beside it."""

    polite: bool

    def run(self, context: JobContext) -> dict[str, Any]:
        script = "import signal; print('up', flush=True); signal.pause()"
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        if child.stdout is None or child.stdout.readline() != "up\n":
            raise AssertionError("the child did not start")
        context.log(str(child.pid))
        context.phase("waiting")
        if not self.polite:
            wait_for_ever()
        while not context.cancelled():
            os.sched_yield()
        raise Cancelled


@job("test.garbage")
@dataclass(frozen=True)
class Garbage:
    """Writes to every descriptor it can guess: 0 to 2 must be harmless, `private` are the protocol's own."""

    private: bool

    def run(self, context: JobContext) -> dict[str, Any]:
        os.write(1, b'\xff\xfe{"event": "Finished", "result": {}}\n')
        os.write(2, b"\x00" * 10 + b"\n")
        read = sys.stdin.read()
        subprocess.run(["sh", "-c", "echo from a child; cat"], check=True)
        if self.private:
            for descriptor in range(3, 10):
                try:
                    os.write(descriptor, b"\xff garbage\n")
                except OSError:
                    continue
            wait_for_ever()
        return {"read": read}


@job("test.talker")
@dataclass(frozen=True)
class Talker:
    """Leaves a thread behind that goes on talking, and finishes."""

    def run(self, context: JobContext) -> dict[str, Any]:
        def talk() -> None:
            while True:
                context.log("still here")

        threading.Thread(target=talk, daemon=True).start()
        return {}
