"""One worker process as the program sees it: started, spoken to, listened to, and its death explained."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from graftwerk.backend.jobs import protocol

LAST_LINES = 40  # of what a process printed before it died; a compiler's assertion and faulthandler's stack fit


@dataclass(frozen=True)
class Launch:
    """How workers are started: which Python, with what in its environment, and which modules are imported ahead."""

    python: str
    folder: Path
    environment: Mapping[str, str]
    preload: tuple[str, ...] = ()
    nice: int = 0

    def command(self) -> list[str]:
        preload = [part for module in self.preload for part in ("--preload", module)]
        return [self.python, "-m", "graftwerk.backend.jobs.worker", "--nice", str(self.nice), *preload]


class WorkerProcess:
    """A worker, from its start in the background to its death.

    `on_event` gets what it says and `on_death` is called once, last, with `death()` ready to be asked; both on threads
    of this object. The thread that starts the process stays with it until it is dead: Linux sends a process's
    parent-death signal when the *thread* that started it ends.
    """

    def __init__(
        self,
        launch: Launch,
        output: Path,
        on_event: Callable[[WorkerProcess, protocol.Event | protocol.Ready], None],
        on_death: Callable[[WorkerProcess], None],
    ) -> None:
        self._launch = launch
        self._output = output
        self._on_event = on_event
        self._on_death = on_death
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._unsent: list[bytes] = []
        self._kill_asked = False
        self._kill_timer: threading.Timer | None = None
        self._why_dead = ""
        self._thread = threading.Thread(target=self._live, name="worker process", daemon=True)
        self._thread.start()

    def send(self, line: bytes) -> None:
        """Write to the worker, or as soon as it is started."""
        with self._lock:
            if self._process is None:
                self._unsent.append(line)
            else:
                self._write(line)

    def kill(self) -> None:
        """End the process and its children now."""
        with self._lock:
            self._kill_asked = True
            self._kill()

    def kill_after(self, seconds: float) -> None:
        """End it then, if it is still alive."""
        with self._lock:
            self._kill_timer = threading.Timer(seconds, self.kill)
            self._kill_timer.daemon = True
            self._kill_timer.start()

    def join(self) -> None:
        """Wait until it is dead and `on_death` has returned."""
        self._thread.join()

    def death(self, job_folder: Path) -> protocol.Failed:
        """Why it died while it ran the job of this folder."""
        hint = ""
        if self._why_dead == "SIGKILL":
            hint = "If nobody killed it, the system had no memory left: close programs, or make the model smaller."
        output = job_folder / "output.log"
        lines = _last_lines(output if output.exists() else self._output)
        if "bad_alloc" in lines or "MemoryError" in lines:
            hint = "It ran out of memory: close programs, or make the model or its shapes smaller."
        return protocol.Failed(f"the worker process died: {self._why_dead}", hint=hint, details=lines)

    def _live(self) -> None:
        try:
            process = self._start()
        except OSError as error:
            self._why_dead = f"{self._launch.python} could not be started: {error.strerror}"
        else:
            self._attend(process)
        self._on_death(self)
        self._output.unlink(missing_ok=True)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._output.open("wb") as output:
            process = subprocess.Popen(
                self._launch.command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                # Python looks for modules where it is started: no file of the user's directory may stand in for one.
                cwd=self._launch.folder,
                env={**os.environ, **self._launch.environment},
                start_new_session=True,  # a process group to kill as one, out of reach of the terminal's Ctrl+C
            )
        with self._lock:
            self._process = process
            for line in self._unsent:
                self._write(line)
            if self._kill_asked:
                self._kill()
        return process

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        reader = threading.Thread(target=self._read, args=(process,), name="worker events", daemon=True)
        reader.start()
        if hasattr(os, "waitid"):  # leaves a zombie, so that its number still means this process group below
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        else:
            process.wait()
        with self._lock:
            if self._kill_timer is not None:
                self._kill_timer.cancel()
            self._kill()  # children that it left
            status = process.wait()
            self._process = None
        # A child that forked away from the group may hold the pipe open: the dead has said what it had to say.
        reader.join(timeout=1)
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        self._why_dead = self._why_dead or _explain(status)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            raise RuntimeError("a worker without a pipe")
        with process.stdout as lines:
            for line in lines:
                try:
                    event = protocol.decode(line)
                except ValueError:
                    self._why_dead = f"it broke the protocol with {line[:200]!r}"
                    self.kill()
                    return
                self._on_event(self, event)

    def _write(self, line: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it is dead: its end is told by the thread that waits for it
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def _kill(self) -> None:
        if self._process is None:
            return
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()


def _explain(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _last_lines(path: Path) -> str:
    """The last lines of a log that may be huge and hold any bytes."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65536))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-LAST_LINES:])
