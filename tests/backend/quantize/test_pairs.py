from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.quantize.pairs import alike, find_pairs, pair_of, pairs_on, per_channel, quantized_dtype, scales
from tests.backend.operations.qdq_models import do, floats, int8, parse

WEIGHTS = {"s": floats(0.5), "z": int8(0), "t": floats(0.5), "u": floats(0.25)}


def test_a_pair_and_what_it_is() -> None:
    text = "g (float[4] x) => (float[4] y) { q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = Neg(d) }"
    graph = parse(text, weights=WEIGHTS)
    (pair,) = find_pairs(graph).values()
    assert pair == pair_of(graph, graph.find("q")) == pair_of(graph, graph.find("d"))
    assert (pair.source, pair.quantized, pair.output, pair.scale, pair.zero_point) == ("x", "q", "d", "s", "z")
    assert pair.nodes == (graph.find("q"), graph.find("d"))
    assert not per_channel(graph, pair)
    assert scales(graph, pair) == pytest.approx([0.5])
    assert quantized_dtype(graph, pair) == TensorProto.INT8
    assert list(pairs_on(graph, "x")) == [pair]
    assert not list(pairs_on(graph, "s"))
    assert find_pairs(graph) == {pair.dequantize: pair}


def test_equal_scales_under_two_names_make_a_pair() -> None:
    """As exporters write it: a Constant of its own for Q and for DQ."""
    text = "g (float[4] x) => (float[4] d) {{ q = QuantizeLinear(x, s) d = DequantizeLinear(q, {}) }}"
    assert len(find_pairs(parse(text.format("t"), weights=WEIGHTS))) == 1
    assert not find_pairs(parse(text.format("u"), weights=WEIGHTS)), "another scale: this one rescales"
    constants = """g (float[4] x) => (float[4] d) { a = Constant<value_float=0.5>() b = Constant<value_float=0.5>()
        q = QuantizeLinear(x, a) d = DequantizeLinear(q, b) }"""
    assert len(find_pairs(parse(constants))) == 1


def test_one_quantize_with_two_dequantizes_is_two_pairs() -> None:
    text = """g (float[4] x) => (float[4] d, float[4] e) { q = QuantizeLinear(x, s)
        d = DequantizeLinear(q, s) e = DequantizeLinear(q, t) }"""
    graph = parse(text, weights=WEIGHTS)
    first, second = find_pairs(graph).values()
    assert alike(graph, first, second)
    assert {first.output, second.output} == {"d", "e"}
    assert pair_of(graph, graph.find("e")) == second
    with pytest.raises(Fault, match="2 DequantizeLinear nodes"):
        pair_of(graph, graph.find("q"))


def test_a_stored_weight_is_a_pair_without_quantize() -> None:
    text = "g (float[2,3] x) => (float[2,2] y) { d = DequantizeLinear<axis=1>(w, s, z) y = MatMul(x, d) }"
    weights = {"w": int8([[1, 2]] * 3), "s": floats([0.1, 0.2]), "z": int8([0, 0])}
    graph = parse(text, weights=weights)
    (pair,) = find_pairs(graph).values()
    assert (pair.quantize, pair.source, pair.axis) == (None, "w", 1)
    assert per_channel(graph, pair)
    assert quantized_dtype(graph, pair) == TensorProto.INT8


def test_what_is_no_pair() -> None:
    text = """g (int8[4] x, float[4] v) => (float[4] d, int8[4] q) {
        d = DequantizeLinear(x, s) q = QuantizeLinear(v, s, z) }"""
    graph = parse(text, weights=WEIGHTS)
    assert not find_pairs(graph), "an input that is quantized, an output that stays so"
    for node in "dq":
        with pytest.raises(Fault, match="no partner"):
            pair_of(graph, graph.find(node))


def test_computed_scales_pair_by_name() -> None:
    text = """g (float[4] x, float i) => (float[4] d) { k = Abs(i)
        q = QuantizeLinear(x, k, z) d = DequantizeLinear(q, k, z) }"""
    graph = parse(text, weights=WEIGHTS)
    (pair,) = find_pairs(graph).values()
    assert scales(graph, pair) is None
    assert quantized_dtype(graph, pair) == TensorProto.INT8


def test_pairs_of_an_edited_model(models: Path) -> None:
    graph = load(models / "digits.onnx")
    assert not find_pairs(graph)
    graph = do(graph, "qdq.insert_layer", node="/stem/conv/Conv", scales={"input": 0.01})
    assert sorted(pair.source for pair in find_pairs(graph).values()) == ["input", "stem.conv.weight"]
    assert np.all([np.all(scales(graph, pair)) for pair in find_pairs(graph).values()])
