"""ONNX's text form: it comes back as it was, or is refused with a word of what would be lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, SparseTensorProto, TensorProto, TrainingInfoProto, helper, numpy_helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.attributes import json_value
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, save
from graftwerk.resources import bundled_models


def simple() -> ModelProto:
    """x + w → y, named everything, as the text form can hold it."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    weight = numpy_helper.from_array(np.array([1 / 3, np.pi, -0.0, 1e-42], np.float32), "w")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"], name="add")], "g", infos[:1], infos[1:],
                              [weight])  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def int4(model: ModelProto) -> None:
    model.graph.initializer.add(name="q", data_type=TensorProto.INT4, dims=[4], raw_data=b"\x21\x43")


def sparse(model: ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    model.graph.sparse_initializer.append(SparseTensorProto(values=values, indices=indices, dims=[4]))


def strings(model: ModelProto) -> None:
    model.graph.initializer.add(name="t", data_type=TensorProto.STRING, dims=[1], string_data=[b"\xff"])


def metadata(model: ModelProto) -> None:
    model.graph.node[0].metadata_props.add(key="a", value="b")


def document(model: ModelProto) -> None:
    model.graph.node[0].doc_string = "what it does"


def training(model: ModelProto) -> None:
    model.training_info.append(TrainingInfoProto())


def quantization(model: ModelProto) -> None:
    model.graph.quantization_annotation.add(tensor_name="x")


def external_constant(model: ModelProto) -> None:
    value = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    value.external_data.add(key="location", value="a.bin")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=value))


def odd_operator(model: ModelProto) -> None:
    model.graph.node[0].op_type = "Add it"


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (int4, "int4"), (sparse, "sparse_initializer"), (strings, "utf-8"), (metadata, "metadata_props of node add"),
        (document, "doc_string of node add"), (training, "training_info"), (quantization, "quantization_annotation"),
        (external_constant, "a.bin"), (odd_operator, ""),
    ],
)  # fmt: skip
def test_what_the_text_can_not_hold_is_refused_and_nothing_written(
    spoil: Callable[[ModelProto], None], word: str, tmp_path: Path
) -> None:
    model = simple()
    spoil(model)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.bin").write_bytes(bytes(16))
    (tmp_path / "in/m.onnx").write_bytes(model.SerializeToString())
    graph = load(tmp_path / "in/m.onnx")
    target = tmp_path / "out.onnxtxt"
    with pytest.raises(Fault, match="text form can't hold") as caught:
        save(graph, target)
    assert word in caught.value.message
    assert "textproto" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    for other in ("a.onnx", "a.json", "a.textproto"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        save(graph, tmp_path / "elsewhere" / other)
        assert to_model(load(tmp_path / "elsewhere" / other), "own") == to_model(graph, "own")


def test_what_it_can_hold_comes_back_bit_by_bit(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(simple().SerializeToString())
    for path in (tmp_path / "m.onnx", *bundled_models()):
        graph = load(path)
        save(graph, tmp_path / "m.onnxtxt")
        again = load(tmp_path / "m.onnxtxt")
        for before, after in zip(graph.nodes.values(), again.nodes.values(), strict=True):
            assert (before.name, before.op_type, before.input, before.output) == (
                after.name, after.op_type, after.input, after.output
            )  # fmt: skip
            assert list(map(json_value, before.attribute)) == list(map(json_value, after.attribute))
        for name, weight in graph.initializers.items():
            assert weight.array().tobytes() == again.initializers[name].array().tobytes()


@pytest.mark.parametrize("ending", [".onnxtxt", ".json", ".textproto"])
def test_fields_that_are_not_known_are_not_lost(ending: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(simple().SerializeToString() + b"\xf2\x7f\x03abc")  # field 2046
    graph = load(tmp_path / "m.onnx")
    with pytest.raises(Fault, match="can't hold all"):
        save(graph, tmp_path / f"m{ending}")
