"""`graftwerk coach`: what the Q/DQ pairs of a model cost, by rules and by compiling, and the fixes that help."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.output_paths import check_outputs

if TYPE_CHECKING:
    from graftwerk.backend.engines.report import Report
    from graftwerk.backend.graph.graph import Graph
    from graftwerk.backend.quantize.coach import Advice, Finding, Step
    from graftwerk.backend.quantize.merit import Figures

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add(commands: Commands) -> None:
    """Adds the command to the program's."""
    one = commands.add_parser(
        "coach",
        help="find Q/DQ pairs that cost more than they bring, and mend them",
        description="Judges the Q/DQ pairs of a model by TensorRT's rules of fusion and, with --target, by what "
        "TensorRT-RTX makes of them; does one fix after the other and keeps those that help. Exits with 1 where fixes "
        "are left that it was not told to do (no -o).",
    )
    one.add_argument("model", type=Path)
    one.add_argument("-o", "--output", type=Path, help="where the mended model goes")
    one.add_argument("--calibration", type=Path, help="scales for pairs that a fix adds; else they are guesses")
    one.add_argument("--target", help="compile for it to prove each fix, such as sm89")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_coach)


def _coach(parsed: argparse.Namespace) -> int:
    from graftwerk.app.commands import load_typed
    from graftwerk.backend.graph.files import save
    from graftwerk.backend.quantize.coach import coach, findings, in_float
    from graftwerk.backend.quantize.forecast import forecast
    from graftwerk.backend.quantize.merit import figures

    if parsed.output is not None:
        check_outputs({"model": parsed.output})
    graph = load_typed(parsed.model)
    calibration = str(parsed.calibration.resolve()) if parsed.calibration else ""
    compiler = None if parsed.target is None else lambda one: _compiled(one, parsed.target)
    start = figures(forecast(graph), graph)
    advice = coach(graph, compiler, calibration, lambda step: None if parsed.json else _tell_step(step))
    floats = in_float(graph)
    beside = figures(forecast(floats), floats)
    beside_compiled = figures(compiler(_half(floats)).layers, floats) if compiler is not None else None
    if parsed.output is not None:
        save(advice.graph, parsed.output)
    before = findings(graph, None, calibration)
    left = before if parsed.output is None else advice.findings
    if parsed.json:
        print_json({
            "before": asdict(start), "after": asdict(advice.foretold), "fp16": asdict(beside),
            "compiled": advice.compiled and asdict(advice.compiled),
            "compiled_fp16": beside_compiled and asdict(beside_compiled),
            "steps": [_step_json(step) for step in advice.steps], "findings": [_finding_json(one) for one in left],
        })  # fmt: skip
    else:
        _tell(advice, start, beside, beside_compiled)
    return 1 if parsed.output is None and advice.steps else 0


def _compiled(graph: Graph, target: str) -> Report:
    from graftwerk.backend.engine_jobs import BuildSettings, build_job
    from graftwerk.backend.engines.report_file import read_report
    from graftwerk.backend.jobs.pool import run_here

    if sys.stderr.isatty():
        print("\r\033[Kcompiling", end="", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        folder = Path(name)
        job = build_job(graph, folder, BuildSettings(targets=(target,)), str(folder / "report.json"))
        result = run_here(job, folder, lambda event: None)
        report = read_report(Path(result["report"]))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return report


def _half(graph: Graph) -> Graph:
    """In FP16, as a strongly typed compiler is asked for it."""
    from graftwerk.backend.fault import Settled
    from graftwerk.backend.operations.registry import apply, make

    try:
        return apply(make("precision.retype", {}), graph)
    except Settled:
        return graph


def _tell_step(step: Step) -> None:
    print_line(f"{step.finding.text}: {step.finding.fix.summary() if step.finding.fix else ''}")
    print_line(f"    {step.verdict} ({_change(*step.foretold)})")


def _change(before: Figures, after: Figures) -> str:
    return (f"by the rules {before.kernels} → {after.kernels} kernels, {before.moved_bytes / 1e6:,.1f} → "
            f"{after.moved_bytes / 1e6:,.1f} MB")  # fmt: skip


def _tell(advice: Advice, start: Figures, beside: Figures, compiled_beside: Figures | None) -> None:
    for finding in advice.findings:
        print_line(f"{finding.text}: {_some(finding.nodes)}")
    print_line(f"by TensorRT's rules    before  {_line(start)}")
    print_line(f"                       now     {_line(advice.foretold)}")
    print_line(f"                       FP16    {_line(beside)}")
    if advice.compiled is not None and compiled_beside is not None:
        print_line(f"compiled               now     {_line(advice.compiled)}")
        print_line(f"                       FP16    {_line(compiled_beside)}")
    if not any(step.kept for step in advice.steps):
        print_line("Nothing to mend")


def _line(figures: Figures) -> str:
    share = "" if figures.quantized is None else f", {100 * figures.quantized:.1f} % of the arithmetic in INT8"
    moved = f"{figures.moved_bytes / 1e6:,.1f} MB moved"
    return f"{figures.kernels} kernels, {moved}, {figures.conversions} conversions{share}"


def _some(nodes: tuple[str, ...]) -> str:
    more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
    return ", ".join(nodes[:3]) + more


def _finding_json(finding: Finding) -> dict[str, Any]:
    from graftwerk.backend.operations.step import Step as Line
    from graftwerk.backend.quantize.coach import RULES

    fix = Line.of(finding.fix).to_json() if finding.fix is not None else None
    return {"rule": finding.rule, "source": RULES[finding.rule].source, "text": finding.text,
            "nodes": list(finding.nodes), "fix": fix}  # fmt: skip


def _step_json(step: Step) -> dict[str, Any]:
    pair = {"before": asdict(step.foretold[0]), "after": asdict(step.foretold[1])}
    done = step.compiled and {"before": asdict(step.compiled[0]), "after": asdict(step.compiled[1])}
    return {**_finding_json(step.finding), "foretold": pair, "compiled": done, "kept": step.kept,
            "verdict": step.verdict}  # fmt: skip
