"""Which opsets a model can be in: every one through onnx's converter, its checker, and TensorRT-RTX's parser."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import onnx

import graftwerk.backend.operations.all  # noqa: F401 - a worker registers them by importing this file
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load, stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.standin import with_stand_ins
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job
from graftwerk.backend.operations.cleanup_versions import ConvertOpset
from graftwerk.backend.operations.registry import apply

PASSED, REFUSED, NOT_TRIED = "passed", "refused", "not tried"


@dataclass(frozen=True)
class OpsetTrial:
    """What came of one opset. `converter`, `checker` and `parser` are "passed", "refused" or "not tried"; where one is
    not passed, `why` says why, with the node in `where` if one is to blame, and what may help in `hint`."""

    version: int
    converter: str = NOT_TRIED
    checker: str = NOT_TRIED
    parser: str = NOT_TRIED
    why: str = ""
    where: str = ""
    hint: str = ""

    @property
    def passed(self) -> bool:
        return (self.converter, self.checker, self.parser) == (PASSED, PASSED, PASSED)


@job("sweep.opsets")
@dataclass(frozen=True)
class SweepOpsets:
    """Try a model in each of `versions`. `types` is a file of inferred types.

    Gives `{"current": the model's own opset, "parser": version of TensorRT-RTX or "", "opsets": [fields of an
    OpsetTrial]}`. A missing TensorRT-RTX is no Fault: what it would say is not tried then, and the rest is told.
    """

    model: str
    types: str
    versions: tuple[int, ...]

    def run(self, context: JobContext) -> dict[str, Any]:
        types = msgspec.json.decode(Path(self.types).read_bytes(), type=dict[str, TensorType])
        graph = load(Path(self.model)).with_types(types)
        sweep = _Sweep(graph, context)
        found = []
        for done, version in enumerate(self.versions):
            if context.cancelled():
                raise Cancelled
            context.phase(f"Opset {version}")
            context.progress(done, len(self.versions))
            found.append(asdict(sweep.trial(version)))
        return {"current": graph.opset(), "parser": sweep.library, "opsets": found}


def sweep_job(graph: Graph, folder: Path, versions: Iterable[int] = ()) -> SweepOpsets:
    """Writes a revision into `folder` and makes the job that tries it in these opsets; in all that onnx knows with none
    given."""
    types = folder / "types.json"
    model = stage(graph, folder)
    types.write_bytes(msgspec.json.encode(dict(graph.types)))
    return SweepOpsets(str(model), str(types), tuple(versions) or tuple(range(1, onnx.defs.onnx_opset_version() + 1)))


class _Within:
    """A job's context without phases: those of a part would end the count of the whole."""

    def __init__(self, context: JobContext) -> None:
        self.folder, self.progress, self.log, self.cancelled = (
            context.folder, context.progress, context.log, context.cancelled,
        )  # fmt: skip

    def phase(self, name: str) -> None:
        pass


class _Sweep:
    def __init__(self, graph: Graph, context: JobContext) -> None:
        self.graph, self.context, self.library = graph, context, ""

    def trial(self, version: int) -> OpsetTrial:
        try:
            converted = self._converted(version)
        except Fault as fault:
            return OpsetTrial(version, REFUSED, why=fault.message, where=fault.where, hint=fault.hint)
        folder = self.context.folder / f"opset{version}"
        try:
            return self._read(version, stage(with_stand_ins(converted)[0], folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _converted(self, version: int) -> Graph:
        if self.graph.opset() == version:
            return self.graph
        step = ConvertOpset(version)
        reason = step.blocked(self.graph)
        if reason is not None:
            raise Fault(reason.text, "", reason.hint)
        return apply(step, self.graph)

    def _read(self, version: int, path: Path) -> OpsetTrial:
        try:
            onnx.checker.check_model(str(path))
        except onnx.checker.ValidationError as error:
            return OpsetTrial(version, PASSED, REFUSED, why=str(error).strip().splitlines()[0])
        from graftwerk.backend.engines.tensorrt_rtx import ParseRtx

        try:
            found = ParseRtx(str(path)).run(_Within(self.context))
        except Fault as fault:
            return OpsetTrial(version, PASSED, PASSED, NOT_TRIED, fault.message, fault.where, fault.hint)
        self.library = found["version"]
        if not found["refused"]:
            return OpsetTrial(version, PASSED, PASSED, PASSED)
        first, more = found["refused"][0], len(found["refused"]) - 1
        why = first["message"] + (f" (and {more} more)" if more else "")
        return OpsetTrial(version, PASSED, PASSED, REFUSED, why, first["where"], first["hint"])
