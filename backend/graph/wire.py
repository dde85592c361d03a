"""Protobuf's wire format, as far as a model file needs it: walk the fields of a message, and write them.

A model is read record by record straight from the file, so that no parsed message of the whole model ever exists
(its arena would pin everything it holds), and the bytes of a weight are only a place in the file. Source of the
encoding: the Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

from graftwerk.backend.fault import Fault

Buffer = bytes | memoryview
VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = 0, 1, 2, 3, 4, 5


def varint(buffer: Buffer, at: int, end: int) -> tuple[int, int]:
    """The number that starts at `at`, and where the next thing starts. A Fault where the bytes end first."""
    value = shift = 0
    while at < end:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            break
    raise Fault("The file ends in the middle of a record, or is not ONNX", f"byte {at}")


def fields(buffer: Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Each field between `at` and `end` as (number, wire type, start of its tag, start of its value, end of its value).

    A field with a length starts its value behind the length. Raises Fault where the bytes are not such a message.
    """
    while at < end:
        start = at
        tag = buffer[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = varint(buffer, at, end)
        kind = tag & 7
        if kind == BYTES:
            size = buffer[at] if at < end else 0x80
            if size < 0x80:
                at += 1
            elif at + 1 < end and (more := buffer[at + 1]) < 0x80:  # most nodes: a call would take longer than the rest
                size, at = size & 0x7F | more << 7, at + 2
            else:
                size, at = varint(buffer, at, end)
            stop = at + size
        elif kind == VARINT:
            stop = varint(buffer, at, end)[1]
        elif kind == FIXED64:
            stop = at + 8
        elif kind == FIXED32:
            stop = at + 4
        else:
            raise Fault("Not a protobuf message", f"byte {start}")
        if stop > end or tag < 8:
            raise Fault("The file ends in the middle of a record, or is not ONNX", f"byte {start}")
        yield tag >> 3, kind, start, at, stop
        at = stop


def encode_varint(value: int) -> bytes:
    """A number from 0 up to 2**64 - 1 as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def prefix(number: int, length: int) -> bytes:
    """Tag and length of a field with a length: what stands before its value."""
    return encode_varint(number << 3 | BYTES) + encode_varint(length)
