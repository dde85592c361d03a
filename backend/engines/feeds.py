"""What a model's inputs are given in a trial run: data from files, or seeded random numbers.

Random floats are of the standard normal distribution, integers 0 or 1 (as token ids, masks and indices they are in
the range of every table that has two rows), booleans either, strings empty. Where the shape has free dimensions and the
caller gives none, they get the sizes for which an engine would be tuned (`shapes.default_shapes`).

Runs on Python 3.9 with numpy and onnx beside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from graftwerk.backend.engines.shapes import default_shapes
from graftwerk.backend.fault import Fault

#: Of one random input. More than any model is given (8 GB in FP32), less than what makes a machine stand still.
MOST_ELEMENTS = 1 << 31

Array = Any  # np.ndarray, whose type arguments differ between the versions of numpy that a worker may have


@dataclass(frozen=True)
class Input:
    """An input as the model declares it; a dimension is a size, a symbol or None, all of them None if unknown."""

    name: str
    dtype: np.dtype[Any]
    dims: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Feeds:
    """An array for each input, what it is in words, and whether a free dimension was given a size by us."""

    arrays: dict[str, Array]
    words: dict[str, str]
    assumed: bool


def feeds(
    inputs: Sequence[Input],
    files: Sequence[str],
    shapes: Mapping[str, Sequence[int]],
    seed: int,
    halvings: int = 0,
) -> Feeds:
    """What each input is given.

    `files` are `.npz` (an array per input, by name), `.npy` and `.pb` (one TensorProto, as in ONNX test data); those
    two belong to the input that they are named after, or to input N where the file is `input_N`, else to the first
    input that has no data yet. Inputs without a file are random. Raises Fault for what does not fit.
    """
    given = _read_all(inputs, files)
    defaults = default_shapes({i.name: i.dims for i in inputs if i.dims is not None and i.name not in shapes})
    unknown = set(shapes) - {i.name for i in inputs}
    if unknown:
        raise Fault("the model has no such input", ", ".join(sorted(unknown)), _names(inputs))
    generator = np.random.default_rng(seed)
    arrays, words, assumed = {}, {}, False
    for each in inputs:
        if each.name in given:
            arrays[each.name], words[each.name] = given[each.name]
            _check(each, arrays[each.name])
            continue
        if each.name in defaults:
            low, best, _ = defaults[each.name]
            shape = tuple(max(least, size >> halvings) for least, size in zip(low, best))
        else:
            shape = _given_shape(each, shapes.get(each.name))
        free = each.name in defaults
        assumed |= free
        arrays[each.name] = _random(each, shape, generator)
        note = ", free dimensions assumed" if free else ""
        words[each.name] = f"random (seed {seed}) {each.dtype} {_size(shape)}{note}"
    return Feeds(arrays, words, assumed)


def _read_all(inputs: Sequence[Input], files: Sequence[str]) -> dict[str, tuple[Array, str]]:
    found: dict[str, tuple[Array, str]] = {}
    names = [each.name for each in inputs]
    for file in files:
        for key, array in _read(Path(file)).items():
            name = key if key in names else _by_position(Path(file), names, found)
            if name is None or name in found:
                raise Fault(f"there is no input for {key or 'it'}", file, _names(inputs))
            found[name] = array, f"{file} {array.dtype} {_size(array.shape)}"
    return found


def _by_position(file: Path, names: Sequence[str], taken: Mapping[str, Any]) -> str | None:
    if file.suffix == ".npz":
        return None
    if file.stem in names:
        return file.stem
    numbered = re.fullmatch(r"input_(\d+)", file.stem)
    if numbered:
        number = int(numbered[1])
        return names[number] if number < len(names) else None
    return next((name for name in names if name not in taken), None)


def _read(file: Path) -> dict[str, Array]:
    """The arrays of a file by name, "" where it has none."""
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        if file.suffix == ".npy":
            return {"": np.load(file, allow_pickle=False)}
        if file.suffix == ".pb":
            tensor = onnx.TensorProto.FromString(file.read_bytes())
            return {tensor.name: numpy_helper.to_array(tensor)}
    except OSError as error:
        hint = "Does it exist, and may you read it?"
        raise Fault(f"can't be read: {error.strerror or error}", str(file), hint) from error
    except Exception as error:  # numpy, zipfile and protobuf each have errors of their own for a damaged file
        hint = "Write it again: numpy.save, numpy.savez, or a serialized TensorProto."
        raise Fault(f"is no valid {file.suffix} file: {error}", str(file), hint) from error
    raise Fault("unknown kind of file", str(file), "Inputs are read from .npz, .npy and .pb files.")


def _check(wanted: Input, array: Array) -> None:
    if array.dtype != wanted.dtype:
        raise Fault(f"the input is {wanted.dtype}, the data {array.dtype}", wanted.name, "Convert the data.")
    if wanted.dims is not None and not _fits(wanted.dims, array.shape):
        raise Fault(
            f"the input is {_size(wanted.dims)}, the data {_size(array.shape)}", wanted.name, "Reshape the data."
        )


def _given_shape(each: Input, shape: Sequence[int] | None) -> tuple[int, ...]:
    """The shape that the caller or the model gives."""
    if shape is None:
        if each.dims is None:
            raise Fault("the model does not say how many dimensions this input has", each.name, "Give its shape.")
        return tuple(dim for dim in each.dims if isinstance(dim, int))
    if each.dims is not None and not _fits(each.dims, shape):
        hint = "Give as many dimensions as the input has; those that are numbers in the model stay."
        raise Fault(f"the input is {_size(each.dims)}, not {_size(shape)}", each.name, hint)
    if 0 in shape and (each.dims is None or 0 not in each.dims):
        raise Fault(f"random data of the shape {_size(shape)} would be empty", each.name, "Give sizes of 1 or more.")
    return tuple(shape)


def _fits(dims: Sequence[object], shape: Sequence[int]) -> bool:
    return len(dims) == len(shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(dims, shape)
    )


def _random(each: Input, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    kind = each.dtype.kind
    if math.prod(shape) > MOST_ELEMENTS:
        raise Fault(f"random data of the shape {_size(shape)} is too large", each.name, "Give a smaller shape.")
    if kind == "f":
        return generator.standard_normal(shape).astype(each.dtype)
    if kind in "iub":
        return generator.integers(0, 2, shape).astype(each.dtype)
    if kind == "O":
        return np.full(shape, "", dtype=object)
    raise Fault(f"no random data of type {each.dtype}", each.name, "Give this input's data in a file.")


def _size(dims: Sequence[object]) -> str:
    return "x".join("?" if dim is None else str(dim) for dim in dims) or "scalar"


def _names(inputs: Sequence[Input]) -> str:
    return "The inputs are: " + ", ".join(each.name for each in inputs)
