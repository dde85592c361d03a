"""From a histogram to the largest magnitude that is represented: what lies above it is clipped.

Every method works on counts of magnitudes alone, so that it can be changed after the data was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.quantize.histogram import BINS, Histogram
from graftwerk.backend.quantize.scales import LARGEST

Method = Literal["max", "percentile", "entropy", "mse", "moving_average"]
METHODS: tuple[Method, ...] = get_args(Method)
PERCENTILE = 99.99
#: How much of the running maximum a batch keeps: the default of PyTorch's moving average observer.
MOMENTUM = 0.99
#: Levels on one side of zero in INT8, and the least number of bins that entropy looks at.
_LEVELS = 128
#: Bins that the entropy method works on, and candidates of the mean squared error: NVIDIA's calibrators use as many.
_COARSE = 2048
_CANDIDATES = 512
Floats = NDArray[np.float64]


def amax(histogram: Histogram, method: Method, percentile: float = PERCENTILE) -> float:
    """The magnitude at which a method clips; 0 for a tensor that was zero throughout."""
    if histogram.largest == 0:
        return 0.0
    if method == "max":
        return histogram.largest
    if method == "moving_average":
        return _moving_average(histogram.peaks)
    if method == "percentile":
        return min(_percentile(histogram, percentile), histogram.largest)
    found = _entropy(histogram) if method == "entropy" else _least_error(histogram)
    return min(found, histogram.largest)


def _moving_average(peaks: tuple[float, ...]) -> float:
    value = peaks[0]
    for peak in peaks[1:]:
        value = MOMENTUM * value + (1 - MOMENTUM) * peak
    return value


def _percentile(histogram: Histogram, percentile: float) -> float:
    """The upper edge of the bin in which the share of values up to there passes the percentile."""
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    bin_ = int(np.searchsorted(share, percentile / 100))
    return float(histogram.edges[min(bin_ + 1, BINS)])


def coarse(histogram: Histogram) -> tuple[Floats, float]:
    """Counts in 2048 bins, or fewer, up to the largest magnitude that was seen, and their width."""
    width = histogram.limit / BINS
    used = int(histogram.largest / width) + 1
    factor = -(-used // _COARSE)
    counts = np.zeros(-(-used // factor) * factor)
    counts[:used] = histogram.counts[:used]
    return counts.reshape(-1, factor).sum(1), width * factor


def _entropy(histogram: Histogram) -> float:
    """The clip at which the distribution, clipped and in 128 levels, diverges least from the one that was seen.

    Migacz, 8-bit Inference with TensorRT, GTC 2017: for each number of bins i ≥ 128, the reference is the first i bins
    with all that is clipped in the last of them; the candidate spreads the counts of each of 128 levels evenly over its
    bins that hold any. Of equal divergences the last one counts. Zeros fall on a level whatever the scale, so the first
    bin is given the count of the second, as NVIDIA's pytorch-quantization does.
    """
    counts, width = coarse(histogram)
    if counts.size <= _LEVELS:
        return histogram.largest
    counts[0] = counts[1]
    total = counts.sum()
    if total == 0:
        return histogram.largest
    best, chosen = np.inf, counts.size
    there = counts > 0
    for bins in range(_LEVELS, counts.size + 1):
        divergence = _divergence(counts[:bins], there[:bins], total)
        if divergence <= best:
            best, chosen = divergence, bins
    return float(chosen * width)


def _divergence(kept: Floats, there: NDArray[np.bool_], total: float) -> float:
    """Kullback-Leibler divergence of the candidate from the reference (both normed); inf where it has no support."""
    bins = kept.size
    clipped = total - kept.sum()
    level = np.arange(bins) * _LEVELS // bins
    sums = np.bincount(level, weights=kept, minlength=_LEVELS)
    filled = np.bincount(level, weights=there, minlength=_LEVELS)
    spread = np.where(there, (sums / np.maximum(filled, 1))[level], 0.0)
    reference = kept.copy()
    reference[-1] += clipped
    candidate = spread.sum()
    if candidate == 0 or (reference[-1] > 0 and not there[-1]):
        return np.inf
    p, q = reference[reference > 0] / total, spread[reference > 0] / candidate
    return float((p * np.log(p / q)).sum())


def _least_error(histogram: Histogram) -> float:
    """The clip with the least mean squared error of rounding and clipping in INT8, over 512 candidates."""
    candidates = np.linspace(0, histogram.largest, _CANDIDATES + 1)[1:]
    return float(candidates[np.argmin([_error(histogram, clip, "int8") for clip in candidates])])


def _error(histogram: Histogram, clip: float, dtype: str) -> float:
    """Mean squared error of the values at the centres of their bins; zeros have none."""
    used = histogram.counts[1:] > 0
    centers, counts = histogram.centers[1:][used], histogram.counts[1:][used]
    if not counts.size:
        return 0.0
    return float((counts * (centers - _rounded(centers, clip, dtype)) ** 2).sum() / histogram.total)


def _rounded(values: Floats, clip: float, dtype: str) -> Floats:
    scale = clip / LARGEST[dtype]
    if dtype == "int8":
        return np.minimum(np.rint(values / scale), LARGEST[dtype]) * scale
    import ml_dtypes  # comes with onnx

    stored = np.minimum(values / scale, LARGEST[dtype]).astype(ml_dtypes.float8_e4m3fn)
    return stored.astype(np.float64) * scale


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a clip would cost: the share of values above it, the mean squared error in units of the tensor squared, and
    the signal-to-quantization-noise ratio in dB (inf where there is no error)."""

    saturated: float
    error: float
    sqnr: float


def judged(histogram: Histogram, clip: float, dtype: str = "int8") -> Judgement:
    """What clipping at a magnitude > 0 would cost, from the histogram."""
    first = int(np.searchsorted(histogram.edges[1:], clip, side="right"))  # the bin that the clip is in
    above = int(histogram.counts[min(first + 1, BINS) :].sum())
    error = _error(histogram, clip, dtype)
    power = float((histogram.counts[1:] * histogram.centers[1:] ** 2).sum() / histogram.total)
    sqnr = float("inf") if error == 0 else 10 * float(np.log10(power / error)) if power else 0.0
    return Judgement(above / histogram.total, error, sqnr)
