"""One node in the place of several: what fits, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import apply, make
from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models as subgraphs
from tests.backend.operations.laws import checked, computes_the_same

GELU = ["Div_0", "Erf_1", "Add_2", "Mul_3", "Mul_4"]


def replaced(graph: Graph, nodes: list[str], op_type: str, **values: Any) -> Graph:
    return apply(make("subgraph.replace_with_node", {"nodes": nodes, "op_type": op_type, **values}), graph)


def test_a_chain_becomes_the_operator_that_it_is() -> None:
    graph = subgraphs.gelu()
    result = replaced(graph, GELU, "Gelu")
    (node,) = result.nodes.values()
    assert (node.op_type, list(node.input), list(node.output)) == ("Gelu", ["x"], ["y"])
    assert not result.initializers
    checked(result)
    computes_the_same(graph, result)


def test_constants_stay_where_inputs_name_them() -> None:
    result = replaced(subgraphs.gelu(), ["Add_2", "Mul_3"], "Where", domain="mine", inputs=["x", "b", "one"])
    (node,) = [node for node in result.nodes.values() if node.domain == "mine"]
    assert list(node.input) == ["x", "b", "one"]
    assert "one" in result.initializers


def test_a_call_of_a_function() -> None:
    result = replaced(models.dead(), ["Relu_0", "Neg_1"], "Twice", domain="local")
    checked(result)


@pytest.mark.parametrize(
    ("model", "nodes", "values", "message"),
    [
        (models.residual, ["Relu_0", "Add_2"], {"op_type": "Add"}, "a path leaves them and comes back"),
        (models.chain, ["Relu_0", "Sigmoid_1", "Neg_2"], {"op_type": "Abs"}, "has 1 output; these nodes have 2: s, y"),
        (models.residual, ["Relu_0"], {"op_type": "Add"}, "Add has 2 inputs; these nodes have 1: x"),
        (models.residual, ["Relu_0"], {"op_type": "Gelu"}, "Gelu came with opset 20"),
        (models.residual, ["Relu_0"], {"op_type": "Rellu"}, "Opset 17 has no operator"),
        (models.residual, ["Relu_0"], {"op_type": "Not"}, "Not doesn't take FP32 as input 0"),
        (models.residual, ["Relu_0"], {"op_type": "ReduceSum"}, "would make a 1×1 FP32, but it is read as 2×3"),
        (models.residual, ["Relu_0"], {"op_type": "Cast"}, "needs the attribute 'to'"),
        (models.residual, ["Relu_0"], {"op_type": "Cast", "attributes": {"to": "INT8"}}, "but it is read as 2×3 FP32"),
        (models.residual, ["Relu_0"], {"op_type": "Abs", "name": "Neg_1"}, "A node is called Neg_1 already"),
        (models.residual, ["Relu_0"], {"op_type": "Abs", "outputs": ["c"]}, "don't make c"),
        (models.dead, ["Split_4"], {"op_type": "Twice", "domain": "local"}, "Twice has at most 1 output"),
    ],
)
def test_refusals(model: Any, nodes: list[str], values: dict[str, Any], message: str) -> None:
    with pytest.raises(Fault, match=message):
        apply(make("subgraph.replace_with_node", {"nodes": nodes, **values}), model())
