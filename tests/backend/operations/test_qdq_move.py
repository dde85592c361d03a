from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.qdq_move import MoveQdq
from graftwerk.backend.operations.qdq_remove import RemoveQdq
from graftwerk.backend.operations.registry import Selection
from graftwerk.backend.quantize.pairs import find_pairs, quantized_dtype, scales
from tests.backend.operations.qdq_models import do, floats, int8, ops, parse, run, why

#: Nodes that commute: the text with a pair of scale s and zero point z before `OP`, and what it needs.
ONE = """g (float[2,4,6,6] x) => ({out} y) {{
    {constants} q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = {op} }}"""
COMMUTING = [
    ("Relu(d)", "float[2,4,6,6]", ""),
    ("Identity(d)", "float[2,4,6,6]", ""),
    ("MaxPool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(d)", "float[2,4,3,3]", ""),
    ("GlobalMaxPool(d)", "float[2,4,1,1]", ""),
    ("ReduceMax<axes=[1], keepdims=0>(d)", "float[2,6,6]", ""),
    ("ReduceMin<axes=[-1]>(d)", "float[2,4,6,1]", ""),
    ("Transpose<perm=[0,2,3,1]>(d)", "float[2,6,6,4]", ""),
    ("Flatten(d)", "float[2,144]", ""),
    ("Reshape(d, k)", "float[8,36]", "k = Constant<value_ints=[8,36]>()"),
    ("Unsqueeze(d, k)", "float[2,1,4,6,6]", "k = Constant<value_ints=[1]>()"),
    ("Slice(d, k, l)", "float[1,3,6,6]", "k = Constant<value_ints=[1,0]>() l = Constant<value_ints=[2,3]>()"),
    ("Gather<axis=1>(d, k)", "float[2,2,6,6]", "k = Constant<value_ints=[3,0]>()"),
    ("Expand(d, k)", "float[3,2,4,6,6]", "k = Constant<value_ints=[3,1,1,1,1]>()"),
    ("Tile(d, k)", "float[2,8,6,6]", "k = Constant<value_ints=[1,2,1,1]>()"),
    ("DepthToSpace<blocksize=2>(d)", "float[2,1,12,12]", ""),
    ("SpaceToDepth<blocksize=2>(d)", "float[2,16,3,3]", ""),
    ("Pad(d, k)", "float[2,4,8,6]", "k = Constant<value_ints=[0,0,1,0,0,0,1,0]>()"),
    ("Pad<mode=\"reflect\">(d, k)", "float[2,4,8,6]", "k = Constant<value_ints=[0,0,1,0,0,0,1,0]>()"),
    ("Resize(d, , k)", "float[2,4,9,12]", "k = Constant<value_floats=[1.0,1.0,1.5,2.0]>()"),
    ("Max(d, d)", "float[2,4,6,6]", ""),
    ("Concat<axis=1>(d, d)", "float[2,8,6,6]", ""),
]  # fmt: skip


def model(op: str, out: str, constants: str, kind: np.dtype[np.generic], zero: int) -> Graph:
    weights = {"s": floats(0.037), "z": np.asarray(zero, kind)}
    return parse(ONE.format(op=op, out=out, constants=constants), weights=weights)


