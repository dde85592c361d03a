"""Bodies and functions, looked at as graphs."""

from __future__ import annotations

from graftwerk.backend.graph.nested import nested
from graftwerk.backend.graph.types import TensorType
from tests.backend.operations import law_models as models


def test_branches_show_what_they_capture_as_inputs() -> None:
    graph = models.branches()
    found = nested(graph, graph.find("If_1"))
    assert list(found) == ["then_branch", "else_branch"]
    then = found["then_branch"]
    assert [info.name for info in then.inputs] == ["r", "w", "x"]
    assert then.type_of("r") == TensorType(1, (2, 3))
    assert [node.op_type for node in then.nodes.values()] == ["Add", "Mul"]


def test_a_loop_body_keeps_its_own_inputs() -> None:
    graph = models.loop()
    (body,) = nested(graph, graph.find("Loop_2")).values()
    assert [info.name for info in body.inputs] == ["i", "cond", "state", "r"]
    assert [info.name for info in body.outputs] == ["again", "next"]


def test_a_call_shows_its_function() -> None:
    graph = models.dead()
    call = next(node for node, record in graph.nodes.items() if record.op_type == "Twice")
    (inner,) = nested(graph, call).values()
    assert [node.op_type for node in inner.nodes.values()] == ["Add"]
    assert nested(graph, graph.find("Relu_0")) == {}
