"""The commands that compile, run or picture a model: build, profile, verify, shot."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from graftwerk.backend.engine_jobs import BuildSettings, build_job, profile_job, verify_job
from graftwerk.backend.engines.report_file import read_profile, read_report, read_verification
from graftwerk.backend.engines.shapes import parse_shapes
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.jobs.protocol import Event, Job, Log, Phase


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
        targets=tuple(parsed.target or ["sm89"]),
        engine=str(parsed.output.resolve()),
        profiles=_profiles(parsed.shapes),
        options=dict(_option(text) for text in parsed.option),
    )
    report_path = str(parsed.report.resolve()) if parsed.report else ""
    graph = load(parsed.model)
    result = _run(lambda folder: build_job(graph, folder, settings, report_path), parsed.verbose)
    report = read_report(Path(result["report"]))
    if parsed.json:
        facts = {key: result[key] for key in ("engine", "report", "engine_bytes", "seconds", "warnings")}
        print(json.dumps({**facts, "layers": len(report.layers), "stand_ins": list(report.stand_ins)}))
        return 0
    targets = ", ".join(report.targets).upper()
    print(f"{result['engine']}: {report.engine_bytes:,} bytes, {len(report.layers)} layers for {targets}")
    print(f"TensorRT-RTX {report.version}, {report.seconds:.2f} s; report in {result['report']}")
    if report.stand_ins:
        print(f"compiled as their original subgraph: {', '.join(report.stand_ins)}")
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
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
    except json.JSONDecodeError:
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
    settings: dict[str, Any] = {
        **_data(parsed), "iterations": parsed.iterations, "warmup": parsed.warmup, "threads": parsed.threads,
        "optimization": parsed.optimization,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        path = Path(_run(lambda folder: profile_job(graph, folder, **settings), parsed.verbose, Path(name))["profile"])
        profile = read_profile(path)
        if parsed.report:
            try:
                shutil.copyfile(path, parsed.report)
            except OSError as error:
                raise Fault(f"Can't write: {error.strerror}", str(parsed.report)) from error
    totals = sorted(((median(one.milliseconds), one) for one in profile.layers), key=lambda pair: -pair[0])
    latency = median(profile.latency_milliseconds)
    if parsed.json:
        facts = {"backend": profile.backend, "version": profile.version, "device": profile.device}
        layers = sum(time for time, _ in totals)
        print(json.dumps({**facts, "latency_ms_p50": latency, "layers_ms": layers, "layers": len(totals)}))
        return 0
    print(f"{profile.backend} {profile.version} on {profile.device}, {profile.iterations} iterations")
    print(f"latency p50 {latency:.3f} ms ({profile.latency_of}); sum of nodes {sum(t for t, _ in totals):.3f} ms")
    for time, one in totals[:10]:
        print(f"{time:9.3f} ms  {one.kind:20} {one.name}")
    for warning in profile.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("verify", help="whether two models compute the same; exit code 1 where they differ")
    one.add_argument("reference", type=Path)
    one.add_argument("model", type=Path)
    one.add_argument("--inputs", nargs="+", default=[], metavar="FILE", help=".npz, .npy or .pb; random if not given")
    one.add_argument("--shapes", nargs="+", default=[], metavar="NAME:SHAPE", help="shapes of random inputs")
    one.add_argument("--relative", type=float, default=1e-3, help="tolerance, as a share of the reference")
    one.add_argument("--absolute", type=float, default=1e-5, help="tolerance added to it")
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
        print(json.dumps({**dataclasses.asdict(found), "same": found.same}))
        return 0 if found.same else 1
    print(f"{found.backend} {found.version} on {found.device}; {found.precision}")
    for output in found.outputs:
        verdict = "identical" if output.identical else "same" if output.same else "DIFFERS"
        sqnr = f", SQNR {output.sqnr_db:.1f} dB" if output.sqnr_db is not None else ""
        print(f"{verdict:9} {output.name}: max|a-b| {output.largest:.3g} of max|a| {output.scale:.3g}{sqnr}")
    if found.stand_ins:
        print(f"run as their original subgraph: {', '.join(found.stand_ins)}")
    for text in found.not_checked:
        print(f"not checked: {text}")
    return 0 if found.same else 1


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
    one.add_argument("--zoom", default="fit", help="fit, or a number such as 0.5")
    one.add_argument("--select", metavar="NODE", help="a node's reference")
    one.add_argument("--theme", choices=["light", "dark"], default="light")
    one.add_argument("--target", default="sm89", help="what fusion and precision are compiled for")
    one.add_argument("--scale", type=float, default=1.0, help="pixels per unit: 2 for a dense screen")
    one.set_defaults(function=_shot)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and 200 <= int(width) <= 16384 and 200 <= int(height) <= 16384):
        raise argparse.ArgumentTypeError("write WxH, each from 200 to 16384")
    return int(width), int(height)


def _shot(parsed: argparse.Namespace) -> int:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["QT_SCALE_FACTOR"] = str(parsed.scale)
    from graftwerk.app.shot import Shot, take

    zoom = None if parsed.zoom == "fit" else _zoom(parsed.zoom)
    take(
        Shot(
            parsed.model, parsed.output, parsed.size, parsed.overlay, zoom, parsed.select, parsed.theme, parsed.target
        )
    )
    return 0


def _zoom(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Fault("The zoom is 'fit' or a number", text) from None
