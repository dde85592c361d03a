"""What the operations on weights do, and what they refuse."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.diagram_text import value_text
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.numpy_files import export
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.registry import Selection, apply, make, operations, why_blocked
from tests.backend.operations import law_models as models
from tests.backend.operations.cases_weights import constants, twins, weights_and_inputs


def do(graph: Graph, id: str, **values: Any) -> Graph:
    return apply(make(id, values), graph)


def why(graph: Graph, id: str, **values: Any) -> str:
    """Why it can't be done: known before, or found on the way."""
    operation = make(id, values)
    reason = why_blocked(operation, graph)
    if reason is None:
        with pytest.raises(Fault) as caught:
            apply(operation, graph)
        return f"{caught.value} | {caught.value.hint}"
    return f"{reason.text} | {reason.hint}"


def with_weight(values: Any) -> Graph:
    """x + w, in w's datatype."""
    array = np.asarray(values)
    dtype = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    info = onnx.helper.make_tensor_value_info("x", dtype, array.shape)
    out = onnx.helper.make_tensor_value_info("y", dtype, array.shape)
    nodes = [onnx.helper.make_node("Add", ["x", "w"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [info], [out], [onnx.numpy_helper.from_array(array, "w")])
    opsets = [onnx.helper.make_opsetid("", 21)]
    return models.graph_of(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10))


def values_of(graph: Graph, name: str = "w") -> list[Any]:
    return list(np.asarray(graph.initializers[name].array()).astype(np.float64).reshape(-1))


# Values


def test_elements_are_set_by_index_and_nothing_else() -> None:
    graph = with_weight(np.arange(6, dtype=np.float16).reshape(2, 3))
    assert values_of(do(graph, "weights.set", tensor="w", values={"0,1": 9, "-1,2": "-inf"})) == [
        0, 9, 2, 3, 4, float("-inf"),
    ]  # fmt: skip
    scalar = with_weight(np.int8(3))
    assert values_of(do(scalar, "weights.set", tensor="w", values={"": -128})) == [-128]
    texts = Initializer.from_array(np.array(["a", "b"], object), "t")
    from graftwerk.backend.graph.edit import Edit

    edit = Edit(graph)
    edit.set_initializer(texts)
    changed = do(edit.commit(), "weights.set", tensor="t", values={"1": "ü"})
    assert [t.decode() if isinstance(t, bytes) else t for t in changed.initializers["t"].array()] == ["a", "ü"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "No element"),
        ({"0": 1}, "has 1 indices"),
        ({"0,3": 1}, "outside of the shape"),
        ({"a,b": 1}, "not an index"),
        ({"0,0": 1.5}, "not a whole number"),
        ({"0,0": 128}, "INT8 holds -128 to 127"),
        ({"0,0": "nan"}, "not a whole number"),
        ({"0,0": "one"}, "not a number"),
        ({"0,0": [1]}, "not a number"),
    ],
)
def test_elements_that_can_t_be_are_refused(values: dict[str, Any], said: str) -> None:
    graph = with_weight(np.zeros((2, 3), np.int8))
    assert said in why(graph, "weights.set", tensor="w", values=values)


def test_floats_that_are_too_large_are_refused() -> None:
    graph = with_weight(np.zeros(2, np.float16))
    assert "larger than FP16 can hold (65504)" in why(graph, "weights.set", tensor="w", values={"0": 70000})
    assert "no such weight" in why(graph, "weights.set", tensor="x", values={"0": 1})


