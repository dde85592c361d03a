"""Arrays in .npy and .npz files: looked at before they are read, mapped where they are large, written in pieces."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.tensors import BITS, Initializer, Source, Span

#: Arrays of at least so many bytes stay in their .npy file until a save.
MAPPED = 1 << 24
_CHUNK = 1 << 22
_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_WHAT = "A .npy file (numpy.save) or .npz file (numpy.savez) is needed"


@dataclass(frozen=True, slots=True)
class Stored:
    """What the head of an array says, and where its values start in the file or member."""

    path: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def look(path: Path, member: str = "") -> Stored:
    """Reads the head of an array; a member need not be named where an .npz has only one.

    Raises Fault where the file is missing, is none of numpy's, lacks the member, or holds pickled objects.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_NPY))
            file.seek(0)
            if magic == _NPY:
                if member:
                    raise Fault(f"{path.name} holds one array, which has no name", member, "Leave the member empty")
                return _head(file, path, "")
        if magic[:4] == _ZIP:
            return _member(path, member)
    except OSError as error:
        raise Fault(f"Can't read: {error.strerror}", str(path), "Does it exist, and may you read it?") from error
    raise Fault("Not a file of numpy's", str(path), _WHAT)


def read(stored: Stored) -> NDArray[np.generic]:
    """The values. Raises Fault where there are fewer than the head says, or they are damaged."""
    try:
        if stored.member:
            with zipfile.ZipFile(stored.path) as archive, archive.open(stored.member + ".npy") as file:
                found = np.lib.format.read_array(file, allow_pickle=False)
        else:
            found = np.load(stored.path, mmap_mode="r" if stored.nbytes else None, allow_pickle=False)
    except OSError as error:
        raise Fault(f"Can't read: {error.strerror or error}", str(stored.path), "Copy the file again") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        short = f"The file is cut short or damaged: {_first_line(error)}"
        raise Fault(short, _place(stored.path, stored.member), "Write or copy it again") from error
    return np.asarray(found)


def span(stored: Stored) -> Span | None:
    """Where the values of a large array lie, if they lie there as ONNX has them: little-endian, in C order, in a .npy
    file. The file stays open, so that the values outlive its removal. Raises Fault where it is cut short."""
    if stored.member or stored.fortran or stored.nbytes < MAPPED or stored.dtype.byteorder == ">":
        return None
    source = Source.of(stored.path, stored.path.open("rb"))
    if stored.start + stored.nbytes > source.size:
        raise Fault("The file is cut short", str(stored.path), "Write or copy it again")
    return Span(source, stored.start, stored.nbytes)


def members(path: Path) -> tuple[str, ...]:
    """The names of the arrays in an .npz file; nothing for a .npy file. Raises Fault as `look` does."""
    try:
        with path.open("rb") as file:
            if file.read(4) != _ZIP:
                return ()
        with zipfile.ZipFile(path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))
    except OSError as error:
        raise Fault(f"Can't read: {error.strerror}", str(path), "Does it exist, and may you read it?") from error
    except zipfile.BadZipFile as error:
        raise Fault(f"Damaged: {error}", str(path), "Write or copy it again") from error


def _member(path: Path, member: str) -> Stored:
    there = members(path)
    if not member and len(there) == 1:
        member = there[0]
    if member not in there:
        shown = ", ".join(there[:12]) + (" …" if len(there) > 12 else "") or "nothing"
        what = f"There is no array {member!r} in it" if member else f"It holds {len(there)} arrays"
        raise Fault(what, str(path), f"It holds {shown}: name one of them")
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member + ".npy") as file:
            return _head(file, path, member)
    except zipfile.BadZipFile as error:
        raise Fault(f"Damaged: {error}", _place(path, member), "Write or copy it again") from error


def _head(file: IO[bytes], path: Path, member: str) -> Stored:
    try:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(file)
    except (ValueError, EOFError) as error:
        raise Fault(f"Damaged: {_first_line(error)}", _place(path, member), _WHAT) from error
    if dtype.hasobject:
        hint = "Save it as an array of numbers: numpy.save(…, numpy.asarray(values, numpy.float32))"
        raise Fault("It holds pickled Python objects, which are never loaded: they can run code", str(path), hint)
    return Stored(path, member, tuple(shape), dtype, fortran, file.tell())


def _place(path: Path, member: str) -> str:
    return f"{path}: {member}" if member else str(path)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def export(weights: Iterable[Initializer], path: Path) -> None:
    """Writes weights as a .npy file (one of them) or an .npz file (any number), values in pieces, whole or not at all.

    Small floats that numpy has no name for are written as raw bytes (`|V2` for BF16), which `Stored` reads back.
    Raises Fault for another ending, for several weights to .npy, and where values can't be read.
    """
    chosen, ending = list(weights), path.suffix.lower()
    if ending not in (".npy", ".npz"):
        raise Fault("The name of the file ends in neither .npy nor .npz", str(path), "Such as weights.npz")
    if ending == ".npy" and len(chosen) != 1:
        raise Fault(f"A .npy file holds one array; these are {len(chosen)}", str(path), "Export to an .npz file")
    for weight in chosen:
        if weight.wrong() is not None or weight.missing:
            weight.array()  # says what is wrong with it, before anything is written
    try:
        with atomic(path) as file:
            if ending == ".npy":
                _write_array(file, chosen[0])
            else:
                _write_archive(file, chosen)
    except OSError as error:
        raise Fault(f"Can't write: {error.strerror}", str(path), "Is the folder there, and space left?") from error


def _write_archive(file: BinaryIO, weights: list[Initializer]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for weight in weights:
            entry = zipfile.ZipInfo(f"{weight.name}.npy")
            with archive.open(entry, "w", force_zip64=True) as member:
                _write_array(member, weight)


def _write_array(file: IO[bytes], weight: Initializer) -> None:
    if weight.dtype == TensorProto.STRING:
        values = weight.array()
        texts = np.array([str(v) if not isinstance(v, bytes) else v.decode() for v in values.reshape(-1)], np.str_)
        np.lib.format.write_array(file, texts.reshape(weight.dims), allow_pickle=False)
        return
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(weight.dtype))
    head = {"descr": _descr(kind), "fortran_order": False, "shape": weight.dims}
    np.lib.format.write_array_header_1_0(file, head)
    packed = BITS[weight.dtype] < 8
    data = np.ascontiguousarray(weight.array()).reshape(-1).view(np.uint8).data if packed else weight.raw().data
    for start in range(0, len(data), _CHUNK):
        file.write(data[start : start + _CHUNK])


def _descr(kind: np.dtype[Any]) -> str:
    """How numpy writes a datatype; one that it doesn't know as so many raw bytes."""
    known = kind.isbuiltin == 1
    return kind.newbyteorder("<").str if known else f"|V{kind.itemsize}"


