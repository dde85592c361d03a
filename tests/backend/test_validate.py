from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph, Problem
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.validate import Finding, new_errors, prepare, problems
from tests.backend.operations.cases_quantize import unsigned
from tests.clock import timed


def found(graph: Graph, folder: Path) -> list[Problem]:
    return list(problems(prepare(graph, folder).run(Context(folder))))


class Context:
    """What a job talks to, where nobody listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def phase(self, name: str) -> None:
        """Not listened to."""

    def progress(self, done: int, total: int) -> None:
        """Not listened to."""

    def log(self, text: str, level: str = "info") -> None:
        """Not listened to."""

    def cancelled(self) -> bool:
        return False


def model(*nodes: onnx.NodeProto, imports: tuple[str, ...] = ()) -> Graph:
    infos = [onnx.helper.make_tensor_value_info(name, kind, [2]) for name, kind in (("x", 1), ("h", 10), ("y", 1))]
    graph = onnx.helper.make_graph(list(nodes), "g", infos[:2], infos[2:])
    opsets = [onnx.helper.make_opsetid("", 17), *(onnx.helper.make_opsetid(name, 1) for name in imports)]
    return decode(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString(), None, None)


@pytest.mark.parametrize("name", ["digits.onnx", "digits_bn.onnx", "encoder.onnx"])
def test_good_models_have_no_problem(models: Path, tmp_path: Path, name: str) -> None:
    assert found(load(models / name), tmp_path) == []


def test_every_node_with_a_wrong_attribute_is_named(tmp_path: Path) -> None:
    node = onnx.helper.make_node
    graph = model(
        node("Softmax", ["x"], ["a"], "first", axes=3), node("Relu", ["a"], ["b"], "good"),
        node("Softmax", ["b"], ["y"], "second", axes=3),
    )  # fmt: skip
    told = found(graph, tmp_path)
    assert [problem.where for problem in told] == ["first", "second"]
    assert "axes" in told[0].message
    assert told[0].severity == "error"


def test_what_only_shape_inference_refuses_is_named_once(models: Path) -> None:
    graph = load(models / "digits.onnx")
    ref = next(graph.ref(node) for node, record in graph.nodes.items() if record.op_type == "Conv")
    bad = apply(make("attribute.set", {"node": ref, "name": "strides", "value": [0, 0]}), graph)
    (finding,) = new_errors(graph, bad)
    assert (finding.where, finding.severity) == (ref, "error")
    assert "strides" in finding.message
    assert new_errors(bad, bad) == new_errors(bad, graph) == []


@pytest.mark.parametrize(("name", "called"), [("[pool] ", "pool"), ("", "a node")])
def test_a_node_of_a_body_that_inference_refuses_is_named_in_the_one_that_holds_it(
    name: str, called: str, tmp_path: Path
) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (bool c, float[1,3,4,4] x) => (float[N,C,H,W] y) {
        [choice] y = If (c) <
            then_branch = t () => (float[N,C,H,W] a) { NAME a = MaxPool<kernel_shape=[1,1], strides=[0,0]>(x) },
            else_branch = e () => (float[N,C,H,W] b) { b = Relu(x) }>
    }""".replace("NAME ", name)
    (problem,) = found(decode(onnx.parser.parse_model(text).SerializeToString(), None, None), tmp_path)
    assert problem.where == "choice"
    assert problem.message.startswith(f"In the body, {called}: MaxPool: Attribute strides")


def test_too_few_inputs_are_counted(tmp_path: Path) -> None:
    (problem,) = found(model(onnx.helper.make_node("Add", ["x"], ["y"], "sum")), tmp_path)
    assert (problem.where, problem.message) == ("sum", "Add of opset 14 has 1 input; it takes 2")


def test_an_operator_of_a_newer_opset_is_told_once_with_the_way_out(tmp_path: Path) -> None:
    (problem,) = found(model(onnx.helper.make_node("Gelu", ["x"], ["y"], "act")), tmp_path)
    assert (problem.where, problem.severity) == ("act", "error")
    assert problem.message == "Gelu came with opset 20, and the model imports 17"
    assert "--version 20" in problem.hint


def test_datatypes_that_do_not_go_together_come_with_a_cast(tmp_path: Path) -> None:
    graph = model(onnx.helper.make_node("Add", ["x", "h"], ["y"], "sum"))
    (problem,) = found(graph, tmp_path / "1")
    assert (problem.where, problem.severity) == ("sum", "error")
    assert "FP16" in problem.message
    assert found(apply(problem.fix, graph), tmp_path / "2") == []


def test_a_domain_that_is_not_imported_comes_with_its_import(tmp_path: Path) -> None:
    graph = model(onnx.helper.make_node("Gelu", ["x"], ["y"], "gelu", domain="com.microsoft"))
    (problem,) = found(graph, tmp_path / "1")
    assert "com.microsoft" in problem.message
    assert found(apply(problem.fix, graph), tmp_path / "2") == []


def test_names_that_nodes_share_and_what_is_not_used_come_with_repairs(tmp_path: Path) -> None:
    node = onnx.helper.make_node
    graph = model(node("Relu", ["x"], ["a"], "n"), node("Abs", ["a"], ["y"], "n"), node("Neg", ["a"], ["z"], "idle"))
    told = found(graph, tmp_path / "1")
    assert {problem.where for problem in told} == {"n", "idle"}
    for problem in told:
        graph = apply(problem.fix, graph)
    assert found(graph, tmp_path / "2") == []
    assert sorted(record.name for record in graph.nodes.values()) == ["n", "n_1"]


def test_what_only_the_whole_model_tells(models: Path, tmp_path: Path) -> None:
    edit = Edit(load(models / "digits.onnx"))
    edit.model.ir_version = 2
    told = found(edit.commit(), tmp_path)
    assert [problem.severity for problem in told] == ["error"]


def test_unsigned_pairs_come_with_their_repair(tmp_path: Path) -> None:
    graph = unsigned()
    (problem,) = [one for one in found(graph, tmp_path) if "symmetric" in one.message]
    assert problem.severity == "warning"
    assert "more" in problem.message
    fixed = apply(problem.fix, graph)
    assert not [one for one in found(fixed, tmp_path) if "symmetric" in one.message]


def test_a_finding_survives_the_way_back_from_the_job() -> None:
    step = {"operation": "node.rename", "parameters": {"node": "a", "name": "b"}}
    assert Finding("m", fix=step).problem().fix == make("node.rename", {"node": "a", "name": "b"})


def test_ten_thousand_nodes_take_a_moment(tmp_path: Path) -> None:
    from tests.backend.compare.renamed import graph_of, tower

    graph = graph_of(tower(2500))
    told, seconds = timed(found, graph, tmp_path)
    assert told == []
    assert seconds < 5


def test_nodes_out_of_order_come_with_the_sort(tmp_path: Path) -> None:
    node = onnx.helper.make_node
    graph = model(node("Abs", ["a"], ["y"], "second"), node("Relu", ["x"], ["a"], "first"))
    (problem,) = [one for one in found(graph, tmp_path / "1") if one.fix is not None]
    assert found(apply(problem.fix, graph), tmp_path / "2") == []
