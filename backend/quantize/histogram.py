"""Histograms of magnitudes, filled while a model runs: bounded memory, no value stored, no count lost.

Runs on Python 3.9 with numpy beside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Bins of a histogram. Its range is a power of two, so at least half of them hold counts.
BINS = 4096
Array = Any  # np.ndarray, whose type arguments differ between the versions of numpy that a worker may have


@dataclass(frozen=True)
class Histogram:
    """Counts of |x| in BINS equal bins over [0, limit). `limit` is a power of two above the largest magnitude, so that
    any two histograms can be added without loss; it is 0 where all values were zero.

    `largest` is the largest magnitude itself, `negative` whether any value was below zero, `peaks` the largest
    magnitude of each batch in the order of the data.
    """

    counts: Array
    limit: float
    largest: float
    negative: bool
    peaks: tuple[float, ...]

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def edges(self) -> Array:
        """The BINS + 1 edges of the bins."""
        return np.linspace(0.0, self.limit, BINS + 1)

    @property
    def centers(self) -> Array:
        """Of the bins; of the last that is used, and of zeros alone in the first, no better is known."""
        return (np.arange(BINS) + 0.5) * (self.limit / BINS)

    def merged(self, later: Histogram) -> Histogram:
        """Both together; `later` saw the data that came after."""
        limit = max(self.limit, later.limit)
        counts = widened(self.counts, self.limit, limit) + widened(later.counts, later.limit, limit)
        largest, negative = max(self.largest, later.largest), self.negative or later.negative
        return Histogram(counts, limit, largest, negative, self.peaks + later.peaks)


def widened(counts: Array, limit: float, wider: float) -> Array:
    """The same counts over a range that is larger by a power of two: neighbours are added up."""
    if limit == wider:
        return counts
    if limit == 0:
        return counts  # all of them are zeros, in the first bin
    times = round(math.log2(wider / limit))
    merged = counts
    for _ in range(times):
        pairs = merged.reshape(-1, 2).sum(1)
        merged = np.concatenate([pairs, np.zeros(BINS - pairs.size, counts.dtype)])
    return merged


def limit_for(largest: float) -> float:
    """The power of two above a magnitude; 0 for 0."""
    return 0.0 if largest == 0 else 2.0 ** (math.frexp(largest)[1])


@dataclass
class Observer:
    """Fills a histogram batch by batch. `bad` is the number of values that are infinite or no numbers: they are not
    counted, and a tensor that has any can't be calibrated."""

    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))
    limit: float = 0.0
    largest: float = 0.0
    negative: bool = False
    peaks: list[float] = field(default_factory=list)
    bad: int = 0

    def add(self, values: Array) -> None:
        """Takes in the values of one batch, floats of any shape."""
        flat = values.reshape(-1)
        if flat.dtype != np.float32:
            flat = flat.astype(np.float32)
        if not flat.size:
            self.peaks.append(0.0)
            return
        high, low = float(flat.max()), float(flat.min())
        if not (math.isfinite(high) and math.isfinite(low)):
            finite = np.isfinite(flat)
            self.bad += int(flat.size - finite.sum())
            flat = flat[finite]
            high, low = (float(flat.max()), float(flat.min())) if flat.size else (0.0, 0.0)
        peak = max(abs(high), abs(low))
        self.peaks.append(peak)
        self.largest = max(self.largest, peak)
        self.negative = self.negative or low < 0
        if peak >= self.limit:
            limit = max(limit_for(peak), self.limit)
            self.counts = widened(self.counts, self.limit, limit)
            self.limit = limit
        if self.limit == 0:
            self.counts[0] += flat.size
        else:
            self.counts += _counted(np.abs(flat) if low < 0 else flat, self.limit)

    def histogram(self) -> Histogram:
        return Histogram(self.counts.copy(), self.limit, self.largest, self.negative, tuple(self.peaks))


def _counted(magnitudes: Array, limit: float) -> Array:
    try:
        from fast_histogram import histogram1d
    except ImportError:  # a quarter as fast, and all that an older interpreter may have
        places = (magnitudes * np.float32(BINS / limit)).astype(np.int32)
        return np.bincount(places, minlength=BINS)
    return histogram1d(magnitudes, BINS, (0.0, limit)).astype(np.int64)
