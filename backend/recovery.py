"""Never lose work: the edits of every open document, written every few seconds, and brought back after a crash.

What is kept is the recipe that leads from a model's file to what is shown, and by their hash the files that its steps
read (see `assets`); never the model's own weights. Each run of the program has a folder of its own and holds a lock in
it for as long as it lives: only a folder whose lock can be had belongs to a run that is gone.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graftwerk.backend import assets
from graftwerk.backend.atomic import atomic
from graftwerk.backend.document import Document, History, Revision
from graftwerk.backend.fault import Fault, Settled
from graftwerk.backend.graph.external import external_path
from graftwerk.backend.graph.files import external_locations, stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.jobs.folders import lock_file
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.recipe import revisions
from graftwerk.backend.operations.recipe_files import files_of, with_files
from graftwerk.backend.operations.registry import info
from graftwerk.backend.operations.step import Step

_LOCK = "lock"


def folder() -> Path:
    """Where the folders of all runs lie."""
    return assets.folder().parent / "autosave"


@dataclass(frozen=True, slots=True)
class Base:
    """A file that holds one of a document's revisions, as it was then."""

    path: str
    size: int
    modified_ns: int
    revision: int = -1

    @classmethod
    def of(cls, path: Path, revision: int) -> Base:
        status = path.stat()
        return cls(str(path.resolve()), status.st_size, status.st_mtime_ns, revision)

    def state(self) -> str:
        """"same", "changed" since, or "missing"."""
        try:
            status = os.stat(self.path)
        except OSError:
            return "missing"
        return "same" if (status.st_size, status.st_mtime_ns) == (self.size, self.modified_ns) else "changed"


@dataclass(frozen=True, slots=True)
class Saved:
    """What is kept of one document: `steps` lead from `base` on, and `at` of them were done and shown. `model` is the
    document's own file, "" for one that has none yet; `files` are kept copies of what steps read, by path."""

    model: str
    base: Base
    steps: tuple[Mapping[str, Any], ...]
    at: int
    time: float
    origin: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return Path(self.model).name if self.model else "untitled"

    @classmethod
    def load(cls, path: Path) -> Saved:
        """Raises Fault where the file is not one of ours."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**data, "base": Base(**data["base"]), "steps": tuple(data["steps"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise Fault(f"Can't be restored: {error}", str(path)) from error


class Watch:
    """Follows one document: which files hold which of its revisions. Belongs to the document's thread, but `saved`,
    which is given what it needs, to any."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.bases: tuple[Base, ...] = ()
        self.note()

    def note(self) -> None:
        """To be called after every change: remembers the file where it holds what is shown."""
        document = self.document
        if document.dirty or document.path is None:
            return
        with suppress(OSError):  # gone by now: what is known of older files stays
            base = Base.of(document.path, document.graph.revision)
            if not self.bases or self.bases[0] != base:
                self.bases = (base, *self.bases)

    def moved(self, base: Base, path: Path) -> None:
        """The file of a base lies elsewhere now."""
        self.bases = tuple(replace(one, path=str(path)) if one == base else one for one in self.bases)


def saved(history: History, bases: Sequence[Base], model: str, origin: str) -> Saved | None:
    """What to keep of a document; None where no file holds a revision that the shown one was made of.

    Reads the files that steps name, to keep them, and may run in any thread.
    """
    places = {revision.graph.revision: number for number, revision in enumerate(history.revisions)}
    for base in bases:
        start = places.get(base.revision, len(history.revisions))
        if start <= history.at and base.state() == "same":
            break
    else:
        return None
    lines = [revision.line for revision in history.revisions[start + 1 :]]
    steps = [line for line in lines if line is not None] + list(history.waiting)
    return Saved(
        model, base, tuple(step.to_json() for step in steps), history.at - start, time.time(), origin,
        dict(history.parameters), _kept_files(steps, {base.path, model}),
    )  # fmt: skip


def _kept_files(steps: Sequence[Step], own: set[str]) -> dict[str, str]:
    """Copies of the files that steps read, by path. The model's own file is not among them."""
    kept: dict[str, str] = {}
    for name in dict.fromkeys(name for step in steps for name in files_of(step)):
        path = Path(name).absolute()
        if "$" in name or str(path.resolve()) in own or path.is_relative_to(assets.folder()):
            continue
        with suppress(Fault):  # gone since: the step was done with what it held, and says so when it is done again
            kept[name] = str(assets.keep(path))
    return kept


def restore(entry: Saved) -> Document:
    """The document as it was. Takes as long as its steps do, and may run in any thread.

    Where the model has changed since, the steps are done to it as it is now; one that can't be done any more stops them
    (see `History.stopped`). Raises Fault where the model is gone or can't be opened.
    """
    document = Document.open(Path(entry.base.path))
    document.path = Path(entry.model) if entry.model else None
    document.origin = entry.origin

    def found(name: str) -> str:
        copy = entry.files.get(name)
        if copy is None:
            return name
        path = Path(name)
        return name if path.is_file() and assets.digest(path) == Path(copy).stem else copy

    steps = [with_files(Step.from_json(dict(step)), found) for step in entry.steps]
    with suppress(Fault):  # steps say themselves what they can't know
        document.set_types(document.graph, infer(document.graph))
    history = _replayed(document.revisions[0], steps, entry.parameters)
    document.take(replace(history, at=min(entry.at, len(history.revisions) - 1)))
    return document


