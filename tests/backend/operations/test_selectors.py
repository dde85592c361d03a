"""Selectors find nodes and tensors by what they are like, or say why they don't."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.generalize import selectors_for
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.backend.operations.selectors import expanded, select_nodes
from tests.backend.operations import law_models as models

DIGITS = models.digits()


def found(text: str, graph: Graph = DIGITS) -> list[str]:
    return [graph.ref(node) for node in select_nodes(text, graph)]


def test_nodes() -> None:
    convolutions = [DIGITS.ref(node) for node, record in DIGITS.nodes.items() if record.op_type == "Conv"]
    assert found("@op=Conv") == convolutions
    assert found("@op=Conv [0]") == convolutions[:1]
    assert found("@op=Conv [-1]") == convolutions[-1:]
    assert found("@op=Conv [1:3]") == convolutions[1:3]
    assert found("@name=/stem/*") == ["/stem/conv/Conv", "/stem/relu/Relu"]
    assert found(r"@name~conv\d/Conv$ & scope=/layer1") == [c for c in convolutions if c.startswith("/layer1/")]
    assert set(found("@scope=/layer1 & !op=Conv")) == set(found("@scope=/layer1")) - set(convolutions)
    assert len(found("@op=Conv,Relu")) == len(found("@op=Conv")) + len(found("@op=Relu"))
    assert found("@domain=ai.onnx") == [DIGITS.ref(node) for node in DIGITS.nodes]
    assert found("@op=Conv & attr.strides=[2, 2]") == [
        c for c in convolutions if any(a.name == "strides" and list(a.ints) == [2, 2]
                                       for a in DIGITS.nodes[DIGITS.find(c)].attribute)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@op=Gone", "No node matches"), ("@op=Conv & scope=/gone", "No node matches"), ("@", "can't be read"),
        ("@color=red", "can't be read"), ("@name~(", "regular expression"), ("@op~x", "Only names"),
        ("@op=Conv [99]", "beyond"),
    ],
)  # fmt: skip
def test_what_finds_nothing_says_why(text: str, says: str) -> None:
    with pytest.raises(Fault, match=says) as caught:
        select_nodes(text, DIGITS)
    assert caught.value.where == text
    assert caught.value.hint


def test_the_condition_that_shifted_is_told() -> None:
    with pytest.raises(Fault) as caught:
        select_nodes("@op=Conv & scope=/gone", DIGITS)
    assert "scope=/gone: 0" in caught.value.hint


def test_operations_take_selectors() -> None:
    graph = apply(make("node.delete", {"nodes": ["@op=Relu"]}), DIGITS)
    assert not [record for record in graph.nodes.values() if record.op_type == "Relu"]
    reason = why_blocked(make("node.rename", {"node": "@op=Conv", "name": "x"}), DIGITS)
    assert reason is not None
    assert "takes one" in reason.text
    first = expanded(make("qdq.insert", {"tensor": "@in1: op=Conv [0]"}), DIGITS)
    assert first.tensor == "stem.conv.weight"  # type: ignore[attr-defined]
    image = expanded(make("qdq.insert", {"tensor": "@graph.input [0]"}), DIGITS)
    assert image.tensor == DIGITS.inputs[0].name  # type: ignore[attr-defined]
    with pytest.raises(Fault, match="a tensor is needed"):
        expanded(make("qdq.insert", {"tensor": "@op=Conv [0]"}), DIGITS)


def test_a_name_that_is_there_comes_first() -> None:
    graph = apply(make("node.rename", {"node": "/stem/conv/Conv", "name": "@op=Conv"}), DIGITS)
    after = apply(make("node.rename", {"node": "@op=Conv", "name": "plain"}), graph)
    assert "plain" in after.names


@given(st.data())
def test_suggested_selectors_mean_the_same_nodes(data: st.DataObject) -> None:
    every = list(DIGITS.nodes)
    chosen = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=6, unique=True))
    for text in selectors_for([DIGITS.ref(node) for node in chosen], DIGITS):
        assert set(select_nodes(text, DIGITS)) == set(chosen)
