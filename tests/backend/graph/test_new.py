"""Models from nothing: what they hold, that they can be opened again and built up, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.new import OPSET, least_ir, new_model, parse_port, parse_shape
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.operations.registry import apply, make


def test_inputs_alone_make_a_model(tmp_path: Path) -> None:
    graph = new_model("net", [parse_port("x:float32:1x3x224x224"), parse_port("in:0:int64:batchxseq")], producer="me")
    model = to_model(graph)
    onnx.checker.check_model(model)
    assert (model.producer_name, model.ir_version, graph.opset()) == ("me", least_ir(OPSET), OPSET)
    assert [info.name for info in graph.inputs] == ["x", "in:0"]
    assert graph.incomplete is None
    save(graph, tmp_path / "n.onnx")
    assert to_model(load(tmp_path / "n.onnx")) == model


def test_outputs_wait_for_their_nodes_and_the_model_says_so(tmp_path: Path) -> None:
    graph = new_model("net", [parse_port("x:float32:2x3")], [parse_port("y:float32:2x3")], opset=17)
    onnx.checker.check_model(to_model(graph))
    assert graph.incomplete is not None
    assert "y" in graph.incomplete.text
    save(graph, tmp_path / "n.onnx")
    graph = load(tmp_path / "n.onnx")
    assert graph.incomplete is not None
    graph = apply(make("node.insert", {"tensor": "x", "op_type": "Relu", "name": "relu"}), graph)
    made = graph.nodes[graph.find("relu")].output[0]
    for id, values in (
        ("interface.mark_output", {"tensor": made}), ("interface.unmark_output", {"tensor": "y"}),
        ("graph.remove_unused", {}), ("tensor.rename", {"tensor": made, "name": "y"}),
    ):  # fmt: skip
        assert graph.incomplete is not None or id == "tensor.rename"
        graph = apply(make(id, values), graph.with_types(infer(graph)))
    assert graph.incomplete is None
    x = np.array([[-1, 2, 3], [4, -5, 6]], np.float32)
    np.testing.assert_array_equal(run_model(to_model(graph), {"x": x})["y"], np.maximum(x, 0))


@pytest.mark.parametrize(
    ("inputs", "outputs", "more", "said"),
    [
        (["x:float32:2"], [], {"opset": 5}, "Opset 5"),
        (["x:float32:2"], [], {"opset": 999}, "Opset 999"),
        (["x:float32:2"], [], {"opset": 21, "ir": 8}, "IR version 8"),
        (["x:float32:2", "x:int8:2"], [], {}, "Two inputs"),
        (["x:float32:2"], ["y:int8:2", "y:int8:2"], {}, "Two outputs"),
        (["x:float32:2"], ["x:float32:3"], {}, "another type"),
    ],
)
def test_what_can_t_be_is_refused(inputs: list[str], outputs: list[str], more: dict[str, Any], said: str) -> None:
    with pytest.raises(Fault, match=said):
        new_model("net", list(map(parse_port, inputs)), list(map(parse_port, outputs)), **more)


def test_a_model_needs_a_name() -> None:
    with pytest.raises(Fault, match="needs a name"):
        new_model(" ", [])


@pytest.mark.parametrize(
    ("text", "shape"),
    [("1x3x224x224", (1, 3, 224, 224)), ("batchx3", ("batch", 3)), ("?×4", (None, 4)), ("n, max ,3", ("n", "max", 3)),
     ("scalar", ()), ("5", (5,))],
)  # fmt: skip
def test_shapes_are_read_as_people_write_them(text: str, shape: tuple[object, ...]) -> None:
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["x", "x:float32", ":float32:2", "x:flaot:2", "x:float32:2x-1", "x:float32:2x3.5"])
def test_bad_ports_are_refused_with_a_hint(text: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_port(text)
    assert caught.value.hint
