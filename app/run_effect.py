"""What `run` and `apply` tell of an edit before and beside it: its effect, and whether it computes the same."""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

from graftwerk.app.output import print_line
from graftwerk.backend.engine_jobs import change_job
from graftwerk.backend.engines.verify_change import NOT_VERIFIED, Verdict
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.effect import Effect


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds --dry-run, --verify and --verify-inputs."""
    parser.add_argument("--dry-run", action="store_true", help="tell what it would do, and write nothing")
    text = "run the model before and after with ONNX Runtime, and compare; exit code 1 where they differ"
    parser.add_argument("--verify", action="store_true", help=text)
    text = "for --verify, beside random ones: .npz, .npy or .pb"
    parser.add_argument("--verify-inputs", nargs="+", default=[], metavar="FILE", help=text)


def verified(before: Graph, after: Graph, files: list[str]) -> Verdict:
    """Runs both on random and on given inputs. What can't be run is not verified, with the reason."""
    given = tuple(os.path.abspath(name) for name in files)
    try:
        after = after.with_types(infer(after))
        with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
            work = Path(name)
            return Verdict(**run_here(change_job(before, after, work, files=given), work, lambda event: None))
    except Fault as fault:  # a process that died, or a model that can't be written
        return Verdict(NOT_VERIFIED, f"{NOT_VERIFIED}: {fault}")


def as_json(found: Effect | None, said: Verdict | None) -> dict[str, Any]:
    """What is added to the JSON of a command."""
    shown: dict[str, Any] = {} if found is None else {"effect": dataclasses.asdict(found)}
    return shown if said is None else {**shown, "verification": dataclasses.asdict(said)}


def tell(found: Effect | None, said: Verdict | None) -> None:
    for line in (*(found.lines() if found is not None else ()), *([said.text] if said is not None else ())):
        print_line(line)
