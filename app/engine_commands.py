"""The commands that compile, run or picture a model: build, profile, verify, shot."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from graftwerk.app.output import one_line, print_json, print_line
from graftwerk.backend.atomic import atomic
from graftwerk.backend.engine_jobs import BuildSettings, build_job, profile_job, verify_job
from graftwerk.backend.engines.report import OutputDifference
from graftwerk.backend.engines.report_file import read_profile, read_report, read_verification
from graftwerk.backend.engines.shapes import parse_shapes
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.jobs.protocol import Event, Job, Log, Phase
from graftwerk.backend.output_paths import check_outputs, files_of

#: On a side of a picture.
MOST_PIXELS = 16384


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    _add_build(commands)
    _add_profile(commands)
    _add_verify(commands)
    _add_shot(commands)


def _add_build(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("build", help="compile a model to an engine")
    one.add_argument("model", type=Path)
    one.add_argument("-o", "--output", type=Path, required=True, metavar="ENGINE")
    one.add_argument("--backend", choices=["tensorrt-rtx"], default="tensorrt-rtx")
    one.add_argument("--target", action="append", metavar="SM", help="such as sm89; may be given several times")
    shapes_help = "NAME:MIN,OPT,MAX with shapes like 1x3x64x64; several inputs make one optimization profile"
    one.add_argument("--shapes", action="append", nargs="+", default=[], metavar="SHAPES", help=shapes_help)
    one.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="a builder option")
    one.add_argument("--report", type=Path, help="where the report goes; beside the engine if not given")
    one.add_argument("--verbose", action="store_true", help="print the compiler's messages")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_build)


def _build(parsed: argparse.Namespace) -> int:
    settings = BuildSettings(
        targets=tuple(dict.fromkeys(target.lower() for target in parsed.target or ["sm89"])),
        engine=str(parsed.output.resolve()),
        profiles=_profiles(parsed.shapes),
        options=dict(_option(text) for text in parsed.option),
    )
    report_path = parsed.report or parsed.output.with_name(f"{parsed.output.name}.json")
    graph = load(parsed.model)
    check_outputs({"engine": parsed.output, "report": report_path}, files_of(graph, parsed.model))
    result = _run(lambda folder: build_job(graph, folder, settings, str(report_path.resolve())), parsed.verbose)
    report = read_report(Path(result["report"]))
    if parsed.json:
        facts = {key: result[key] for key in ("engine", "report", "engine_bytes", "seconds", "warnings")}
        print_json({**facts, "layers": len(report.layers), "stand_ins": list(report.stand_ins)})
        return 0
    targets = ", ".join(report.targets).upper()
    print_line(f"{result['engine']}: {report.engine_bytes:,} bytes, {len(report.layers)} layers for {targets}")
    print_line(f"TensorRT-RTX {report.version}, {report.seconds:.2f} s; report in {result['report']}")
    if report.stand_ins:
        print_line(f"compiled as their original subgraph: {', '.join(report.stand_ins)}")
    for warning in report.warnings:
        print(f"warning: {one_line(warning)}", file=sys.stderr)
    return 0


def _profiles(groups: list[list[str]]) -> tuple[dict[str, Any], ...]:
    """Each --shapes with one input adds to the first profile; one with several inputs is a profile of its own."""
    together: dict[str, Any] = {}
    profiles: list[dict[str, Any]] = []
    for group in groups:
        ranges = dict(parse_shapes(text) for text in group)
        if len(group) == 1 and not ranges.keys() & together.keys():
            together.update(ranges)
        else:
            profiles.append(ranges)
    return tuple(([together] if together else []) + profiles)


def _option(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise Fault("An option is written NAME=VALUE", text, "For example flag.TF32=false")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):  # a word, such as one of an option's choices
        return name, value


def _add_profile(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("profile", help="time a model node by node")
    one.add_argument("model", type=Path)
    one.add_argument("--backend", choices=["onnxruntime"], default="onnxruntime")
    one.add_argument("--inputs", nargs="+", default=[], metavar="FILE", help=".npz, .npy or .pb; random if not given")
    one.add_argument("--shapes", nargs="+", default=[], metavar="NAME:SHAPE", help="shapes of random inputs")
    one.add_argument("--iterations", type=int, default=20)
    one.add_argument("--warmup", type=int, default=3)
    one.add_argument("--threads", type=int, default=0, help="0 is ONNX Runtime's choice")
    one.add_argument("--optimization", choices=["off", "basic", "extended", "full"], default="off")
    one.add_argument("--report", type=Path, help="where the profile goes, as JSON")
    one.add_argument("--verbose", action="store_true")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_profile)


def _profile(parsed: argparse.Namespace) -> int:
    graph = load(parsed.model)
    if parsed.report:
        check_outputs({"report": parsed.report}, [*files_of(graph, parsed.model), *map(Path, parsed.inputs)])
    settings: dict[str, Any] = {
        **_data(parsed), "iterations": parsed.iterations, "warmup": parsed.warmup, "threads": parsed.threads,
        "optimization": parsed.optimization,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        path = Path(_run(lambda folder: profile_job(graph, folder, **settings), parsed.verbose, Path(name))["profile"])
        profile = read_profile(path)
        if parsed.report:
            try:
                with atomic(parsed.report) as out:
                    out.write(path.read_bytes())
            except OSError as error:
                hint = "Free some space there, or choose another place."
                raise Fault(f"Can't write: {error.strerror}", str(parsed.report), hint) from error
    totals = sorted(((median(one.milliseconds), one) for one in profile.layers), key=lambda pair: -pair[0])
    latency = median(profile.latency_milliseconds)
    if parsed.json:
        facts = {"backend": profile.backend, "version": profile.version, "device": profile.device}
        layers = sum(time for time, _ in totals)
        print_json({**facts, "latency_ms_p50": latency, "layers_ms": layers, "layers": len(totals)})
        return 0
    print_line(f"{profile.backend} {profile.version} on {profile.device}, {profile.iterations} iterations")
    print_line(f"latency p50 {latency:.3f} ms ({profile.latency_of}); sum of nodes {sum(t for t, _ in totals):.3f} ms")
    for time, one in totals[:10]:
        print_line(f"{time:9.3f} ms  {one.kind:20} {one.name}")
    for warning in profile.warnings:
        print(f"warning: {one_line(warning)}", file=sys.stderr)
    return 0


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("verify", help="whether two models compute the same; exit code 1 where they differ")
    one.add_argument("reference", type=Path)
    one.add_argument("model", type=Path)
    one.add_argument("--inputs", nargs="+", default=[], metavar="FILE", help=".npz, .npy or .pb; random if not given")
    one.add_argument("--shapes", nargs="+", default=[], metavar="NAME:SHAPE", help="shapes of random inputs")
    one.add_argument("--relative", type=_tolerance, default=1e-3, help="tolerance, as a share of the reference")
    one.add_argument("--absolute", type=_tolerance, default=1e-5, help="tolerance added to it")
    one.add_argument("--verbose", action="store_true")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_verify)


def _verify(parsed: argparse.Namespace) -> int:
    reference, graph = load(parsed.reference), load(parsed.model)
    settings = {**_data(parsed), "relative": parsed.relative, "absolute": parsed.absolute}
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        folder = Path(name)
        result = _run(lambda work: verify_job(reference, graph, work, **settings), parsed.verbose, folder)
        found = read_verification(Path(result["verification"]))
    if parsed.json:
        print_json({**dataclasses.asdict(found), "same": found.same})
        return 0 if found.same else 1
    print_line(f"{found.backend} {found.version} on {found.device}; {found.precision}")
    for output in found.outputs:
        print_line(_compared(output))
    if found.stand_ins:
        print_line(f"run as their original subgraph: {', '.join(found.stand_ins)}")
    for text in found.not_checked:
        print_line(f"not checked: {text}")
    return 0 if found.same else 1


def _compared(output: OutputDifference) -> str:
    """An output of a verification as a line."""
    if not output.elements:
        return f"0 elements {output.name}: nothing to compare" if output.same else f"DIFFERS   {output.name}: in shape"
    verdict = "identical" if output.identical else "same" if output.same else "DIFFERS"
    sqnr = f", SQNR {output.sqnr_db:.1f} dB" if output.sqnr_db is not None else ""
    nans = ""
    if output.nans or output.other_nans:
        nans = f", NaN in {output.nans:,} against {output.other_nans:,} of {output.elements:,} elements"
    return f"{verdict:9} {output.name}: max|a-b| {output.largest:.3g} of max|a| {output.scale:.3g}{sqnr}{nans}"


def _tolerance(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError("a tolerance is 0 or more, and finite")
    return value


def _data(parsed: argparse.Namespace) -> dict[str, Any]:
    """What --inputs and --shapes say, as the jobs take it."""
    return {
        "files": tuple(os.path.abspath(name) for name in parsed.inputs),
        "shapes": {name: ranges[1] for name, ranges in map(parse_shapes, parsed.shapes)},
    }


def _run(prepare: Any, verbose: bool, folder: Path | None = None) -> dict[str, Any]:
    """Runs a job in a worker process, telling its phases on stderr where somebody looks."""

    def tell(event: Event) -> None:
        if isinstance(event, Phase) and sys.stderr.isatty():
            print(f"\r\033[K{event.name}", end="", file=sys.stderr, flush=True)
        elif isinstance(event, Log) and verbose:
            print(f"[{event.level}] {event.text}", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        work = folder or Path(name)
        job: Job = prepare(work)
        try:
            return run_here(job, work, tell)
        finally:
            if sys.stderr.isatty():
                print("\r\033[K", end="", file=sys.stderr, flush=True)


def _add_shot(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("shot", help="a picture of the window on a model, without a display")
    one.add_argument("model", type=Path)
    one.add_argument("-o", "--output", type=Path, required=True, metavar="PNG")
    one.add_argument("--size", type=_size, default=(1600, 1000), metavar="WxH")
    one.add_argument("--overlay", choices=["none", "fusion", "precision", "time"], default="none")
    one.add_argument("--zoom", type=_zoom, default=None, help="fit, or a number such as 0.5")
    one.add_argument("--select", metavar="NODE", help="a node's reference")
    one.add_argument("--theme", choices=["light", "dark"], default="light")
    one.add_argument("--target", default="sm89", help="what fusion and precision are compiled for")
    one.add_argument("--scale", type=_scale, default=1.0, help="pixels per unit, 0.5 to 4: 2 for a dense screen")
    one.set_defaults(function=_shot)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    sides = [int(side) for side in (width, height) if side.isdecimal() and len(side) <= 5]
    if len(sides) < 2 or not 200 <= min(sides) <= max(sides) <= MOST_PIXELS:
        raise argparse.ArgumentTypeError(f"write WxH, each from 200 to {MOST_PIXELS}")
    return sides[0], sides[1]


def _scale(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 4:
        raise argparse.ArgumentTypeError("write a number from 0.5 to 4")
    return value


def _zoom(text: str) -> float | None:
    from graftwerk.widgets.canvas.camera import GREATEST_ZOOM, LEAST_ZOOM

    if text == "fit":
        return None
    value = float(text)
    if not LEAST_ZOOM <= value <= GREATEST_ZOOM:
        raise argparse.ArgumentTypeError(f"write fit, or a number from {LEAST_ZOOM:g} to {GREATEST_ZOOM:g}")
    return value


def _shot(parsed: argparse.Namespace) -> int:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["QT_SCALE_FACTOR"] = str(parsed.scale)
    from graftwerk.app.shot import Shot, take

    check_outputs({"picture": parsed.output}, [parsed.model])
    if max(parsed.size) * parsed.scale > MOST_PIXELS:
        raise Fault("The picture would be too large", str(parsed.output), f"A side has up to {MOST_PIXELS} pixels.")
    take(
        Shot(
            parsed.model, parsed.output, parsed.size, parsed.overlay, parsed.zoom, parsed.select, parsed.theme,
            parsed.target.lower(),
        )
    )  # fmt: skip
    return 0
