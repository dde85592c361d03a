"""Weights: what a tensor is called and looks like is at hand, its bytes stay in the file until somebody reads them."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from graftwerk.backend.fault import Fault

#: Bits of one element, by TensorProto.DataType; strings (8) have none.
BITS: dict[int, int] = {
    TensorProto.FLOAT: 32, TensorProto.UINT8: 8, TensorProto.INT8: 8, TensorProto.UINT16: 16, TensorProto.INT16: 16,
    TensorProto.INT32: 32, TensorProto.INT64: 64, TensorProto.BOOL: 8, TensorProto.FLOAT16: 16, TensorProto.DOUBLE: 64,
    TensorProto.UINT32: 32, TensorProto.UINT64: 64, TensorProto.COMPLEX64: 64, TensorProto.COMPLEX128: 128,
    TensorProto.BFLOAT16: 16, TensorProto.FLOAT8E4M3FN: 8, TensorProto.FLOAT8E4M3FNUZ: 8, TensorProto.FLOAT8E5M2: 8,
    TensorProto.FLOAT8E5M2FNUZ: 8, TensorProto.UINT4: 4, TensorProto.INT4: 4, TensorProto.FLOAT4E2M1: 4,
    24: 8, 25: 2, 26: 2,  # FLOAT8E8M0, UINT2 and INT2, which older releases of onnx have no names for
}
#: Keys of the metadata of a weight without its values: the file they were in, and the SHA-256 of `raw`.
STRIPPED, STRIPPED_HASH = "graftwerk.stripped", "graftwerk.stripped.sha256"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A file that weights lie in, as it was when the model was opened.

    The model's own file is kept open (`handle`), so that its weights outlive a save over it. Files of external data
    are opened when read: there may be thousands. Either way a file that has changed meanwhile is refused, because
    weights of another export would be mixed in silently.
    """

    path: Path
    size: int
    modified_ns: int
    handle: BinaryIO | None = None

    @classmethod
    def of(cls, path: Path, handle: BinaryIO | None = None) -> Source:
        status = os.fstat(handle.fileno()) if handle else path.stat()
        return cls(path, status.st_size, status.st_mtime_ns, handle)

    def read(self, offset: int, length: int) -> NDArray[np.uint8]:
        """The bytes as a read-only array over the mapped file. Raises Fault where the file is gone or has changed."""
        if length == 0:
            return np.empty(0, np.uint8)
        try:
            if self.handle is not None:
                return self._mapped(self.handle, offset, length)
            with self.path.open("rb") as handle:
                return self._mapped(handle, offset, length)
        except OSError as error:
            hint = "Put the file back where it was when the model was opened"
            raise Fault(f"Can't read the weights: {error.strerror}", str(self.path), hint) from error

    def unchanged(self) -> None:
        """Raises Fault where the file is not as it was when the model was opened."""
        self._compare(os.fstat(self.handle.fileno()) if self.handle is not None else self.path.stat())

    def _compare(self, status: os.stat_result) -> None:
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns):
            raise Fault(
                "The file with the weights has changed since the model was opened",
                str(self.path),
                "Open the model again; the recipe of your edits can be applied to it",
            )

    def _mapped(self, handle: BinaryIO, offset: int, length: int) -> NDArray[np.uint8]:
        self._compare(os.fstat(handle.fileno()))
        start = offset - offset % mmap.ALLOCATIONGRANULARITY
        view = mmap.mmap(handle.fileno(), offset + length - start, access=mmap.ACCESS_READ, offset=start)
        return np.frombuffer(view, np.uint8, length, offset - start)


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A run of bytes in a file: where one weight lies. The source is None where the file is missing."""

    source: Source | None
    offset: int
    length: int
    location: str = ""

    def read(self) -> NDArray[np.uint8]:
        if self.source is None:
            raise Fault("The external data of this weight is missing", self.location, "Put the file beside the model")
        return self.source.read(self.offset, self.length)


@dataclass(frozen=True, slots=True, eq=False)
class Initializer:
    """A weight: its record, and where its bytes lie when they are not in the record.

    `proto.raw_data` is empty where `span` is given. A span with a `location` is ONNX external data, one without is
    a part of the model's own file, or of another that the values were taken from. `file` is where a save is to put
    the values: the location of a file of external data beside the model, or "" for where they are.
    """

    proto: TensorProto
    span: Span | None = None
    file: str = ""
    #: Number of elements.
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", prod(self.proto.dims))  # kept, for the sum over all weights is often shown

    @classmethod
    def from_array(cls, array: NDArray[np.generic], name: str) -> Initializer:
        return cls(onnx.numpy_helper.from_array(np.asarray(array), name))

    @property
    def name(self) -> str:
        return self.proto.name

    @property
    def dtype(self) -> int:
        return self.proto.data_type

    @property
    def dims(self) -> tuple[int, ...]:
        return tuple(self.proto.dims)

    @property
    def nbytes(self) -> int:
        """Bytes of its values: as stored where they lie in a file, else as the datatype says."""
        if self.span is not None:
            return self.span.length
        return (self.size * BITS.get(self.dtype, 0) + 7) // 8

    @property
    def external(self) -> bool:
        return self.span is not None and self.span.location != ""

    @property
    def missing(self) -> bool:
        return self.span is not None and self.span.source is None

    @property
    def stripped(self) -> str | None:
        """The file that its values were in before they were stripped; None for a weight that has its values."""
        if self.span is not None or not self.proto.metadata_props:
            return None
        return next((entry.value for entry in self.proto.metadata_props if entry.key == STRIPPED), None)

    def wrong(self) -> str | None:
        """What is wrong with its record: a datatype or shape that there is not, or a number of bytes that they don't
        make; None where nothing is."""
        if self.dtype not in BITS and self.dtype != TensorProto.STRING:
            return f"Has the datatype {self.dtype}, which is not known"
        if min(self.proto.dims, default=0) < 0:
            return f"Has a negative dimension: {', '.join(map(str, self.dims))}"
        source = self.stripped
        if source is not None:
            return "Its values were stripped" + (f"; they are those in {source}" if source else "")
        if self.missing or (self.span is None and not self.proto.HasField("raw_data")):
            return None
        there = len(self.proto.raw_data) if self.span is None else self.span.length
        expected = (self.size * BITS.get(self.dtype, 0) + 7) // 8
        return None if there == expected else f"Has {there} bytes where its shape and datatype need {expected}"

    def array(self) -> NDArray[np.generic]:
        """Its values in its shape; read-only, over the mapped file where they lie in one.

        Raises Fault where the bytes are missing, or are not as many as shape and datatype say.
        """
        wrong = self.wrong()
        if wrong is not None:
            raise Fault(wrong, self.name)
        if self.span is None:
            try:
                return np.asarray(onnx.numpy_helper.to_array(self.proto))
            except (ValueError, TypeError, KeyError) as error:
                raise Fault(f"The values don't fit datatype and shape: {error}", self.name) from error
        raw = self.span.read()
        if BITS[self.dtype] < 8:
            return np.asarray(onnx.numpy_helper.to_array(self.complete()))
        kind = onnx.helper.tensor_dtype_to_np_dtype(self.dtype)
        return raw.view(kind).reshape(self.dims)

    def raw(self) -> NDArray[np.uint8]:
        """Its values as the bytes of `raw_data`, over the mapped file where they lie in one. Raises Fault as `array`
        does, and for strings, which have none."""
        if self.dtype == TensorProto.STRING:
            raise Fault("Strings have no raw bytes", self.name)
        if self.span is not None and self.wrong() is None:
            return self.span.read()
        data = self.proto.raw_data or onnx.numpy_helper.from_array(self.array()).raw_data
        return np.frombuffer(data, np.uint8)

    def complete(self) -> TensorProto:
        """A record of its own with the bytes in it, and no reference to a file."""
        proto = TensorProto()
        proto.CopyFrom(self.proto)
        if self.span is not None:
            proto.ClearField("external_data")
            proto.ClearField("data_location")
            proto.raw_data = self.span.read().tobytes()
        return proto

    def renamed(self, name: str) -> Initializer:
        proto = TensorProto()
        proto.CopyFrom(self.proto)
        proto.name = name
        return Initializer(proto, self.span, self.file)
