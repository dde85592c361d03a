"""Runs a model on data and fills a histogram for each of its tensors: in chunks, so that a run that ended early goes on
where it was, and by several processes at once."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graftwerk.backend.atomic import atomic
from graftwerk.backend.engines.onnxruntime import Runner
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job
from graftwerk.backend.quantize.calibration import stacked, unstacked
from graftwerk.backend.quantize.data import DataOptions, batches, samples
from graftwerk.backend.quantize.histogram import Histogram, Observer
from graftwerk.backend.quantize.images import ImageOptions

#: Batches in a chunk: what is lost at most when a process ends early.
CHUNK = 8


@job("calibrate.onnxruntime")
@dataclass(frozen=True)
class Collect:
    """Fills the histograms of `tensors`, the graph's order, on every `parts`-th chunk of the data from `part` on.

    `data` are DataOptions as JSON. Chunks that are in `folder` already are not run again. The result has the chunks of
    this part, the number of batches and samples of the whole data, and what was run in words. Raises Fault for data
    that doesn't fit, and for a tensor with values that are infinite or no numbers; finished chunks are kept.
    """

    model: str
    tensors: tuple[str, ...]
    data: Any
    batch: int
    folder: str
    part: int = 0
    parts: int = 1
    threads: int = 0
    chunk: int = CHUNK

    def run(self, context: JobContext) -> dict[str, Any]:
        context.phase("Loading the model")
        runner = Runner(Path(self.model), self.tensors, self.threads)
        options = data_options(self.data)
        found = samples(options, runner.inputs)
        context.phase("Running the data")
        seen, count = 0, 0
        observers: dict[str, Observer] = {}
        total = min(found.count or 0, options.most or found.count or 0)
        for at, feed in enumerate(batches(found, self.batch, options.most)):
            if context.cancelled():
                raise Cancelled
            count += _rows(feed)
            number, seen = at // self.chunk, at + 1
            path = chunk_file(Path(self.folder), number)
            if number % self.parts != self.part or (path.is_file() and not observers):
                continue
            if not observers:
                observers = {name: Observer() for name in self.tensors}
            self._add(observers, {**feed, **runner.run(feed)})
            if seen % self.chunk == 0:
                _write(path, observers)
                observers = {}
            if total:
                context.progress(min(count, total), total)
        if observers:
            _write(chunk_file(Path(self.folder), (seen - 1) // self.chunk), observers)
        if not seen:
            raise Fault("There is no data", found.words, "Not one batch could be made of it")
        return {"batches": seen, "samples": count, "words": found.words, "tool": f"onnxruntime {runner.version}"}

    def _add(self, observers: Mapping[str, Observer], values: Mapping[str, Any]) -> None:
        for name, observer in observers.items():
            observer.add(values[name])
            if observer.bad:
                hint = "The first such tensor of the graph is named: look at what makes it, or at the data"
                raise Fault(f"{observer.bad} of its values are infinite or no numbers", name, hint)


def data_options(data: Mapping[str, Any]) -> DataOptions:
    """DataOptions from JSON, as a job carries them."""
    images: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value for key, value in data["images"].items()
    }
    shapes = {name: tuple(shape) for name, shape in data["shapes"].items()}
    rest = {key: data[key] for key in ("most", "random", "seed")}
    return DataOptions(tuple(data["paths"]), ImageOptions(**images), shapes=shapes, **rest)


def _rows(feed: Mapping[str, Any]) -> int:
    sizes = {array.shape[0] if array.ndim else 1 for array in feed.values()}
    return sizes.pop() if len(sizes) == 1 else 1


def chunk_file(folder: Path, number: int) -> Path:
    return folder / f"chunk-{number:06d}.npz"


def _write(path: Path, observers: Mapping[str, Observer]) -> None:
    histograms = [observer.histogram() for observer in observers.values()]
    negative = np.array([histogram.negative for histogram in histograms])
    with atomic(path) as file:
        np.savez_compressed(file, negative=negative, **stacked(histograms))


def collected(folder: Path, tensors: tuple[str, ...], batches: int, chunk: int = CHUNK) -> dict[str, Histogram]:
    """The histograms of all chunks together. Raises Fault where one is missing or damaged; the next run makes that one
    again."""
    found: list[Histogram] = []
    for number in range(-(-batches // chunk)):
        path = chunk_file(folder, number)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                part = unstacked(arrays, arrays["negative"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            path.unlink(missing_ok=True)
            raise Fault(f"A part of the calibration is missing: {error}", str(path), "Calibrate again") from None
        found = [one.merged(later) for one, later in zip(found, part, strict=True)] if found else part
    return dict(zip(tensors, found, strict=True))


@dataclass(frozen=True)
class Plan:
    """What is run: a staged model, its tensors, the data, and the folder that keeps what was done of just that."""

    model: Path
    tensors: tuple[str, ...]
    options: DataOptions
    batch: int
    folder: Path
    ops: Mapping[str, str] = field(default_factory=dict)

    def jobs(self, parts: int, threads: int) -> Iterator[Collect]:
        """The jobs of so many processes, each with its share of the processor's cores."""
        data = asdict(self.options)
        for part in range(parts):
            yield Collect(str(self.model), self.tensors, data, self.batch, str(self.folder), part, parts, threads)


def digest(model: Path, tensors: tuple[str, ...], options: DataOptions, batch: int) -> str:
    """A name for one calibration: of the staged model's bytes and what the user's files are by size and time: those of
    the data, and the weights that are linked beside the model."""
    linked, own = {}, hashlib.sha256(model.read_bytes())
    for one in sorted(each for each in model.parent.rglob("*") if each.is_file() and each != model):
        if one.is_symlink():
            linked[one.name] = _stamp(one)[0][1:]
        else:
            own.update(one.read_bytes())
    files = {path: _stamp(Path(path)) for path in options.paths}
    told = json.dumps([linked, tensors, asdict(options), files, batch, CHUNK], sort_keys=True)
    own.update(told.encode())
    return own.hexdigest()[:32]


def _stamp(path: Path) -> list[tuple[str, int, int]]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []
    return [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in found if one.is_file()]
