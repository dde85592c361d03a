"""The commands about patterns: find occurrences, and the library of named ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.fault import Fault

if TYPE_CHECKING:
    from graftwerk.backend.graph.graph import Graph
    from graftwerk.backend.match.matcher import Occurrence
    from graftwerk.backend.match.pattern import Pattern

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_SHOWN = 20


def add(commands: Commands) -> None:
    """Adds the commands to the program's."""
    one = commands.add_parser(
        "find",
        help="the occurrences of a pattern in a model",
        description="Looks for a named pattern, for a pattern given as text, or for all that is like some nodes. "
        "Exits with 1 where there is none.",
    )
    one.add_argument("model", type=Path)
    what = one.add_mutually_exclusive_group(required=True)
    what.add_argument("--pattern", metavar="NAME|TEXT", help="such as gelu, or 'y = Mul(x, #0.5)'; - reads the text")
    what.add_argument("--like", nargs="+", metavar="NODE", help="nodes of the model, or selectors such as @scope=/l0")
    one.add_argument("--near", action="store_true", help="tell also what nearly is one, and why it isn't")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_find)

    one = commands.add_parser("patterns", help="the library of named patterns")
    actions = one.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="all patterns")
    listed.add_argument("--json", action="store_true")
    listed.set_defaults(function=_list)
    shown = actions.add_parser("show", help="one pattern in all its forms")
    shown.add_argument("name")
    shown.add_argument("--json", action="store_true")
    shown.set_defaults(function=_show)
    saved = actions.add_parser("save", help="add one to your own, or replace it")
    saved.add_argument("name", help="letters, digits and _")
    source = saved.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="its lines; - reads them from standard input")
    source.add_argument("--like", nargs="+", metavar="NODE", help="nodes of --model that are an occurrence")
    saved.add_argument("--model", type=Path)
    saved.add_argument("--title", default="")
    saved.add_argument("--note", default="")
    saved.set_defaults(function=_save)
    deleted = actions.add_parser("delete", help="remove one of your own")
    deleted.add_argument("name")
    deleted.set_defaults(function=_delete)


def _graph(path: Path) -> Graph:
    from graftwerk.backend.graph.files import load
    from graftwerk.backend.graph.shapes import typed

    return typed(load(path))


def _like(graph: Graph, names: list[str]) -> Pattern:
    from graftwerk.backend.match.selection import pattern_of
    from graftwerk.backend.operations.selectors import is_selector, select_nodes

    found = (select_nodes(name, graph) if is_selector(name) else [graph.find(name)] for name in names)
    return pattern_of(graph, [node for nodes in found for node in nodes])


def _print(text: str) -> None:
    for line in text.splitlines():
        print_line(line)


def _read(text: str) -> str:
    return sys.stdin.read() if text == "-" else text


def _find(parsed: argparse.Namespace) -> int:
    from graftwerk.backend.match.library import forms_of
    from graftwerk.backend.match.matcher import find

    graph = _graph(parsed.model)
    forms = (_like(graph, parsed.like),) if parsed.like else forms_of(_read(parsed.pattern))
    found = find(forms, graph, near=parsed.near)
    overlapping = {id(one) for one in found.apart()[1]}
    if parsed.json:
        print_json({
            "pattern": [str(form).splitlines() for form in forms],
            "occurrences": [{**_json(graph, one), "overlaps": id(one) in overlapping} for one in found.occurrences],
            "near": [{**_json(graph, one), "reason": one.mismatch} for one in found.near],
        })  # fmt: skip
        return 0 if found.occurrences else 1
    if parsed.like:
        _print(str(forms[0]))
    for one in found.occurrences:
        note = "  (overlaps with one before it)" if id(one) in overlapping else ""
        print_line(f"{_text(graph, one)}{note}")
    count = len(found.occurrences)
    print_line(f"{count or 'No'} occurrence{'s' * (count != 1)}")
    for one in found.near[:_SHOWN]:
        print_line(f"not quite: {_text(graph, one)}: {one.mismatch}")
    if len(found.near) > _SHOWN:
        print_line(f"and {len(found.near) - _SHOWN} more near misses")
    return 0 if found.occurrences else 1


def _text(graph: Graph, one: Occurrence) -> str:
    more = f" and {len(one.nodes) - 1} more" if len(one.nodes) > 1 else ""
    return f"{graph.ref(one.nodes[0])}{more}: {', '.join(one.inputs) or 'constants'} → {', '.join(one.outputs)}"


def _json(graph: Graph, one: Occurrence) -> dict[str, Any]:
    return {"nodes": [graph.ref(node) for node in one.nodes], "tensors": one.tensors}


def _list(parsed: argparse.Namespace) -> int:
    from graftwerk.backend.match.library import entries

    found = entries()
    if parsed.json:
        print_json([{**entry.to_json(), "own": entry.own} for entry in found.values()])
        return 0
    for entry in found.values():
        print_line(f"{entry.name:12} {entry.title}{' (your own)' if entry.own else ''}. {entry.note}".rstrip())
    return 0


def _show(parsed: argparse.Namespace) -> int:
    from graftwerk.backend.match.library import entry

    found = entry(parsed.name)
    if parsed.json:
        print_json({**found.to_json(), "own": found.own})
    else:
        _print(f"{found.title}. {found.note}".strip())
        for form in found.forms:
            _print(f"\n{form}")
    return 0


def _save(parsed: argparse.Namespace) -> int:
    from graftwerk.backend.match.library import Entry, save
    from graftwerk.backend.match.pattern import parse

    if parsed.like and parsed.model is None:
        raise Fault("Nodes are of a model", "--like", "Say which with --model")
    form = _like(_graph(parsed.model), parsed.like) if parsed.like else parse(_read(parsed.text))
    save(Entry(parsed.name, parsed.title or parsed.name, parsed.note, (form,), own=True))
    return 0


def _delete(parsed: argparse.Namespace) -> int:
    from graftwerk.backend.match.library import delete

    delete(parsed.name)
    return 0
