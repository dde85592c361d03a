"""Data to run a model on, sample by sample and never all in memory: files, folders, images, a function of the user's.

A sample is what a file holds; batches are made of samples, or of parts of one, along the first axis.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from graftwerk.backend.engines.feeds import Array, Input
from graftwerk.backend.fault import Fault
from graftwerk.backend.quantize.images import SUFFIXES, ImageOptions, read_image

Feed = dict[str, Array]
_KINDS = ".npz, .npy, .json of Polygraphy, images, a folder of those, or file.py:function"


@dataclass(frozen=True)
class Samples:
    """Samples in order. Iterating reads them one after the other; `count` is None where it is not known before."""

    inputs: Sequence[Input]
    sources: tuple[Callable[[], Iterator[Feed]], ...]
    words: str
    count: int | None = None

    def __iter__(self) -> Iterator[Feed]:
        for source in self.sources:
            for feed in source():
                yield fitted(feed, self.inputs)


@dataclass(frozen=True)
class DataOptions:
    """`random` samples of random values where no path is given; `most` samples at most, 0 for all."""

    paths: tuple[str, ...] = ()
    images: ImageOptions = field(default_factory=ImageOptions)
    most: int = 0
    random: int = 0
    seed: int = 0
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def samples(options: DataOptions, inputs: Sequence[Input]) -> Samples:
    """Raises Fault for what can't be data of these inputs, as far as that is seen without reading it all."""
    if not options.paths:
        if options.random < 1:
            raise Fault("There is no data", "", f"Give {_KINDS}; or ask for random values")
        words = f"{options.random} random samples, seed {options.seed}"
        return Samples(inputs, (lambda: _random(options, inputs),), words, options.random)
    sources, counts = [], 0
    known = True
    for text in options.paths:
        found = _sources(text, inputs, options)
        if not found:
            raise Fault("There is no data in it", text, f"Data is {_KINDS}")
        sources += found
        counts += len(found)
        known = known and ":" not in Path(text).name and not text.endswith((".json", ".npz"))
    return Samples(inputs, tuple(sources), ", ".join(options.paths), counts if known else None)


def _random(options: DataOptions, inputs: Sequence[Input]) -> Iterator[Feed]:
    from graftwerk.backend.engines.feeds import feeds

    for at in range(options.random):
        yield feeds(inputs, (), options.shapes, options.seed + at).arrays


def _sources(text: str, inputs: Sequence[Input], options: DataOptions) -> list[Callable[[], Iterator[Feed]]]:
    file, colon, function = text.rpartition(":")
    if colon and file.endswith(".py"):
        return [lambda: _called(Path(file), function)]
    path = Path(text)
    if path.is_dir():
        folders = sorted(one for one in path.iterdir() if one.is_dir())
        if folders and {one.name for one in folders} <= {one.name for one in inputs}:
            return _by_input(folders)
        files = sorted(one for one in path.iterdir() if one.is_file() and _readable(one))
        return [source for one in files for source in _sources(str(one), inputs, options)]
    if not path.is_file():
        raise Fault("There is no such file or folder", text)
    if not _readable(path):
        raise Fault("This kind of file is no data", text, f"Data is {_KINDS}")
    if path.suffix == ".npz":
        return [lambda: _npz(path)]
    if path.suffix == ".json":
        return [lambda: _polygraphy(path)]
    only = _only_input(inputs, text)
    if path.suffix == ".npy":
        return [lambda: iter([{only.name: _load(path)}])]
    return [lambda: iter([{only.name: read_image(path, only, options.images)}])]


def _readable(path: Path) -> bool:
    return path.suffix.lower() in (".npz", ".npy", ".json", *SUFFIXES)


def _only_input(inputs: Sequence[Input], text: str) -> Input:
    if len(inputs) != 1:
        hint = "Give .npz files with an array for each input, or a folder for each"
        raise Fault(f"The model has {len(inputs)} inputs: {', '.join(one.name for one in inputs)}", text, hint)
    return inputs[0]


def _by_input(folders: Sequence[Path]) -> list[Callable[[], Iterator[Feed]]]:
    """A folder for each input, with as many .npy files in each: the first of all are the first sample."""
    files = {folder.name: sorted(folder.glob("*.npy")) for folder in folders}
    if len({len(found) for found in files.values()}) != 1:
        counts = ", ".join(f"{name}: {len(found)}" for name, found in files.items())
        raise Fault(f"The folders hold different numbers of samples: {counts}", str(folders[0].parent))
    rows = (dict(zip(files, row, strict=True)) for row in zip(*files.values(), strict=True))

    def source(row: dict[str, Path]) -> Callable[[], Iterator[Feed]]:
        return lambda: iter([{name: _load(path) for name, path in row.items()}])

    return [source(row) for row in rows]


