"""Where jobs put their artifacts, and how what a crashed run left there is found and removed.

Each run of the program has a folder of its own, `<cache>/graftwerk/jobs/<pid>-<stamp>`, with one folder per job in
it. The run holds a lock on a file there for as long as it lives, so that a folder whose lock can be had belongs to a
run that is gone: a process id can be in use again, a lock can't be held by the dead.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from graftwerk.backend.fault import Fault

ENVIRONMENT = "GRAFTWERK_JOBS"  # names the run's folder in the environment of its workers and all their children


class JobFolders:
    """The folders of one run of the program, under `base` (if not given: the user's cache directory, or where that
    is not writable, the system's temporary folder).

    Raises Fault where the folder can't be made.
    """

    def __init__(self, base: Path | None = None) -> None:
        self._numbers = itertools.count(1)
        self.base = base or Path(platformdirs.user_cache_dir("graftwerk", appauthor=False)) / "jobs"
        try:
            self._make()
        except OSError as error:
            if base is not None:
                raise self._fault(error) from error
            self.base = _temporary_base()  # a home that is full, read-only or absent
            try:
                self._make()
            except OSError as second:
                raise self._fault(second) from second

    def _make(self) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        with _locked(self.base / ".lock"):  # no other run may look between making a folder and locking it
            self.path = self.base / f"{os.getpid()}-{time.time_ns():x}"
            self._lock: int | None = None
            atexit.register(self.close)  # for a run that a signal ends before it has anything to close
            self.path.mkdir()
            self._lock = lock_file(self.path / "lock", wait=False)

    def new(self) -> Path:
        """A new empty folder for one job. Raises Fault where it can't be made."""
        folder = self.path / str(next(self._numbers))
        try:
            folder.mkdir()
        except OSError as error:
            raise self._fault(error) from error
        return folder

    def _fault(self, error: OSError) -> Fault:
        hint = "Free space there, or make it writable."
        return Fault(f"can't make a folder for jobs: {error.strerror}", str(self.base), hint)

    def close(self) -> None:
        """Remove the run's folder with everything in it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        shutil.rmtree(self.path, ignore_errors=True)
        atexit.unregister(self.close)

    def clean_up(self) -> list[Path]:
        """End the workers and remove the folders of runs that are gone; the folders removed."""
        left = []
        with _locked(self.base / ".lock"):
            for folder in self.base.iterdir():
                if folder != self.path and folder.is_dir():
                    with suppress(FileNotFoundError):  # its run has just removed it
                        lock = lock_file(folder / "lock", wait=False)
                        if lock is not None:
                            left.append((folder, lock))
        for folder, lock in left:  # each is locked by us now: a run that starts meanwhile leaves them to us
            _end_leftover_processes(folder)
            os.close(lock)
            shutil.rmtree(folder, ignore_errors=True)
        return [folder for folder, _ in left]


def _temporary_base() -> Path:
    """A folder for jobs among the system's temporary files, this user's own. Raises Fault where it is another's."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    path = Path(tempfile.gettempdir()) / (f"graftwerk-jobs-{user}" if hasattr(os, "getuid") else "graftwerk-jobs")
    with suppress(OSError):  # what can't be made is told by whoever makes a folder in it
        path.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and (path.is_symlink() or path.stat().st_uid != user):
            raise Fault("the folder for jobs belongs to another user", str(path), "Set XDG_CACHE_HOME to a folder.")
    return path


def _end_leftover_processes(folder: Path) -> None:
    """Kill what runs with this folder in its environment: the workers of a run that is gone, and their children.

    Only Linux lets us look; elsewhere the end of their stdin has ended them.
    """
    if sys.platform != "linux":
        return
    mark = f"{ENVIRONMENT}={folder}".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):  # another user's process, or one that has just ended
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = lock_file(path, wait=True)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def lock_file(path: Path, *, wait: bool) -> int | None:
    """An open descriptor that holds the lock until it is closed or this process dies; None where another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        if wait:
            raise
        return None
    return descriptor
