"""Other models in this one: merged, or in the place of some nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.crop import around
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.keep import extracted
from graftwerk.backend.operations.registry import apply, make
from tests.backend.operations import graft_files as files
from tests.backend.operations import law_models as models
from tests.backend.operations.laws import checked, computed, computes_the_same, random_feeds

X = np.array([[1, -2, 3], [-4, 5, -6]], np.float32)


def names(infos: tuple[onnx.ValueInfoProto, ...]) -> list[str]:
    return [info.name for info in infos]


def merged(graph: Graph, file: str, **values: Any) -> Graph:
    return apply(make("graph.merge", {"file": file, **values}), graph)


def replaced(graph: Graph, nodes: list[str], file: str, **values: Any) -> Graph:
    return apply(make("subgraph.replace_with_graph", {"nodes": nodes, "file": file, **values}), graph)


def test_side_by_side_names_are_made_unique() -> None:
    result = merged(models.residual(), files.SCALE)
    assert names(result.inputs) == ["x", "x_1"]
    assert names(result.outputs) == ["y", "y_1"]
    found = run_model(to_model(result), {"x": X, "x_1": X})
    np.testing.assert_array_equal(found["y_1"], X * 2 + 1)
    np.testing.assert_allclose(found["y"], np.tanh(np.zeros_like(X)), atol=1e-6)


def test_in_series_with_a_prefix() -> None:
    result = merged(models.residual(), files.SCALE, series=True, prefix="post/")
    assert (names(result.inputs), names(result.outputs)) == (["x"], ["post/y"])
    assert {"post/scale", "post/b"} == set(result.initializers)
    assert {"post/Mul_0", "post/Add_1"} < set(result.names)
    assert [kind.shape for kind in (result.type_of("post/a"),) if kind] == [(2, 3)]
    np.testing.assert_allclose(run_model(to_model(result), {"x": X})["post/y"], np.ones_like(X), atol=1e-6)


def test_connected_outputs_can_be_kept() -> None:
    result = merged(models.residual(), files.SCALE, connect={"x": "y"}, keep=True)
    assert names(result.outputs) == ["y", "y_1"]
    checked(result)


def test_at_a_chosen_tensor_in_the_middle() -> None:
    result = merged(models.residual(), files.SCALE, connect={"x": "a"})
    found = run_model(to_model(result), {"x": X})
    np.testing.assert_array_equal(found["y_1"], np.maximum(X, 0) * 2 + 1)


def test_the_other_model_in_front() -> None:
    graph = models.chain()
    result = merged(graph, files.SCALE, feed={"x": "y"})
    assert names(result.inputs) == ["x_1"]
    assert names(result.outputs) == ["y", "s"]
    sigmoid = 1 / (1 + np.exp(-np.maximum(X * 2 + 1, 0)))
    np.testing.assert_allclose(run_model(to_model(result), {"x_1": X})["s"], sigmoid, rtol=1e-6)


def test_around_each_other_without_a_cycle_and_with_one() -> None:
    graph = models.chain()
    with pytest.raises(Fault, match="cycle"):
        merged(graph, files.SCALE, connect={"x": "y"}, feed={"x": "y"})


def test_as_onnx_compose_merges(tmp_path: Path) -> None:
    graph = models.digits()
    with_scores = onnx.load_model_from_string(to_model(graph).SerializeToString())
    kind = graph.type_of(graph.outputs[0].name)
    assert kind is not None
    after = models.parsed("g (float[n,10] scores) => (float[n,10] p) { p = Softmax<axis = 1>(scores) }")
    after.ir_version, after.opset_import[0].version = with_scores.ir_version, graph.opset() or 17
    path = files.saved("softmax", after, tmp_path)
    theirs = onnx.compose.merge_models(with_scores, after, [(graph.outputs[0].name, "scores")])
    mine = merged(graph, path, series=True)
    feeds = random_feeds(graph)
    np.testing.assert_array_equal(run_model(to_model(mine), feeds)["p"], run_model(theirs, feeds)["p"])


def test_bodies_and_their_names() -> None:
    result = merged(models.branches(), files.PAIR, connect={"left": "r", "c": "c"})
    checked(result)  # `inner` is a tensor in bodies of both
    again = merged(result, files.PAIR)
    checked(again)
    computed(again, random_feeds(again))


def test_functions_of_the_same_name_that_differ() -> None:
    graph = models.dead()  # its local::Twice adds, the other one subtracts
    result = merged(graph, files.CALL, connect={"x": "c"})
    assert sorted(function.name for function in result.functions) == ["Never", "Twice", "Twice_1"]
    feeds = random_feeds(graph)
    ours, theirs = computed(result, feeds)
    np.testing.assert_array_equal(theirs, np.zeros((2, 3), np.float32))
    assert np.abs(ours).max() > 0
    same = merged(result, files.CALL)
    assert len(same.functions) == 4  # its name is taken by the first again


def test_stand_ins_of_plugins_of_the_same_name(tmp_path: Path) -> None:
    """Both models have a plugin Mine with a subgraph of its own, which goes on standing in for it."""
    theirs = load(Path(files.SCALE))
    theirs = apply(make("plugin.replace", {"nodes": ["Mul_0", "Add_1"], "op_type": "Mine"}), theirs)
    save(theirs, tmp_path / "theirs.onnx")
    graph = apply(make("plugin.replace", {"nodes": ["Neg_1", "Add_2"], "op_type": "Mine"}), models.residual())
    result = merged(graph, str(tmp_path / "theirs.onnx"), connect={"x": "a"})
    ours, made = computed(result, {"x": X})
    np.testing.assert_allclose(ours, np.zeros_like(X), atol=1e-6)
    np.testing.assert_array_equal(made, np.maximum(X, 0) * 2 + 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"connect": {"nothing": "r"}}, "no such input of the other model"),
        ({"connect": {"x": "nothing"}}, "no such tensor"),
        ({"connect": {"x": 3}}, "Expected `str`, got `int`"),
        ({"feed": {"nothing": "y"}}, "no such input of this model"),
        ({"feed": {"x": "nothing"}}, "no such output of the other model"),
        ({"series": True, "connect": {"x": "r"}}, "Nothing is left"),
    ],
)
def test_what_can_t_be_merged(values: dict[str, Any], message: str) -> None:
    with pytest.raises(Fault, match=message):
        merged(models.chain(), files.SCALE, **values)


def test_types_that_don_t_fit_are_refused(tmp_path: Path) -> None:
    half = files.saved("half", models.parsed("h (float16[2,3] x) => (float16[2,3] y) { y = Relu(x) }"), tmp_path)
    with pytest.raises(Fault, match="y is 2×3 FP32, but x has to be 2×3 FP16"):
        merged(models.residual(), half, series=True)
    mapping = {"inputs": {"left": "r", "c": "c"}, "outputs": {"z": "rows"}}
    with pytest.raises(Fault, match="rows is 3 FP32, but z has to be 2×3 FP32"):
        replaced(models.branches(), ["If_1"], files.PAIR, **mapping)


def test_a_file_that_can_t_be_read(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="Can't read the model"):
        merged(models.chain(), str(tmp_path / "nothing.onnx"))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(Fault, match=r"text\.onnx"):
        merged(models.chain(), str(tmp_path / "text.onnx"))
    with pytest.raises(Fault, match="missing"):
        merged(models.chain(), "")


def test_another_opset_is_converted_or_refused() -> None:
    graph = models.chain()
    result = merged(graph, files.OLD, connect={"x": "r"})
    (made,) = [node for node in result.nodes.values() if node.op_type == "ReduceSum"]
    assert len(made.input) == 2
    found = run_model(to_model(result), {"x": X})
    np.testing.assert_array_equal(found[result.outputs[-1].name], np.maximum(X, 0).sum(0))
    with pytest.raises(Fault, match="of opset 11 differs from this model's 17"):
        merged(graph, files.OLD, connect={"x": "r"}, convert=False)
    with pytest.raises(Fault, match=r"Opset 17 of scale\.onnx can't become this model's \d+: .* knows no way back"):
        merged(models.old_inputs(), files.SCALE, series=True)
    paste = make("graph.paste", {"file": str(files.SCALE), "open": True})
    with pytest.raises(Fault, match="Opset 17 of the copied nodes can't become this model's") as refused:
        apply(paste, models.old_inputs())
    assert "cleanup.convert_opset --version 17" in refused.value.hint


def test_a_large_weight_is_not_given_to_the_converter(tmp_path: Path) -> None:
    body = "m = MatMul(x, w) y = ReduceSum<axes = [0], keepdims = 0>(m)"
    model = models.parsed(f"o (float[2,3] x) => (float[64] y) {{ {body} }}", opset=11)
    weight = np.random.default_rng(1).normal(size=(3, 64 * 64)).astype(np.float32)
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 64 * 64
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    path = files.saved("large", model, tmp_path)
    result = merged(models.chain(), path, connect={"x": "x"})
    assert result.initializers["w"].span is not None
    checked(result)
    found = run_model(to_model(result), {"x": X})
    np.testing.assert_allclose(found[result.outputs[-1].name], (X @ weight).sum(0), rtol=1e-4, atol=1e-4)


def test_external_data_stays_external_and_keeps_apart(tmp_path: Path) -> None:
    """Three models whose files have the same name, saved together and read again."""
    paths = [files.external(tmp_path / str(n), "m", [n, n + 1, n + 2]) for n in range(3)]
    graph = typed(load(Path(paths[0])))
    for path in paths[1:]:
        graph = merged(graph, path, series=True)
    assert all(weight.external for weight in graph.initializers.values())
    out = tmp_path / "out"
    out.mkdir()
    save(graph, out / "all.onnx")
    assert sorted(path.name for path in out.iterdir()) == [
        "all.onnx", "weights.bin", "weights_1.bin", "weights_2.bin",
    ]  # fmt: skip
    again = load(out / "all.onnx")
    expected = X * np.prod([np.array([n, n + 1, n + 2], np.float32) for n in range(3)], axis=0)
    found = run_model(to_model(again), {"x": X})
    np.testing.assert_array_equal(found[again.outputs[0].name], expected)


def test_the_same_external_file_is_shared(tmp_path: Path) -> None:
    path = files.external(tmp_path, "m", [1, 2, 3])
    graph = merged(typed(load(Path(path))), path, series=True)
    assert list(graph.sources) == ["weights.bin"]
    save(graph, tmp_path / "twice.onnx")
    assert load(tmp_path / "twice.onnx").initializers["w_1"].array().tolist() == [1, 2, 3]


def test_missing_external_data_is_refused(tmp_path: Path) -> None:
    path = files.external(tmp_path, "m", [1, 2, 3])
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(Fault, match="external data of the other model is missing"):
        merged(models.chain(), path)


def test_nodes_are_replaced_by_position() -> None:
    graph = models.chain()
    result = replaced(graph, ["Sigmoid_1"], files.SCALE)
    assert (names(result.inputs), names(result.outputs)) == (["x"], ["y", "s"])
    found = run_model(to_model(result), {"x": X})
    np.testing.assert_array_equal(found["s"], np.maximum(X, 0) * 2 + 1)


def test_weights_that_only_the_old_nodes_read_go() -> None:
    graph = models.digits()
    conv, relu = graph.find("/stem/conv/Conv"), graph.find("/stem/relu/Relu")
    part = extracted(graph, around(graph, {conv, relu}))
    path = Path(files.SCALE).with_name("stem.onnx")
    save(part, path)
    result = replaced(graph, ["/stem/conv/Conv", "/stem/relu/Relu"], str(path), prefix="new/")
    assert "stem.conv.weight" not in result.initializers
    assert "new/stem.conv.weight" in result.initializers
    assert len(result.nodes) == len(graph.nodes)
    checked(result)
    computes_the_same(graph, result)


@pytest.mark.parametrize("file", ["resnet50", "bert_ts", "gpt2_ts"])
def test_a_block_of_a_real_model_by_itself(shared: Path, tmp_path: Path, file: str) -> None:
    """A block extracted to a file and put back in its own place computes the same."""
    graph = typed(load(shared / "models" / f"{file}.onnx"))
    block = list(graph.nodes)[-60:-20]
    part = extracted(graph, around(graph, set(block)))
    save(part, tmp_path / "block.onnx")
    result = replaced(graph, [graph.ref(node) for node in block], str(tmp_path / "block.onnx"), prefix="put/")
    checked(result)
    computes_the_same(graph, result)


def test_an_unused_output_of_the_other_model_leaves_nothing() -> None:
    graph = models.branches()
    result = replaced(graph, ["If_1"], files.PAIR, inputs={"left": "r"}, outputs={"z": "both"})
    assert "ReduceSum" not in [node.op_type for node in result.nodes.values()]
    computes = computed(result, {"x": X, "c": np.array(True)})
    np.testing.assert_array_equal(computes[0], -np.maximum(X, 0))


@pytest.mark.parametrize(
    ("nodes", "file", "values", "message"),
    [
        (["Relu_0", "Neg_2"], files.SCALE, {}, "a path leaves them and comes back"),
        (["Sigmoid_1"], files.PAIR, {}, "numbers of inputs differ: left, c of the other model; r of"),
        (["Relu_0", "Sigmoid_1", "Neg_2"], files.SCALE, {}, "numbers of outputs differ: y of the other model; s, y of"),
        (["Sigmoid_1"], files.SCALE, {"inputs": {"x": "y"}}, None),
        (["Sigmoid_1"], files.SCALE, {"inputs": {"x": "s"}}, "no such tensor outside"),
        (["Sigmoid_1"], files.SCALE, {"outputs": {"y": "y"}}, "no such tensor that is read of the nodes"),
        (["Sigmoid_1"], files.SCALE, {"outputs": {"s": "a"}}, "no such output of the other model"),
    ],
    ids=["loop", "inputs", "outputs", "cycle", "no_outside", "not_read", "no_output"],  # not the temporary file's name
)  # fmt: skip
def test_what_can_t_be_replaced(nodes: list[str], file: str, values: dict[str, Any], message: str | None) -> None:
    graph = models.chain()
    with pytest.raises(Fault, match=message or "cycle"):
        replaced(graph, nodes, file, **values)
