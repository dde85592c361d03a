"""Optimization profiles: the range of shapes an engine is built for, written, checked, and guessed.

A range is (min, opt, max), each of them a whole shape. Where the user gives none the guess goes by what a dimension is:

- batch: the first dimension, or a symbol that says so: 1, 1, 8
- a side of an image: dimensions from the third on where there are four or more: 64, 256, 512
- a length: a symbol that says so (seq, len, token, time, frame, past), or any other dimension: 1, 128, 256

(256 positions fit every language model; 64 survives five strides of 2.) The same symbol gets the same sizes everywhere,
and a sum of symbols (`past + seq`) the sum of theirs.

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from graftwerk.backend.fault import Fault

Shape = tuple[int, ...]
Range = tuple[Shape, Shape, Shape]
Dims = Sequence[Optional[Union[int, str]]]

#: Of one dimension; more does not fit what TensorRT's kernels count with.
GREATEST = 2**31 - 1
_BATCH, _SIDE, _LENGTH = (1, 1, 8), (64, 256, 512), (1, 128, 256)
_LENGTH_WORDS = re.compile(r"seq|len|token|time|frame|past|step", re.IGNORECASE)
_SIDE_WORDS = re.compile(r"height|width|^[hw]$", re.IGNORECASE)
_BATCH_WORDS = re.compile(r"batch|^[nb]$", re.IGNORECASE)


def parse_shapes(text: str) -> tuple[str, Range]:
    """`NAME:MIN,OPT,MAX` with shapes like `1x3x224x224`; a single shape stands for all three.

    The name may hold colons. Raises Fault for anything else.
    """
    name, _, ranges = text.rpartition(":")
    shapes = tuple(_shape(part) for part in ranges.split(","))
    if not name or len(shapes) not in (1, 3) or None in shapes:
        hint = "Write NAME:MIN,OPT,MAX, e.g. input:1x3x64x64,4x3x64x64,8x3x64x64"
        raise Fault(f"can't read the shapes {text!r}", hint=hint)
    if any(size > GREATEST for shape in shapes for size in shape or ()):
        raise Fault("a dimension is too large", text, f"TensorRT takes sizes up to {GREATEST:,}.")
    low, best, high = shapes * 3 if len(shapes) == 1 else shapes
    return name, (low, best, high)  # type: ignore[return-value]


def format_shapes(name: str, shapes: Range) -> str:
    """What `parse_shapes` reads."""
    return f"{name}:" + ",".join("x".join(map(str, shape)) for shape in shapes)


def default_shapes(inputs: Mapping[str, Dims]) -> dict[str, Range]:
    """A range for every input that has a dimension which is not a number; the rule stands at the top of this file."""
    return {
        name: _range([_sizes(dim, axis, len(dims)) for axis, dim in enumerate(dims)])
        for name, dims in inputs.items()
        if not all(isinstance(dim, int) for dim in dims)
    }


def check_range(name: str, shapes: Any, dims: Sequence[int]) -> Range:
    """`shapes` as a range that fits the input `name`, whose dimensions are `dims` with -1 where they are free.

    Raises Fault that says which dimension is wrong.
    """
    low, best, high = (tuple(shape) for shape in shapes)
    wanted = "x".join("?" if size < 0 else str(size) for size in dims)
    hint = f"The input is {wanted or 'a scalar'}."
    if not len(low) == len(best) == len(high) == len(dims):
        raise Fault(f"the number of dimensions is not the input's: {_text(low, best, high)}", name, hint)
    for axis, size in enumerate(dims):
        if not 0 <= low[axis] <= best[axis] <= high[axis]:
            raise Fault(f"dimension {axis} is not MIN ≤ OPT ≤ MAX: {_text(low, best, high)}", name, hint)
        if size != 0 and best[axis] == 0:
            raise Fault(f"dimension {axis} has OPT 0: {_text(low, best, high)}", name, "An engine is tuned for OPT.")
        if high[axis] > GREATEST:
            raise Fault(f"dimension {axis} is too large: {_text(low, best, high)}", name, f"{GREATEST:,} is the most.")
        if size >= 0 and not low[axis] == high[axis] == size:
            raise Fault(f"dimension {axis} is {size} in the model: {_text(low, best, high)}", name, hint)
    return low, best, high


def _text(*shapes: Shape) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes)


def _shape(text: str) -> Optional[Shape]:
    """`()` for an empty text: the shape of a scalar."""
    parts = text.strip().split("x") if text.strip() else []
    return tuple(map(int, parts)) if all(part.isdecimal() and len(part) < 99 for part in parts) else None


def _range(dims: Sequence[tuple[int, int, int]]) -> Range:
    low, best, high = (tuple(sizes[end] for sizes in dims) for end in range(3))
    return low, best, high


def _sizes(dim: int | str | None, axis: int, rank: int) -> tuple[int, int, int]:
    if isinstance(dim, int):
        return dim, dim, dim
    if dim and re.fullmatch(r"[\w. ]+(\+[\w. ]+)+", dim):
        terms = [term.strip() for term in dim.split("+")]
        each = [_sizes(int(term) if term.isdecimal() else term, axis, rank) for term in terms]
        low, best, high = (sum(sizes) for sizes in zip(*each))
        return low, best, high
    for words, sizes in ((_LENGTH_WORDS, _LENGTH), (_BATCH_WORDS, _BATCH), (_SIDE_WORDS, _SIDE)):
        if dim and words.search(dim):
            return sizes
    if axis == 0:
        return _BATCH
    return _SIDE if rank >= 4 and axis >= 2 else _LENGTH
