"""Law cases of replacing all occurrences of a pattern."""

from __future__ import annotations

from graftwerk.backend.graph.graph import Graph
from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case
from tests.backend.operations.law_models import graph_of, parsed


def scalars() -> Graph:
    """Add with constant scalars on both sides, of two shapes, twice the same one; and one with a vector."""
    return graph_of(parsed("""scalars (float[2,4] x) => (float[2,4] y, float[2,4] z)
        <float half = {0.5}, float[1] two = {2}, float[4] bias = {1, 2, 3, 4}> {
            ["/a/add"] a = Add(x, half) ["/a/relu"] r = Relu(a) ["/b/add"] b = Add(two, r)
            ["/b/bias"] c = Add(b, bias) ["/c/add"] z = Add(c, half) y = Neg(c)
        }"""))


ADD_SCALAR = {"pattern": "y = Add(x, #c:scalar)", "op_type": "AddScalar", "attributes": {"scalar": "=c"}}

CASES = [
    Case("pattern.replace", scalars, ADD_SCALAR),
    Case("pattern.replace", scalars, {**ADD_SCALAR, "within": ["/a/add", "/a/relu", "/c/add"]}),
    Case("pattern.replace", models.digits, {"pattern": "a = Conv(x, ...)\ny = Relu(a)", "op_type": "ConvRelu"}),
    Case("pattern.replace", models.encoder, {"pattern": "gelu", "op_type": "Gelu", "kind": "operator",
                                             "domain": "com.microsoft"}),
]  # fmt: skip