def test_arithmetic_is_exact_or_refused() -> None:
    large = with_weight(np.array([2**53 + 1, -5], np.int64))
    scaled = do(large, "weights.scale", tensors=["w"], factor=3.0, offset=1.0)
    assert scaled.initializers["w"].array().tolist() == [3 * (2**53 + 1) + 1, -14]
    small = with_weight(np.array([100, -100], np.int8))
    assert "2 of 2 results are too large for INT8" in why(small, "weights.scale", tensors=["w"], factor=2.0)
    assert values_of(do(small, "weights.scale", tensors=["w"], factor=0.5)) == [50, -50]
    assert values_of(do(small, "weights.clip", tensors=["w"], minimum=-7.5, maximum=50.0)) == [50, -7]
    assert "No INT8 lies between" in why(small, "weights.clip", tensors=["w"], minimum=0.2, maximum=0.8)
    assert "above the upper" in why(small, "weights.clip", tensors=["w"], minimum=1.0, maximum=0.0)
    assert values_of(do(small, "weights.fill", tensors=["w"], value=-3)) == [-3, -3]
    assert "out of range" in why(small, "weights.fill", tensors=["w"], value=300)
    assert "changes nothing" in why(small, "weights.scale", tensors=["w"], factor=1.0)


# Datatype and shape


def test_what_a_datatype_loses_is_said_and_has_to_be_accepted() -> None:
    graph = with_weight(np.array([1, 1e5, 1e-9, 1.0001, np.nan], np.float32))
    said = why(graph, "weights.set_dtype", tensors=["w"], dtype="FP16")
    assert "3 of 5 values change" in said
    assert "1 are out of range (the largest is 1e+05)" in said
    assert "1 become zero" in said
    assert "0.0001" in said
    changed = do(graph, "weights.set_dtype", tensors=["w"], dtype="FP16", accept_loss=True)
    assert changed.initializers["w"].dtype == onnx.TensorProto.FLOAT16
    assert [node.op_type for node in changed.nodes.values()] == ["Cast", "Add"]
    x = np.zeros(5, np.float32)
    found = run_model(to_model(changed), {"x": x})["y"]
    np.testing.assert_array_equal(found, np.array([1, np.inf, 0, 1, np.nan], np.float32))


def test_integers_end_at_their_range() -> None:
    graph = with_weight(np.array([-1000.4, 0.5, 1.5, 1000], np.float32))
    changed = do(graph, "weights.set_dtype", tensors=["w"], dtype="INT8", accept_loss=True)
    assert values_of(changed) == [-128, 0, 2, 127]
    exact = with_weight(np.array([2**62 + 1, -7], np.int64))
    assert "1 of 2 values change" in why(exact, "weights.set_dtype", tensors=["w"], dtype="FP64")
    assert "already" in why(exact, "weights.set_dtype", tensors=["w"], dtype="INT64")


def test_a_cast_that_the_opset_lacks_is_said() -> None:
    assert "opset 17" in why(models.branches(), "weights.set_dtype", tensors=["w"], dtype="FP8")


def test_a_weight_that_is_declared_keeps_its_type() -> None:
    assert "default of a graph input" in why(models.old_inputs(), "weights.set_dtype", tensors=["w"], dtype="FP16")
    marked = do(models.branches(), "interface.mark_output", tensor="w")
    assert "graph output" in why(marked, "weights.reshape", tensor="w", dims="6")


@pytest.mark.parametrize("dims", ["5", "2,2", "-1,-1", "x", "4,-1", "0,-1"])
def test_shapes_that_don_t_hold_the_elements_are_refused(dims: str) -> None:
    assert why(models.branches(), "weights.reshape", tensor="w", dims=dims)


# Files


