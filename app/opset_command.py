"""`graftwerk opsets`: which opsets a model can be in."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from graftwerk.app.output import print_json, print_line


def add(commands: Any) -> None:
    """Adds the command."""
    text = "try each opset through onnx's converter, its checker and TensorRT-RTX's parser"
    parser = commands.add_parser("opsets", help=text, description=f"{text}. Exit code 1 where none passes all.")
    parser.add_argument("model", type=Path)
    parser.add_argument("versions", type=int, nargs="*", metavar="OPSET", help="these alone; all that onnx knows")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(function=_opsets)


def _opsets(parsed: argparse.Namespace) -> int:
    from graftwerk.app.commands import load_typed
    from graftwerk.backend.jobs.pool import run_here
    from graftwerk.backend.jobs.protocol import Event, Phase
    from graftwerk.backend.opset_sweep import OpsetTrial, sweep_job

    graph = load_typed(parsed.model)

    def tell(event: Event) -> None:
        if isinstance(event, Phase) and event.name.startswith("Opset "):
            print(event.name, file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        work = Path(name)
        result = run_here(sweep_job(graph, work, parsed.versions), work, tell)
    found = [OpsetTrial(**fields) for fields in result["opsets"]]
    if parsed.json:
        print_json(result)
    else:
        for each in found:
            print_line(_line(each, result["current"]))
    return 0 if any(each.passed for each in found) else 1


def _line(each: Any, current: int | None) -> str:
    mark = "*" if each.version == current else " "
    head = f"{mark}{each.version:3}  converter {each.converter:9}  checker {each.checker:9}  parser {each.parser:9}"
    where = f"{each.where}: " if each.where else ""
    why = f"  {where}{each.why}. {each.hint}" if each.why else ""
    return (head + why).rstrip()
