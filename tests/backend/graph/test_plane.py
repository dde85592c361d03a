"""Slices of weights are what numpy's indexing gives, and nothing more than them is read."""

from __future__ import annotations

import itertools
import os
import resource
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.new import new_model
from graftwerk.backend.graph.plane import Plane, Values
from graftwerk.backend.graph.statistics import statistics
from graftwerk.backend.graph.tensors import Initializer, Source, Span

SMALL = [TensorProto.FLOAT, TensorProto.BFLOAT16, TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1,
         TensorProto.BOOL]  # fmt: skip


def in_file(weight: Initializer, folder: Path) -> Initializer:
    """The same weight with its bytes in a file."""
    path = folder / "w.bin"
    path.write_bytes(weight.raw().tobytes())
    proto = TensorProto(name=weight.name, data_type=weight.dtype, dims=weight.dims)
    return Initializer(proto, Span(Source.of(path), 0, path.stat().st_size))


@pytest.mark.parametrize("dtype", SMALL, ids=TensorProto.DataType.Name)
def test_every_pair_of_axes_is_a_table(dtype: int, tmp_path: Path) -> None:
    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    array = (np.arange(3 * 5 * 7).reshape(3, 5, 7) % 7).astype(kind)
    memory = Initializer.from_array(array, "w")
    for weight in (memory, in_file(memory, tmp_path)):
        values = Values(weight)
        for rows, columns in itertools.permutations(range(3), 2):
            (other,) = {0, 1, 2} - {rows, columns}
            fixed = [0, 0, 0]
            fixed[other] = 2
            plane = Plane(values, (3, 5, 7), rows, columns, fixed)
            expected = np.moveaxis(array, (rows, columns), (0, 1))[:, :, 2]
            assert (plane.rows, plane.columns) == expected.shape
            whole = plane.read(range(plane.rows), range(plane.columns))
            np.testing.assert_array_equal(whole, expected)
            np.testing.assert_array_equal(plane.read(range(0, plane.rows, 2), range(1, 2)), expected[::2, 1:2])
            index = plane.index(1, 2)
            assert index is not None
            assert array[index] == expected[1, 2]


def test_vectors_wrap_and_scalars_are_one_cell() -> None:
    vector = Initializer.from_array(np.arange(21), "w")
    plane = Plane(Values(vector), (21,), wrap=8)
    assert (plane.rows, plane.columns) == (3, 8)
    assert plane.read(range(2, 3), range(8)).tolist() == [[16, 17, 18, 19, 20, 20, 20, 20]]
    assert plane.index(2, 4) == (20,)
    assert plane.index(2, 5) is None
    scalar = Plane(Values(Initializer.from_array(np.array(2, np.float32), "s")), ())
    assert scalar.read(range(scalar.rows), range(scalar.columns)).tolist() == [[2.0]]
    assert scalar.index(0, 0) == ()
    nothing = Plane(Values(Initializer.from_array(np.zeros((0,), np.float32), "n")), (0,))
    assert (nothing.rows, nothing.columns) == (0, 0)


def test_a_billion_elements_are_looked_at_in_no_time(tmp_path: Path) -> None:
    """A file with holes takes no space; what is not looked at is not read."""
    count = 1_000_000_000
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        os.truncate(path, 4 * count)
        file.seek(4 * (count - 1))
        file.write(np.float32(7).tobytes())
    proto = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1000, 1000, 1000])
    weight = Initializer(proto, Span(Source.of(path), 0, 4 * count))

    def look() -> float:
        plane = Plane(Values(weight), (1000, 1000, 1000), 0, 2, (0, 999, 0))
        return float(plane.read(range(968, 1000), range(968, 1000))[-1, -1])

    before = faults()
    assert look() == 7
    assert faults() - before < 1000  # of the million pages
    sampled = statistics(weight, sample=1 << 20)
    assert faults() - before < 10_000
    assert sampled is not None
    assert sampled.total == count
    assert 0.9 * (1 << 20) <= sampled.count <= 1 << 20
    assert sampled.maximum == 7  # the first and the last run lie at the ends


def faults() -> int:
    """How often this process has asked for pages of memory, mapped files included; a busy machine changes nothing."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt + resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def test_a_sample_of_all_is_all() -> None:
    weight = Initializer.from_array(np.arange(1000.0), "w")
    assert statistics(weight, sample=5000) == statistics(weight)


def test_a_saved_weight_of_four_bits_is_read_from_the_file(tmp_path: Path) -> None:
    kind = onnx.helper.tensor_dtype_to_np_dtype(TensorProto.INT4)
    array = (np.arange(1 << 16) % 16 - 8).astype(kind)
    edit = Edit(new_model("n", []))
    edit.set_initializer(Initializer.from_array(array, "w"))
    save(edit.commit(), tmp_path / "n.onnx")
    weight = load(tmp_path / "n.onnx").initializers["w"]
    assert weight.span is not None
    np.testing.assert_array_equal(Values(weight).read(slice(5, 999)), array[5:999])
    found = statistics(weight)
    assert found is not None
    assert (found.minimum, found.maximum, found.zeros) == (-8, 7, 1 << 12)
