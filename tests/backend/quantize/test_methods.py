"""Ranges from histograms, against other implementations of the same methods."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from onnxruntime.quantization.calibrate import HistogramCollector

from graftwerk.backend.quantize.histogram import Histogram, Observer
from graftwerk.backend.quantize.methods import amax, coarse, judged

Draw = Callable[[np.random.Generator, int], np.ndarray]
SHAPES: dict[str, Draw] = {
    "normal": lambda random, count: random.normal(size=count),
    "laplace": lambda random, count: random.laplace(size=count),
    "relu": lambda random, count: np.maximum(0, random.normal(size=count)),
    "lognormal": lambda random, count: random.lognormal(size=count),
    "outlier": lambda random, count: np.concatenate([random.normal(size=count), [60.0]]),
    "sparse": lambda random, count: random.normal(size=count) * (random.random(count) < 0.05),
}


def histogram_of(values: np.ndarray) -> Histogram:
    observer = Observer()
    observer.add(values.astype(np.float32))
    return observer.histogram()


@pytest.fixture(params=SHAPES, scope="module")
def seen(request: pytest.FixtureRequest) -> tuple[np.ndarray, Histogram]:
    values = SHAPES[request.param](np.random.default_rng(0), 60_000)
    return values, histogram_of(values)


def divergence_by_the_paper(counts: np.ndarray, bins: int) -> float:
    """The divergence for one clip, written out step by step: reference, 128 levels, spread over the bins in use."""
    reference = counts[:bins].astype(float)
    reference[-1] += counts[bins:].sum()
    edges = np.linspace(0, bins, 129)
    candidate = np.zeros(bins)
    for low, high in pairwise(edges):
        inside = [at for at in range(bins) if low <= at < high and counts[at]]
        for at in inside:
            candidate[at] = counts[inside].sum() / len(inside)
    p, q = reference / reference.sum(), candidate / candidate.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(p > 0, p * np.log(p / q), 0).sum())


def test_entropy_is_the_least_divergence_of_the_papers_procedure(seen: tuple[np.ndarray, Histogram]) -> None:
    """At a sample of clips: none of them diverges less than the chosen one."""
    counts, width = coarse(seen[1])
    counts[0] = counts[1]
    chosen = amax(seen[1], "entropy")
    at_chosen = divergence_by_the_paper(counts, min(round(chosen / width), counts.size))
    others = [divergence_by_the_paper(counts, bins) for bins in range(128, counts.size + 1, 61)]
    assert at_chosen <= min(others) + 1e-9


def test_entropy_equals_that_of_nvidia(seen: tuple[np.ndarray, Histogram], request: pytest.FixtureRequest) -> None:
    """Known answers: what the entropy calibrator of NVIDIA's pytorch-quantization (as in ModelOpt 0.47) makes of the
    same 2048 bins; its percentile is the lower edge of the bin, ours the upper."""
    answers = {
        "normal": 4.0234375, "laplace": 10.5078125, "relu": 4.0859375, "lognormal": 22.625, "outlier": 4.03125,
        "sparse": 3.298828125,
    }  # fmt: skip
    assert amax(seen[1], "entropy") == answers[request.node.callspec.params["seen"]]


def test_percentile_agrees_with_onnxruntime_to_a_bin(seen: tuple[np.ndarray, Histogram]) -> None:
    values, histogram = seen
    for percentile in (90.0, 99.0, 99.9, 99.99):
        found = amax(histogram, "percentile", percentile)
        assert abs(found - np.percentile(np.abs(values), percentile, method="inverted_cdf")) <= histogram.limit / 4096
        collector = HistogramCollector("percentile", False, 2048, 128, percentile, "same")
        width = histogram.limit / 4096
        used = int(histogram.largest / width) + 1
        half = histogram.counts[:used] / 2
        edges = np.linspace(-used * width, used * width, 2 * used + 1)
        both = {"x": (np.concatenate([half[::-1], half]), edges, edges[0], edges[-1], edges[-1])}
        collector.histogram_dict = both
        theirs = collector.compute_percentile()["x"]
        largest = max(abs(float(edge)) for edge in theirs[:2])
        assert abs(found - largest) <= 2 * width


def test_entropy_loses_no_more_than_that_of_onnxruntime(seen: tuple[np.ndarray, Histogram]) -> None:
    """ONNX Runtime halves the levels between both signs and smooths zeros away, so it clips elsewhere: up to a third
    lower where it matters little, far too low where most values are zero. Ours is never worse by 3 dB."""
    histogram = seen[1]
    counts, width = coarse(histogram)
    edges = np.linspace(-counts.size * width, counts.size * width, 2 * counts.size + 1)
    collector = HistogramCollector("entropy", True, 2048, 256, 99.99, "same")
    both = np.concatenate([counts[::-1] / 2, counts / 2])
    theirs = float(collector.get_entropy_threshold((both, edges, edges[0], edges[-1]), 256)[1])
    assert judged(histogram, amax(histogram, "entropy")).sqnr >= judged(histogram, theirs).sqnr - 3


def test_the_least_error_is_one(seen: tuple[np.ndarray, Histogram]) -> None:
    """Against the error of really rounding the values, at a few clips around it."""
    values, histogram = seen
    found = amax(histogram, "mse")

    def error(clip: float) -> float:
        scale = clip / 127
        return float(((np.clip(np.rint(values / scale), -127, 127) * scale - values) ** 2).mean())

    for other in (0.8 * found, 0.9 * found, 1.1 * found, 1.25 * found):
        assert error(found) <= error(other) * 1.02
    if histogram.largest < 20:  # else the values in a bin are far from its centre
        assert judged(histogram, found).error == pytest.approx(error(found), rel=0.1)


def test_max_and_its_moving_average() -> None:
    observer = Observer()
    for peak in (1.0, 2.0, 4.0):
        observer.add(np.array([peak, -peak / 2], np.float32))
    found = observer.histogram()
    assert amax(found, "max") == 4
    assert amax(found, "moving_average") == pytest.approx(0.99 * (0.99 * 1 + 0.01 * 2) + 0.01 * 4)


def test_what_a_clip_costs() -> None:
    values = np.linspace(-1, 1, 20_001)
    found = histogram_of(values)
    assert judged(found, 0.5).saturated == pytest.approx(0.5, abs=0.001)
    assert judged(found, 1.0).saturated == 0
    assert judged(found, 1.0).error == pytest.approx((1 / 127) ** 2 / 12, rel=0.05)
    assert judged(found, 1.0).sqnr > judged(found, 1.0, "fp8e4m3fn").sqnr > 20
    zero = histogram_of(np.zeros(5))
    assert all(amax(zero, method) == 0 for method in ("max", "percentile", "entropy", "mse", "moving_average"))
