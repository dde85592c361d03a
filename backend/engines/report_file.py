"""Reports and profiles as files: JSON, whole or not there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TypeVar

from graftwerk.backend.atomic import atomic
from graftwerk.backend.engines.report import Profile, Report, Verification
from graftwerk.backend.fault import Fault

T = TypeVar("T", Report, Profile, Verification)


def write_report(report: Report, path: Path) -> None:
    """Raises OSError. Runs on Python 3.9 with nothing but the standard library."""
    with atomic(path) as out:
        out.write(json.dumps(dataclasses.asdict(report), separators=(",", ":")).encode())


def read_report(path: Path) -> Report:
    """Needs msgspec, which the program has and a worker need not. Raises Fault where the file is not a report."""
    return _read(path, Report)


def read_profile(path: Path) -> Profile:
    """As `read_report`, for a profile."""
    return _read(path, Profile)


def read_verification(path: Path) -> Verification:
    """As `read_report`, for a verification."""
    return _read(path, Verification)


def _read(path: Path, kind: type[T]) -> T:
    import msgspec

    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        hint = "It may be of another version, or changed: make it again."
        raise Fault(f"this is not a {kind.__name__.lower()}: {error}", str(path), hint) from error
