"""What the operations on inputs and outputs do to what a model computes, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.batch_reshape import batch_axis, open_shape
from graftwerk.backend.operations.registry import apply, make, why_blocked
from tests.backend.operations import law_models as models
from tests.backend.operations.cases_interface import attention, image, named

Array = NDArray[Any]


def do(graph: Graph, id: str, **values: Any) -> Graph:
    return apply(make(id, values), graph)


def why(graph: Graph, id: str, **values: Any) -> str:
    operation = make(id, values)
    reason = why_blocked(operation, graph)
    if reason is None:
        with pytest.raises(Fault) as caught:
            apply(operation, graph)
        return f"{caught.value} | {caught.value.hint}"
    return f"{reason.text} | {reason.hint}"


def shapes(graph: Graph) -> dict[str, str]:
    return {info.name: str(TensorType.of(info.type)) for info in (*graph.inputs, *graph.outputs)}


def run(graph: Graph, **arrays: Array) -> dict[str, Array]:
    return run_model(to_model(graph), arrays)


def ops(graph: Graph) -> list[str]:
    return [node.op_type for node in graph.nodes.values()]


# Outputs


def test_all_tensors_are_marked_and_unmarked() -> None:
    graph = models.residual()
    marked = do(graph, "interface.mark_outputs", all=True)
    assert [info.name for info in marked.outputs] == ["y", "a", "b", "c"]
    assert "already" in why(marked, "interface.mark_outputs", all=True)
    assert [i.name for i in do(marked, "interface.unmark_outputs", all_but=["y", "b"]).outputs] == ["y", "b"]
    assert [i.name for i in do(marked, "interface.unmark_outputs", op_types=["Relu", "Add"]).outputs] == ["y", "b"]
    assert "No graph output would stay" in why(marked, "interface.unmark_outputs", tensors=["y", "a", "b", "c"])
    assert "no Conv node" in why(graph, "interface.mark_outputs", op_types=["Conv"])
    assert [i.name for i in do(graph, "interface.mark_outputs", op_types=["Conv", "Relu"]).outputs] == ["y", "a"]
    assert "Did you mean Relu" in why(graph, "interface.mark_outputs", op_types=["Relo", "Relu"])
    assert "no such tensor" in why(graph, "interface.mark_outputs", tensors=["q"])
    assert "no such graph output" in why(graph, "interface.unmark_outputs", tensors=["a"])


def test_unknown_types_are_refused_or_left_out() -> None:
    graph = models.residual()
    some = graph.with_types({name: kind for name, kind in graph.types.items() if name != "b"})
    assert "The type of b is not known" in why(some, "interface.mark_outputs", all=True)
    left = do(some, "interface.mark_outputs", all=True, unknown="leave out")
    assert [info.name for info in left.outputs] == ["y", "a", "c"]


# Shapes


def test_new_input_shapes_reach_the_outputs() -> None:
    graph = do(models.chain(), "interface.set_shapes", shapes={"x": "5,n"})
    assert shapes(graph) == {"x": "5×n FP32", "y": "5×n FP32", "s": "5×n FP32"}
    assert "no such graph input" in why(graph, "interface.set_shapes", shapes={"q": "1"})
    assert "have these shapes already" in why(graph, "interface.set_shapes", shapes={"x": "5,n"})
    assert "neither a size" in why(graph, "interface.set_shapes", shapes={"x": "5,-"})


def test_what_contradicts_a_shape_is_named() -> None:
    said = why(image(), "interface.set_shapes", shapes={"x": "1,8,6,4"})
    assert "Conv_1" in said
    assert "Force" in said
    forced = do(image(), "interface.set_shapes", shapes={"x": "1,8,6,4"}, force=True)
    assert shapes(forced)["x"] == "1×8×6×4 FP32"


def test_named_dimensions_are_fixed_in_products_too() -> None:
    graph = do(named(), "interface.set_output", tensor="y", dims="batch,seq*2")
    fixed = do(graph, "interface.fix_dimension", name="seq", size=4)
    assert shapes(fixed) == {"x": "batch×4 FP32", "y": "batch×8 FP32"}
    assert shapes(do(graph, "interface.rename_dimension", name="seq", new_name="time"))["y"] == "batch×time*2 FP32"
    assert "No dimension is called 'width'" in why(graph, "interface.fix_dimension", name="width", size=1)
    assert "would be one dimension" in why(graph, "interface.rename_dimension", name="seq", new_name="batch")
    assert "is no name" in why(graph, "interface.rename_dimension", name="seq", new_name="a b")
    assert "no dimension 2" in why(graph, "interface.name_dimension", tensors=["x"], axis=2, name="n")


# Batch


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_dynamic_batch_computes_each_element_by_itself(size: int) -> None:
    graph = attention()
    opened = do(graph, "interface.dynamic_batch", name="n")
    assert shapes(opened) == {
        "x": "n×5×12 FP32", "m": "n×5 INT64", "y": "n×5×12 FP32", "rows": "n*5×12 FP32", "k": "n×5 INT64",
    }  # fmt: skip
    random = np.random.default_rng(2)
    x, m = random.normal(size=(size, 5, 12)).astype(np.float32), random.integers(0, 9, (size, 5))
    many = run(opened, x=x, m=m)
    for at in range(size):
        twice = run(graph, x=np.repeat(x[at : at + 1], 2, 0), m=np.repeat(m[at : at + 1], 2, 0))
        np.testing.assert_allclose(many["y"][at], twice["y"][0], rtol=1e-6)
        np.testing.assert_allclose(many["rows"][at * 5 : at * 5 + 5], twice["rows"][:5], rtol=1e-6)


def test_a_class_token_is_repeated() -> None:
    graph = models.small(
        """g (float[1,4,3] x) => (float[1,5,3] y) <float[1,1,3] token = {1, 2, 3}> {
            r = Relu(x) y = Concat<axis = 1>(token, r)
        }"""
    )
    opened = do(graph, "interface.dynamic_batch")
    x = np.ones((3, 4, 3), np.float32)
    found = run(opened, x=x)["y"]
    assert found.shape == (3, 5, 3)
    assert found[:, 0].tolist() == [[1, 2, 3]] * 3


def test_nodes_that_keep_their_batch_are_named() -> None:
    mixed = models.small(
        """g (float[2,6] x) => (float[3,4] y) <int64[2] s = {3, 4}> { y = Reshape(x, s) }"""
    )
    said = why(mixed, "interface.dynamic_batch")
    assert "keep a batch of 2" in said
    assert "Reshape_0" in said
    forced = do(mixed, "interface.dynamic_batch", force=True)
    assert forced.incomplete is not None
    assert "Reshape_0" in forced.incomplete.text
    added = models.small("g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 2, 3, 4}> { y = Add(x, w) }")
    assert "Add_0" in why(added, "interface.dynamic_batch")


def test_inputs_of_different_sizes_have_to_be_chosen() -> None:
    graph = models.small("g (float[4,6] x, float[2,6] w) => (float[4,2] y) "
                         "{ t = Transpose<perm = [1, 0]>(w) y = MatMul(x, t) }")  # fmt: skip
    assert "x 4, w 2" in why(graph, "interface.dynamic_batch")
    opened = do(graph, "interface.dynamic_batch", inputs=["x"])
    assert shapes(opened) == {"x": "batch×6 FP32", "w": "2×6 FP32", "y": "batch×2 FP32"}
    assert "open already" in why(opened, "interface.dynamic_batch", inputs=["x"])
    assert "no such graph input" in why(graph, "interface.dynamic_batch", inputs=["y"])


def test_dynamic_and_static_again_is_the_same_model() -> None:
    opened = do(attention(), "interface.dynamic_batch")
    closed = do(opened, "interface.static_batch", size=2)
    assert shapes(closed) == shapes(attention())
    assert "static already" in why(closed, "interface.static_batch")
    encoder = do(models.encoder(), "interface.static_batch", size=3)
    assert str(TensorType.of(encoder.outputs[0].type)).startswith("3×S×")


@pytest.mark.parametrize(
    ("shape", "data", "axis", "result", "batch", "made"),
    [
        ((1, -1, 768), (1, 197, 768), 0, (1, 197, 768), 1, (0, -1, 768)),
        ((1, 12, 64), (1, 12, 8, 8), 0, (1, 12, 64), 1, (0, 12, 64)),
        ((12, 197, 64), (1, 12, 197, 64), 0, (12, 197, 64), 1, (-1, 197, 64)),
        ((1, 12, 197, 64), (12, 197, 64), 0, (1, 12, 197, 64), 1, (-1, 12, 197, 64)),
        ((197, 12, 64), (197, 1, 768), 1, (197, 12, 64), 1, (197, -1, 64)),  # time before batch
        ((-1, 768), (1, 197, 768), 0, (197, 768), 1, (-1, 768)),
        ((0, 12, -1), (2, 12, 8, 8), 0, (2, 12, 64), 2, (0, 12, -1)),
        ((2, -1, 12), (10, 12), 0, (2, 5, 12), 2, (-1, 5, 12)),
        ((3, 4), (2, 6), 0, (3, 4), 2, None),
    ],
)
def test_a_reshape_keeps_the_batch_apart(
    shape: tuple[int, ...], data: tuple[int, ...], axis: int, result: tuple[int, ...], batch: int,
    made: tuple[int, ...] | None,
) -> None:  # fmt: skip
    assert open_shape(shape, data, axis, result, batch) == made


def test_the_batch_is_the_axis_that_grew() -> None:
    assert batch_axis((1, 12, 8), (7, 12, 8), 1, 7) == 0
    assert batch_axis((12, 8), (84, 8), 1, 7) == 0
    assert batch_axis((2, 2), (7, 7), 2, 7) is None


# Layout


def test_a_new_layout_computes_the_same_in_the_new_layout() -> None:
    graph = image()
    random = np.random.default_rng(4)
    x = random.normal(size=(1, 8, 6, 3)).astype(np.float32)
    before = run(graph, x=x)
    first = do(graph, "interface.set_layout", tensors=["x"], to="NCHW")
    assert ops(first).count("Transpose") == 1  # the one before the convolution is gone
    assert shapes(first)["x"] == "1×3×8×6 FP32"
    both = do(first, "interface.set_layout", tensors=["z"], to="NHWC")
    after = run(both, x=np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(after["y"], before["y"], rtol=1e-6)
    np.testing.assert_allclose(after["z"], before["z"].transpose(0, 2, 3, 1), rtol=1e-6)
    cancelled = do(graph, "interface.set_layout", tensors=["y"], to="NCHW")
    assert ops(cancelled).count("Transpose") == 1
    np.testing.assert_allclose(run(cancelled, x=x)["y"], before["y"].transpose(0, 3, 1, 2), rtol=1e-6)


def test_a_layout_that_the_border_has_already_is_told() -> None:
    graph = image()
    assert "x has its channels last already" in why(graph, "interface.set_layout", tensors=["x"], to="NHWC")
    first = do(graph, "interface.set_layout", tensors=["x"], to="NCHW")
    assert "x has its channels first already" in why(first, "interface.set_layout", tensors=["x"], to="NCHW")
    assert "y has its channels last already" in why(graph, "interface.set_layout", tensors=["z", "y"], to="NHWC")
    last = do(graph, "interface.set_layout", tensors=["z"], to="NHWC")
    assert "z has its channels last already" in why(last, "interface.set_layout", tensors=["z"], to="NHWC")


def test_there_and_back_leaves_no_transpose() -> None:
    graph = models.small("g (float[1,3,4,5] x) => (float[1,3,4,5] y) { r = Relu(x) y = Neg(r) }")
    there = do(graph, "interface.set_layout", tensors=["x", "y"], to="NHWC")
    assert ops(there).count("Transpose") == 2
    back = do(there, "interface.set_layout", tensors=["x", "y"], to="NCHW")
    assert ops(back) == ["Relu", "Neg"]
    assert shapes(back) == shapes(graph)
    assert "It has no channels" in why(models.chain(), "interface.set_layout", tensors=["x"])
    assert "no such graph input or output" in why(graph, "interface.set_layout", tensors=["r"])


def test_videos_and_sequences_change_alike() -> None:
    graph = models.small("g (float[1,2,3,4,5] x) => (float[1,2,3,4,5] y) { y = Relu(x) }")
    assert shapes(do(graph, "interface.set_layout", tensors=["x"]))["x"] == "1×3×4×5×2 FP32"
    graph = models.small("g (float[1,2,3] x) => (float[1,2,3] y) { y = Relu(x) }")
    assert shapes(do(graph, "interface.set_layout", tensors=["y"]))["y"] == "1×3×2 FP32"


def test_a_model_passes_the_checker_after_every_step() -> None:
    graph = attention()
    for id, values in (
        ("interface.dynamic_batch", {}), ("interface.mark_outputs", {"all": True}),
        ("interface.unmark_outputs", {"all_but": ["y"]}), ("interface.static_batch", {"size": 3}),
        ("interface.name_dimension", {"tensors": ["m"], "axis": 1, "name": "length"}),
    ):  # fmt: skip
        graph = do(graph.with_types(infer(graph)), id, **values)
        onnx.checker.check_model(to_model(graph), full_check=True)
