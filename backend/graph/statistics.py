"""What values a weight holds: extent, moments, zeros, and a histogram; read in pieces, so of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.convert import numpy_type
from graftwerk.backend.graph.plane import Values
from graftwerk.backend.graph.tensors import Initializer

BINS = 64
#: Elements that are looked at between two questions whether to go on: 8 MB as doubles.
PIECE = 1 << 20
#: Elements of one run of a sample.
_RUN = 1 << 14


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of all elements: `count`, and how many are zero, NaN and infinite. Of the finite ones: the rest.

    `deviation` is that of the population. `histogram` counts them in equal bins from `low` to `high`; whole numbers
    that span fewer than `BINS` values have a bin each. Extent and moments are NaN where nothing is finite. `total` is
    how many elements there are; where it is more than `count`, only a sample was read.
    """

    count: int
    zeros: int
    nans: int
    infinities: int
    minimum: float
    maximum: float
    mean: float
    deviation: float
    low: float
    high: float
    histogram: tuple[int, ...]
    total: int = 0


def statistics(
    weight: Initializer, cancelled: Callable[[], bool] = lambda: False, sample: int = 0
) -> Statistics | None:
    """Reads a weight twice from end to end, or with `sample` about so many of its elements, in runs that are spread
    evenly over it; None once it is cancelled.

    Raises Fault where its bytes can't be read, or are no numbers.
    """
    flat = Values(weight)
    dtype = numpy_type(weight.dtype)
    if dtype.kind not in "fiubV" or not _is_number(dtype):
        raise Fault("Only numbers have statistics", weight.name)
    read = sum(run.stop - run.start for run in _runs(flat.size, sample))
    zeros = nans = infinities = finite = 0
    low, high, mean, spread = np.inf, -np.inf, 0.0, 0.0
    for piece in _pieces(flat, sample):
        if cancelled():
            return None
        zeros += int(np.count_nonzero(piece == 0))
        nans += int(np.count_nonzero(np.isnan(piece)))
        infinities += int(np.count_nonzero(np.isinf(piece)))
        good = piece[np.isfinite(piece)]
        if good.size:
            low, high = min(low, float(good.min())), max(high, float(good.max()))
            # Chan, Golub and LeVeque (1979): moments of the whole from those of its parts.
            part, step = float(good.mean()), good.size / (finite + good.size)
            spread += float(((good - part) ** 2).sum()) + (part - mean) ** 2 * finite * step
            mean += (part - mean) * step
            finite += good.size
    if not finite:
        nan = float("nan")
        return Statistics(read, zeros, nans, infinities, nan, nan, nan, nan, nan, nan, (), flat.size)
    start, end, bins = _bins(low, high, whole=dtype.kind in "iub")
    counts = np.zeros(bins, np.int64)
    for piece in _pieces(flat, sample):
        if cancelled():
            return None
        counts += np.histogram(piece[np.isfinite(piece)], bins, (start, end))[0]
    deviation = float(np.sqrt(spread / finite))
    shown = tuple(counts.tolist())
    return Statistics(read, zeros, nans, infinities, low, high, mean, deviation, start, end, shown, flat.size)


def _is_number(dtype: np.dtype[np.generic]) -> bool:
    """Whether a datatype converts to doubles; ml_dtypes' small floats say kind V or f, structures V as well."""
    return dtype.names is None and np.can_cast(dtype, np.float64, "unsafe") and dtype.kind != "O"


def _pieces(flat: Values, sample: int) -> Iterator[NDArray[np.float64]]:
    for run in _runs(flat.size, sample):
        yield flat.read(run).astype(np.float64)


def _runs(size: int, sample: int) -> Iterator[slice]:
    """The runs of elements that are read: all of them behind each other, or a part of them with gaps between."""
    if not sample or sample >= size:
        yield from (slice(start, min(start + PIECE, size)) for start in range(0, size, PIECE))
        return
    count = max(1, sample // _RUN)
    for number in range(count):
        start = number * (size - _RUN) // max(1, count - 1)
        yield slice(start, min(start + _RUN, size))


def _bins(low: float, high: float, whole: bool) -> tuple[float, float, int]:
    if whole and high - low < BINS:
        return low - 0.5, high + 0.5, int(high - low) + 1
    if low == high:
        return low - 0.5, high + 0.5, 1
    return low, high, BINS
