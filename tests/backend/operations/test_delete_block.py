"""Deleting whole blocks: their output takes what goes into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.registry import apply, make
from tests.backend.operations import law_models as models
from tests.backend.operations.laws import checked, computed


@pytest.fixture
def bert(shared: Path) -> Graph:
    return typed(load(shared / "models" / "bert_ts.onnx"))


def block(graph: Graph, *scope: str) -> list[str]:
    return [graph.ref(node) for node, record in graph.nodes.items() if scope_of(record)[: len(scope)] == scope]


def test_a_whole_layer_is_bridged(bert: Graph) -> None:
    """A layer with two residual branches, a mask and shapes from elsewhere: only the hidden state has its type."""
    nodes = block(bert, "m", "encoder", "layer.1")
    after = apply(make("node.delete", {"nodes": nodes}), bert)
    assert len(after.nodes) <= len(bert.nodes) - len(nodes)  # constants that only they read go along
    assert not block(after, "m", "encoder", "layer.1")
    before = "/m/encoder/layer.0/output/LayerNorm/LayerNormalization_output_0"
    assert any("layer.2" in after.ref(node) for node in after.consumers(before))
    checked(after)
    ones = {info.name: np.ones((1, 4), np.int64) for info in after.inputs}
    computed(after, ones)


def test_one_of_several_is_named() -> None:
    graph = models.small("g (float[2] x, float[2] z) => (float[2] y) { a = Mul(x, z) b = Add(a, z) y = Neg(b) }")
    with pytest.raises(Fault, match="not clear which"):
        apply(make("node.delete", {"nodes": ["Mul_0", "Add_1"]}), graph)
    after = apply(make("node.delete", {"nodes": ["Mul_0", "Add_1"], "through": "x"}), graph)
    assert [list(record.input) for record in after.nodes.values()] == [["x"]]
