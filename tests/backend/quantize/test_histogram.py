"""Histograms hold every value that went in, whatever the order and however their range grew."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftwerk.backend.quantize.histogram import BINS, Histogram, Observer, limit_for


def observed(*batches: np.ndarray) -> Histogram:
    observer = Observer()
    for batch in batches:
        observer.add(batch)
    return observer.histogram()


def test_the_bins_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).laplace(size=100_000).astype(np.float32)
    found = observed(values.reshape(10, 100, 100))
    assert found.limit == limit_for(float(np.abs(values).max()))
    expected, _ = np.histogram(np.abs(values), BINS, (0, found.limit))
    assert np.array_equal(found.counts, expected)
    assert found.largest == np.abs(values).max()
    assert found.negative


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(2.0**-40, 2.0**40), min_size=2, max_size=6), st.integers(0, 1000))
def test_no_count_is_lost_and_order_does_not_matter(sizes: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    batches = [(random.normal(size=500) * size).astype(np.float32) for size in sizes]
    whole = observed(*batches)
    assert whole.total == 500 * len(sizes)
    split = observed(*batches[:1]).merged(observed(*batches[1:]))
    assert np.array_equal(split.counts, whole.counts)
    assert (split.limit, split.largest, split.peaks) == (whole.limit, whole.largest, whole.peaks)
    back = observed(*reversed(batches))
    assert np.array_equal(back.counts, whole.counts)
    edges = whole.edges
    assert edges[1 + np.flatnonzero(whole.counts)[-1]] > whole.largest >= edges[np.flatnonzero(whole.counts)[-1]]


def test_zeros_then_numbers_then_half_precision() -> None:
    zeros = np.zeros(7, np.float32)
    found = observed(zeros, np.array([1.0, -3.0], np.float16), np.zeros(0, np.float32))
    assert found.counts[0] == 7
    assert found.total == 9
    assert found.peaks == (0.0, 3.0, 0.0)
    nothing = observed(zeros)
    assert (nothing.limit, nothing.largest, nothing.total) == (0.0, 0.0, 7)
    assert nothing.merged(observed(np.ones(2, np.float32))).total == 9


def test_values_that_are_not_finite_are_counted_apart() -> None:
    observer = Observer()
    observer.add(np.array([1.0, np.nan, np.inf, -np.inf, 2.0], np.float32))
    assert observer.bad == 3
    assert observer.histogram().total == 2
    assert observer.histogram().largest == 2


def test_without_the_fast_library(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=10_000).astype(np.float32)
    fast = observed(values)
    monkeypatch.setitem(sys.modules, "fast_histogram", None)
    slow = observed(values)
    assert np.abs(np.cumsum(fast.counts) - np.cumsum(slow.counts)).max() <= 1  # at the edges rounding may differ
