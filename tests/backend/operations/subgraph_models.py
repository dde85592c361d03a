"""Models with bodies and functions in each other, for what is edited inside them."""

from __future__ import annotations

import onnx.parser

from graftwerk.backend.graph.graph import Graph
from tests.backend.operations.law_models import graph_of, parsed


def deep() -> Graph:
    """An If whose branch holds a Loop that captures tensors of both graphs around it."""
    return graph_of(
        parsed(
            """g (float[3] x, bool c) => (float[3] y) <int64 n = {3}, bool k = {1}> {
                r = Relu(x)
                far = Sigmoid(x)
                z = If (c) <
                    then_branch = t () => (float[3] out) {
                        near = Neg(r)
                        out = Loop (n, k, x) <body = b (int64 i, bool go, float[3] state) => (bool again, float[3] next) {
                            again = Identity(go) step = Add(near, r) next = Add(state, step)
                        }>
                    },
                    else_branch = e () => (float[3] other) { other = Tanh(r) }
                >
                y = Mul(z, far)
            }"""  # noqa: E501
        )
    )


def functions() -> Graph:
    """Calls of a function with attribute references and defaults, which calls another one; and one with an If."""
    text = """
    <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
    g (float[2,3] x, bool c) => (float[2,3] y) {
        a = local.Leaky <slope = 0.5> (x)
        b = local.Leaky (a)
        s = local.Choose (c, b)
        y = Neg(s)
    }
    <domain: "local", opset_import: ["" : 17, "local" : 1]>
    Leaky <slope : float = 0.1> (v) => (w) { u = LeakyRelu <alpha : float = @slope> (v) t = local.Twice(u) w = Tanh(t) }
    <domain: "local", opset_import: ["" : 17]>
    Twice (v) => (w) { two = Constant <value = float {2.0}> () w = Mul(v, two) }
    <domain: "local", opset_import: ["" : 17]>
    Choose (c, v) => (w) {
        w = If (c) <
            then_branch = t () => (float[2,3] p) { m = Abs(v) p = Add(m, v) },
            else_branch = e () => (float[2,3] q) { q = Neg(v) }
        >
    }
    """
    model = onnx.parser.parse_model(text)
    for function in (model.graph, *model.functions):
        for number, node in enumerate(function.node):
            node.name = f"{node.op_type}_{number}"
    return graph_of(model)


def gelu() -> Graph:
    """GELU as exporters wrote it before there was an operator."""
    return graph_of(
        parsed(
            """g (float[2,3] x) => (float[2,3] y) <float root = {1.4142135}, float one = {1}, float half = {0.5}> {
                a = Div(x, root) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)
            }""",
            opset=20,
        )
    )


def two_branches_in() -> Graph:
    """One node that leads to two branches which meet again: a set that leaves one of them out is not convex."""
    text = "g (float[2,3] x) => (float[2,3] y) { a = Relu(x) b = Neg(a) c = Tanh(a) d = Add(b, c) y = Abs(d) }"
    return graph_of(parsed(text))
