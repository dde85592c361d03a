"""The commands of the quantization lab: calibrate."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.fault import Fault

if TYPE_CHECKING:
    from graftwerk.backend.jobs.protocol import Event
    from graftwerk.backend.quantize.calibration import Calibration
    from graftwerk.backend.quantize.collect import Plan
    from graftwerk.backend.quantize.images import ImageOptions

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add(commands: Commands) -> None:
    """Adds the commands to the program's."""
    from graftwerk.backend.quantize.methods import METHODS, PERCENTILE

    one = commands.add_parser(
        "calibrate",
        help="measure the ranges of a model's tensors on data",
        description="Runs the model in ONNX Runtime and keeps a histogram of every float tensor. A run that ended "
        "early goes on where it was.",
    )
    one.add_argument("model", type=Path)
    text = ".npz, .npy, Polygraphy's .json, images, folders of those, or file.py:function that yields dicts of arrays"
    one.add_argument("--data", nargs="+", default=[], metavar="DATA", help=text)
    one.add_argument("--random", type=int, default=0, metavar="N", help="N random samples where there is no data")
    one.add_argument("-o", "--output", type=Path, required=True, metavar="CALIBRATION", help="NAME.calibration.npz")
    one.add_argument("--method", choices=METHODS, default="entropy")
    one.add_argument("--percentile", type=float, default=PERCENTILE, metavar="P")
    one.add_argument("--batch", type=int, default=1, help="samples in a batch, where the model lets them")
    one.add_argument("--most", type=int, default=0, metavar="N", help="samples at most")
    one.add_argument("--shapes", nargs="+", default=[], metavar="NAME:SHAPE", help="shapes of random inputs")
    one.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    one.add_argument("--cache", type=Path, help="write TensorRT's calibration cache as well")
    images = one.add_argument_group("images")
    images.add_argument("--resize", choices=["stretch", "crop", "fit"], default="crop")
    images.add_argument("--shorter", type=int, default=256, help="pixels of the shorter side before it is cropped")
    images.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="of a free input")
    images.add_argument("--mean", type=float, nargs="+", default=[0.485, 0.456, 0.406])
    images.add_argument("--std", type=float, nargs="+", default=[0.229, 0.224, 0.225])
    images.add_argument("--factor", type=float, default=1 / 255, help="before mean and deviation")
    images.add_argument("--bgr", action="store_true")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_calibrate)


def _calibrate(parsed: argparse.Namespace) -> int:
    from graftwerk.app.commands import load_typed
    from graftwerk.backend.engines.shapes import parse_shapes
    from graftwerk.backend.graph.shapes import typed
    from graftwerk.backend.output_paths import check_outputs
    from graftwerk.backend.quantize.calibrate import plan, together
    from graftwerk.backend.quantize.data import DataOptions
    from graftwerk.backend.quantize.trt_cache import write_cache

    outputs = {"calibration": parsed.output, **({"cache": parsed.cache} if parsed.cache else {})}
    check_outputs(outputs, [parsed.model])
    for name, least in (("batch", 1), ("workers", 1), ("most", 0), ("random", 0)):
        if getattr(parsed, name) < least:
            raise Fault(f"--{name} is {getattr(parsed, name)}; at least {least} is needed", f"--{name}")
    if not 0 < parsed.percentile <= 100:
        raise Fault(f"--percentile is {parsed.percentile}; above 0 and up to 100 is possible", "--percentile")
    shapes = {name: ranges[1] for name, ranges in map(parse_shapes, parsed.shapes)}
    paths = tuple(_absolute(text) for text in parsed.data)
    options = DataOptions(paths, _images(parsed), parsed.most, 0 if paths else parsed.random, shapes=shapes)
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as folder:
        made = plan(typed(load_typed(parsed.model)), options, parsed.batch, Path(folder))
        result = run_jobs(made, parsed.workers)
        found = together(made, result, parsed.model.name, parsed.method, parsed.percentile)
    found.save(parsed.output)
    if parsed.cache:
        write_cache(parsed.cache, {name: found.amax(name) or 0.0 for name in found.tensors})
    if parsed.json:
        print_json({"output": str(parsed.output), **_facts(found)})
        return 0
    print_line(f"{len(found.tensors)} tensors on {found.samples} samples, {found.method}, {found.tool}")
    zero = [name for name, histogram in found.histograms.items() if not histogram.largest]
    if zero:
        print_line(f"zero throughout, no scale can be made: {', '.join(zero[:8])}{' …' if len(zero) > 8 else ''}")
    return 0


def _absolute(text: str) -> str:
    file, colon, function = text.rpartition(":")
    return f"{Path(file).resolve()}:{function}" if colon and file.endswith(".py") else str(Path(text).resolve())


def _images(parsed: argparse.Namespace) -> ImageOptions:
    from graftwerk.backend.quantize.images import ImageOptions

    return ImageOptions(
        parsed.resize, parsed.shorter, tuple(parsed.size), parsed.factor, tuple(parsed.mean), tuple(parsed.std),
        "BGR" if parsed.bgr else "RGB",
    )  # fmt: skip


def run_jobs(made: Plan, workers: int) -> dict[str, Any]:
    """Runs the parts of a plan in as many processes, and gives what one of them said of the whole data. Raises Fault of
    the first that fails; the others are ended, and what they finished is kept."""
    from graftwerk.backend.jobs.pool import JobPool
    from graftwerk.backend.jobs.protocol import Failed, Progress

    done: dict[int, int] = {}

    def listen(part: int, event: Event) -> None:
        if isinstance(event, Progress) and sys.stderr.isatty():
            done[part] = event.done
            print(f"\r\033[K{max(done.values())} of {event.total} samples", end="", file=sys.stderr, flush=True)

    pool = JobPool(workers)
    try:
        threads = max(1, (os.cpu_count() or 1) // workers)
        handles = [
            pool.submit(job, lambda event, part=part: listen(part, event))  # type: ignore[misc]
            for part, job in enumerate(made.jobs(workers, threads))
        ]
        outcomes = []
        for handle in handles:
            outcome = handle.wait()
            if isinstance(outcome, Failed):
                raise Fault(outcome.message, outcome.where, outcome.hint)
            outcomes.append(outcome)
    finally:
        pool.close()
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    return outcomes[0].result


def _facts(found: Calibration) -> dict[str, Any]:
    from graftwerk.backend.quantize.methods import judged

    tensors = {}
    for name in found.tensors:
        largest = found.amax(name)
        histogram = found.histograms.get(name)
        tensors[name] = {"amax": largest, "scale": found.scale(name), "method": found.method_of(name)}
        if histogram is not None and largest:
            judgement = judged(histogram, largest)
            tensors[name] |= {"max": histogram.largest, "saturated": judgement.saturated, "sqnr": judgement.sqnr}
    return {"samples": found.samples, "data": found.data, "tool": found.tool, "tensors": tensors}
