"""The patterns that come with the program are found in real exports, and the user's own are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.match import library
from graftwerk.backend.match.library import Entry, nodes_matching
from graftwerk.backend.match.pattern import parse
from graftwerk.resources import model as bundled
from tests.backend.operations.law_models import graph_of, parsed


def counts(graph: Graph) -> dict[str, int]:
    found = {name: len(nodes_matching(graph, name)) for name in library.entries()}
    return {name: count for name, count in found.items() if count}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bert_ts", {"gelu": 12, "sdpa": 12}), ("gpt2_ts", {"gelu_tanh": 12, "sdpa": 12}), ("resnet50", {}),
        ("resnet50_bn", {"conv_bn": 53}),
    ],
)  # fmt: skip
def test_in_models_that_were_exported_from_torch(name: str, expected: dict[str, int], shared: Path) -> None:
    assert counts(load(shared / "models" / f"{name}.onnx")) == expected


def test_in_the_bundled_models() -> None:
    assert counts(load(bundled("digits_bn"))) == {"conv_bn": 12}
    # A LayerNorm without its mean is an RMSNorm of what is left.
    assert counts(load(bundled("encoder"))) == {"gelu": 2, "layer_norm": 5, "rms_norm": 5, "sdpa": 2}


ROPE = """(float[1,2,4,8] x, float[4,8] cos, float[4,8] sin) => (float[1,2,4,8] y)
    <int64[1] zero = {0}, int64[1] half = {4}, int64[1] end = {8}, int64[1] axis = {3}> {
        a = Mul(x, cos) l = Slice(x, zero, half, axis) h = Slice(x, half, end, axis) n = Neg(h)
        r = Concat <axis = -1>(n, l) b = Mul(r, sin) y = Add(a, b)
    }"""
HARD_SWISH = """(float[4] x) => (float[4] y) <float three = {3}, float zero = {0}, float six = {6}> {
        a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)
    }"""
GROUP_NORM = """(float[1,4,2,2] x) => (float[1,4,2,2] y)
    <int64[3] to = {0, 2, -1}, int64[4] back = {1, 4, 2, 2}, float[2] one = {1, 1}, float[2] nil = {0, 0},
     float[4,1,1] scale = {1, 2, 3, 4}, float[4,1,1] bias = {1, 2, 3, 4}> {
        r = Reshape(x, to) i = InstanceNormalization(r, one, nil) b = Reshape(i, back)
        g = Mul(b, scale) y = Add(g, bias)
    }"""
SILU = "(float[4] x) => (float[4] y) { s = Sigmoid(x) y = Mul(x, s) }"
RMS = """(float[2,4] x) => (float[2,4] y)
    <float two = {2}, float eps = {1e-5}, float[4] scale = {1, 2, 3, 4}, int64[1] last = {-1}> {
        p = Pow(x, two) m = ReduceMean(p, last) e = Add(m, eps) s = Sqrt(e) r = Reciprocal(s)
        n = Mul(x, r) y = Mul(scale, n)
    }"""
NMS = """(float[1,8,4] boxes, float[1,2,8] scores) => (float[k,4] y)
    <int64 most = {3}, float iou = {0.5}, float least = {0.1},
     int64[1] column = {2}, int64[1] axis = {1}, int64[2] flat = {8, 4}> {
        n = NonMaxSuppression(boxes, scores, most, iou, least) i = Gather <axis = 1>(n, column) j = Squeeze(i, axis)
        f = Reshape(boxes, flat) y = Gather <axis = 0>(f, j)
    }"""


@pytest.mark.parametrize(
    ("name", "text"),
    [("rope", ROPE), ("hard_swish", HARD_SWISH), ("group_norm", GROUP_NORM), ("silu", SILU), ("rms_norm", RMS),
     ("nms_tail", NMS)],
)  # fmt: skip
def test_those_that_the_models_at_hand_do_not_have(name: str, text: str) -> None:
    assert counts(graph_of(parsed(f"g {text}", opset=18))) == {name: 1}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path))
    return tmp_path / "patterns.json"


def test_own_patterns_are_saved_and_deleted(own: Path) -> None:
    made = Entry("my_block", "My block", "", (parse("a = Relu(x)\ny = Neg(a)"),), own=True)
    library.save(made)
    assert library.entry("my_block") == made
    library.save(Entry("my_block", "Mine", "again", made.forms, own=True))
    assert library.entry("my_block").title == "Mine"
    library.delete("my_block")
    with pytest.raises(Fault, match="no pattern called"):
        library.entry("my_block")
    with pytest.raises(Fault) as built_in:
        library.delete("gelu")
    assert "come with the program" in built_in.value.hint
    with pytest.raises(Fault, match="can't be a pattern's name"):
        library.save(Entry("my block", "", "", made.forms))


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"graftwerk_patterns": 2, "patterns": []}', '{"graftwerk_patterns": 1, "patterns": 3}',
        '{"graftwerk_patterns": 1, "patterns": [{"name": "x", "forms": [["y = Relu x"]]}]}',
    ],
)  # fmt: skip
def test_damaged_files_are_named(own: Path, text: str) -> None:
    own.write_text(text)
    with pytest.raises(Fault) as caught:
        library.entries()
    assert "patterns.json" in caught.value.where
