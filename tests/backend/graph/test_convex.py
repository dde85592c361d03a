from __future__ import annotations

from dataclasses import replace

import pytest

from graftwerk.backend.graph.check import check
from graftwerk.backend.graph.convex import breaking_path, shown
from tests.backend.operations.qdq_models import parse

DIAMOND = """g (float[4] x) => (float[4] z) {
    a = Neg(x) b = Abs(a) c = Relu(a) d = Exp(c) e = Add(b, d) z = Sqrt(e) }"""


@pytest.mark.parametrize(
    ("chosen", "path"),
    [
        ("a", None), ("abcde", None), ("bc", None), ("bcd", None), ("acd", None), ("abz", "b e z"),
        ("ae", "a b e"), ("ace", "a b e"), ("abe", "a c d e"), ("cz", "c d e z"), ("abce", "c d e"),
    ],
)  # fmt: skip
def test_a_path_that_leaves_and_comes_back(chosen: str, path: str | None) -> None:
    graph = parse(DIAMOND)
    found = breaking_path(graph, [graph.find(name) for name in chosen])
    assert (None if found is None else " ".join(graph.ref(node) for node in found)) == path


def test_a_file_out_of_order_is_looked_at_whole() -> None:
    graph = parse(DIAMOND)
    order = [graph.find(name) for name in "zaebcd"]
    turned = replace(graph, nodes={node: graph.nodes[node] for node in order})
    turned = replace(turned, problems=check(turned))
    found = breaking_path(turned, [turned.find("a"), turned.find("z")])
    assert found is not None
    assert shown(turned, found) == "a → b → e → z"


def test_paths_through_bodies_count() -> None:
    text = """g (float[4] x, bool p) => (float[4] z) {
        a = Neg(x) b = If(p) <then_branch = t () => (float[4] u) { u = Abs(a) },
        else_branch = f () => (float[4] v) { v = Exp(a) }> z = Add(a, b) }"""
    graph = parse(text)
    found = breaking_path(graph, [graph.find("a"), graph.find("z")])
    assert found is not None
    assert shown(graph, found) == "a → b → z"


def test_a_long_path_is_cut_in_the_middle() -> None:
    nodes = " ".join(f"t{n} = Neg(t{n - 1})" for n in range(1, 20))
    graph = parse(f"g (float[4] x) => (float[4] z) {{ t0 = Neg(x) {nodes} z = Add(t0, t19) }}")
    found = breaking_path(graph, [graph.find("t0"), graph.find("z")])
    assert found is not None
    assert shown(graph, found) == "t0 → t1 → t2 → t3 → … → t17 → t18 → t19 → z"
