"""The wire format: what protobuf wrote is found, and nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.wire import BYTES, encode_varint, fields, prefix, varint


@given(st.integers(0, 2**64 - 1))
def test_numbers_come_back(value: int) -> None:
    data = encode_varint(value)
    assert varint(data, 0, len(data)) == (value, len(data))
    for length in range(len(data)):
        with pytest.raises(Fault):
            varint(data, 0, length)


@given(st.integers(1, 2**29 - 1), st.binary(max_size=300))
def test_fields_come_back(number: int, value: bytes) -> None:
    data = prefix(number, len(value)) + value
    ((found, kind, tag, start, stop),) = fields(data * 1, 0, len(data))
    assert (found, kind, tag, data[start:stop], stop) == (number, BYTES, 0, value, len(data))


def test_every_kind_of_field_that_protobuf_writes() -> None:
    tensor = TensorProto(dims=[2, 300], data_type=1, name="w", float_data=[1, 2], double_data=[3], raw_data=bytes(200))
    data = tensor.SerializeToString()
    again = b"".join(data[tag:stop] for _, _, tag, _, stop in fields(memoryview(data), 0, len(data)))
    assert again == data
    assert {number for number, *_ in fields(data, 0, len(data))} == {1, 2, 4, 8, 9, 10}


@pytest.mark.parametrize("data", [b"\x0b", b"\x0c", b"\x0f", b"\x00\x01", b"\x07", b"\x0a\x05abc", b"\x80" * 11])
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(Fault):
        list(fields(data, 0, len(data)))


@given(st.binary(max_size=200))
def test_random_bytes_end_in_a_fault_or_fields_that_cover_them(data: bytes) -> None:
    try:
        found = list(fields(data, 0, len(data)))
    except Fault:
        return
    assert b"".join(data[tag:stop] for _, _, tag, _, stop in found) == data
