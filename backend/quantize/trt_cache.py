"""TensorRT's calibration caches: a header, then `tensor: scale`, the scale's float32 bits as one number in hex.

The form is that of files which TensorRT 8.6 writes; the scale is the largest magnitude / 127.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault

_BEGIN = b"TRT-"
#: Written where no version is asked for: builders take any header whose algorithm is theirs.
HEADER = "TRT-8600-EntropyCalibration2"


def is_cache(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_BEGIN)) == _BEGIN


def read_cache(path: Path) -> dict[str, float]:
    """The largest magnitude of each tensor. Raises Fault that names the line where the file is damaged."""
    found: dict[str, float] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Fault("Not a calibration cache: it is no text", str(path)) from error
    for number, line in enumerate(lines[1:], 2):
        name, colon, bits = line.rpartition(": ")
        try:
            (scale,) = struct.unpack(">f", bytes.fromhex(bits.zfill(8)))
        except (ValueError, struct.error):
            colon = ""
        if line and (not colon or not scale >= 0 or scale == float("inf")):
            raise Fault(f"{line!r} is no tensor with its scale", f"{path.name}, line {number}", "name: hex digits")
        if line:
            found[name] = scale * 127
    return found


def write_cache(path: Path, ranges: Mapping[str, float], header: str = HEADER) -> None:
    """Raises Fault where the file can't be written, or a name can't stand in one."""
    bad = next((name for name in ranges if "\n" in name or not name), None)
    if bad is not None:
        raise Fault("This name can't stand in a calibration cache", repr(bad), "Rename the tensor")
    lines = [header, *(f"{name}: {_bits(largest / 127):x}" for name, largest in ranges.items())]
    try:
        with atomic(path) as file:
            file.write(("\n".join(lines) + "\n").encode())
    except OSError as error:
        raise Fault(f"Can't write the cache: {error.strerror}", str(path), "Is there space left?") from error


def _bits(scale: float) -> int:
    return int.from_bytes(struct.pack(">f", scale), "big")
