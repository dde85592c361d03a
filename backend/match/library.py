"""The library of named patterns: those that come with the program, and the user's own in one file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from graftwerk import resources
from graftwerk.backend import assets
from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.match.matcher import find
from graftwerk.backend.match.pattern import Pattern, parse

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A named pattern in all its forms. `own`: it is the user's, and can be deleted."""

    name: str
    title: str
    note: str
    forms: tuple[Pattern, ...]
    own: bool = False

    def to_json(self) -> dict[str, Any]:
        forms = [str(form).splitlines() for form in self.forms]
        return {"name": self.name, "title": self.title, "note": self.note, "forms": forms}


def user_file() -> Path:
    """Where the user's own patterns are kept."""
    return assets.folder().parent / "patterns.json"


def entries() -> dict[str, Entry]:
    """All patterns by name; the user's own come before those of the program. Raises Fault where a file is damaged."""
    own = read(user_file(), own=True) if user_file().is_file() else ()
    return {entry.name: entry for entry in (*_built_in(), *own)}


@lru_cache(maxsize=1)
def _built_in() -> tuple[Entry, ...]:
    return tuple(read(resources.data("patterns.json")))


def entry(name: str) -> Entry:
    """Raises Fault where there is none of this name."""
    found = entries()
    if name not in found:
        raise Fault(f"There is no pattern called {name}", name, f"There are {', '.join(found)}")
    return found[name]


def read(path: Path, own: bool = False) -> list[Entry]:
    """The patterns in a file. Raises Fault where it can't be read, or one of them is no pattern."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        listed = data["patterns"] if data["graftwerk_patterns"] == FORMAT else None
    except OSError as error:
        raise Fault(f"Can't read the patterns: {error.strerror}", str(path), "May you read it?") from error
    except (ValueError, KeyError, TypeError):
        raise Fault("Not a file of patterns", str(path), "Such a file is JSON with graftwerk_patterns") from None
    if not isinstance(listed, list):
        raise Fault("Patterns of a format that is not known here", str(path), "Update Graftwerk")
    return [_entry(one, path, own) for one in listed]


def _entry(data: Any, path: Path, own: bool) -> Entry:
    try:
        forms = tuple(parse("\n".join(lines)) for lines in data["forms"])
        made = Entry(str(data["name"]), str(data.get("title", data["name"])), str(data.get("note", "")), forms, own)
    except (KeyError, TypeError, AttributeError):
        raise Fault("A pattern needs a name and its forms, lists of lines", str(path)) from None
    except Fault as fault:
        raise Fault(fault.message, f"{path.name}, {data['name']}, {fault.where}", fault.hint) from None
    if not forms:
        raise Fault("A pattern needs at least one form", f"{path.name}, {made.name}")
    return made


def save(made: Entry) -> None:
    """Adds a pattern to the user's own, or replaces the one of its name. Raises Fault where it can't be written."""
    if not made.name.isidentifier():
        raise Fault(f"{made.name!r} can't be a pattern's name", made.name, "Letters, digits and _, such as my_block")
    own = {one.name: one for one in (read(user_file(), own=True) if user_file().is_file() else ())}
    _write([*(one for one in own.values() if one.name != made.name), made])


def delete(name: str) -> None:
    """Raises Fault where the user has no pattern of this name."""
    own = read(user_file(), own=True) if user_file().is_file() else []
    if all(one.name != name for one in own):
        hint = "Those that come with the program stay" if name in entries() else "`graftwerk patterns list` lists them"
        raise Fault(f"There is no pattern of your own called {name}", name, hint)
    _write([one for one in own if one.name != name])


def _write(own: Iterable[Entry]) -> None:
    path = user_file()
    data = {"graftwerk_patterns": FORMAT, "patterns": [one.to_json() for one in own]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            file.write((json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise Fault(f"Can't write the patterns: {error.strerror}", str(path), "Is there space left?") from error


def forms_of(text: str) -> tuple[Pattern, ...]:
    """The forms of a pattern that is given by its name, or as text. Raises Fault where it is neither."""
    if "=" in text:
        return (parse(text),)
    return entry(text).forms


def nodes_matching(graph: Graph, name: str) -> list[tuple[NodeId, ...]]:
    """The occurrences of a named pattern that share no node, each as its nodes in the pattern's order."""
    return [one.nodes for one in find(forms_of(name), graph).apart()[0]]
