"""What `run` and `apply` tell of an edit before and beside it: its effect, and whether it computes the same."""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

from graftwerk.app.output import print_line
from graftwerk.backend.engine_jobs import verify_job
from graftwerk.backend.engines.report_file import read_verification
from graftwerk.backend.engines.verify_change import Verdict, verdict
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.effect import Effect

#: Of the random inputs that a verification uses beside those given.
SEEDS = (0, 1)


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
    runs: list[dict[str, Any]] = [{"seed": seed} for seed in SEEDS] + ([{"files": given}] if given else [])
    found = []
    try:
        for settings in runs:
            with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
                work = Path(name)
                result = run_here(verify_job(before, after, work, **settings), work, lambda event: None)
                found.append(read_verification(Path(result["verification"])))
    except Fault as fault:
        return Verdict("not verified", f"not verified: {fault}")
    return verdict(tuple(found))


def as_json(found: Effect | None, said: Verdict | None) -> dict[str, Any]:
    """What is added to the JSON of a command."""
    shown: dict[str, Any] = {} if found is None else {"effect": dataclasses.asdict(found)}
    return shown if said is None else {**shown, "verification": dataclasses.asdict(said)}


def tell(found: Effect | None, said: Verdict | None) -> None:
    for line in (*(found.lines() if found is not None else ()), *([said.text] if said is not None else ())):
        print_line(line)
