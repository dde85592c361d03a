"""Statistics of weights agree with numpy's over the whole, in every datatype, and stop when they are told to."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.statistics import BINS, PIECE, statistics
from graftwerk.backend.graph.tensors import Initializer


@pytest.mark.parametrize("size", [1, 1000, PIECE, 2 * PIECE + 17])
def test_in_pieces_it_is_what_it_is_as_a_whole(size: int) -> None:
    values = np.random.default_rng(3).normal(5.0, 0.25, size).astype(np.float32)
    values[::7] = 0
    found = statistics(Initializer.from_array(values.reshape(-1, 1), "w"))
    assert found is not None
    exact = values.astype(np.float64)
    assert (found.count, found.zeros) == (size, int(np.count_nonzero(values == 0)))
    assert (found.minimum, found.maximum) == (exact.min(), exact.max())
    assert found.mean == pytest.approx(exact.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(exact.std(), rel=1e-9)
    bins = BINS if exact.min() < exact.max() else 1
    counts, _ = np.histogram(exact, bins, (found.low, found.high))
    assert found.histogram == tuple(counts.tolist())
    assert sum(found.histogram) == size


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    values = np.array([1.0, np.nan, np.inf, -np.inf, 3.0, 0.0], np.float16)
    found = statistics(Initializer.from_array(values, "w"))
    assert found is not None
    assert (found.nans, found.infinities, found.zeros, found.count) == (1, 2, 1, 6)
    assert (found.minimum, found.maximum) == (0.0, 3.0)
    assert found.mean == pytest.approx(4 / 3)
    nothing = statistics(Initializer.from_array(np.full(3, np.nan, np.float32), "w"))
    assert nothing is not None
    assert nothing.histogram == ()
    assert np.isnan(nothing.mean)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.bool_, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_every_number_has_statistics(dtype: type[np.generic]) -> None:
    values = (np.arange(30) % 3).astype(dtype)
    found = statistics(Initializer.from_array(values, "w"))
    assert found is not None
    exact = values.astype(np.float64)
    assert (found.minimum, found.maximum) == (exact.min(), exact.max())
    assert found.mean == pytest.approx(exact.mean())
    assert sum(found.histogram) == 30


def test_small_whole_numbers_have_a_bin_each() -> None:
    found = statistics(Initializer.from_array(np.array([-1, -1, 0, 2], np.int8), "w"))
    assert found is not None
    assert (found.low, found.high, found.histogram) == (-1.5, 2.5, (2, 1, 0, 1))


def test_texts_have_none() -> None:
    with pytest.raises(Fault, match="numbers"):
        statistics(Initializer(TensorProto(name="w", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"])))


def test_it_stops_between_two_pieces() -> None:
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 2

    values = np.zeros(5 * PIECE, np.int8)
    assert statistics(Initializer.from_array(values, "w"), cancelled) is None
    assert len(asked) == 3
