"""The commands `sparsity` and `prune`."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.output_paths import check_outputs, files_of

#: How a build is told to make use of it.
FLAG = "--option flag.SPARSE_WEIGHTS=true"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands to the parser."""
    text = "which weights are 2:4 sparse, and channels that leave tensor cores idle; exit code 1 where none is sparse"
    one = commands.add_parser("sparsity", help=text)
    one.add_argument("model", type=Path)
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_sparsity)

    one = commands.add_parser("prune", help="take the least important channels out of a model")
    one.add_argument("model", type=Path)
    one.add_argument("-o", "--output", type=Path, help="the pruned model; not needed with --sensitivity")
    one.add_argument("--layers", nargs="+", default=[], metavar="NODE", help="all that can, if not given")
    one.add_argument("--ratio", type=_ratio, default=0.25, help="the share of channels to take out")
    one.add_argument("--multiple", choices=["1", "8", "32", "64"], default="8")
    one.add_argument("--criterion", choices=["l1", "bn"], default="l1", help="L1 norm, or batch norm scale")
    one.add_argument("--sensitivity", action="store_true", help="only show the error of each group pruned alone")
    one.add_argument("--inputs", nargs="+", default=[], metavar="FILE", help=".npz, .npy or .pb; random if not given")
    one.add_argument("--shapes", nargs="+", default=[], metavar="NAME:SHAPE", help="shapes of random inputs")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=lambda parsed: _prune(parsed, one))


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 0.99:
        raise argparse.ArgumentTypeError("a ratio is from 0 to 0.99")
    return value


def _sparsity(parsed: argparse.Namespace) -> int:
    from graftwerk.backend.pruning.sparsity import layer_weights, sparsity_of, uneven_channels

    graph = load(parsed.model)
    found = [sparsity_of(graph, layer) for layer in layer_weights(graph)]
    uneven = uneven_channels(graph)
    sparse = sum(each.satisfied for each in found)
    if parsed.json:
        print_json({
            "layers": [{**asdict(each), "satisfied": each.satisfied} for each in found], "sparse": sparse,
            "uneven": [{"node": n, "in": i, "out": o, "not_multiple_of": m} for n, i, o, m in uneven],
        })  # fmt: skip
        return 0 if sparse else 1
    print_line(f"{parsed.model.name}: {sparse} of {len(found)} weights are 2:4 sparse")
    for each in found:
        print_line(f"{_verdict(each):34} {each.node}  {'×'.join(map(str, each.dims))}")
    for node, inside, outside, missed in uneven:
        print_line(f"{inside} → {outside} channels, no multiple of {', '.join(map(str, missed))}: {node}")
    print_line(f"graftwerk run weights.prune_2_4 makes them so; a build makes use of it with {FLAG}")
    return 0 if sparse else 1


def _verdict(each: Any) -> str:
    if each.reason:
        return f"no: {each.reason}"
    if each.satisfied:
        return "2:4"
    return f"no: {each.bad / each.groups:.0%} of fours; error {each.error:.3f}"


def _prune(parsed: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from graftwerk.backend.graph.shapes import infer
    from graftwerk.backend.operations.registry import apply, make

    graph = load(parsed.model)
    graph = graph.with_types(infer(graph))
    criterion = {"l1": "L1 norm", "bn": "batch norm scale"}[parsed.criterion]
    if parsed.sensitivity:
        return _sensitivity(parsed, graph, criterion)
    if parsed.output is None:
        parser.error("-o is needed, or --sensitivity")
    check_outputs({"model": parsed.output}, files_of(graph, parsed.model))
    step = make("weights.prune_channels", {
        "nodes": parsed.layers, "ratio": parsed.ratio, "multiple": parsed.multiple, "criterion": criterion,
    })  # fmt: skip
    made = apply(step, graph)
    save(made, parsed.output)
    facts = {"output": str(parsed.output), **_checked(parsed, graph, made)}
    if parsed.json:
        print_json(facts)
    else:
        print_line(f"{parsed.output}: {facts['parameters']:,} parameters, {facts['parameters_before']:,} before")
        shapes = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in facts["outputs"].items())
        print_line(f"ONNX Runtime runs it: {shapes}; relative error of the outputs {facts['error']:.3g}")
    return 0


def _checked(parsed: argparse.Namespace, graph: Graph, made: Graph) -> dict[str, Any]:
    """Runs the pruned model beside the whole one: output shapes, error, and the number of parameters."""
    from graftwerk.app.engine_commands import _data, _run
    from graftwerk.backend.engine_jobs import verify_job
    from graftwerk.backend.engines.report_file import read_verification

    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        work = Path(name)
        result = _run(lambda folder: verify_job(graph, made, folder, **_data(parsed)), False, work)
        found = read_verification(Path(result["verification"]))
    decibels = [each.sqnr_db for each in found.outputs if each.sqnr_db is not None]
    return {
        "parameters_before": sum(weight.size for weight in graph.initializers.values()),
        "parameters": sum(weight.size for weight in made.initializers.values()),
        "outputs": {each.name: list(each.shape) for each in found.outputs},
        "error": max((10 ** (-each / 20) for each in decibels), default=0.0), "inputs": found.inputs,
    }  # fmt: skip


def _sensitivity(parsed: argparse.Namespace, graph: Graph, criterion: str) -> int:
    from graftwerk.app.engine_commands import _data, _run
    from graftwerk.backend.pruning.sensitivity import read_errors, sensitivity_job

    settings = {**_data(parsed), "ratio": parsed.ratio, "multiple": int(parsed.multiple), "criterion": criterion}
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        result = _run(lambda folder: sensitivity_job(graph, folder, **settings), False, Path(name))
        found = read_errors(result)
    if parsed.json:
        print_json({"groups": [asdict(each) for each in found], "inputs": result["inputs"]})
        return 0
    for each in sorted(found, key=lambda one: one.error):
        names = each.layers[0] + (f" and {len(each.layers) - 1} more" if len(each.layers) > 1 else "")
        if each.frozen:
            print_line(f"stays      {each.channels:5} {names}: {each.frozen}")
        else:
            print_line(f"{each.error:9.4f}  {each.channels:5} → {each.left:5} {-each.bytes_saved:+12,} bytes  {names}")
    print_line("error of the outputs, |a - b| / |a|, with that group alone pruned")
    return 0
