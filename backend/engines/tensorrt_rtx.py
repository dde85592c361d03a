"""TensorRT-RTX: builds an engine for any of its targets, on any machine, and reports what the compiler made of it.

The only file that imports `tensorrt_rtx`, and only once a job asks for it. Strongly typed: precision is what the
graph says. Two traps:

- The library keeps the first logger that a process gives it. So there is one for all builds, which hands every message
  to the build that runs.
- A compilation that fails leaves something of its target behind: the next engine built in that process is another (seen
  with 1.7: after SM75 refused a ResNet-50, the same model with Q/DQ for SM89 got 161 layers in FP32 instead of 119 in
  INT8). So a process in which one failed builds no more.

Runs on Python 3.9 with onnx beside the library.
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

import onnx
from google.protobuf.message import DecodeError

from graftwerk.backend.atomic import atomic
from graftwerk.backend.engines import rtx_options
from graftwerk.backend.engines.report_file import write_report
from graftwerk.backend.engines.rtx_build import Build, refusals
from graftwerk.backend.engines.rtx_refusals import is_noise, parser_fault
from graftwerk.backend.engines.source import SourceGraph, check_values, source_of
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import job

LOG = "builder.log"
_LEVELS = {"INTERNAL_ERROR": "error", "ERROR": "error", "WARNING": "warning", "INFO": "info", "VERBOSE": "verbose"}


@job("query.tensorrt_rtx")
@dataclass(frozen=True)
class QueryRtx:
    """Ask the installed library what it is and has.

    Gives `{"version", "targets": ["sm75", …], "options": [{"name", "kind", "default", "choices", "note"}, …]}`; see
    `rtx_options`. Raises Fault where the library is missing.
    """

    def run(self, context: JobContext) -> dict[str, Any]:
        trt, logger = _library()
        complaints: list[str] = []

        def listen(level: str, text: str) -> None:
            if level in ("warning", "error") and not is_noise(text):
                complaints.append(text)

        def complained() -> bool:
            found = bool(complaints)
            complaints.clear()
            return found

        with logger.to(listen):
            builder = trt.Builder(logger)
            parser = trt.OnnxParser(builder.create_network(0), logger)
            options = rtx_options.describe(trt, builder.create_builder_config(), parser, complained)
        return {"version": trt.__version__, "targets": rtx_options.targets(trt), "options": options}


@job("parse.tensorrt_rtx")
@dataclass(frozen=True)
class ParseRtx:
    """Ask the library's parser what it makes of every node of an ONNX file; nothing is compiled.

    Gives `{"version", "refused": [{"where", "message", "hint"}, …]}`: `where` is a node's reference (see `Graph.ref`),
    a weight's name, or "". Raises Fault where the library is missing or the file can't be read.
    """

    model: str

    def run(self, context: JobContext) -> dict[str, Any]:
        trt, logger = _library()
        source = _read(self.model)
        context.phase("Parsing")
        with logger.to(lambda level, text: None):
            builder = trt.Builder(logger)
            network = builder.create_network(0)  # the parser writes into it, and does not keep it
            parser = trt.OnnxParser(network, logger)
            taken = parser.supports_model_v2(Path(self.model).read_bytes(), self.model)
            found = [] if taken else refusals(parser)
        faults = [parser_fault([one], source) for one in found] or ([] if taken else [parser_fault([], source)])
        told = {fault.where: fault for fault in reversed(faults)}  # the first of a node is the cause
        refused = [{"where": fault.where, "message": fault.message, "hint": fault.hint} for fault in told.values()]
        return {"version": trt.__version__, "refused": refused[::-1]}


@job("build.tensorrt_rtx")
@dataclass(frozen=True)
class BuildRtx:
    """Build an engine from an ONNX file and write it with its report (JSON, `report.Report`) beside it.

    `engine` is a path, taken from the job's folder where it is relative; `report` is the engine's with `.json` where
    it is empty. One engine serves all `targets` (`sm89`). `profiles` give for inputs, by name, (min, opt, max) shapes
    (see `shapes`; for a shape tensor its values); what they leave out is guessed and said in the report's warnings.
    `options` are what `QueryRtx` lists. `stand_ins` are references of plugin nodes in whose place `model` holds their
    original subgraph as a local function.

    Gives `{"engine", "report", "log", "engine_bytes", "seconds", "profiles", "warnings"}`. Raises Fault; where the
    parser or the compiler stopped at a node, `where` is its reference (see `Graph.ref`) and nothing else.
    """

    model: str
    engine: str = "model.engine"
    targets: tuple[str, ...] = ("sm89",)
    profiles: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    stand_ins: tuple[str, ...] = ()
    report: str = ""

    def run(self, context: JobContext) -> dict[str, Any]:
        trt, logger = _library()
        if logger.spoiled:
            raise Fault(
                "A compilation failed in this process, and what it left behind would change this engine",
                hint="Build in a fresh process: a job pool starts one by itself.",
            )
        context.phase("Reading the model")
        source = _read(self.model)
        # A line at a time: should the library abort this process, its last words are there.
        with open(context.folder / LOG, "w", encoding="utf-8", buffering=1) as file:
            build = Build(self, context, trt, logger, source, file)
            with logger.to(build.listen):
                plan = build.plan()
        context.phase("Writing the engine")
        engine = context.folder / self.engine
        report_path = context.folder / self.report if self.report else engine.with_name(engine.name + ".json")
        report = build.report(plan.nbytes)
        with _written("engine", engine), atomic(engine) as out:
            out.write(plan)
            with _written("report", report_path):  # no engine without its report
                write_report(report, report_path)
        return {
            "engine": str(engine), "report": str(report_path), "log": str(context.folder / LOG),
            "engine_bytes": report.engine_bytes, "seconds": report.seconds,
            "profiles": build.profiles, "warnings": list(report.warnings),
        }  # fmt: skip


@contextmanager
def _written(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC
        hint = "Free some space, or choose another place." if full else "Choose a folder that exists and is writable."
        raise Fault(f"can't write the {what}: {error.strerror}", str(path), hint) from error


def _read(path: str) -> SourceGraph:
    try:
        source = source_of(onnx.load(path, load_external_data=False))
    except OSError as error:
        raise Fault(f"can't read the model: {error.strerror}", path, "Does it exist, and may you read it?") from error
    except DecodeError as error:
        raise Fault("this is not an ONNX model, or it is cut short", path, "Export it again.") from error
    check_values(source)
    return source


@functools.cache
def _library() -> tuple[Any, Any]:
    """The library and the logger of this process. Raises Fault where it is missing or can't be loaded."""
    try:
        import tensorrt_rtx as trt
    except (ImportError, OSError) as error:
        hint = "Install it into this Python: pip install tensorrt-rtx (Linux and Windows on x86-64)."
        raise Fault(f"TensorRT-RTX can't be loaded: {error}", hint=hint) from error

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.spoiled = False
            self._sink: Optional[Callable[[str, str], None]] = None

        def log(self, severity: Any, text: str) -> None:
            if self._sink is not None:
                self._sink(_LEVELS[severity.name], text)

        @contextmanager
        def to(self, sink: Callable[[str, str], None]) -> Iterator[None]:
            """Hand the messages to `sink`, as a level and a text, while the block runs."""
            self._sink = sink
            try:
                yield
            finally:
                self._sink = None

    return trt, Logger()
