"""The process that runs jobs, one after the other: `python -m graftwerk.backend.jobs.worker`.

Commands come on stdin, events leave on what was stdout. Both are moved to private descriptors at start, and 0, 1 and 2
lead to nothing, the job's `output.log` and the same: neither a library's print nor a child that reads its stdin can
disturb the protocol. The process never outlives the one that started it: the end of stdin ends it, and on Linux the
kernel does even where a compiler holds the interpreter lock.

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import importlib
import json
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from graftwerk.backend.fault import Fault, Settled
from graftwerk.backend.jobs import protocol

OUTPUT = "output.log"
PROGRESS_INTERVAL = 0.05  # seconds; a window has no use for more, and a job may count in microseconds


class Channel:
    """The stream of events; whole lines, from any thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, event: protocol.Event | protocol.Ready) -> None:
        line = protocol.encode(event)
        with self._lock:
            self._file.write(line)
            self._file.flush()


class Context:
    """The `JobContext` of one job. Mute once the job has ended: a thread it left behind can't speak into the next."""

    def __init__(self, channel: Channel, folder: Path) -> None:
        self.folder = folder
        self._channel = channel
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._ended = False
        self._next_progress = 0.0

    def phase(self, name: str) -> None:
        self._next_progress = 0.0
        self._send(protocol.Phase(name))

    def progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now >= self._next_progress:
            self._next_progress = now + PROGRESS_INTERVAL
            self._send(protocol.Progress(done, total))

    def log(self, text: str, level: str = "info") -> None:
        self._send(protocol.Log(level, text))

    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    def end(self, event: protocol.Finished | protocol.Failed) -> None:
        with self._lock:
            self._channel.send(event)
            self._ended = True

    def _send(self, event: protocol.Event) -> None:
        with self._lock:
            if not self._ended:
                self._channel.send(event)


class Worker:
    """Runs the jobs that `commands` brings on the main thread, while another thread listens for a cancel."""

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._commands = commands
        self._channel = Channel(events)
        self._jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._context: Context | None = None

    def run(self, preload: list[str]) -> None:
        """Until stdin ends or a job fails: a process in which one failed is in an unknown state."""
        threading.Thread(target=self._listen, daemon=True).start()
        for module in preload:
            try:
                importlib.import_module(module)
            except ImportError:
                traceback.print_exc()  # the job that needs it says so
        self._channel.send(protocol.Ready(os.getpid(), platform.python_version()))
        while self._run_one(self._jobs.get()):
            pass

    def _listen(self) -> None:
        try:
            for line in self._commands:
                message = json.loads(line)
                if "cancel" not in message:
                    context = Context(self._channel, Path(message["folder"]))
                    self._context = context  # here, not on the main thread: a cancel may be the very next line
                    self._jobs.put({**message, "context": context})
                elif self._context is not None:
                    self._context.cancel()
        finally:
            _end_process_group()

    def _run_one(self, message: dict[str, Any]) -> bool:
        context: Context = message["context"]
        context.folder.mkdir(parents=True, exist_ok=True)
        idle_output = os.dup(1)
        _redirect_output(os.open(str(context.folder / OUTPUT), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
        self._channel.send(protocol.Started(message["job"], os.getpid()))
        event = _outcome(message, context)
        _redirect_output(idle_output)
        try:
            context.end(event)
        except (TypeError, ValueError):
            event = protocol.Failed("the job's result is not JSON", details=traceback.format_exc())
            context.end(event)
        return isinstance(event, protocol.Finished)


def _outcome(message: dict[str, Any], context: Context) -> protocol.Finished | protocol.Failed:
    try:
        return protocol.Finished(protocol.load_job(message).run(context))
    except Fault as fault:
        return protocol.Failed(fault.message, fault.where, fault.hint, settled=isinstance(fault, Settled))
    except protocol.Cancelled:
        return protocol.Failed("cancelled", cancelled=True)
    except MemoryError:
        hint = "Close other programs, or make the model or its shapes smaller."
        return protocol.Failed("out of memory", hint=hint, details=traceback.format_exc())
    except BaseException as error:  # also SystemExit: whatever a job does, one event says how it ended
        return protocol.Failed(f"{type(error).__name__}: {error}", details=traceback.format_exc())


def _redirect_output(descriptor: int) -> None:
    """Lead what is printed to `descriptor`, and close it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _end_process_group() -> None:
    """End this process and the children it started, now: the other side is gone and nobody reads a farewell."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """stdin and stdout moved out of reach of everything else in this process (and not inherited by children)."""
    commands = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, events


def _prepare_linux() -> None:
    """Die with the parent, and don't lose what C code printed when it aborts."""
    libc = ctypes.CDLL(None)
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG, <linux/prctl.h>
    libc.prctl(set_parent_death_signal, signal.SIGKILL)
    line_buffered = 1  # _IOLBF, <stdio.h>; a stdout that is a file is fully buffered otherwise
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, line_buffered, 0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="graftwerk.backend.jobs.worker")
    parser.add_argument("--preload", action="append", default=[], help="module to import before the first job")
    parser.add_argument("--nice", type=int, default=0, help="lower the priority by this much")
    arguments = parser.parse_args()
    commands, events = _private_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    faulthandler.enable()
    if sys.platform == "linux":
        _prepare_linux()
    if arguments.nice and hasattr(os, "nice"):
        os.nice(arguments.nice)
    Worker(commands, events).run(arguments.preload)
    os._exit(1)  # a failed job's threads must not keep the process


if __name__ == "__main__":
    main()
