"""A weight of any size as a table of rows and columns, read where somebody looks at it and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.convert import numpy_type
from graftwerk.backend.graph.tensors import BITS, Initializer


class Values:
    """The elements of a weight by their flat indices. Nothing is read before it is asked for, but a weight that is
    in the model's records is unpacked at once. Raises Fault where the bytes are missing or not as many as needed."""

    def __init__(self, weight: Initializer) -> None:
        self.size = weight.size
        self._bits = BITS.get(weight.dtype, 8)
        self._packed: NDArray[np.uint8] | None = None
        if self._bits < 8 and weight.span is not None and weight.wrong() is None:
            self._packed = weight.raw()
            self._kind = numpy_type(weight.dtype)
        else:
            self._flat = weight.array().reshape(-1)

    def read(self, places: NDArray[np.int64] | slice) -> NDArray[Any]:
        """The elements at these indices, or of a slice of them, in the weight's own datatype."""
        if self._packed is None:
            return np.asarray(self._flat[places])
        if isinstance(places, slice):
            places = np.arange(*places.indices(self.size))
        each = 8 // self._bits
        shifts = (places % each) * self._bits
        found = (self._packed[places // each] >> shifts.astype(np.uint8)) & ((1 << self._bits) - 1)
        if self._kind.name.startswith("int"):  # two's complement in so few bits
            sign = 1 << (self._bits - 1)
            return np.asarray(((found.astype(np.int8) ^ sign) - sign).astype(self._kind))
        if self._kind.name.startswith("uint"):
            return np.asarray(found.astype(self._kind))
        return np.asarray(found.astype(np.uint8).view(self._kind))


class Plane:
    """A slice of a weight with two axes: `rows` and `columns`, the others held at `fixed` places.

    A vector is wrapped into rows of `wrap` elements, a scalar is a table of one cell. Raises Fault as `Values` does.
    """

    def __init__(
        self, values: Values, dims: Sequence[int], rows: int = -2, columns: int = -1, fixed: Sequence[int] = (),
        wrap: int = 16,
    ) -> None:  # fmt: skip
        self._values = values
        self._dims = tuple(dims)
        rank = len(self._dims)
        self.wrapped = rank < 2
        if self.wrapped:
            count = prod(self._dims)
            self.columns = min(wrap, count)
            self.rows = ceil(count / wrap) if count else 0
            return
        self._row_axis, self._column_axis = rows % rank, columns % rank
        if self._row_axis == self._column_axis:
            raise Fault("Rows and columns are the same axis", str(rows))
        self._fixed = tuple(fixed) or (0,) * rank
        self.rows, self.columns = self._dims[self._row_axis], self._dims[self._column_axis]
        self._strides = [prod(self._dims[axis + 1 :]) for axis in range(rank)]
        others = [axis for axis in range(rank) if axis not in (self._row_axis, self._column_axis)]
        self._start = sum(self._fixed[axis] * self._strides[axis] for axis in others)

    def read(self, rows: range, columns: range) -> NDArray[Any]:
        """A window of the table, rows × columns; where a wrapped vector has ended, its last element again."""
        down, across = np.array(rows, np.int64)[:, None], np.array(columns, np.int64)[None, :]
        if self.wrapped:
            places = np.minimum(down * self.columns + across, max(self._values.size - 1, 0))
        else:
            places = self._start + down * self._strides[self._row_axis] + across * self._strides[self._column_axis]
        return self._values.read(places)

    def index(self, row: int, column: int) -> tuple[int, ...] | None:
        """The indices of a cell's element; None where a wrapped vector has ended."""
        if self.wrapped:
            place = row * self.columns + column
            if not self._dims:
                return ()
            return (place,) if place < self._values.size else None
        found = list(self._fixed)
        found[self._row_axis], found[self._column_axis] = row, column
        return tuple(found)
