"""A small pool of warm worker processes, and the handle of a job that was given to it.

A compiler that crashes takes its process, never the program. A process runs one job at a time; one whose job failed
or was cancelled is not used again, and its successor is started at once, so that the next job finds a warm one.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from graftwerk.backend.fault import Fault, Settled
from graftwerk.backend.jobs import folders, protocol
from graftwerk.backend.jobs.process import Launch, WorkerProcess
from graftwerk.backend.jobs.protocol import Event, Failed, Finished, Job

GRACE = 3.0  # seconds between asking a job to stop and killing it

OnEvent = Callable[[Event], None]
#: How long a signal may go unnoticed by a thread that waits for a job, seconds.
_SIGNALS = 0.2


class JobHandle:
    """A job on its way. `folder` holds its artifacts until the pool is closed, or until the caller removes it."""

    def __init__(self, pool: JobPool, job: Job, folder: Path, on_event: OnEvent) -> None:
        self.job = job
        self.folder = folder
        self._pool = pool
        self._on_event = on_event
        self._delivery = threading.Lock()
        self._done = threading.Event()
        self._outcome: Finished | Failed | None = None
        self.cancel_asked = False
        self.started = False

    @property
    def outcome(self) -> Finished | Failed | None:
        """How it ended, None while it has not."""
        return self._outcome

    def cancel(self) -> None:
        """Ask the job to stop; it is killed after the pool's grace. It ends in a Failed with `cancelled` set,
        or as it would have where it was done before it noticed. Returns at once; harmless when it has ended."""
        self._pool.cancel(self)

    def wait(self, timeout: float | None = None) -> Finished | Failed:
        """How it ended, once `on_event` has seen it. Raises TimeoutError after `timeout` seconds."""
        if timeout is None:
            # A signal that comes just before a thread begins to wait is handled when it wakes up: so it wakes up.
            while not self._done.wait(_SIGNALS):
                pass
        if not self._done.wait(timeout) or self._outcome is None:
            raise TimeoutError(f"{protocol.job_id(self.job)} is still running")
        return self._outcome

    def deliver(self, event: Event) -> None:
        """Pass an event on; the last one once, and nothing after it. For the pool."""
        with self._delivery:
            if self._outcome is not None:
                return
            if isinstance(event, Failed) and self.cancel_asked:
                event = replace(event, cancelled=True)
            if isinstance(event, (Finished, Failed)):
                self._outcome = event
            try:
                self._on_event(event)
            except Exception:  # the caller's defect, reported as a thread's is; the job and its last event go on
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            if self._outcome is not None:
                self._done.set()


class JobPool:
    """Runs jobs in `size` processes of `python`; more jobs than that wait in the order they came.

    `preload` are modules that a worker imports before its first job. `environment` is added to the workers'. `base`
    is where job folders are made. `nice` lowers the workers' priority. What crashed runs left under `base` is removed
    in the background. Raises Fault where no job folder can be made.
    """

    def __init__(
        self,
        size: int = 1,
        *,
        python: str = sys.executable,
        preload: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        base: Path | None = None,
        grace: float = GRACE,
        nice: int = 0,
    ) -> None:
        self._folders = folders.JobFolders(base)
        marked = {**(environment or {}), folders.ENVIRONMENT: str(self._folders.path)}
        self._launch = Launch(python, self._folders.path, marked, preload, nice)
        self._size = size
        self._grace = grace
        self._lock = threading.Lock()
        self._queue: deque[JobHandle] = deque()
        self._numbers = itertools.count(1)
        self._active: dict[WorkerProcess, JobHandle | None] = {}  # those that jobs may be given to
        self._retired: dict[WorkerProcess, JobHandle | None] = {}  # those that are to die
        self._ready: set[WorkerProcess] = set()
        self._closed = False
        threading.Thread(target=self._folders.clean_up, name="clean up after crashed runs", daemon=True).start()
        with self._lock:
            self._refill()

    def submit(self, job: Job, on_event: OnEvent, folder: Path | None = None) -> JobHandle:
        """Run `job`; `on_event` gets its events one at a time on a thread of the pool, a Finished or a Failed last.

        `folder` is where its artifacts go, a new one if not given. Raises TypeError for a job that is not JSON,
        Fault where no folder can be made.
        """
        protocol.job_message(job, "")  # raises here, where the caller sees it
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            handle = JobHandle(self, job, folder or self._folders.new(), on_event)
            self._queue.append(handle)
            self._refill()
            self._dispatch()
        return handle

    def new_folder(self) -> Path:
        """An empty folder for a job that is yet to be submitted; it goes when the pool is closed."""
        return self._folders.new()

    def cancel(self, handle: JobHandle) -> None:
        """See `JobHandle.cancel`."""
        with self._lock:
            if handle.outcome is not None or handle.cancel_asked:
                return
            handle.cancel_asked = True
            if handle in self._queue:
                self._queue.remove(handle)
                # Events come from a thread of the pool, whoever cancels.
                threading.Thread(target=handle.deliver, args=(Failed("cancelled"),), daemon=True).start()
                return
            for process, running in self._active.items():
                if running is handle:
                    process.send(protocol.CANCEL)
                    process.kill_after(self._grace)
                    self._retire(process)
                    return

    def close(self) -> None:
        """Cancel what waits, kill what runs, remove the job folders. Not to be called from an `on_event`."""
        with self._lock:
            self._closed = True
            waiting = list(self._queue)
            self._queue.clear()
            processes = [*self._active, *self._retired]
            for running in [*self._active.values(), *self._retired.values()]:
                if running is not None:
                    running.cancel_asked = True
        for handle in waiting:
            handle.cancel_asked = True
            handle.deliver(Failed("cancelled"))
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        self._folders.close()

    def _refill(self) -> None:
        while len(self._active) < self._size and not self._closed:
            output = self._folders.path / f"worker{next(self._numbers)}.log"
            self._active[WorkerProcess(self._launch, output, self._heard, self._died)] = None

    def _dispatch(self) -> None:
        for process, running in self._active.items():
            if running is None and self._queue:
                handle = self._queue.popleft()
                self._active[process] = handle
                process.send(protocol.job_message(handle.job, str(handle.folder)))

    def _retire(self, process: WorkerProcess) -> None:
        """Take it out of use, keep it until it is dead, and start its successor."""
        self._retired[process] = self._active.pop(process)
        self._refill()
        self._dispatch()

    def _heard(self, process: WorkerProcess, event: Event | protocol.Ready) -> None:
        """An event of a worker, on its reader thread."""
        with self._lock:
            if isinstance(event, protocol.Ready):
                self._ready.add(process)
                return
            where = self._active if process in self._active else self._retired
            handle = where.get(process)
            if isinstance(event, protocol.Started) and handle is not None:
                handle.started = True
            if isinstance(event, (Finished, Failed)):
                where[process] = None
                if isinstance(event, Failed) and process in self._active:
                    self._retire(process)
                if process in self._retired:
                    process.kill()
                self._dispatch()
        if handle is not None:
            handle.deliver(event)

    def _died(self, process: WorkerProcess) -> None:
        """On the thread that waited for it. A process that never got ready has no successor before the next job:
        whatever stopped it would stop that one too."""
        with self._lock:
            was_ready = process in self._ready
            self._ready.discard(process)
            handle = self._active.pop(process, None) or self._retired.pop(process, None)
            if handle is not None and was_ready and not (handle.started or handle.cancel_asked):
                self._queue.appendleft(handle)  # it died idle, just before: nothing the job did
                handle = None
            if was_ready or self._queue:
                self._refill()
                self._dispatch()
        if handle is not None:
            handle.deliver(Failed("cancelled") if handle.cancel_asked else process.death(handle.folder))


def run_here(job: Job, folder: Path, on_event: OnEvent) -> dict[str, Any]:
    """Run one job to its end, artifacts in `folder`: its result. For the command line.

    It runs in a worker process all the same, so that an abort of the compiler is a Fault here. Ctrl+C cancels it.
    Raises Fault where it fails, with a defect's traceback or a dead process's last lines as the exception's note.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pool = JobPool(1)
    try:
        handle = pool.submit(job, on_event, folder.resolve())
        try:
            outcome = handle.wait()
        except KeyboardInterrupt:
            handle.cancel()
            handle.wait()
            raise
    finally:
        pool.close()
    if isinstance(outcome, Finished):
        return outcome.result
    hint = outcome.hint
    if outcome.details and not hint:
        hint = f"The job's last words: {outcome.details.strip().splitlines()[-1]}"
    fault = (Settled if outcome.settled else Fault)(outcome.message, outcome.where, hint)
    if outcome.details:
        fault.add_note(outcome.details)
    raise fault
