"""A profile as arrays of bars, and what of them is seen at a zoom: bars, and strips of merged ones. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.engines.report import Profile

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

@dataclass(frozen=True, eq=False)
class Bars:
    """One bar for each node and iteration, ordered by row and start. Times are in milliseconds from the row's start.

    `node` is the place in `Profile.layers`. `measured` is False where the runtime told no start times: then the bars
    of an iteration stand one after the other, in the order of the nodes.
    """

    row: Ints
    start: Floats
    length: Floats
    node: Ints
    first: Ints  # (rows + 1,) where each row begins
    measured: bool = True

    @classmethod
    def of(cls, profile: Profile) -> Bars:
        measured = all(len(layer.start_milliseconds) == len(layer.milliseconds) for layer in profile.layers)
        counts = np.array([len(layer.milliseconds) for layer in profile.layers], np.int32)
        node = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        row = np.concatenate([np.arange(count, dtype=np.int32) for count in counts]) if len(counts) else node
        length = _joined([layer.milliseconds for layer in profile.layers])
        if measured:
            start = _joined([layer.start_milliseconds for layer in profile.layers])
            order = np.lexsort((start, row))
        else:
            order = np.lexsort((node, row))
            start = np.zeros_like(length)
        rows = int(row.max(initial=-1)) + 1
        first = np.searchsorted(row[order], np.arange(rows + 1)).astype(np.int32)
        if not measured:
            ends = np.cumsum(length[order])
            before = np.append(0.0, ends)[first[:-1]] if rows else ends
            start[order] = ends - length[order] - before[row[order]]
        return cls(row[order], start[order], length[order], node[order], first, measured)

    @property
    def rows(self) -> int:
        return max(len(self.first) - 1, 0)

    @property
    def end(self) -> float:
        """Where the last bar ends."""
        return float((self.start + self.length).max(initial=0.0))

    def between(self, begin: float, end: float) -> NDArray[np.intp]:
        """The bars that lie between two times, at least in part, ordered by row and start."""
        inside = self.start < end
        inside &= self.start + self.length > begin
        return np.flatnonzero(inside)

    def at(self, row: int, time: float, slack: float) -> int | None:
        """The bar of a row at a time, else the nearest one within `slack` milliseconds."""
        if not 0 <= row < self.rows:
            return None
        begin, stop = int(self.first[row]), int(self.first[row + 1])
        start, length = self.start[begin:stop], self.length[begin:stop]
        away = np.maximum(np.maximum(start - time, time - start - length), 0.0)
        if not len(away) or away.min() > slack:
            return None
        nearest = np.flatnonzero(away == away.min())
        return begin + int(nearest[np.argmin(length[nearest])])


def _joined(parts: Sequence[tuple[float, ...]]) -> Floats:
    return np.array([value for part in parts for value in part], np.float64)


@dataclass(frozen=True, eq=False)
class Seen:
    """What is in view. `wide` are bars (indices) that stand on their own, `left` and `right` their edges in pixels.

    `strips` (rows, pixels) holds the colour that most of a pixel's time belongs to among the narrow bars, -1 for none.
    """

    wide: NDArray[np.intp]
    left: Floats
    right: Floats
    strips: Ints


def look(bars: Bars, color: Ints, colors: int, begin: float, end: float, width: int, least: float) -> Seen:
    """What is seen between two times (milliseconds) on `width` pixels, bars narrower than `least` pixels merged.

    `color` (bars,) is below `colors`.
    """
    scale = width / max(end - begin, 1e-12)
    shown = bars.between(begin, end)
    left = (bars.start[shown] - begin) * scale
    size = bars.length[shown] * scale
    own = size >= least
    wide = shown[own]
    strips = np.full(bars.rows * width, -1, np.int32)
    if len(wide) < len(shown):
        few = ~own
        column = np.clip((left[few] + size[few] / 2).astype(np.int64), 0, width - 1)
        cell = bars.row[shown[few]] * width + column
        # A bar that took no measurable time still shows, where nothing else does.
        share = np.bincount(cell * colors + color[shown[few]], size[few] + 1e-9, len(strips) * colors)
        share = share.reshape(-1, colors)
        filled = np.bincount(cell, minlength=len(strips)) > 0
        strips[filled] = share[filled].argmax(axis=1)
    return Seen(wide, left[own], (left + size)[own], strips.reshape(bars.rows, width))
