"""A report as a file: JSON, whole or not there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from graftwerk.backend.atomic import atomic
from graftwerk.backend.engines.report import Report
from graftwerk.backend.fault import Fault


def write_report(report: Report, path: Path) -> None:
    """Raises OSError. Runs on Python 3.9 with nothing but the standard library."""
    with atomic(path) as out:
        out.write(json.dumps(dataclasses.asdict(report), separators=(",", ":")).encode())


def read_report(path: Path) -> Report:
    """Needs msgspec, which the program has and a worker need not. Raises Fault where the file is not a report."""
    import msgspec

    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise Fault(f"this is not a build report: {error}", str(path)) from error
