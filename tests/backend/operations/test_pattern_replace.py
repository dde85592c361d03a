"""All occurrences of a pattern become one node each, with attributes from their own constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.pattern_replace import ReplacePattern
from graftwerk.backend.operations.registry import Selection, apply, make, why_blocked
from tests.backend.operations import law_models as models
from tests.backend.operations.cases_pattern import ADD_SCALAR, scalars
from tests.backend.operations.law_models import graph_of, parsed
from tests.backend.operations.laws import checked, computes_the_same


def replaced(graph: Graph, **values: Any) -> Graph:
    return apply(make("pattern.replace", values), graph)


def made(graph: Graph, op_type: str) -> dict[str, dict[str, Any]]:
    found = (record for record in graph.nodes.values() if record.op_type == op_type)
    return {one.name: {a.name: onnx.helper.get_attribute_value(a) for a in one.attribute} for one in found}


def test_attributes_come_from_each_occurrence_bit_for_bit() -> None:
    graph = graph_of(parsed("""g (float[2] x) => (float[2] y)
        <float a = {0.1}, float b = {1e-40}, float[2] c = {3, 4}> {
        ["/l0/add"] p = Add(x, a) ["/l0/relu"] q = Relu(p) ["/l1/add"] r = Add(b, q) ["/l1/bias"] y = Add(r, c)
    }"""))
    result = replaced(graph, **ADD_SCALAR)
    found = made(result, "AddScalar")
    assert list(found) == ["/l0/AddScalar", "/l1/AddScalar"]
    assert [np.float32(one["scalar"]) for one in found.values()] == [np.float32(0.1), np.float32(1e-40)]
    assert [record.op_type for record in result.nodes.values()] == ["AddScalar", "Relu", "AddScalar", "Add"]
    assert set(result.initializers) == {"c"}
    checked(result)
    computes_the_same(graph, result)


def test_lists_attributes_of_nodes_and_plain_texts() -> None:
    graph = graph_of(parsed("""g (float[2,3] x) => (float[3,2] y) <float one = {1}, float[2] pair = {1, 2}> {
        t = Transpose <perm = [1, 0]>(x) a = Add(t, one) y = Mul(a, pair)
    }"""))
    values = {"one": "=[o]", "pair": "=p", "perm": "=t.perm", "text": "==o", "kept": 3}
    pattern = "t = Transpose(x)\na = Add(t, #o)\ny = Mul(a, #p)"
    result = replaced(graph, pattern=pattern, op_type="All", attributes=values)
    (found,) = made(result, "All").values()
    assert {key: found[key] for key in values} == {
        "one": [1.0], "pair": [1.0, 2.0], "perm": [1, 0], "text": b"=o", "kept": 3,
    }  # fmt: skip


def test_an_operator_in_the_place_of_what_exporters_write_out() -> None:
    graph = models.encoder()
    result = replaced(
        graph, pattern="layer_norm", op_type="LayerNormalization", kind="operator",
        attributes={"axis": -1, "epsilon": "=epsilon"},
    )  # fmt: skip
    assert len(made(result, "LayerNormalization")) == 5
    checked(result)
    computes_the_same(graph, result)


def test_overlaps_and_cycles_are_left_and_named() -> None:
    graph = graph_of(parsed("g (float[2] x) => (float[2] y) { [a] a = Relu(x) [b] b = Relu(a) [c] y = Relu(b) }"))
    operation = make("pattern.replace", {"pattern": "p = Relu(x)\nq = Relu(p)", "op_type": "Two"})
    result = apply(operation, graph)
    assert [record.op_type for record in result.nodes.values()] == ["Two", "Relu"]
    assert operation.remarks(graph, result) == ("b stays: it overlaps with an occurrence before it",)

    # Each pair by itself is fine; both replaced would read each other.
    crossed = graph_of(parsed("""g (float[2] x, float[2] z) => (float[2] u, float[2] v) {
        [a1] a = Abs(x) [b1] b = Abs(z) [a2] u = Add(a, b) [b2] v = Add(b, a)
    }"""))
    operation = make("pattern.replace", {"pattern": "p = Abs(x)\nq = Add(p, o)\n-> p, q", "op_type": "Both"})
    result = apply(operation, crossed)
    assert len(made(result, "Both")) == 1
    assert any("would close a cycle" in one for one in operation.remarks(crossed, result))
    checked(result)


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"pattern": "nothing_such"}, "no pattern called", "gelu"),
        ({"pattern": "y = Add(x"}, "is no node", "y = Mul"),
        ({"pattern": "y = LSTM(x)", "attributes": {}}, "nowhere", "Nothing is like it"),
        ({"pattern": "y = Add(x, #7)", "attributes": {}}, "nowhere", "the pattern has 7"),
        ({"attributes": {"scalar": "=d"}}, "nothing called d", "c, x, y"),
        ({"attributes": {"scalar": "=y.nothing"}}, "has no attribute nothing", ""),
        ({"attributes": {"scalar": "=?"}}, "takes nothing", ""),
        (
            {"op_type": "Relu", "kind": "operator", "inputs": ["x", "c"], "attributes": {}}, "has 1 input",
            "inputs",
        ),
        ({"outputs": ["y", "x"]}, "don't make", ""),
        ({"op_type": "no name"}, "can't be an operator type", ""),
        ({"within": ["/a/relu"]}, "not among the given nodes", ""),
        ({"within": ["nobody"]}, "no such node", ""),
    ],
    ids=lambda value: value[:12].strip() if isinstance(value, str) else "",
)  # fmt: skip
def test_what_can_t_be_done_is_said_and_changes_nothing(values: dict[str, Any], message: str, hint: str) -> None:
    graph = scalars()
    before = to_model(graph).SerializeToString()
    with pytest.raises(Fault) as caught:
        replaced(graph, **{**ADD_SCALAR, **values})
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert to_model(graph).SerializeToString() == before


def test_the_selection_is_the_pattern() -> None:
    graph = scalars()
    found = ReplacePattern.suggest(graph, Selection((graph.find("/a/add"),)))
    assert isinstance(found, ReplacePattern)
    assert found.pattern.splitlines()[0] == "v0 = Add(x0, #c0=0.5)"
    assert why_blocked(found, graph) is None
    assert isinstance(ReplacePattern.suggest(graph, Selection()), Reason)
