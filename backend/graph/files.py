"""Opening and saving models: binary, text and JSON forms, external data, and saves that a crash can't spoil."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from mmap import ACCESS_READ, mmap
from pathlib import Path

import onnx

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.check import check, incompleteness
from graftwerk.backend.graph.decode import decode, uncollected
from graftwerk.backend.graph.encode import MESSAGE_LIMIT, pieces, to_model, total, write
from graftwerk.backend.graph.external import (
    external_location,
    external_path,
    function_tensors,
    node_tensors,
    sparse_tensors,
    training_tensors,
)
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.placing import Placed, moved_out, placed, write_files
from graftwerk.backend.graph.tensors import Source
from graftwerk.backend.graph.text_form import as_text

#: Endings of the forms that are not binary, and onnx's name for each.
TEXT_FORMATS = {
    ".onnxtxt": "onnxtxt", ".onnxtext": "onnxtxt", ".textproto": "textproto", ".prototxt": "textproto",
    ".pbtxt": "textproto", ".json": "json", ".onnxjson": "json",
}


def load(path: Path) -> Graph:
    """Opens a model. Weights stay in their files; `Graph.problems` lists what is doubtful.

    Raises Fault for everything that is not a usable ONNX model, see `check` and `decode`.
    """
    path = Path(path)
    try:
        with uncollected():
            graph = _load(path)
            reason = incompleteness(graph.model.opset_import, graph.nodes.values(), graph.initializers.values())
            return replace(graph, problems=check(graph), incomplete=reason)
    except Fault as fault:
        place = f"{path.name}: {fault.where}" if fault.where else path.name
        hint = fault.hint or "The file is damaged, or of another kind than its name says: export or copy it again"
        raise Fault(fault.message, place, hint) from fault
    except OSError as error:
        hint = "Does it exist, and may you read it?"
        raise Fault(f"Can't read the model: {error.strerror}", str(path), hint) from error


def _load(path: Path) -> Graph:
    if path.suffix.lower() in TEXT_FORMATS:
        return decode(_from_text(path), None, path.parent)
    handle = path.open("rb")  # stays open as long as a weight lies in it: see Source
    source = Source.of(path, handle)
    if source.size == 0:
        raise Fault("The file is empty")
    with mmap(handle.fileno(), 0, access=ACCESS_READ) as view, memoryview(view) as buffer:
        return decode(buffer, source, path.parent)


def _from_text(path: Path) -> bytes:
    try:
        with _quiet():
            model = onnx.load(os.fspath(path), format=TEXT_FORMATS[path.suffix.lower()], load_external_data=False)
    except (OSError, Fault):
        raise
    except Exception as error:  # the parsers behind onnx.load share no base class
        raise Fault(f"Not an ONNX model in this form: {str(error).strip().splitlines()[0]}") from error
    return bytes(model.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without onnx's warning, printed once for each file, that its text form may change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The onnxtxt format is experimental", category=UserWarning)
        yield


def save(graph: Graph, path: Path) -> str:
    """Writes a model, whole or not at all: beside the target, synced, then put in its place.

    External data that was not touched is copied byte for byte, or left where it is when the folder is the same;
    weights that are to go to a file of their own are written there first. A model that is too large for one file
    gets its weights moved to external data by itself: the name of that file is returned, "" where there is none.
    Raises Fault where something can't be written or a weight can't be read; the old file is then as it was.
    """
    path = Path(path)
    try:
        target = path.resolve()
        kind = TEXT_FORMATS.get(target.suffix.lower())
        moved = f"{target.name}.data" if kind is None and too_large(graph) else ""
        found = placed(moved_out(graph, moved) if moved else graph)
        taken = found.files.keys() & (external_locations(graph) | {target.name})
        if taken:
            hint = "Choose another name in Weights › Move to external data (weights.to_external)"
            raise Fault("The name of a file of external data is in use by the model", min(taken), hint)
        # Before anything is written, for a text form can refuse the model.
        text = as_text(to_model(found.graph, weights="own"), kind) if kind is not None else b""
        with atomic(target) as file:
            _copy_external(graph, target.parent, _copy)
            write_files(found.files, target.parent, _own_locations(target) if found.files else frozenset())
            if kind is None:
                write(found.graph, file)
            else:
                file.write(text)
    except OSError as error:
        raise Fault(f"Can't write: {error.strerror}", str(path), "The file is as it was; save elsewhere") from error
    return moved


def too_large(graph: Graph) -> bool:
    """Whether the model would be larger than protobuf can read back, with what is in it now."""
    kept = [weight for weight in graph.initializers.values() if not weight.file and not weight.external]
    # Writing out all records takes a while, and is needed only where the weights are half of it.
    if 2 * sum(weight.nbytes for weight in kept) < MESSAGE_LIMIT:
        return False
    return total(pieces(placed(graph).graph)) > MESSAGE_LIMIT


def _own_locations(target: Path) -> frozenset[str]:
    """The files that the model refers to which lies where another is to be saved: they go with it."""
    if not target.is_file():
        return frozenset()
    try:
        return frozenset(external_locations(load(target)))
    except Fault:
        return frozenset()  # no model, or damaged: nothing is known to be its


def stage(graph: Graph, folder: Path, outside: bool = False) -> Path:
    """Writes a revision for a job into `folder` and returns its path; external data is linked there, not copied.

    `outside` writes all large weights into a file of their own: what reads the model maps them, each process the same.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _copy_external(graph, folder, _link)
        path = folder / "model.onnx"
        size = sum(w.nbytes for w in graph.initializers.values() if not w.external)
        inside = not outside and 2 * size < MESSAGE_LIMIT
        found = Placed(graph, {}) if inside else placed(moved_out(graph, f"{path.name}.data"))
        write_files(found.files, folder, frozenset())
        with path.open("wb") as file:
            write(found.graph, file)
    except OSError as error:
        raise Fault(f"Can't write: {error.strerror}", str(folder), "Is the disk full?") from error
    return path


