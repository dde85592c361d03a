"""`graftwerk errors`: how far a quantized model is from the float one, tensor by tensor."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from graftwerk.app.output import print_json, print_line

if TYPE_CHECKING:
    from graftwerk.backend.quantize.errors import TensorError

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add(commands: Commands) -> None:
    """Adds the command to the program's."""
    one = commands.add_parser(
        "errors",
        help="how far a quantized model is from the float one, tensor by tensor",
        description="Runs both on the same data with ONNX Runtime, in the order of the float model: signal-to-noise "
        "ratio, cosine, largest difference, and the share of values that a pair cuts off.",
    )
    one.add_argument("reference", type=Path, help="in float")
    one.add_argument("model", type=Path, help="quantized; tensors are matched by name")
    one.add_argument("--data", nargs="+", default=[], metavar="DATA", help="as for calibrate")
    one.add_argument("--random", type=int, default=0, metavar="N", help="N random samples where there is no data")
    one.add_argument("--batch", type=int, default=1)
    one.add_argument("--most", type=int, default=0, metavar="N", help="samples at most")
    one.add_argument("--calibration", type=Path, help="that of the quantized model, to judge data and method")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_errors)


def _errors(parsed: argparse.Namespace) -> int:
    from graftwerk.app.commands import load_typed
    from graftwerk.app.quantize_commands import data_path, run_all
    from graftwerk.backend.graph.shapes import typed
    from graftwerk.backend.quantize.calibration import load as load_calibration
    from graftwerk.backend.quantize.checklist import checklist
    from graftwerk.backend.quantize.data import DataOptions
    from graftwerk.backend.quantize.errors import errors_job, read_errors

    options = DataOptions(tuple(map(data_path, parsed.data)), most=parsed.most, random=parsed.random)
    reference, model = (typed(load_typed(path)) for path in (parsed.reference, parsed.model))
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as folder:
        (result,) = run_all([errors_job(reference, model, Path(folder), options, parsed.batch)], "samples")
    found = read_errors(result)
    calibration = load_calibration(parsed.calibration) if parsed.calibration else None
    answers = checklist(model, found, calibration, parsed.batch)
    if parsed.json:
        tensors, answered = [asdict(one) for one in found], [asdict(one) for one in answers]
        print_json({"data": result["words"], "tool": result["tool"], "tensors": tensors, "checklist": answered})
        return 0
    for one in found:
        print_line(_line(one))
    worst = [one for one in found if one.sqnr is not None]
    if worst:
        lowest = min(worst, key=lambda one: one.sqnr or 0.0)
        print_line(f"lowest: {lowest.tensor}, {lowest.sqnr:.1f} dB ({result['tool']}, {result['words']})")
    for answer in answers:
        print_line(f"{answer.question} {answer.verdict.capitalize()}: {answer.evidence}")
    return 0


def _line(one: TensorError) -> str:
    ratio = "identical" if one.sqnr is None else f"{one.sqnr:6.1f} dB"
    cut = "" if one.saturated is None else f", {100 * one.saturated:.3f} % cut off"
    return f"{ratio:10} {one.tensor} ({one.op}): cosine {one.cosine:.5f}, largest {one.largest:.3g}{cut}"
