"""The commands of the quantization lab: calibrate and quantize."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.fault import Fault

if TYPE_CHECKING:
    from graftwerk.backend.graph.graph import Graph
    from graftwerk.backend.jobs.protocol import Event, Job
    from graftwerk.backend.quantize.calibration import Calibration
    from graftwerk.backend.quantize.collect import Plan
    from graftwerk.backend.quantize.images import ImageOptions

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add(commands: Commands) -> None:
    """Adds the commands to the program's."""
    one = commands.add_parser(
        "calibrate",
        help="measure the ranges of a model's tensors on data",
        description="Runs the model in ONNX Runtime and keeps a histogram of every float tensor. A run that ended "
        "early goes on where it was.",
    )
    one.add_argument("model", type=Path)
    _add_data(one)
    one.add_argument("-o", "--output", type=Path, required=True, metavar="CALIBRATION", help="NAME.calibration.npz")
    one.add_argument("--cache", type=Path, help="write TensorRT's calibration cache as well")
    one.add_argument("--compare", type=Path, metavar="CALIBRATION", help="tell whose ranges differ by more than 1 %%")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_calibrate)

    one = commands.add_parser(
        "quantize",
        help="put calibrated Q/DQ pairs on a whole model",
        description="Places pairs by TensorRT's rules (qdq.place); scales come from a calibration or from data.",
    )
    one.add_argument("model", type=Path)
    one.add_argument("-o", "--output", type=Path)
    one.add_argument("--rules", action=_Rules, nargs=0, help="tell the rules, where they are from, and end")
    one.add_argument("--audit", action="store_true", help="only tell what of the model's own Q/DQ TensorRT refuses or "
                     "loses by; exit code 1 where anything is")  # fmt: skip
    one.add_argument("--calibration", type=Path, help="as calibrate writes it, or TensorRT's cache, in place of data")
    _add_data(one)
    one.add_argument("--dtype", choices=["int8", "fp8e4m3fn"], default="int8")
    one.add_argument("--attention", action="store_true", help="the products of two activations too")
    for switch, text in _SWITCHES.items():
        one.add_argument(f"--no-{switch}", action="store_true", help=f"not {text}")
    one.add_argument("--skip-first", action="store_true", help="the first layer stays in float")
    one.add_argument("--skip-last", action="store_true", help="the last layer stays in float")
    one.add_argument("--smallest", type=int, default=0, metavar="N", help="layers with fewer channels stay in float")
    one.add_argument("--keep", nargs="+", default=[], metavar="NODE", help="layers that stay in float, or selectors")
    one.add_argument("--keep-ops", nargs="+", default=[], metavar="OP")
    one.add_argument("--keep-scopes", nargs="+", default=[], metavar="SCOPE")
    one.add_argument("--scopes", nargs="+", default=[], metavar="SCOPE", help="nothing else is quantized")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_quantize)


_SWITCHES = {
    "residual": "what a residual Add reads beside its convolution", "share": "one scale for all inputs of a Concat",
    "above": "above what only moves values",
}  # fmt: skip


def _add_data(one: argparse.ArgumentParser) -> None:
    from graftwerk.backend.quantize.methods import METHODS, PERCENTILE

    text = ".npz, .npy, Polygraphy's .json, images, folders of those, or file.py:function that yields dicts of arrays"
    one.add_argument("--data", nargs="+", default=[], metavar="DATA", help=text)
    one.add_argument("--random", type=int, default=0, metavar="N", help="N random samples where there is no data")
    one.add_argument("--method", choices=METHODS, default="entropy")
    one.add_argument("--percentile", type=float, default=PERCENTILE, metavar="P")
    one.add_argument("--batch", type=int, default=1, help="samples in a batch, where the model lets them")
    one.add_argument("--most", type=int, default=0, metavar="N", help="samples at most")
    one.add_argument("--shapes", nargs="+", default=[], metavar="NAME:SHAPE", help="shapes of random inputs")
    one.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    images = one.add_argument_group("images")
    images.add_argument("--resize", choices=["stretch", "crop", "fit"], default="crop")
    images.add_argument("--shorter", type=int, default=256, help="pixels of the shorter side before it is cropped")
    images.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="of a free input")
    images.add_argument("--mean", type=float, nargs="+", default=[0.485, 0.456, 0.406])
    images.add_argument("--std", type=float, nargs="+", default=[0.229, 0.224, 0.225])
    images.add_argument("--factor", type=float, default=1 / 255, help="before mean and deviation")
    images.add_argument("--bgr", action="store_true")


