"""External data of tensors that are no weights of the graph: in Constants, bodies, functions, sparse tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.constants import constant
from graftwerk.backend.graph.files import external_locations, load, save, stage
from graftwerk.backend.graph.graph import NodeRef
from graftwerk.backend.operations.fold import FoldConstants
from graftwerk.backend.operations.plugin import ReplaceWithPlugin
from graftwerk.backend.operations.registry import apply, why_blocked

VALUES = np.arange(4, dtype=np.float32)


def outside(folder: Path, location: str) -> TensorProto:
    """Four floats in a file of their own."""
    folder.mkdir(exist_ok=True)
    (folder / location).write_bytes(VALUES.tobytes())
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def everywhere(folder: Path) -> Path:
    """y = f(if(c, x + constant)), with external data in the Constant, the body, the function and a sparse weight."""
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xyt"]
    weight = outside(folder, "body.bin")
    weight.name = "bw"
    body = helper.make_graph([helper.make_node("Add", ["m", "bw"], ["t"])], "b", [], [info[2]], [weight])
    inner = [
        helper.make_node("Constant", [], ["k"], value=outside(folder, "function.bin")),
        helper.make_node("Add", ["i", "k"], ["o"]),
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    nodes = [
        helper.make_node("Constant", [], ["c"], value=outside(folder, "constant.bin"), name="constant"),
        helper.make_node("Add", ["x", "c"], ["m"], name="add"),
        helper.make_node("If", ["cond"], ["z"], then_branch=body, else_branch=body, name="if"),
        helper.make_node("F", ["z"], ["y"], domain="own", name="call"),
    ]
    condition = helper.make_tensor_value_info("cond", TensorProto.BOOL, [])
    graph = helper.make_graph(nodes, "g", [info[0], condition], [info[1]])
    values = outside(folder, "sparse.bin")
    values.name = "s"
    indices = numpy_helper.from_array(np.arange(4, dtype=np.int64))
    graph.sparse_initializer.append(SparseTensorProto(values=values, indices=indices, dims=[8]))
    function = helper.make_function("own", "F", ["i"], ["o"], inner, opsets[:1])
    path = folder / "m.onnx"
    path.write_bytes(helper.make_model(graph, functions=[function], opset_imports=opsets).SerializeToString())
    return path


FILES = {"constant.bin", "body.bin", "function.bin", "sparse.bin"}


def test_all_files_go_along(tmp_path: Path) -> None:
    graph = load(everywhere(tmp_path / "a"))
    assert external_locations(graph) == FILES
    (tmp_path / "b").mkdir()
    save(graph, tmp_path / "b/m.onnx")
    assert {path.name for path in (tmp_path / "b").iterdir()} == FILES | {"m.onnx"}
    assert (tmp_path / "b/function.bin").read_bytes() == VALUES.tobytes()
    staged = stage(graph, tmp_path / "job")
    assert all((staged.parent / name).is_symlink() for name in FILES)


def test_the_stand_in_of_a_plugin_takes_its_files_along(tmp_path: Path) -> None:
    graph = load(everywhere(tmp_path / "a"))
    refs = (NodeRef("constant"), NodeRef("add"))
    replaced = apply(ReplaceWithPlugin(refs, "Plug"), graph)
    assert any(node.op_type == "Constant" for node in replaced.functions[-1].node)
    assert external_locations(replaced) == FILES


PLACES: dict[str, Callable[[ModelProto], TensorProto]] = {
    "Constant": lambda model: model.graph.node[0].attribute[0].t,
    "body": lambda model: model.graph.node[2].attribute[0].g.initializer[0],
    "function": lambda model: model.functions[0].node[0].attribute[0].t,
    "sparse": lambda model: model.graph.sparse_initializer[0].values,
}


@pytest.mark.parametrize("place", PLACES)
def test_what_lies_outside_of_the_folder_or_past_its_file_is_refused(place: str, tmp_path: Path) -> None:
    path = everywhere(tmp_path / "a")
    whole = onnx.load(path, load_external_data=False)
    for key, value, said in (("location", "../up.bin", "outside"), ("offset", "8", "past the end")):
        model = ModelProto()
        model.CopyFrom(whole)
        next(entry for entry in PLACES[place](model).external_data if entry.key == key).value = value
        path.write_bytes(model.SerializeToString())
        with pytest.raises(Fault, match=said):
            load(path)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_marked(name: str, tmp_path: Path) -> None:
    path = everywhere(tmp_path / "a")
    (path.parent / name).unlink()
    assert [(p.severity, name in p.message) for p in load(path).problems if p.severity == "error"] == [("error", True)]


def test_the_values_of_a_constant_are_read_from_its_file(tmp_path: Path) -> None:
    path = everywhere(tmp_path / "a")
    graph = load(path)
    found = constant(graph, "c")
    assert found is not None
    np.testing.assert_array_equal(found, VALUES)
    assert why_blocked(FoldConstants(), graph) is not None  # and is not computed with where it is not at hand
    (path.parent / "constant.bin").write_bytes(bytes(24))
    with pytest.raises(Fault, match="changed"):
        constant(graph, "c")
    (path.parent / "constant.bin").unlink()
    with pytest.raises(Fault, match="missing"):
        constant(load(path), "c")
