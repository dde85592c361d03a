"""The files that a recipe's steps read: named relative to the recipe, and known by their hash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwerk.backend import assets
from graftwerk.backend.fault import Fault
from graftwerk.backend.operations.registry import operations
from graftwerk.backend.operations.step import Step

if TYPE_CHECKING:
    from graftwerk.backend.operations.recipe import Recipe


def files_of(step: Step) -> Iterator[str]:
    """The paths that a step names, those of a step inside it (an edit in a body) included."""
    found: list[str] = []

    def note(path: str) -> str:
        found.append(path)
        return path

    _each_file(step.id, step.values, note)
    yield from found


def with_files(step: Step, change: Callable[[str], str]) -> Step:
    """The step with other paths in place of those that it names."""
    return step.with_values(_each_file(step.id, step.values, change))


def stored(recipe: Recipe, path: Path) -> Recipe:
    """The recipe as it is written to `path`: files lie beside it by relative names, and their hashes are noted.

    What only this program keeps (see `assets`) is copied to the folder NAME.files beside the recipe.
    """
    base, kept = path.resolve().parent, assets.folder().resolve()
    hashes: dict[str, str] = {}

    def relative(name: str) -> str:
        if "$" in name:
            return name  # one of the recipe's parameters: only replaying tells
        file = Path(name).resolve()
        if file.is_relative_to(kept):
            beside = path.resolve().with_name(f"{path.name.partition('.')[0]}.files") / file.name
            if not beside.exists():
                beside.parent.mkdir(exist_ok=True)
                shutil.copyfile(file, beside)
            file = beside
        try:
            text = Path(os.path.relpath(file, base)).as_posix()
        except ValueError:  # on another drive
            text = str(file)
        hashes[text] = assets.digest(file)
        return text

    steps = tuple(with_files(step, relative) for step in recipe.steps)
    return replace(recipe, steps=steps, files=hashes)


def resolved(recipe: Recipe, path: Path) -> Recipe:
    """The recipe that was read from `path`, with its files by absolute names."""
    base = path.resolve().parent

    def absolute(name: str) -> str:
        return name if "$" in name else str((base / name).resolve())

    steps = tuple(with_files(step, absolute) for step in recipe.steps)
    return replace(recipe, steps=steps, files={absolute(name): value for name, value in recipe.files.items()})


def check_files(recipe: Recipe) -> None:
    """Raises Fault where a file is gone, or is not the one that the recipe was made with."""
    for name in dict.fromkeys(name for step in recipe.steps if step.enabled for name in files_of(step)):
        expected = recipe.files.get(name)
        if expected is not None and assets.digest(Path(name)) != expected:
            hint = "To use it as it is now, remove it from `files` in the recipe"
            raise Fault("This file is not the one that the recipe was made with", name, hint)


def _each_file(id: str, values: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    known = operations().get(id)
    kinds = {parameter.name: parameter.kind for parameter in known.parameters} if known is not None else {}
    return {name: _changed(kinds.get(name, "json"), value, change) for name, value in values.items()}


def _changed(kind: str, value: Any, change: Callable[[str], str]) -> Any:
    if kind == "file" and isinstance(value, str):
        return change(value) if value else value
    if kind == "json" and isinstance(value, Mapping):
        inner = value.get("operation")
        return _each_file(inner if isinstance(inner, str) else "", value, change)
    return value
