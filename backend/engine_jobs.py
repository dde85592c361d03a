"""From a revision to a job that compiles or times it, and back from the files that the job leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from graftwerk.backend.engines.onnxruntime import ProfileOnnxRuntime
from graftwerk.backend.engines.report import Profile, Report
from graftwerk.backend.engines.tensorrt_rtx import BuildRtx
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.standin import with_stand_ins

T = TypeVar("T", Report, Profile)


def read_report(path: Path) -> Report:
    """Raises Fault where the file is not a report."""
    return _read(path, Report)


def read_profile(path: Path) -> Profile:
    """Raises Fault where the file is not a profile."""
    return _read(path, Profile)


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise Fault(f"Can't read: {error.strerror}", str(path)) from error
    except msgspec.DecodeError as error:
        raise Fault(f"Not a {kind.__name__.lower()}: {error}", str(path)) from error


@dataclass(frozen=True)
class BuildSettings:
    """What a build is asked; `engine` is the file it goes to, "" for the job's own folder. See `BuildRtx`."""

    targets: tuple[str, ...] = ("sm89",)
    engine: str = ""
    profiles: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def build_job(graph: Graph, folder: Path, settings: BuildSettings, report: str = "") -> BuildRtx:
    """Writes a revision into `folder`, plugin nodes as their original subgraph, and makes the job that compiles it."""
    runnable, stand_ins = with_stand_ins(graph)
    return BuildRtx(
        model=str(stage(runnable, folder)),
        engine=settings.engine or "model.engine",
        targets=settings.targets,
        profiles=settings.profiles,
        options=settings.options,
        stand_ins=tuple(stand_ins),
        report=report,
    )


def profile_job(graph: Graph, folder: Path, **settings: Any) -> ProfileOnnxRuntime:
    """Writes a revision into `folder`, plugin nodes as their original subgraph, and makes the job that times it."""
    runnable, stand_ins = with_stand_ins(graph)
    return ProfileOnnxRuntime(str(stage(runnable, folder)), stand_ins=tuple(stand_ins), **settings)
