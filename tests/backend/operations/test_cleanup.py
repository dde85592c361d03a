"""Clean-up: what libraries make of a model is not taken on trust, and what an edit does is told before it is done."""

from __future__ import annotations

import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.effect import effect
from graftwerk.backend.operations.registry import apply, make
from tests.backend.operations import law_models as models
from tests.backend.operations.laws import checked, computes_the_same, fingerprint


def ops(graph: Graph) -> list[str]:
    return [record.op_type for record in graph.nodes.values()]


def test_a_broken_result_of_a_library_is_refused() -> None:
    """onnxslim takes an addition of 0 inside a branch for its input, and the branch has no output then."""
    graph = models.small(
        """g (float[2,3] x, bool c) => (float[2,3] y) <float[2,3] zero = {0, 0, 0, 0, 0, 0}> {
            a = Sub(x, x)
            y = If (c) <then_branch = t () => (float[2,3] o) { o = Add(a, zero) },
                        else_branch = e () => (float[2,3] p) { p = Neg(a) }>
        }"""
    )
    before = fingerprint(graph)
    with pytest.raises(Fault, match=r"onnxslim made a model of it that is not valid: .*'o' is not an output"):
        apply(make("cleanup.simplify", {}), graph)
    assert fingerprint(graph) == before


@pytest.mark.parametrize("id", ["cleanup.simplify", "cleanup.sanitize"])
def test_a_plugin_is_not_taken_for_the_operator_of_its_name(id: str) -> None:
    graph = models.small(
        """g (float[2,3] x) => (float[2,3] y) <float[2,3] a = {1, 2, 3, 4, 5, 6}, float[2,3] b = {1, 2, 3, 4, 5, 6}> {
            s = Add(a, b) t = Add(x, s) u = trt.plugins.Identity(t) y = Relu(u)
        }""",
        extra=', "trt.plugins" : 1',
    )
    after = apply(make(id, {}), graph)
    assert ops(after) == ["Add", "Identity", "Relu"]
    assert after.nodes[graph.find("Identity_2")] is graph.nodes[graph.find("Identity_2")]


def test_what_was_fused_is_told_as_removed() -> None:
    graph = models.digits_bn()
    after = apply(make("cleanup.simplify", {}), graph)
    found = effect(graph, after)
    assert found.removed == {"BatchNormalization": 12}
    assert found.changed == {"Conv": 12}
    assert not found.added
    assert found.nodes == (43, 31)
    assert found.weight_bytes[1] < found.weight_bytes[0]
    checked(after)
    computes_the_same(graph, after)
