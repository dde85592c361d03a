"""The command `retype`: measure ranges, retype, verify with every tensor rounded, save."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.output_paths import check_outputs, files_of


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser."""
    text = "compute a model in FP16 or BF16; exit code 1 where rounding breaks it"
    one = commands.add_parser("retype", help=text)
    one.add_argument("model", type=Path)
    one.add_argument("-o", "--output", type=Path, required=True)
    one.add_argument("--to", choices=["fp16", "bf16", "mixed-fp16", "mixed-bf16", "fp32"], default="fp16")
    one.add_argument("--inputs", nargs="+", default=[], metavar="FILE", help="data; each .npz is a run of its own")
    one.add_argument("--shapes", nargs="+", default=[], metavar="NAME:SHAPE", help="shapes of random inputs")
    one.add_argument("--keep", nargs="+", default=[], metavar="NODE", help="nodes that stay in FP32, or selectors")
    one.add_argument("--keep-op", nargs="+", default=[], metavar="OP")
    one.add_argument("--keep-scope", nargs="+", default=[], metavar="SCOPE")
    one.add_argument("--interface", choices=["keep", "convert"], default="keep", help="inputs and outputs")
    one.add_argument("--no-range-check", action="store_true", help="don't look for tensors that FP16 can't hold")
    one.add_argument("--no-verify", action="store_true")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_retype)


def _retype(parsed: argparse.Namespace) -> int:
    from graftwerk.app.engine_commands import _run
    from graftwerk.backend.engines.rounding import outcome
    from graftwerk.backend.engines.shapes import parse_shapes
    from graftwerk.backend.graph.shapes import infer
    from graftwerk.backend.operations.precision_retype import Retype
    from graftwerk.backend.operations.registry import apply, make, named
    from graftwerk.backend.precision.ranges import out_of_range, range_job, read_ranges
    from graftwerk.backend.precision.rounded import rounded, rounded_job

    graph = load(parsed.model)
    graph = graph.with_types(infer(graph))
    check_outputs({"model": parsed.output}, files_of(graph, parsed.model))
    shapes = {name: ranges[1] for name, ranges in map(parse_shapes, parsed.shapes)}
    samples = _samples(parsed.inputs)
    facts: dict[str, Any] = {"output": str(parsed.output), "to": parsed.to}
    outside = []
    if parsed.to.endswith("fp16") and not parsed.no_range_check:
        with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
            work = Path(name)
            result = _run(lambda folder: range_job(graph, folder, samples, shapes), False, work)
            outside = out_of_range(read_ranges(result))
            facts["measured_on"] = result["inputs"]
    step = make("precision.retype", {
        "to": parsed.to.upper().replace("MIXED-", "mixed "), "keep": parsed.keep, "keep_ops": parsed.keep_op,
        "keep_scopes": parsed.keep_scope, "keep_tensors": [each.tensor for each in outside],
        "interface": parsed.interface,
    })  # fmt: skip
    changed = apply(step, graph)
    changed = changed.with_types(infer(changed))
    plan = named(step, graph)
    assert isinstance(plan, Retype)
    kept = plan.plan(graph).kept
    facts["out_of_range"] = [asdict(each) for each in outside]
    facts["kept"] = {graph.ref(node): reason.text for node, reason in kept.items()}
    facts["weights"] = _losses(graph, changed)
    facts["casts"] = sum(record.op_type == "Cast" for record in changed.nodes.values())
    good = True
    if parsed.no_verify:
        facts["verification"] = "not verified"
    else:
        files = samples[0] if samples else ()
        with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
            work = Path(name)
            found = outcome(_run(lambda f: rounded_job(graph, changed, f, files=files, shapes=shapes), False, work))
        found["not_checked"] = [*rounded(changed).not_covered, *found["not_checked"]]
        facts["verification"] = found
        good = not found["broken"]
    save(changed, parsed.output)
    if parsed.json:
        print_json(facts)
    else:
        _tell(facts)
    return 0 if good else 1


def _samples(files: list[str]) -> tuple[tuple[str, ...], ...]:
    """Every .npz is a run of its own; other files are the inputs of one run together."""
    paths = [str(Path(name).resolve()) for name in files]
    for path in paths:
        if not Path(path).is_file():
            raise Fault("There is no such file", path)
    whole = tuple((path,) for path in paths if path.endswith(".npz"))
    rest = tuple(path for path in paths if not path.endswith(".npz"))
    return (*whole, *((rest,) if rest else ()))


def _losses(before: Graph, after: Graph) -> list[dict[str, Any]]:
    """What the conversion of weights changed beyond rounding: values held at the limits, made zero or subnormal."""
    from graftwerk.backend.precision.weights import loss_of

    found = []
    for name, weight in before.initializers.items():
        now = after.initializers.get(name)
        if now is None or now.dtype == weight.dtype or weight.missing:
            continue
        each = loss_of(weight, now.dtype)
        if each.loss.overflow or each.loss.underflow or each.subnormal:
            found.append({
                "weight": name, "values": each.loss.count, "clamped": each.loss.overflow,
                "largest": each.loss.largest, "zeroed": each.loss.underflow, "subnormal": each.subnormal,
            })  # fmt: skip
    return found


def _tell(facts: dict[str, Any]) -> None:
    print_line(f"{facts['output']}: {facts['to']}, {facts['casts']} Casts in all")
    for each in facts["out_of_range"]:
        print_line(f"stays in FP32: {each['tensor']} {each['why']}")
    reasons: dict[str, list[str]] = {}
    for ref, why in facts["kept"].items():
        reasons.setdefault(why, []).append(ref)
    for why, refs in reasons.items():
        print_line(f"kept: {', '.join(refs[:3])}{f' and {len(refs) - 3} more' if len(refs) > 3 else ''}: {why}")
    for each in facts["weights"]:
        counts = f"{each['clamped']:,} clamped, {each['zeroed']:,} zeroed, {each['subnormal']:,} subnormal"
        print_line(f"weight {each['weight']}: {counts} of {each['values']:,} values")
    found = facts["verification"]
    if isinstance(found, str):
        print_line(found)
        return
    print_line(f"verified with {found['rounded']} tensors rounded, {found['backend']} {found['version']}")
    for each in found["broken"]:
        print_line(f"OVERFLOWS {each['tensor']}: {each['infinite']:,} infinite, {each['nans']:,} NaN")
    for each in found["outputs"]:
        sqnr = f", SQNR {each['sqnr_db']:.1f} dB" if each["sqnr_db"] is not None else ""
        print_line(f"output {each['name']}: max|a-b| {each['largest']:.3g} of max|a| {each['scale']:.3g}{sqnr}")
    for text in found["not_checked"]:
        print_line(f"not verified: {text}")
