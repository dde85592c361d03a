"""Questions to a graph: who makes and reads what, references, types."""

from __future__ import annotations

import pytest
from onnx import helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import bodies, captures, inner_names, reads
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.interface import format_dims
from tests.backend.operations import law_models as models


def test_producers_and_consumers_see_into_bodies() -> None:
    graph = models.branches()
    relu, branch, neg = graph.nodes
    assert graph.producer("r") == relu
    assert graph.producer("x") is None
    assert graph.consumers("r") == (branch,)
    assert graph.consumers("w") == (branch,)
    assert graph.consumers("x") == (relu, branch)
    assert graph.consumers("z") == (neg,)
    assert graph.consumers("y") == ()
    assert graph.holders == {branch}
    assert [label for label, _ in bodies(graph.nodes[branch])] == ["then_branch", "else_branch"]
    assert list(reads(graph.nodes[branch])) == ["c", "r", "w", "x"]
    assert inner_names(graph.nodes[branch]) == {"inner", "other", "out"}
    then = graph.nodes[branch].attribute[0].g
    assert captures(then) == {"r", "w", "x"}


def test_references_find_their_nodes() -> None:
    for graph in (models.unnamed(), models.branches(), models.digits_bn()):
        refs = [graph.ref(node) for node in graph.nodes]
        assert len(set(refs)) == len(refs)
        assert [graph.find(ref) for ref in refs] == list(graph.nodes)


def test_a_name_that_is_an_output_elsewhere_is_told_apart() -> None:
    model = models.parsed("g (float[2] x) => (float[2] y) { a = Relu(x) b = Neg(a) y = Abs(b) }", named=False)
    model.graph.node[1].name = "a"  # while node 0 has no name and makes `a`
    graph = models.graph_of(model)
    assert [graph.ref(node) for node in graph.nodes] == ["output:a", "a", "y"]
    assert [graph.find(ref) for ref in ("output:a", "a", "y")] == list(graph.nodes)


def test_a_reference_to_nothing() -> None:
    graph = models.unnamed()
    with pytest.raises(Fault, match="no such node"):
        graph.find("nowhere")
    with pytest.raises(Fault, match="2 nodes"):
        graph.find("same")


def test_types_of_weights_inputs_and_what_is_inferred() -> None:
    graph = models.branches()
    assert graph.type_of("w") == TensorType(1, (2, 3))
    assert graph.type_of("c") == TensorType(9, ())
    assert graph.type_of("z") == TensorType(1, (2, 3))
    assert graph.type_of("nowhere") is None
    assert str(graph.type_of("z")) == "2×3 FP32"


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((1, 3, "h", None), "1×3×h×? FP16"), ((), "scalar FP16"), (None, "FP16")],
)
def test_types_survive_their_declaration(shape: tuple[int | str | None, ...] | None, shown: str) -> None:
    kind = TensorType(10, shape)
    assert str(kind) == shown
    assert TensorType.of(kind.value_info("t").type) == kind


def test_types_that_are_no_tensors() -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
    assert TensorType.of(kind).kind == "sequence"
    assert format_dims(TensorType.of(kind)) == ""


def test_opsets() -> None:
    graph = models.plugin()
    assert graph.opset() == graph.opset("ai.onnx") == 17
    assert graph.opset("trt.plugins") == 1
    assert graph.opset("elsewhere") is None
    assert repr(graph).startswith("<Graph 'g'")
