"""Parts of models: what they take along, what they agree with, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.crop import around, between, cut_at, fed
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.keep import Keep, extracted
from graftwerk.backend.operations.registry import Selection, apply, make
from graftwerk.backend.pipeline import check_pipeline
from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models as subgraphs
from tests.backend.operations.laws import checked, computed, random_feeds


def names(infos: tuple[onnx.ValueInfoProto, ...]) -> list[str]:
    return [info.name for info in infos]


def test_a_selection_becomes_a_model_with_its_ports() -> None:
    graph = models.residual()
    part = extracted(graph, around(graph, {graph.find("Neg_1"), graph.find("Add_2")}))
    assert (names(part.inputs), names(part.outputs)) == (["a"], ["c"])
    assert [record.op_type for record in part.nodes.values()] == ["Neg", "Add"]
    checked(part)
    whole, feeds = apply(make("interface.mark_output", {"tensor": "a"}), graph), random_feeds(graph)
    whole = apply(make("interface.mark_output", {"tensor": "c"}), whole)
    _, a, c = computed(whole, feeds)
    np.testing.assert_array_equal(run_model(to_model(part), {"a": a})["c"], c)


def test_weights_and_what_is_computed_of_them_come_along() -> None:
    graph = models.constants()
    part = extracted(graph, around(graph, {graph.find("Add_2")}))
    assert names(part.inputs) == ["x"]
    assert sorted(record.op_type for record in part.nodes.values()) == ["Add", "Identity", "Mul"]
    assert list(part.initializers) == ["w"]


def test_what_bodies_capture_is_an_input() -> None:
    graph = models.branches()
    part = extracted(graph, around(graph, {graph.find("If_1")}))
    assert sorted(names(part.inputs)) == ["c", "r", "x"]
    assert list(part.initializers) == ["w"]
    checked(part)


def test_functions_come_along_where_they_are_called() -> None:
    graph = subgraphs.functions()
    part = extracted(graph, between(graph, [], ["b"]))
    assert [function.name for function in part.functions] == ["Leaky", "Twice"]
    checked(part)
    computed(part, random_feeds(part))


def test_between_tensors_in_the_given_order() -> None:
    graph = models.branches()
    part = extracted(graph, between(graph, ["c", "x", "r"], ["z"]))
    assert (names(part.inputs), names(part.outputs)) == (["c", "x", "r"], ["z"])
    assert [record.op_type for record in part.nodes.values()] == ["If"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["s"], ["s"], "input and as output"),
        (["y"], ["s"], "y: No output needs it"),
        (["nothing"], ["s"], "nothing: There is no such tensor"),
        (["r"], ["nothing"], "nothing: There is no such tensor"),
        ([], ["x"], "No node lies in between"),
    ],
)
def test_unreachable_tensors_are_refused(inputs: list[str], outputs: list[str], message: str) -> None:
    graph = models.chain()
    with pytest.raises(Fault, match=message):
        apply(make("subgraph.keep", {"inputs": inputs, "outputs": outputs}), graph)


def test_a_missing_graph_input_is_named() -> None:
    graph = models.branches()
    with pytest.raises(Fault, match="c: z also needs the graph input 'c'") as caught:
        between(graph, ["r", "x"], ["z"])
    assert "Name c as input too" in caught.value.hint


def test_unknown_types_and_empty_parts_are_refused() -> None:
    graph = models.chain()
    with pytest.raises(Fault, match="type of what would be an input or output is not known"):
        apply(make("subgraph.keep", {"nodes": ["Sigmoid_1"]}), graph.with_types({}))
    with pytest.raises(Fault, match="whole model"):
        apply(make("subgraph.keep", {"nodes": ["Relu_0", "Sigmoid_1", "Neg_2"]}), graph)
    with pytest.raises(Fault, match="Neither"):
        apply(make("subgraph.keep", {}), graph)
    with pytest.raises(Fault, match="Nodes and tensors"):
        apply(make("subgraph.keep", {"nodes": ["Relu_0"], "outputs": ["s"]}), graph)


def test_a_selected_tensor_is_suggested_as_the_output() -> None:
    assert Keep.suggest(models.chain(), Selection((), ("r",))) == Keep(outputs=("r",))  # type: ignore[arg-type]


def test_a_weight_may_become_an_input() -> None:
    graph = models.branches()
    part = extracted(graph, between(graph, ["c", "x", "w"], ["y"]))
    assert names(part.inputs) == ["c", "x", "w"]
    assert not part.initializers


@pytest.mark.parametrize(
    ("file", "inputs", "outputs"),
    [
        ("models/resnet50.onnx", 20, 60), ("models/resnet50.onnx", 3, 9), ("models/bert_ts.onnx", 30, 90),
        ("models/gpt2_ts.onnx", 40, 70), ("onnx-edge/residual_block.onnx", 0, -1),
    ],
)  # fmt: skip
def test_agrees_with_polygraphy(shared: Path, tmp_path: Path, file: str, inputs: int, outputs: int) -> None:
    """As `polygraphy surgeon extract` between the same tensors: the same nodes, weights, inputs and outputs."""
    graph = typed(load(shared / file))
    records = list(graph.nodes.values())
    ends = [records[outputs].output[0]]
    part = extracted(graph, around(graph, set(list(graph.nodes)[inputs : outputs % len(records) + 1])))
    begins = names(part.inputs)
    part = extracted(graph, between(graph, begins, ends)) if _reach(graph, begins, ends) else part
    arguments = ["--inputs", *(f"{name}:auto:auto" for name in names(part.inputs))]
    arguments += ["--outputs", *(f"{name}:auto" for name in names(part.outputs))]
    theirs = tmp_path / "theirs.onnx"
    tool = Path(sys.executable).with_name("polygraphy")
    command = [str(tool), "surgeon", "extract", str(shared / file), "-o", str(theirs), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    other = load(theirs)
    assert names(other.inputs) == names(part.inputs)
    assert names(other.outputs) == names(part.outputs)
    assert sorted(_shape(record) for record in other.nodes.values()) == sorted(
        _shape(record) for record in part.nodes.values()
    )
    assert other.initializers.keys() == part.initializers.keys()
    for name, weight in part.initializers.items():
        np.testing.assert_array_equal(other.initializers[name].array(), weight.array())
    for mine, other_info in zip(part.inputs, other.inputs, strict=True):
        assert mine.type.tensor_type.elem_type == other_info.type.tensor_type.elem_type
    checked(part)


def _reach(graph: Graph, inputs: list[str], outputs: list[str]) -> bool:
    try:
        between(graph, inputs, outputs)
    except Fault:
        return False
    return True


def _shape(record: onnx.NodeProto) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    return record.op_type, tuple(record.input), tuple(record.output)


def test_external_data_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.parsed("g (float[2,3] x) => (float[2,3] y) { a = Add(x, w) b = Relu(a) y = Mul(b, v) }")
    for name in "wv":
        tensor = numpy_helper.from_array(np.arange(3, dtype=np.float32), name)
        (tmp_path / f"{name}.bin").write_bytes(tensor.raw_data)
        onnx.external_data_helper.set_external_data(tensor, f"{name}.bin")
        tensor.ClearField("raw_data")
        model.graph.initializer.append(tensor)
    onnx.save(model, tmp_path / "m.onnx")
    graph = models.typed(load(tmp_path / "m.onnx"))
    part = extracted(graph, around(graph, {graph.find("Add_0")}))
    monkeypatch.setattr("graftwerk.backend.graph.tensors.Source.read", lambda *_: pytest.fail("read"))
    (tmp_path / "else").mkdir()
    save(part, tmp_path / "else" / "part.onnx")
    assert sorted(path.name for path in (tmp_path / "else").iterdir()) == ["part.onnx", "w.bin"]
    monkeypatch.undo()
    assert load(tmp_path / "else" / "part.onnx").initializers["w"].array().tolist() == [0, 1, 2]


@pytest.mark.parametrize(("file", "at"), [("resnet50", 60), ("bert_ts", 80), ("gpt2_ts", 100)])
def test_a_split_model_computes_what_the_whole_does(shared: Path, tmp_path: Path, file: str, at: int) -> None:
    path = shared / "models" / f"{file}.onnx"
    graph = typed(load(path))
    live = fed(graph)
    tensors = [graph.nodes[[node for node in graph.nodes if node in live][at]].output[0]]
    parts = cut_at(graph, tensors, complete=True)
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for crop, file_path in zip(parts, files, strict=True):
        part = extracted(graph, crop)
        checked(part)
        save(part, file_path)
    assert set(names(graph.outputs)) <= {name for crop in parts for name in crop.outputs}
    found = check_pipeline(graph, path, files[0], files[1])
    assert found.same
    assert [one.name for one in found.outputs] == names(graph.outputs)


def test_a_cut_that_does_not_separate_names_what_is_missing() -> None:
    graph = subgraphs.two_branches_in()
    with pytest.raises(Fault, match="a: Both sides of the cut need a"):
        cut_at(graph, ["b"])
    assert cut_at(graph, ["b"], complete=True)[1].inputs == ("b", "a")
    first, second = cut_at(graph, ["b", "c"])
    assert (first.outputs, second.inputs, second.outputs) == (("b", "c"), ("b", "c"), ("y",))


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ([], "No tensor is given"), (["x"], "No node makes"), (["nothing"], "no such tensor"),
        (["y"], "no output behind|No graph output|Behind the cut|needs this tensor"),
    ],
)  # fmt: skip
def test_cuts_that_can_t_be_made(at: list[str], message: str) -> None:
    with pytest.raises(Fault, match=message):
        cut_at(models.residual(), at)


def test_an_output_above_the_cut_stays_with_the_first_part() -> None:
    graph = models.chain()
    first, second = cut_at(graph, ["s"])
    assert (first.outputs, second.inputs, second.outputs) == (("s",), ("s",), ("y",))
    part = extracted(graph, first)
    assert names(part.outputs) == ["s"]
