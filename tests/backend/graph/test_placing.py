"""Weights in files of external data: where a save puts them, what it overwrites, what undo takes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.document import Document
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph import encode, files
from graftwerk.backend.graph.files import external_locations, load, save, stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.resources import model as bundled


def do(graph: Graph, id: str, **values: object) -> Graph:
    return apply(make(id, values), graph)


def same_values(one: Graph, other: Graph) -> None:
    assert one.initializers.keys() == other.initializers.keys()
    for name, weight in one.initializers.items():
        np.testing.assert_array_equal(weight.array(), other.initializers[name].array())


@pytest.fixture
def digits() -> Graph:
    return load(bundled("digits"))


def test_weights_go_to_one_file_at_the_save_and_not_before(digits: Graph, tmp_path: Path) -> None:
    moved = do(digits, "weights.to_external", location="w.data")
    assert list(tmp_path.iterdir()) == []
    save(moved, tmp_path / "m.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "w.data"]
    onnx.checker.check_model(str(tmp_path / "m.onnx"))
    again = load(tmp_path / "m.onnx")
    same_values(digits, again)
    assert external_locations(again) == {"w.data"}
    large = [w for w in again.initializers.values() if w.nbytes >= 4096]
    assert large
    assert all(w.span is not None and w.span.offset % 4096 == 0 for w in large)
    feeds = {digits.inputs[0].name: np.ones((1, 1, 8, 8), np.float32)}
    before = run_model(onnx.load(bundled("digits")), feeds)
    for name, values in run_model(onnx.load(tmp_path / "m.onnx"), feeds).items():  # onnx reads the file itself
        np.testing.assert_array_equal(values, before[name])


def test_one_file_for_each_weight_has_names_that_a_file_system_takes(digits: Graph, tmp_path: Path) -> None:
    graph = do(digits, "tensor.rename", tensor="stem.conv.weight", name="a/b:c weight")
    graph = do(graph, "tensor.rename", tensor="stem.conv.bias", name="A_b_c_weight")
    chosen = ["a/b:c weight", "A_b_c_weight"]
    graph = do(graph, "weights.to_external", tensors=chosen, location="parts", files="one for each", smallest=0)
    save(graph, tmp_path / "m.onnx")
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["A_b_c_weight_1.bin", "a_b_c_weight.bin"]
    same_values(graph, load(tmp_path / "m.onnx"))


def test_the_place_is_a_part_of_the_edit(digits: Graph, tmp_path: Path) -> None:
    document = Document(digits, tmp_path / "m.onnx")
    document.apply(make("weights.to_external", {}))
    document.undo()
    document.save()
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    document.redo()
    document.save()
    assert (tmp_path / "weights.data").exists()
    renamed = do(document.graph, "tensor.rename", tensor="stem.conv.weight", name="w")
    assert renamed.initializers["w"].file == "weights.data"


def test_external_weights_come_back_into_the_model(digits: Graph, tmp_path: Path) -> None:
    save(do(digits, "weights.to_external"), tmp_path / "m.onnx")
    opened = load(tmp_path / "m.onnx")
    inside = do(opened, "weights.to_model")
    (tmp_path / "alone").mkdir()
    save(inside, tmp_path / "alone" / "m.onnx")
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["m.onnx"]
    same_values(digits, load(tmp_path / "alone" / "m.onnx"))
    # From one file to another, in the same folder: the old one stays for undo.
    save(do(opened, "weights.to_external", location="other.data"), tmp_path / "m.onnx")
    same_values(digits, load(tmp_path / "m.onnx"))
    assert (tmp_path / "weights.data").exists()


def test_a_second_save_replaces_its_own_file_and_no_other(digits: Graph, tmp_path: Path) -> None:
    moved = do(digits, "weights.to_external")
    save(moved, tmp_path / "m.onnx")
    save(moved, tmp_path / "n.onnx")  # the same bytes: the file is shared
    edited = do(moved, "weights.scale", tensors=["layer1.0.conv1.weight"], factor=2.0)
    assert edited.initializers["layer1.0.conv1.weight"].file == "weights.data"
    save(edited, tmp_path / "m.onnx")
    same_values(edited, load(tmp_path / "m.onnx"))
    before = (tmp_path / "weights.data").read_bytes()
    with pytest.raises(Fault, match="not of this model"):
        save(do(edited, "weights.fill", tensors=["layer1.0.conv1.weight"]), tmp_path / "third.onnx")
    assert (tmp_path / "weights.data").read_bytes() == before
    assert not (tmp_path / "third.onnx").exists()


def test_a_file_that_is_read_from_is_not_written_over(digits: Graph, tmp_path: Path) -> None:
    save(do(digits, "weights.to_external"), tmp_path / "m.onnx")
    opened = load(tmp_path / "m.onnx")
    reason = why_blocked(make("weights.to_external", {"location": "weights.data", "smallest": 0}), opened)
    assert reason is not None
    assert "as it was opened" in reason.text


@pytest.mark.parametrize(
    ("location", "said"),
    [("../w.data", "outside"), ("/tmp/w.data", "outside"), ("w.onnx", "no model"), ("", "outside")],
)
def test_bad_places_are_refused(digits: Graph, location: str, said: str) -> None:
    reason = why_blocked(make("weights.to_external", {"location": location}), digits)
    assert reason is not None
    assert said in reason.text


def test_the_model_s_own_name_is_no_place(digits: Graph, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="in use"):
        save(do(digits, "weights.to_external", location="m.model"), tmp_path / "m.model")


def test_a_model_that_is_too_large_moves_its_weights_by_itself(
    digits: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (encode, files):
        monkeypatch.setattr(module, "MESSAGE_LIMIT", 100_000)
    assert save(digits, tmp_path / "m.onnx") == "m.onnx.data"
    assert (tmp_path / "m.onnx").stat().st_size < 100_000
    same_values(digits, load(tmp_path / "m.onnx"))
    same_values(digits, load(stage(digits, tmp_path / "job")))
    assert save(do(digits, "weights.to_external"), tmp_path / "n.onnx") == ""


def test_a_job_s_result_keeps_the_place(digits: Graph, tmp_path: Path) -> None:
    from graftwerk.backend.operations.in_job import take_result

    moved = do(digits, "weights.to_external")
    staged = load(stage(moved, tmp_path / "job"))
    save(do(staged, "node.rename", node="/stem/conv/Conv", name="renamed"), tmp_path / "job" / "result.onnx")
    taken = take_result(moved, tmp_path / "job" / "result.onnx")
    assert all(taken.initializers[name] is weight for name, weight in moved.initializers.items())