@pytest.mark.parametrize(("kind", "zero"), [("int8", 0), ("uint8", 0), ("uint8", 128), ("int8", -5)])
@pytest.mark.parametrize(("op", "out", "constants"), COMMUTING, ids=[case[0].split("(")[0] for case in COMMUTING])
def test_a_move_down_and_up_again_changes_no_bit(op: str, out: str, constants: str, kind: str, zero: int) -> None:
    before = model(op, out, constants, np.dtype(kind), zero)
    down = do(before, "qdq.move", node="q")
    (pair,) = find_pairs(down).values()
    assert (pair.source, pair.output) == ("y_float", "y")
    passed = down.producer("y_float")
    assert passed is not None
    assert down.nodes[passed].input[0] == "x"
    up = do(down, "qdq.move", node=down.ref(pair.dequantize), direction="up")
    (again,) = find_pairs(up).values()
    assert again.source == "x"
    assert (again.scale, again.zero_point) == (pair.scale, pair.zero_point) == ("s", "z")
    expected = run(before)[0]
    for graph in (down, up):
        assert np.array_equal(run(graph)[0].view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize(
    ("op", "out", "expected"),
    [
        ("AveragePool<kernel_shape=[1,1]>(d)", "float[2,4,6,6]", "An average lies between"),
        ("GlobalAveragePool(d)", "float[2,4,1,1]", "An average lies between"),
        ("Add(d, d)", "float[2,4,6,6]", "Sums and products"),
        ("Abs(d)", "float[2,4,6,6]", "no counterpart"),
        ("Sigmoid(d)", "float[2,4,6,6]", "changes values"),
        ("LeakyRelu(d)", "float[2,4,6,6]", "slope"),
        ("Resize<mode=\"linear\">(d, , k)", "float[2,4,12,12]", "between the quantized steps"),
        ("Pad(d, p, v)", "float[2,4,6,7]", "pads with 0.5"),
    ],
)  # fmt: skip
def test_what_a_pair_can_not_pass_says_why(op: str, out: str, expected: str) -> None:
    constants = "k = Constant<value_floats=[1.0,1.0,2.0,2.0]>() p = Constant<value_ints=[0,0,0,0,0,0,0,1]>()"
    constants += " v = Constant<value_float=0.5>()"
    assert expected in why(model(op, out, constants, np.dtype(np.int8), 0), "qdq.move", node="d")


def test_indices_of_a_pool_forbid_the_move() -> None:
    text = """g (float[1,1,4,4] x) => (float[1,1,2,2] y, int64[1,1,2,2] i) {
        q = QuantizeLinear(x, s) d = DequantizeLinear(q, s) y, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(d) }"""
    graph = parse(text, weights={"s": floats(0.5)})
    assert "indices" in why(graph, "qdq.move", node="d")


CONCAT = """g (float[2,3] a, float[2,3] b) => (float[2,6] y) {
    p = QuantizeLinear(a, s, z) c = DequantizeLinear(p, s, z) q = QuantizeLinear(b, t, z) d = DequantizeLinear(q, t, z)
    u = Concat<axis=1>(c, d) y = Neg(u) }"""


def test_all_inputs_go_together() -> None:
    weights = {"s": floats(0.1), "t": floats(0.1), "z": int8(0)}
    before = parse(CONCAT, weights=weights)
    down = do(before, "qdq.move", node="d")
    assert ops(down) == ["Concat", "QuantizeLinear", "DequantizeLinear", "Neg"]
    assert down.initializers.keys() == {"t", "z"}
    (pair,) = find_pairs(down).values()
    up = do(down, "qdq.move", node=down.ref(pair.dequantize), direction="up")
    assert sorted(each.source for each in find_pairs(up).values()) == ["a", "b"]
    for graph in (down, up):
        assert np.array_equal(run(graph)[0], run(before)[0])


def test_inputs_with_different_scales_stay() -> None:
    weights = {"s": floats(0.1), "t": floats(0.2), "z": int8(0)}
    assert why(parse(CONCAT, weights=weights), "qdq.move", node="d") == "c is quantized with another scale"
    text = CONCAT.replace("Concat<axis=1>(c, d)", "Concat<axis=1>(a, d)")
    assert why(parse(text, weights=weights), "qdq.move", node="d") == "Concat reads a in float"


SPLIT = """g (float[2,6] x) => (float[2,3] v, float[2,3] w) {
    n = Constant<value_ints=[3,3]>() q = QuantizeLinear(x, s) d = DequantizeLinear(q, s)
    a, b = Split<axis=1>(d, n) v = Neg(a) w = Neg(b) }"""


def test_every_output_gets_a_pair() -> None:
    before = parse(SPLIT, weights={"s": floats(0.1)})
    down = do(before, "qdq.move", node="d")
    assert sorted(pair.source for pair in find_pairs(down).values()) == ["a", "b"]
    pair = next(iter(find_pairs(down).values()))
    assert quantized_dtype(down, pair) == TensorProto.UINT8
    up = do(down, "qdq.move", node=down.ref(pair.dequantize), direction="up")
    assert [pair.source for pair in find_pairs(up).values()] == ["x"]
    for graph in (down, up):
        assert all(map(np.array_equal, run(graph), run(before)))
    half = do(down, "qdq.remove", node=down.ref(pair.dequantize))
    (rest,) = find_pairs(half).values()
    assert "in float" in why(half, "qdq.move", node=half.ref(rest.dequantize), direction="up")


FORK = """g (float[2,6] x) => (float[2,6] y, float[2,6] z) {
    q = QuantizeLinear(x, s) d = DequantizeLinear(q, s) y = Relu(d) z = Neg(d) }"""


def test_the_pair_stays_for_other_consumers() -> None:
    before = parse(FORK, weights={"s": floats(0.1)})
    assert why(before, "qdq.move", node="d") == "2 nodes read this pair"
    after = do(before, "qdq.move", node="d", across="y")
    assert sorted(pair.source for pair in find_pairs(after).values()) == ["x", "y_float"]
    assert all(map(np.array_equal, run(after), run(before)))
    assert why(before, "qdq.move", node="d", across="q") == "q does not read this pair"


def test_up_needs_the_tensor_for_itself() -> None:
    text = """g (float[6] x) => (float[6] y, float[6] z) {
        r = Relu(x) q = QuantizeLinear(r, s) d = DequantizeLinear(q, s) y = Neg(d) z = Neg(r) }"""
    graph = parse(text, weights={"s": floats(0.1)})
    assert why(graph, "qdq.move", node="q", direction="up") == "z also reads r, in float"
    only = parse(FORK, weights={"s": floats(0.1)})
    assert "No node makes x" in why(only, "qdq.move", node="q", direction="up")


def test_channels_follow_a_transpose() -> None:
    text = """g (float[2,3,4] x) => (float[4,2,3] y) { q = QuantizeLinear<axis=1>(x, s, z)
        d = DequantizeLinear<axis=1>(q, s, z) y = Transpose<perm=[2,0,1]>(d) }"""
    weights = {"s": floats([0.1, 0.2, 0.3]), "z": int8([0] * 3)}
    before = parse(text, weights=weights)
    down = do(before, "qdq.move", node="d")
    (pair,) = find_pairs(down).values()
    assert pair.axis == 2
    up = do(down, "qdq.move", node=down.ref(pair.dequantize), direction="up")
    assert next(iter(find_pairs(up).values())).axis == 1
    for graph in (down, up):
        assert np.array_equal(run(graph)[0], run(before)[0])
    flat = text.replace("Transpose<perm=[2,0,1]>", "Flatten").replace("float[4,2,3]", "float[2,12]")
    assert "moves channels about" in why(parse(flat, weights=weights), "qdq.move", node="d")


def test_a_pair_keeps_its_names_when_it_moves() -> None:
    graph = do(parse("g (float[4] x) => (float[4] y) { t = Relu(x) y = Neg(t) }"), "qdq.insert", tensor="x", scale=0.1)
    (pair,) = find_pairs(graph).values()
    down = do(graph, "qdq.move", node=graph.ref(pair.dequantize))
    (moved,) = find_pairs(down).values()
    assert [down.nodes[node].name for node in moved.nodes] == [graph.nodes[node].name for node in pair.nodes]
    assert (moved.source, moved.output) == ("t", "t_DequantizeLinear_Output")
    assert scales(down, moved) == pytest.approx([0.1])


def test_a_selection_means_a_pair() -> None:
    graph = parse(FORK, weights={"s": floats(0.1)})
    q, d = graph.find("q"), graph.find("d")
    for selection in (Selection((q,)), Selection((d,)), Selection((q, d)), *(Selection((), (t,)) for t in "xqd")):
        assert MoveQdq.suggest(graph, selection) == MoveQdq(graph.ref(d))
        assert RemoveQdq.suggest(graph, selection) == RemoveQdq(graph.ref(d))
    for selection in (Selection(), Selection((graph.find("y"),)), Selection((), ("y",))):
        assert not isinstance(MoveQdq.suggest(graph, selection), MoveQdq)
