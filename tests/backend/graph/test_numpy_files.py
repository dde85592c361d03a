"""Arrays in numpy's files: what is written reads back in every datatype, and what is damaged is refused by name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph import numpy_files
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.numpy_files import export, look, members, read, span
from graftwerk.backend.graph.tensors import BITS, Initializer
from graftwerk.backend.operations.weights_file import misfit, taken
from graftwerk.resources import model as bundled

NUMBERS = [dtype for dtype in BITS if dtype in TensorProto.DataType.values() and dtype not in (14, 15)]


def weight_of(dtype: int, name: str = "w") -> Initializer:
    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    return Initializer.from_array(np.array([[0, 1, 1], [1, 0, 1]]).astype(kind), name)


@pytest.mark.parametrize("dtype", NUMBERS, ids=TensorProto.DataType.Name)
def test_every_datatype_comes_back(dtype: int, tmp_path: Path) -> None:
    weight = weight_of(dtype)
    for path, member in ((tmp_path / "w.npy", ""), (tmp_path / "w.npz", "w")):
        export([weight], path)
        stored = look(path, member)
        assert misfit(stored, dtype, (2, 3), cast=False, reshape=False) is None
        again = taken(stored, weight)
        assert again.dtype == dtype
        assert again.raw().tobytes() == weight.raw().tobytes()


def test_numpy_reads_what_is_exported(tmp_path: Path) -> None:
    graph = load(bundled("digits"))
    weights = list(graph.initializers.values())
    export(weights, tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as found:
        assert set(found.files) == set(graph.initializers)
        for weight in weights:
            np.testing.assert_array_equal(found[weight.name], weight.array())
    export(weights[:1], tmp_path / "one.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "one.npy"), weights[0].array())
    texts = Initializer.from_array(np.array(["a", "bé"], object), "t")
    export([texts], tmp_path / "t.npy")
    assert np.load(tmp_path / "t.npy").tolist() == ["a", "bé"]


def test_a_large_file_is_mapped_and_outlives_its_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_files, "MAPPED", 16)
    values = np.arange(1000, dtype=np.float32)
    np.save(tmp_path / "w.npy", values)
    weight = taken(look(tmp_path / "w.npy"), Initializer.from_array(values * 0, "w"))
    assert weight.span is not None
    (tmp_path / "w.npy").unlink()
    np.testing.assert_array_equal(weight.array(), values)
    np.save(tmp_path / "f.npy", np.asfortranarray(values.reshape(10, 100)))
    assert span(look(tmp_path / "f.npy")) is None  # not in ONNX's order


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    values = np.arange(100, dtype=np.float32)
    np.save(tmp_path / "w.npy", values)
    whole = (tmp_path / "w.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(whole[:-8])
    with pytest.raises(Fault, match="cut short"):
        read(look(tmp_path / "short.npy"))
    (tmp_path / "head.npy").write_bytes(whole[:40])
    with pytest.raises(Fault, match="Damaged"):
        look(tmp_path / "head.npy")
    np.savez(tmp_path / "w.npz", w=values)
    (tmp_path / "short.npz").write_bytes((tmp_path / "w.npz").read_bytes()[:-30])
    with pytest.raises(Fault, match="Damaged"):
        look(tmp_path / "short.npz", "w")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("w.npy", whole[:-8])
    with pytest.raises(Fault, match="cut short"):
        read(look(tmp_path / "odd.npz", "w"))
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(Fault, match="Not a file of numpy's"):
        look(tmp_path / "text.npy")
    with pytest.raises(Fault, match="Can't read"):
        look(tmp_path / "missing.npy")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    np.save(tmp_path / "w.npy", np.array([Trap()], object), allow_pickle=True)
    np.savez(tmp_path / "w.npz", w=np.array([Trap()], object))
    for path, member in ((tmp_path / "w.npy", ""), (tmp_path / "w.npz", "w")):
        with pytest.raises(Fault, match="pickled"):
            look(path, member)
    assert not (tmp_path / "ran").exists()


def test_members_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros(1), b=np.zeros(2))
    assert members(tmp_path / "two.npz") == ("a", "b")
    with pytest.raises(Fault, match="holds 2 arrays") as caught:
        look(tmp_path / "two.npz")
    assert "a, b" in caught.value.hint
    with pytest.raises(Fault, match="no array 'c'"):
        look(tmp_path / "two.npz", "c")
    np.savez(tmp_path / "one.npz", a=np.zeros(1))
    assert look(tmp_path / "one.npz").member == "a"


def test_exports_that_can_t_be_leave_nothing(tmp_path: Path) -> None:
    two = [weight_of(1, "a"), weight_of(1, "b")]
    for path, said in (("x.bin", "neither"), ("x.npy", "holds one array"), ("no/x.npz", "Can't write")):
        with pytest.raises(Fault, match=said):
            export(two, tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_raw_bytes_stand_for_small_floats_only(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros(3, "V4"))
    reason = misfit(look(tmp_path / "v.npy"), TensorProto.FLOAT, (3,), cast=True, reshape=False)
    assert reason is not None
    weight = Initializer.from_array(np.array([1.5, 2, -3], ml_dtypes.bfloat16), "w")
    export([weight], tmp_path / "w.npy")
    assert np.load(tmp_path / "w.npy").dtype == np.dtype("V2")


def test_an_exported_model_s_weights_go_back(tmp_path: Path) -> None:
    graph = load(bundled("digits"))
    save(graph, tmp_path / "m.onnx")
    export(graph.initializers.values(), tmp_path / "w.npz")
    for name, weight in graph.initializers.items():
        np.testing.assert_array_equal(taken(look(tmp_path / "w.npz", name), weight).array(), weight.array())
