"""Files that are whole or not there."""

import os
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load, save


def test_a_file_takes_the_place_of_the_old_one_only_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic(path) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    with atomic(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"), atomic(pipe) as file:
        file.write(b"x")
    assert pipe.is_fifo()
    node = helper.make_node("Relu", ["x"], ["y"])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = tmp_path / "model.onnx"
    model.write_bytes(helper.make_model(helper.make_graph([node], "g", infos[:1], infos[1:])).SerializeToString())
    with pytest.raises(Fault, match="not a regular file"):
        save(load(model), pipe)
    assert sorted(tmp_path.iterdir()) == [model, pipe]
