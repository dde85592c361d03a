"""A profile as bars, and what is seen of them at a zoom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwerk.backend.engines.report import NodeTime, Profile
from graftwerk.widgets.panels.timeline_bars import Bars, look
from tests.widgets.panels.measured import digits_profile


def profile_of(*layers: NodeTime) -> Profile:
    return Profile("onnxruntime", "1", "CPU", max((len(layer.milliseconds) for layer in layers), default=0), layers, ())


def test_rows_are_iterations_and_bars_lie_where_they_were_measured() -> None:
    second, first = NodeTime("b", "Relu", (2.0, 3.0), (1.0, 1.5)), NodeTime("a", "Conv", (1.0, 1.5), (0.0, 0.0))
    bars = Bars.of(profile_of(second, first))
    assert bars.measured
    assert bars.rows == 2
    assert bars.node.tolist() == [1, 0, 1, 0]
    assert bars.start.tolist() == [0.0, 1.0, 0.0, 1.5]
    assert bars.end == 4.5


def test_without_start_times_bars_stand_one_after_the_other_and_say_so() -> None:
    bars = Bars.of(profile_of(NodeTime("a", "Conv", (1.0, 4.0)), NodeTime("b", "Relu", (2.0, 3.0))))
    assert not bars.measured
    assert bars.start.tolist() == [0.0, 1.0, 0.0, 4.0]
    assert bars.node.tolist() == [0, 1, 0, 1]


def test_a_profile_of_nothing() -> None:
    assert Bars.of(profile_of()).rows == 0
    assert Bars.of(profile_of(NodeTime("a", "Conv", ()))).end == 0.0


def test_the_bars_of_a_real_profile_are_all_there() -> None:
    profile = digits_profile()
    bars = Bars.of(profile)
    assert bars.rows == 4
    assert len(bars.row) == sum(len(layer.milliseconds) for layer in profile.layers)
    assert bars.length.sum() == pytest.approx(sum(sum(layer.milliseconds) for layer in profile.layers))
    for row in range(bars.rows):
        starts = bars.start[bars.first[row] : bars.first[row + 1]]
        assert (np.diff(starts) >= 0).all()


@pytest.mark.parametrize(("time", "slack", "found"), [(0.5, 0.0, 0), (1.5, 0.0, 1), (4.0, 0.5, None), (3.2, 0.5, 1)])
def test_which_bar_is_at_a_time(time: float, slack: float, found: int | None) -> None:
    bars = Bars.of(profile_of(NodeTime("a", "Conv", (1.0,), (0.0,)), NodeTime("b", "Relu", (2.0,), (1.0,))))
    assert bars.at(0, time, slack) == found
    assert bars.at(1, time, slack) is None


def bars_of(lengths: list[float]) -> Bars:
    starts = np.cumsum([0.0, *lengths[:-1]])
    return Bars.of(profile_of(*(NodeTime(str(at), "", (length,), (float(start),))
                                for at, (length, start) in enumerate(zip(lengths, starts, strict=True)))))


def test_narrow_bars_merge_into_the_colour_that_most_of_the_time_belongs_to() -> None:
    bars = bars_of([0.2, 0.6, 0.2, 9.0])
    seen = look(bars, np.array([0, 1, 0, 2], np.int32), 3, 0.0, 10.0, 10, 3.0)
    assert seen.wide.tolist() == [3]
    assert (seen.left[0], seen.right[0]) == pytest.approx((1.0, 10.0))
    assert seen.strips[0, 0] == 1
    assert (seen.strips[0, 1:] == -1).all()


def test_zooming_in_takes_merged_bars_apart() -> None:
    bars = bars_of([0.2, 0.6, 0.2, 9.0])
    seen = look(bars, np.array([0, 1, 0, 2], np.int32), 3, 0.0, 1.0, 100, 3.0)
    assert seen.wide.tolist() == [0, 1, 2]
    assert (seen.strips == -1).all()


def test_a_bar_without_measurable_time_still_shows() -> None:
    seen = look(bars_of([0.0, 5.0]), np.zeros(2, np.int32), 1, -5.0, 5.0, 10, 3.0)
    assert seen.strips[0, 5] == 0


@given(
    st.lists(st.floats(0.001, 5.0), min_size=1, max_size=60),
    st.floats(-1.0, 20.0),
    st.floats(0.01, 50.0),
    st.integers(1, 80),
)
def test_every_bar_in_view_is_seen_and_no_other(lengths: list[float], begin: float, span: float, width: int) -> None:
    """Against a plain loop over the bars: each is on its own or has its pixel, and no pixel is filled by another."""
    bars = bars_of(lengths)
    color = (bars.node % 3).astype(np.int32)
    seen = look(bars, color, 3, begin, begin + span, width, 3.0)
    scale = width / span
    filled: dict[int, dict[int, float]] = {}
    wide = []
    for bar in range(len(lengths)):
        start, length = float(bars.start[bar]), float(bars.length[bar])
        if not (start < begin + span and start + length > begin):
            continue
        if length * scale >= 3.0:
            wide.append(bar)
        else:
            pixel = min(max(int((start - begin) * scale + length * scale / 2), 0), width - 1)
            shares = filled.setdefault(pixel, {})
            shares[int(color[bar])] = shares.get(int(color[bar]), 0.0) + length
    assert seen.wide.tolist() == wide
    assert set(np.flatnonzero(seen.strips[0] >= 0).tolist()) == set(filled)
    for pixel, shares in filled.items():
        assert shares[int(seen.strips[0, pixel])] == pytest.approx(max(shares.values()))