def _load(path: Path) -> Array:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Fault(f"Not an array: {error}", str(path), "Write it with numpy.save") from None


def _npz(path: Path) -> Iterator[Feed]:
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Fault(f"Not arrays by name: {error}", str(path), "Write it with numpy.savez") from None


def _polygraphy(path: Path) -> Iterator[Feed]:
    """Polygraphy's `--save-inputs`: a list of feeds."""
    from polygraphy.json import load_json

    try:
        found = load_json(str(path))
        yield from ({name: np.asarray(array) for name, array in feed.items()} for feed in found)
    except Exception as error:  # Polygraphy's own classes, and whatever a damaged file makes it raise
        hint = "polygraphy run --save-inputs writes them"
        raise Fault(f"Not inputs as Polygraphy saves them: {error}", str(path), hint) from None


def _called(file: Path, function: str) -> Iterator[Feed]:
    """What a function of the user's yields: a dict of arrays for each sample."""
    spec = importlib.util.spec_from_file_location(f"graftwerk_data_{file.stem}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise Fault("There is no such file", str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        yield from getattr(module, function)()
    except Fault:
        raise
    except Exception as error:  # the user's code may raise anything
        raise Fault(f"{type(error).__name__}: {error}", f"{file}:{function}", "It yields dicts of arrays") from error


def fitted(feed: Mapping[str, Array], inputs: Sequence[Input]) -> Feed:
    """A sample with the arrays that the model takes: an axis of one is put in front where only that is missing.

    Raises Fault that names the input for an array that is missing, unknown, or of another datatype or shape.
    """
    names = {one.name for one in inputs}
    unknown = next((name for name in feed if name not in names), None)
    if unknown is not None:
        raise Fault("The model has no such input", unknown, f"It has {', '.join(names)}")
    made: Feed = {}
    for one in inputs:
        if one.name not in feed:
            raise Fault("The data has no array for this input", one.name, f"It has {', '.join(feed) or 'none'}")
        array = np.asarray(feed[one.name])
        if one.dims is not None and array.ndim == len(one.dims) - 1:
            array = array[None]
        if array.dtype != one.dtype:
            hint = f"array.astype('{one.dtype}')"
            raise Fault(f"The input is {one.dtype}, the data {array.dtype}", one.name, hint)
        if one.dims is not None and not _fits(one.dims, array.shape):
            raise Fault(f"The input is {_size(one.dims)}, the data {_size(array.shape)}", one.name, "Reshape the data")
        if not array.size:
            raise Fault("The data is empty", one.name)
        made[one.name] = array
    return made


def _fits(dims: Sequence[object], shape: Sequence[int]) -> bool:
    """The first axis may be longer than the model's: then it is taken apart."""
    if len(dims) != len(shape):
        return False
    pairs = list(zip(dims, shape, strict=True))
    return all(not isinstance(dim, int) or dim == size for dim, size in pairs[1:]) and (
        not pairs or not isinstance(pairs[0][0], int) or pairs[0][1] >= 1
    )


def batches(found: Samples, size: int, most: int = 0) -> Iterator[Feed]:
    """Feeds of `size` along the first axis, where all inputs share that axis; else each sample as it is.

    What is left at the end and fills no batch is fed alone, unless the model's first axis is fixed: then it is left
    out. `most` samples are taken at most.
    """
    fixed = {one.dims[0] for one in found.inputs if one.dims and isinstance(one.dims[0], int)}
    size = max(fixed) if len(fixed) == 1 and fixed != {1} else 1 if fixed else size
    waiting: list[Feed] = []
    rows = islice(_rows(found), most or None)
    for row in rows:
        waiting.append(row)
        if len(waiting) == size or not _stacks(row):
            yield _joined(waiting)
            waiting = []
    if waiting and (not fixed or len(waiting) == size):
        yield _joined(waiting)


def _rows(found: Samples) -> Iterator[Feed]:
    for feed in found:
        if not _stacks(feed):
            yield feed
            continue
        for at in range(next(iter(feed.values())).shape[0]):
            yield {name: array[at : at + 1] for name, array in feed.items()}


def _stacks(feed: Feed) -> bool:
    return all(array.ndim > 0 for array in feed.values()) and len({array.shape[0] for array in feed.values()}) == 1


def _joined(rows: list[Feed]) -> Feed:
    if len(rows) == 1:
        return {name: np.ascontiguousarray(array) for name, array in rows[0].items()}
    try:
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    except ValueError as error:
        raise Fault(f"Samples of different sizes can't stand in one batch: {error}", "", "Use a batch of 1") from None


def _size(dims: Sequence[object]) -> str:
    return "x".join("?" if dim is None else str(dim) for dim in dims) or "scalar"