@pytest.mark.parametrize(
    ("array", "more", "said"),
    [
        (np.zeros((2, 3), np.float64), {}, "The file holds float64; FP32 is needed | Turn on Cast (--cast)"),
        (np.zeros((3, 2), np.float32), {}, "The file holds [3, 2]; [2, 3] is needed | Turn on Reshape (--reshape)"),
        (np.zeros((3, 3), np.float32), {"reshape": True}, "[2, 3] is needed"),
        (np.full((2, 3), 1e300), {"cast": True}, "6 are out of range"),
        (np.array([["a"] * 3] * 2), {"cast": True}, "numbers are needed"),
        (np.zeros((2, 3), "M8[s]"), {"cast": True}, "numbers are needed"),
        (np.zeros((2, 3), [("a", "f4")]), {"cast": True}, "numbers are needed"),
    ],
)
def test_files_that_don_t_fit_are_refused(array: Any, more: dict[str, Any], said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", array)
    assert said in why(models.branches(), "weights.replace", tensor="w", file=str(tmp_path / "w.npy"), **more)


def test_a_missing_file_or_member_is_refused(tmp_path: Path) -> None:
    assert "Can't read" in why(models.branches(), "weights.replace", tensor="w", file=str(tmp_path / "no.npy"))
    np.savez(tmp_path / "w.npz", a=np.zeros(1))
    said = why(models.branches(), "weights.replace", tensor="w", file=str(tmp_path / "w.npz"), member="b")
    assert "no array 'b'" in said
    assert "It holds a" in said


# Merging


def test_equal_weights_become_one_in_bodies_too() -> None:
    merged = do(twins(), "weights.deduplicate")
    assert set(merged.initializers) == {"a", "d", "f"}
    assert "nothing to merge" in why(merged, "weights.deduplicate")
    assert "same datatype and shape" in why(models.branches(), "weights.deduplicate")


def test_bytes_are_compared_however_they_are_stored() -> None:
    graph = twins()
    from graftwerk.backend.graph.edit import Edit

    edit = Edit(graph)
    fields = onnx.helper.make_tensor("b", 1, [3], [1.0, 2.0, 3.0])  # in float_data
    edit.set_initializer(Initializer(fields))
    assert "b" not in do(edit.commit(), "weights.deduplicate").initializers


# Roles


def test_constants_become_weights_and_back() -> None:
    graph = do(constants(), "weights.from_constants")
    assert set(graph.initializers) == {"k", "f", "s"}
    assert all(node.op_type != "Constant" for node in graph.nodes.values())
    assert "no Constant" in why(graph, "weights.from_constants")
    back = do(graph, "weights.to_constants", tensors=["k"])
    assert "k" not in back.initializers
    assert "A Constant node makes this tensor" in why(back, "weights.fill", tensors=["k"])
    assert "default of a graph input" in why(models.old_inputs(), "weights.to_constants", tensors=["w"])


def test_weights_become_inputs_and_inputs_weights(tmp_path: Path) -> None:
    graph = weights_and_inputs()
    fed = do(graph, "weights.to_inputs", tensors=["w"])
    assert [info.name for info in fed.inputs] == ["x", "v", "w"]
    assert "w" not in fed.initializers
    export([graph.initializers["w"]], tmp_path / "w.npy")
    back = do(fed, "weights.from_input", tensor="w", file=str(tmp_path / "w.npy"))
    np.testing.assert_array_equal(back.initializers["w"].array(), graph.initializers["w"].array())
    assert [info.name for info in back.inputs] == ["x", "v"]
    filled = do(graph, "weights.from_input", tensor="x", value=2)
    assert values_of(filled, "x") == [2] * 6
    for values, said in (
        ({"tensor": "v", "value": 1}, "shape of the input is open"),
        ({"tensor": "x", "value": [1, 2]}, "the input is 2×3"),
        ({"tensor": "x", "value": [[1, 2], [3]]}, "different lengths"),
        ({"tensor": "x", "value": ["a"]}, "not a number"),
        ({"tensor": "x"}, "no default"),
        ({"tensor": "x", "value": 1, "file": "w.npy"}, "Give one of the two"),
        ({"tensor": "q", "value": 1}, "no such graph input"),
    ):
        assert said in why(graph, "weights.from_input", **values)
    np.save(tmp_path / "other.npy", np.zeros((2, 3), np.float64))
    said = why(graph, "weights.from_input", tensor="x", file=str(tmp_path / "other.npy"))
    assert "The file holds float64" in said
    assert "--cast" not in said  # it has no such option


# Stripping


def test_a_stripped_model_is_opened_and_takes_its_values_back(tmp_path: Path) -> None:
    graph = models.digits()
    save(graph, tmp_path / "digits.onnx")
    graph = load(tmp_path / "digits.onnx")
    stripped = do(graph, "weights.strip")
    save(stripped, tmp_path / "s.onnx")
    assert (tmp_path / "s.onnx").stat().st_size < (tmp_path / "digits.onnx").stat().st_size / 5
    again = load(tmp_path / "s.onnx")
    assert again.incomplete is not None
    weight = again.initializers["stem.conv.weight"]
    assert weight.stripped == "digits.onnx"
    noted = {entry.key: entry.value for entry in weight.proto.metadata_props}
    raw = np.asarray(graph.initializers["stem.conv.weight"].array()).tobytes()
    assert noted["graftwerk.stripped.sha256"] == hashlib.sha256(raw).hexdigest()
    with pytest.raises(Fault, match=r"those in digits\.onnx"):
        weight.array()
    assert any("stripped" in problem.message for problem in again.problems)
    assert "stripped" in why(again, "weights.scale", tensors=["stem.conv.weight"], factor=2.0)
    export(graph.initializers.values(), tmp_path / "w.npz")
    for file in ("digits.onnx", "w.npz"):
        whole = do(again, "weights.put_back", file=str(tmp_path / file))
        assert whole.incomplete is None
        for name, old in graph.initializers.items():
            np.testing.assert_array_equal(whole.initializers[name].array(), old.array())
    save(whole, tmp_path / "whole.onnx")
    assert load(tmp_path / "whole.onnx").incomplete is None


def test_other_values_are_named(tmp_path: Path) -> None:
    graph = models.digits()
    stripped = do(graph, "weights.strip")
    save(do(graph, "weights.scale", tensors=["stem.conv.weight"], factor=2.0), tmp_path / "other.onnx")
    said = why(stripped, "weights.put_back", file=str(tmp_path / "other.onnx"))
    assert said.startswith("stem.conv.weight: other.onnx has other values")
    assert do(stripped, "weights.put_back", file=str(tmp_path / "other.onnx"), other_values=True).incomplete is None
    save(do(graph, "tensor.rename", tensor="stem.conv.weight", name="w"), tmp_path / "renamed.onnx")
    assert "It lacks stem.conv.weight" in why(stripped, "weights.put_back", file=str(tmp_path / "renamed.onnx"))
    reshaped = do(graph, "weights.reshape", tensor="stem.conv.weight", dims="32,-1")
    save(reshaped, tmp_path / "reshaped.onnx")
    said = why(stripped, "weights.put_back", file=str(tmp_path / "reshaped.onnx"))
    assert "32×9 FP32; it was stripped as 32×1×3×3 FP32" in said
    assert "no such file" in why(stripped, "weights.put_back", file=str(tmp_path / "no.onnx"))
    assert "No weight is stripped" in why(graph, "weights.put_back", file=str(tmp_path / "other.onnx"))


def test_selections_of_nodes_mean_their_weights() -> None:
    graph = models.digits()
    conv = graph.find("/stem/conv/Conv")
    suggested = operations()["weights.scale"].cls.suggest(graph, Selection((conv,)))
    assert getattr(suggested, "tensors", None) == ("stem.conv.weight", "stem.conv.bias")
    for name in ("weights.replace", "weights.set", "weights.reshape"):
        reason = operations()[name].cls.suggest(graph, Selection((conv,)))
        assert isinstance(reason, Reason)
        assert reason.text == "Select one weight; here are 2: stem.conv.weight, stem.conv.bias"


def test_a_stripped_scalar_can_be_drawn() -> None:
    graph = do(models.loop(), "weights.strip", tensors=["n"], smallest=1)
    assert value_text(graph.initializers["n"]) == "scalar"
