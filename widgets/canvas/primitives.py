"""From numpy arrays to what QPainter draws in one call, without making a Python object per rectangle and frame."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
import shiboken6
from numpy.typing import NDArray
from PySide6.QtCore import QByteArray, QDataStream, QLineF, QRectF
from PySide6.QtGui import QPainterPath

from graftwerk.backend.graph.diagram_picture import BEND

Floats = NDArray[np.float64]
Shape = TypeVar("Shape", QRectF, QLineF)

_MOVE, _LINE, _CURVE, _CURVE_DATA = 0, 1, 2, 3
_ELEMENT = np.dtype([("type", ">i4"), ("x", ">f8"), ("y", ">f8")])
#: Segments that lean less than this are drawn as straight lines, which costs a third of a curve.
STRAIGHT = 0.5


class Pool(Generic[Shape]):
    """Qt shapes of four doubles whose memory is a numpy array: filling the array moves them all."""

    def __init__(self, shape: type[Shape]) -> None:
        self._shape: type[Shape] = shape
        self._chunks: list[Floats] = []
        self._shapes: list[Shape] = []

    def shapes(self, rows: Floats) -> list[Shape]:
        """One shape per row, (N, 4): x, y, width, height, or x, y, x, y. Valid until the next call."""
        while len(self._shapes) < len(rows):
            self._grow(max(1024, len(self._shapes)))
        done = 0
        for chunk in self._chunks:
            part = rows[done : done + len(chunk)]
            chunk[: len(part)] = part
            done += len(part)
        return self._shapes[: len(rows)]

    def _grow(self, count: int) -> None:
        chunk = np.zeros((count, 4))
        size = chunk.strides[0]
        addresses = range(chunk.ctypes.data, chunk.ctypes.data + size * count, size)
        self._chunks.append(chunk)
        self._shapes += [shiboken6.wrapInstance(address, self._shape) for address in addresses]  # type: ignore[misc]


def beginnings(segments: Floats) -> NDArray[np.bool_]:
    """Which segments don't begin where the one before them ends, (S,)."""
    begins = np.ones(len(segments), np.bool_)
    begins[1:] = (segments[1:, :2] != segments[:-1, 2:]).any(axis=1)
    return begins


def curves(segments: Floats) -> QPainterPath:
    """A path of curves, one per segment (S, 4): cubics that are vertical at both ends, where they lean. A segment that
    begins where the one before it ends is joined to it.

    Written in the form that QPainterPath is read from a stream in, which is documented under "Serializing Qt Data
    Types" and takes 0.1 µs a point.
    """
    lean = np.abs(segments[:, 0] - segments[:, 2]) > STRAIGHT
    begins = beginnings(segments)
    size = np.where(lean, 3, 1) + begins
    first = np.cumsum(size) - size
    count = int(size.sum())
    elements = np.zeros(count, _ELEMENT)
    moves = first[begins]
    elements["type"][moves] = _MOVE
    elements["x"][moves], elements["y"][moves] = segments[begins, 0], segments[begins, 1]
    first = first + begins
    line, bent = first[~lean], first[lean]
    elements["type"][line] = _LINE
    elements["type"][bent] = _CURVE
    elements["type"][bent + 1] = elements["type"][bent + 2] = _CURVE_DATA
    high = (segments[lean, 3] - segments[lean, 1]) * BEND
    for at, x, y in (
        (line, segments[~lean, 2], segments[~lean, 3]), (bent, segments[lean, 0], segments[lean, 1] + high),
        (bent + 1, segments[lean, 2], segments[lean, 3] - high), (bent + 2, segments[lean, 2], segments[lean, 3]),
    ):  # fmt: skip
        elements["x"][at], elements["y"][at] = x, y
    head, tail = np.array([count], ">i4").tobytes(), np.zeros(2, ">i4").tobytes()
    path = QPainterPath()
    stream = QDataStream(QByteArray(head + elements.tobytes() + tail))
    stream >> path
    return path