def _calibrate(parsed: argparse.Namespace) -> int:
    from dataclasses import asdict

    from graftwerk.app.commands import load_typed
    from graftwerk.backend.graph.shapes import typed
    from graftwerk.backend.output_paths import check_outputs
    from graftwerk.backend.quantize.calibration import differences, load
    from graftwerk.backend.quantize.trt_cache import write_cache

    outputs = {"calibration": parsed.output, **({"cache": parsed.cache} if parsed.cache else {})}
    check_outputs(outputs, [parsed.model])
    other = load(parsed.compare) if parsed.compare else None
    found = _measured(typed(load_typed(parsed.model)), parsed)
    differ = differences(other, found) if other is not None else []
    found.save(parsed.output)
    if parsed.cache:
        write_cache(parsed.cache, {name: found.amax(name) or 0.0 for name in found.tensors})
    if parsed.json:
        told = {"differences": [asdict(one) for one in differ]} if other is not None else {}
        print_json({"output": str(parsed.output), **_facts(found), **told})
        return 0
    print_line(f"{len(found.tensors)} tensors on {found.samples} samples, {found.method}, {found.tool}")
    zero = [name for name, histogram in found.histograms.items() if not histogram.largest]
    if zero:
        print_line(f"zero throughout, no scale can be made: {', '.join(zero[:8])}{' …' if len(zero) > 8 else ''}")
    if other is not None:
        print_line(f"{len(differ)} ranges differ from those of {parsed.compare} by more than 1 %")
    for one in differ:
        before, after = ("not known" if value is None else f"{value:.5g}" for value in (one.before, one.after))
        print_line(f"  {one.tensor}: {before} → {after}")
    return 0


def _measured(graph: Graph, parsed: argparse.Namespace) -> Calibration:
    """Runs the model on the data that the options name."""
    from graftwerk.backend.engines.shapes import parse_shapes
    from graftwerk.backend.quantize.calibrate import plan, together
    from graftwerk.backend.quantize.data import DataOptions

    for name, least in (("batch", 1), ("workers", 1), ("most", 0), ("random", 0)):
        if getattr(parsed, name) < least:
            raise Fault(f"--{name} is {getattr(parsed, name)}; at least {least} is needed", f"--{name}")
    if not 0 < parsed.percentile <= 100:
        raise Fault(f"--percentile is {parsed.percentile}; above 0 and up to 100 is possible", "--percentile")
    shapes = {name: ranges[1] for name, ranges in map(parse_shapes, parsed.shapes)}
    paths = tuple(data_path(text) for text in parsed.data)
    options = DataOptions(paths, _images(parsed), parsed.most, 0 if paths else parsed.random, shapes=shapes)
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as folder:
        made = plan(graph, options, parsed.batch, Path(folder))
        result = run_jobs(made, parsed.workers)
        return together(made, result, parsed.model.name, parsed.method, parsed.percentile)


class _Rules(argparse.Action):
    """Prints the rules of placement, as --help prints the options."""

    def __call__(self, parser: argparse.ArgumentParser, *ignored: object) -> None:
        from graftwerk.backend.quantize.policy import RULES

        for rule in RULES:
            print_line(f"{rule.id}: {rule.title}. {rule.doc}")
            print_line(f"    {rule.source}")
        parser.exit()


def _quantize(parsed: argparse.Namespace) -> int:
    from graftwerk.app.commands import load_typed
    from graftwerk.backend.graph.files import save
    from graftwerk.backend.graph.shapes import typed
    from graftwerk.backend.operations.qdq_place import PlaceQdq
    from graftwerk.backend.operations.registry import apply, make, named
    from graftwerk.backend.output_paths import check_outputs

    if parsed.audit:
        return _audit(parsed)
    if parsed.output is None:
        raise Fault("Where is the model to go?", "--output", "Give -o OUT, or --audit")
    if parsed.calibration and (parsed.data or parsed.random):
        raise Fault("A calibration and data are both given", "--calibration", "Give one of the two")
    check_outputs({"model": parsed.output}, [parsed.model])
    graph = typed(load_typed(parsed.model))
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as folder:
        calibration = str(parsed.calibration.resolve()) if parsed.calibration else ""
        if parsed.data or parsed.random:
            calibration = str(Path(folder) / "data.calibration.npz")
            _measured(graph, parsed).save(Path(calibration))
        kept = {key: getattr(parsed, key) for key in ("keep", "keep_ops", "keep_scopes", "scopes")}
        operation = make("qdq.place", {
            "calibration": calibration, "dtype": parsed.dtype, "attention": parsed.attention,
            **{switch: not getattr(parsed, f"no_{switch}") for switch in _SWITCHES}, "skip_first": parsed.skip_first,
            "skip_last": parsed.skip_last, "smallest": parsed.smallest, **kept,
        })  # fmt: skip
        result = apply(operation, graph)
        chosen = named(operation, graph)
        assert isinstance(chosen, PlaceQdq)
        made, remarks = chosen.plan(graph), chosen.remarks(graph, result)
    save(result, parsed.output)
    if parsed.json:
        print_json({
            "output": str(parsed.output), "layers": [graph.ref(node) for node in made.layers],
            "left": {graph.ref(node): reason.text for node, reason in made.left}, "remarks": list(remarks),
            "pairs": [
                {"tensor": one.tensor, "rule": one.rule, "readers": [graph.ref(node) for node in one.readers],
                 "group": one.group} for one in made.placements.values()
            ],
        })  # fmt: skip
        return 0
    print_line(f"{len(made.placements)} pairs for {len(made.layers)} layers in {parsed.dtype.upper()}")
    for remark in remarks:
        print_line(remark)
    return 0


