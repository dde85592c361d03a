"""Whether results can go where they are asked to, looked at before the work and not after it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import external_locations
from graftwerk.backend.graph.graph import Graph


def files_of(graph: Graph, path: Path) -> list[Path]:
    """The file of a model and those that its external data lies in."""
    return [path, *(path.parent / location for location in sorted(external_locations(graph)))]


def check_outputs(outputs: Mapping[str, Path], inputs: Iterable[Path] = ()) -> None:
    """Raises Fault where one of `outputs` (by what it is, such as "engine") can't be written, is one of the files that
    are read, or is another of the outputs."""
    read = list(inputs)
    seen: dict[str, Path] = {}
    for what, path in outputs.items():
        _check_place(what, path)
        if any(_same(path, other) for other in read):
            raise Fault(f"The {what} would overwrite a file that is read", str(path), "Give it another name.")
        twin = next((name for name, other in seen.items() if _same(path, other)), None)
        if twin is not None:
            raise Fault(f"The {what} and the {twin} would be the same file", str(path), "Give each a name of its own.")
        seen[what] = path


def _check_place(what: str, path: Path) -> None:
    if path.is_dir():
        raise Fault(f"The {what} would be a file where a folder is", str(path), "Name a file in it.")
    if path.exists() and not path.is_file():
        raise Fault(f"The {what} can't take the place of a device or pipe", str(path), "Name a regular file.")
    if not path.parent.is_dir():
        raise Fault(f"The folder of the {what} does not exist", str(path), "Make the folder, or choose another.")
    if not os.access(path.parent, os.W_OK):
        raise Fault(f"The folder of the {what} is not writable", str(path), "Choose another place.")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return one.resolve() == other.resolve()
