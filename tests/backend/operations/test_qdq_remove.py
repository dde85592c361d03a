from __future__ import annotations

import numpy as np
import pytest

from tests.backend.operations.qdq_models import do, floats, int8, ops, parse, run, why

SCALE = {"s": floats(0.1), "z": int8(0)}


@pytest.mark.parametrize("node", ["q", "d"])
def test_either_node_means_the_pair(node: str) -> None:
    text = "g (float[4] x) => (float[4] y) { q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = Neg(d) }"
    graph = do(parse(text, weights=SCALE), "qdq.remove", node=node)
    assert ops(graph) == ["Neg"]
    assert graph.nodes[graph.find("y")].input[0] == "x"
    assert not graph.initializers


def test_what_others_use_stays() -> None:
    text = """g (float[4] x) => (float[4] y, float[4] v, int8[4] q) { q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z) e = DequantizeLinear(q, s, z) y = Neg(d) v = Neg(e) }"""
    graph = do(parse(text, weights=SCALE), "qdq.remove", node="d")
    assert graph.initializers.keys() == {"s", "z"}
    assert ops(graph) == ["QuantizeLinear", "DequantizeLinear", "Neg", "Neg"]
    after = do(graph, "qdq.remove", node="e")
    assert ops(after) == ["QuantizeLinear", "Neg", "Neg"]
    assert after.initializers.keys() == {"s", "z"}


def test_a_graph_output_keeps_its_name() -> None:
    before = parse("g (float[4] x) => (float[4] y) { y = Neg(x) }")
    graph = do(do(before, "qdq.insert", tensor="y"), "qdq.remove", node="y")
    assert list(graph.nodes.values()) == list(before.nodes.values())
    text = "g (float[4] x) => (float[4] d) { q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) }"
    assert ops(do(parse(text, weights=SCALE), "qdq.remove", node="d")) == ["Identity"]


def test_a_stored_weight_becomes_float() -> None:
    text = "g (float[2,3] x) => (float[2,2] y) { d = DequantizeLinear<axis=1>(w, s, z) y = MatMul(x, d) }"
    weights = {"w": np.arange(6, dtype=np.int8).reshape(3, 2), "s": floats([0.1, 0.2]), "z": int8([0] * 2)}
    before = parse(text, weights=weights)
    graph = do(before, "qdq.remove", node="d")
    assert graph.initializers.keys() == {"d"}
    assert np.array_equal(run(graph)[0], run(before)[0])


def test_what_is_no_pair_says_why() -> None:
    text = """g (float[4] x, float t) => (float[4] d) { r = Neg(x) q = QuantizeLinear(r, s, z)
        d = DequantizeLinear(q, t, z) }"""
    graph = parse(text, weights=SCALE)
    assert "no partner with the same scale" in why(graph, "qdq.remove", node="d")
    assert "Neg is not part of a Q/DQ pair" in why(graph, "qdq.remove", node="r")