def _audit(parsed: argparse.Namespace) -> int:
    from dataclasses import asdict

    from graftwerk.app.commands import load_typed
    from graftwerk.backend.quantize.audit import audit

    found = audit(load_typed(parsed.model))
    if parsed.json:
        print_json([asdict(one) for one in found])
    for one in () if parsed.json else found:
        print_line(f"{one.where}: {one.text}. {one.hint}")
    if not parsed.json:
        repairs = sum(one.repair for one in found)
        text = f"; `graftwerk run qdq.make_symmetric` repairs {repairs}" if repairs else ""
        print_line(f"{len(found) or 'Nothing'} found{text}")
    return 1 if found else 0


def data_path(text: str) -> str:
    """A path to data, or file.py:function, from where the command was started."""
    file, colon, function = text.rpartition(":")
    return f"{Path(file).resolve()}:{function}" if colon and file.endswith(".py") else str(Path(text).resolve())


def _images(parsed: argparse.Namespace) -> ImageOptions:
    from graftwerk.backend.quantize.images import ImageOptions

    return ImageOptions(
        parsed.resize, parsed.shorter, tuple(parsed.size), parsed.factor, tuple(parsed.mean), tuple(parsed.std),
        "BGR" if parsed.bgr else "RGB",
    )  # fmt: skip


def run_jobs(made: Plan, workers: int) -> dict[str, Any]:
    """Runs the parts of a plan in as many processes, and gives what one of them said of the whole data."""
    return run_all(list(made.jobs(workers, max(1, (os.cpu_count() or 1) // workers))), "samples")[0]


def run_all(jobs: Sequence[Job], of_what: str) -> list[dict[str, Any]]:
    """Runs jobs at once, each in a process of its own, and tells their progress. Raises Fault of the first that fails;
    the others are ended, and what they finished is kept."""
    from graftwerk.backend.jobs.pool import JobPool
    from graftwerk.backend.jobs.protocol import Failed, Progress

    done: dict[int, int] = {}

    def listen(part: int, event: Event) -> None:
        if isinstance(event, Progress) and sys.stderr.isatty():
            done[part] = event.done
            print(f"\r\033[K{max(done.values())} of {event.total} {of_what}", end="", file=sys.stderr, flush=True)

    pool = JobPool(len(jobs))
    try:
        handles = [pool.submit(job, partial(listen, part)) for part, job in enumerate(jobs)]
        results = []
        for handle in handles:
            outcome = handle.wait()
            if isinstance(outcome, Failed):
                raise Fault(outcome.message, outcome.where, outcome.hint)
            results.append(outcome.result)
    finally:
        pool.close()
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    return results


def _facts(found: Calibration) -> dict[str, Any]:
    from graftwerk.backend.quantize.methods import judged

    tensors = {}
    for name in found.tensors:
        largest = found.amax(name)
        histogram = found.histograms.get(name)
        tensors[name] = {"amax": largest, "scale": found.scale(name), "method": found.method_of(name)}
        if histogram is not None and largest:
            judgement = judged(histogram, largest)
            ratio = judgement.sqnr if judgement.sqnr != float("inf") else None
            tensors[name] |= {"max": histogram.largest, "saturated": judgement.saturated, "sqnr": ratio}
    return {"samples": found.samples, "data": found.data, "tool": found.tool, "tensors": tensors}