def external_locations(graph: Graph) -> set[str]:
    """Every file of external data that the model refers to, from tensors inside nodes, bodies and functions too."""
    found = {weight.span.location for weight in graph.initializers.values() if weight.span and weight.external}
    inner = chain(
        node_tensors(graph.nodes.values()), chain.from_iterable(map(function_tensors, graph.functions)),
        sparse_tensors(graph.skeleton.sparse_initializer), training_tensors(graph.model.training_info),
    )  # fmt: skip
    return found | {location for _, tensor in inner if (location := external_location(tensor)) is not None}


def _copy_external(graph: Graph, folder: Path, transfer: Callable[[Path, Path], None]) -> None:
    spans = (weight.span for weight in graph.initializers.values() if weight.span and weight.external)
    opened = dict(graph.sources) | {span.location: span.source for span in spans if span.source}
    for location in sorted(external_locations(graph)):
        source = opened.get(location)
        # Where it was read from: beside the model, or beside another one that was merged into it.
        origin = source.path if source is not None else external_path(location, location, graph.folder)
        target = external_path(location, location, folder)
        if origin is None or target is None or not origin.exists() or origin.resolve() == target.resolve():
            continue  # missing when opened; the model says so, and is saved as it is
        if source is not None:
            source.unchanged()
        if target.exists() and not _same_file(origin, target):
            raise Fault(
                f"{location} of another model lies there already", str(folder), "Save into a folder of its own"
            )
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            transfer(origin, target)


def _same_file(one: Path, other: Path) -> bool:
    """Same file, or a copy that kept its time."""
    a, b = one.stat(), other.stat()
    return os.path.samestat(a, b) or (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)


def _copy(origin: Path, target: Path) -> None:
    beside = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        shutil.copy2(origin, beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def _link(origin: Path, target: Path) -> None:
    """A symbolic link: onnx refuses to load a model whose data has a second hard link, the user's own included."""
    try:
        os.symlink(origin.absolute(), target)
    except OSError:  # a system without links
        shutil.copy2(origin, target)
