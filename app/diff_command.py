"""The command `diff`: what differs between two models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add(commands: Commands) -> None:
    """Adds the command to the program's."""
    one = commands.add_parser(
        "diff",
        help="what differs between two models",
        description="Aligns two models by structure and says what differs. Exits with 1 where they differ.",
    )
    one.add_argument("before", type=Path, metavar="A")
    one.add_argument("after", type=Path, metavar="B")
    one.add_argument("--no-weights", action="store_true", help="don't compare the values of the weights")
    one.add_argument("--ignore-names", action="store_true", help="what is only called otherwise counts as the same")
    one.add_argument("--all", action="store_true", help="list every difference, not the first 40 of each kind")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_diff)


def _diff(parsed: argparse.Namespace) -> int:
    from graftwerk.app.output import print_json, print_line
    from graftwerk.backend.compare.compare import compare
    from graftwerk.backend.compare.text import lines
    from graftwerk.backend.graph.files import load

    before, after = load(parsed.before), load(parsed.after)
    found = compare(before, after, weights=not parsed.no_weights, names=not parsed.ignore_names)
    if parsed.json:
        print_json({"before": str(parsed.before), "after": str(parsed.after), **found.to_json()})
    else:
        for line in lines(found, None if parsed.all else 40):
            print_line(line)
    return 0 if found.equal else 1