def _replayed(first: Revision, steps: Sequence[Step], given: Mapping[str, Any]) -> History:
    """What `Document.rewritten` makes, with slow steps done in a job, as the window does them: what a job gives is the
    same model, with nodes in another order."""
    made = [first]
    try:
        while len(made) <= len(steps):
            start = len(made) - 1
            if _slow(steps[start], given):
                made.append(_done_in_job(made[-1].graph, steps[start], given))
                continue
            end = next((at for at in range(start, len(steps)) if _slow(steps[at], given)), len(steps))
            part = steps[start:end]
            for step, (operation, graph) in zip(part, revisions(part, made[-1].graph, given, start), strict=True):
                made.append(Revision(graph, operation, step))
    except Fault as fault:
        return History(tuple(made), len(made) - 1, dict(given), tuple(steps[len(made) - 1 :]), fault)
    return History(tuple(made), len(made) - 1, dict(given))


def _slow(step: Step, given: Mapping[str, Any]) -> bool:
    return step.enabled and info(step.id).slow


def _done_in_job(graph: Graph, step: Step, given: Mapping[str, Any]) -> Revision:
    from graftwerk.backend.operations.in_job import apply_job, take_result

    operation = step.operation(given)
    try:
        with TemporaryDirectory(prefix="graftwerk-") as place:
            result = run_here(apply_job(graph, operation, Path(place)), Path(place) / "job", lambda event: None)
            after = take_result(graph, Path(result["model"]))
    except Settled:
        after = graph
    with suppress(Fault):
        after = after.with_types(infer(after))
    return Revision(after, operation, step)


class Session:
    """The folder of this run. Raises Fault where it can't be made."""

    def __init__(self, base: Path | None = None) -> None:
        self.base = base or folder()
        self._lock: int | None = None
        try:
            while self._lock is None:  # another run may look just between the two
                self.path = self.base / f"{os.getpid()}-{time.time_ns():x}"
                self.path.mkdir(parents=True)
                self._lock = lock_file(self.path / _LOCK, wait=False)
        except OSError as error:
            hint = "Edits are not kept for the case of a crash until it can be written"
            raise Fault(f"Can't keep edits: {error.strerror}", str(self.path), hint) from error
        self._bases = 0

    def write(self, key: int, entry: Saved | None) -> None:
        """Keeps what there is to keep of a document; None where that is nothing. Raises OSError."""
        path = self._file(key)
        if entry is None:
            path.unlink(missing_ok=True)
            return
        with atomic(path) as file:
            file.write(json.dumps(asdict(entry), ensure_ascii=False).encode())

    def remove(self, key: int) -> None:
        self._file(key).unlink(missing_ok=True)

    def hold(self, path: Path, graph: Graph) -> Path | None:
        """Keeps a model's file that is about to be replaced under another name, without copying it; where it lies then,
        or None where the system can't do that. External data is linked beside it."""
        place = self._new_base() / path.name
        try:
            place.parent.mkdir()
            os.link(path, place)
            for location in external_locations(graph):
                source = external_path(location, location, graph.folder)
                target = external_path(location, location, place.parent)
                if source is not None and target is not None and source.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.symlink(source.resolve(), target)
        except OSError:
            return None
        return place

    def stage(self, graph: Graph) -> Path:
        """Writes a model that lies in no file yet. Raises Fault where it can't be written."""
        return stage(graph, self._new_base())

    def adopt(self, entry: Saved) -> Saved:
        """What a run that is gone has left, without need of its folder."""
        place = Path(entry.base.path)
        if not place.is_relative_to(self.base.resolve()) or not place.is_file():
            return entry
        own = self._new_base()
        try:
            shutil.copytree(place.parent, own, symlinks=True, copy_function=os.link)
        except (OSError, shutil.Error):
            return entry
        return replace(entry, base=replace(entry.base, path=str((own / place.name).resolve())))

    def close(self) -> None:
        """Forgets everything: what was worth keeping has been saved."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Leaves everything for the next start."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _new_base(self) -> Path:
        self._bases += 1
        return self.path / f"base-{self._bases}"

    def _file(self, key: int) -> Path:
        return self.path / f"{key}.json"


class Leftovers:
    """What runs that are gone have left. Their folders are locked by us from here on, so that no other run that starts
    offers them too."""

    def __init__(self, base: Path | None = None) -> None:
        self._locks: dict[Path, int] = {}
        self.entries: dict[Path, Saved] = {}
        base = base or folder()
        for one in sorted(base.iterdir()) if base.is_dir() else ():
            lock = lock_file(one / _LOCK, wait=False) if (one / _LOCK).exists() else None
            if lock is not None:
                self._locks[one] = lock
                self.entries.update(_entries(one))
        self._clean()

    def remove(self, path: Path) -> None:
        """Forgets one of `entries`: it is open again, or not wanted."""
        self.entries.pop(path, None)
        path.unlink(missing_ok=True)
        self._clean()

    def _clean(self) -> None:
        for one in list(self._locks):
            if not list(one.glob("*.json")):
                shutil.rmtree(one, ignore_errors=True)
                os.close(self._locks.pop(one))

    def release(self) -> None:
        """Leaves the rest for the next start."""
        for lock in self._locks.values():
            os.close(lock)
        self._locks.clear()


def _entries(one: Path) -> Iterator[tuple[Path, Saved]]:
    for path in sorted(one.glob("*.json")):
        try:
            yield path, Saved.load(path)
        except Fault:
            path.rename(path.with_suffix(".damaged"))  # of no use to us, but not ours to throw away
