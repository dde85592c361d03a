from __future__ import annotations

import numpy as np
import pytest

from graftwerk.backend.quantize.scales import channel_axis, common_axis, guessed_scale, scale_of, weight, weight_scales
from tests.backend.operations.qdq_models import floats, parse


def test_a_scale_just_holds_the_largest_magnitude() -> None:
    assert scale_of(12.7) == pytest.approx(0.1)
    assert scale_of(448, "fp8e4m3fn") == 1
    assert scale_of(0) == 1
    values = floats([[-1.27, 0.5], [0, 0], [2.54, -0.1]])
    assert weight_scales(values, 0) == pytest.approx([0.01, 1, 0.02])
    assert weight_scales(values, -1) == pytest.approx([0.02, 0.5 / 127])
    assert weight_scales(values, None) == pytest.approx(0.02)
    for axis in (0, 1, None):
        steps = values / np.expand_dims(weight_scales(values, axis), 1 - axis if axis is not None else ())
        assert np.abs(np.round(steps)).max() == 127
    assert weight_scales(np.empty((0, 3), np.float16), 1).tolist() == [1, 1, 1]


def test_weights_are_found_behind_identity_and_transpose() -> None:
    text = """g (float[5,2] x) => (float[3,4,2] y) { i = Identity(w) t = Transpose<perm=[2,0,1]>(i)
        u = Transpose(t) y = MatMul(t, x) }"""
    values = floats(np.arange(60).reshape(4, 5, 3))
    graph = parse(text, weights={"w": values})
    for tensor, expected in (("w", values), ("i", values), ("t", values.transpose(2, 0, 1)),
                             ("u", values.transpose(1, 0, 2))):  # fmt: skip
        found = weight(graph, tensor)
        assert found is not None
        assert found.dims == expected.shape
        assert np.array_equal(found.array(), expected)
    assert weight(graph, "x") is None
    assert weight(graph, "y") is None


def test_a_grouped_deconvolution_has_no_channel_axis() -> None:
    text = "g (float[1,4,3,3] x) => (float[1,4,5,5] y) { y = ConvTranspose<group=2>(x, w) }"
    graph = parse(text, weights={"w": floats(np.ones((4, 2, 3, 3)))})
    assert channel_axis(graph.nodes[graph.find("y")], "w", 4) is None
    assert common_axis(graph, "w", [graph.find("y")]) is None


def test_clip_bounds_a_guess() -> None:
    text = """g (float[4] x, float b) => (float[4] y) { c = Clip(x, lo, hi) d = Clip(x, lo) e = Clip(x, lo, b)
        y = Sum(c, d, e) }"""
    graph = parse(text, weights={"lo": floats(-2), "hi": floats(1)})
    assert guessed_scale(graph, "c") == pytest.approx(2 / 127)
    assert guessed_scale(graph, "d") == guessed_scale(graph, "e") == guessed_scale(graph, "x") == pytest.approx(6 / 127)
    assert guessed_scale(graph, "x", "fp8e4m3fn") == pytest.approx(6 / 448)
