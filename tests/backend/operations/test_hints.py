"""A menu entry, an operation or an option that a hint names is there, in the window and on the command line."""

from __future__ import annotations

import re
from pathlib import Path

from graftwerk.app.commands import option
from graftwerk.backend.operations.registry import operations

BACKEND = Path(__file__).resolve().parents[3] / "backend"
_ENTRY = re.compile(r"([A-Z][\w ]*) › ([A-Z][^(›\"]*?) \(([a-z_]+\.[a-z_0-9]+)")
_OPTION = re.compile(r"[Tt]urn on ([A-Z][\w ]*) \((--[a-z-]+)\)")


def test_menu_entries_and_their_operations() -> None:
    found = [entry for path in BACKEND.rglob("*.py") for entry in _ENTRY.findall(path.read_text(encoding="utf-8"))]
    assert len(found) >= 7
    for menu, title, name in found:
        named = operations()[name]
        assert menu.endswith(named.menu)
        assert title == named.title


def test_options_are_called_as_in_the_form_and_on_the_command_line() -> None:
    count = 0
    for one in operations().values():
        path = BACKEND / (one.cls.__module__.removeprefix("graftwerk.backend.").replace(".", "/") + ".py")
        if one.cls.__module__.startswith("graftwerk.backend.") and path.is_file():
            text = path.read_text(encoding="utf-8")
            known = {(p.label, option(p)) for other in operations().values() for p in other.parameters
                     if other.cls.__module__ == one.cls.__module__}  # fmt: skip
            assert set(_OPTION.findall(text)) <= known
            count += len(_OPTION.findall(text))
            assert not re.search(r"\b[Tt]ick\b", text)
    assert count >= 6
