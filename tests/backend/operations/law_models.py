"""Models for the law tests: the bundled ones, and small ones with everything that makes an edit hard."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import ModelProto, numpy_helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.graph.types import TensorType
from graftwerk.resources import model as bundled


def typed(graph: Graph) -> Graph:
    """With what onnx's shape inference finds, as the window has it."""
    try:
        return graph.with_types(infer(graph, symbolic=False))
    except Fault:
        return graph


def parsed(text: str, opset: int = 17, extra: str = "", named: bool = True) -> ModelProto:
    head = f'<ir_version: 8, opset_import: ["" : {opset}{extra}]>'
    model = onnx.parser.parse_model(head + text)
    for number, node in enumerate(model.graph.node):
        if named and not node.name:
            node.name = f"{node.op_type}_{number}"
    return model


def graph_of(model: ModelProto) -> Graph:
    onnx.checker.check_model(model)
    return typed(decode(model.SerializeToString(), None, None))


def small(text: str, opset: int = 17, extra: str = "") -> Graph:
    return graph_of(parsed(text, opset, extra))


def digits() -> Graph:
    return typed(load(bundled("digits")))


def digits_bn() -> Graph:
    return typed(load(bundled("digits_bn")))


def encoder() -> Graph:
    return typed(load(bundled("encoder")))


def chain() -> Graph:
    """x → Relu → Sigmoid → Neg → y, and the sigmoid is an output too."""
    return small("g (float[2,3] x) => (float[2,3] y, float[2,3] s) { r = Relu(x) s = Sigmoid(r) y = Neg(s) }")


def residual() -> Graph:
    return small("g (float[2,3] x) => (float[2,3] y) { a = Relu(x) b = Neg(a) c = Add(b, a) y = Tanh(c) }")


def branches() -> Graph:
    """An If whose bodies capture a computed tensor, a weight and an input, and whose own names are `inner`, `other`."""
    model = parsed(
        """g (float[2,3] x, bool c) => (float[2,3] y) <float[2,3] w = {1, 2, 3, 4, 5, 6}> {
            r = Relu(x)
            z = If (c) <
                then_branch = t () => (float[2,3] out) { inner = Add(r, w) out = Mul(inner, x) },
                else_branch = e () => (float[2,3] out) { other = Neg(r) out = Sub(other, w) }
            >
            y = Neg(z)
        }"""
    )
    return graph_of(model)


def loop() -> Graph:
    """A Loop that adds a captured tensor to its state, three times."""
    model = parsed(
        """g (float[3] x) => (float[3] y) <int64 n = {3}, bool k = {1}> {
            r = Relu(x)
            s = Abs(x)
            y = Loop (n, k, s) <body = b (int64 i, bool cond, float[3] state) => (bool again, float[3] next) {
                again = Identity(cond) next = Add(state, r)
            }>
        }"""
    )
    return graph_of(model)


def dead() -> Graph:
    """Nodes in a chain that nothing needs, a weight that nothing reads, a function that nothing calls."""
    model = parsed(
        """g (float[2,3] x, float[2,3] spare) => (float[2,3] y) <float[3] w = {1, 2, 3}, float[3] unread = {7, 8, 9}> {
            a = Relu(x) b = Neg(a) lost = Add(b, w) lost2 = Tanh(lost) p, q = Split<axis = 1>(x, sizes)
            c = Concat<axis = 1>(p, q) y = local.Twice(c)
        }""".replace("unread = {7, 8, 9}", "unread = {7, 8, 9}, int64[2] sizes = {1, 2}"),
        extra=', "local" : 1',
    )
    for name in ("Twice", "Never"):
        node = onnx.helper.make_node("Add", ["v", "v"], ["w"])
        opsets = [onnx.helper.make_opsetid("", 17)]
        model.functions.append(onnx.helper.make_function("local", name, ["v"], ["w"], [node], opsets))
    return graph_of(model)


def constants() -> Graph:
    """Constants to fold, a shape that is known, a quantized weight, a large Expand, a random operator."""
    return small(
        """g (float[2,3] x) => (float[2,3] y, float[4] r) <float[3] w = {1, 2, 3}, float s = {0.5}, int8 z = {0},
            int8[3] q = {1, -2, 3}, int64[2] wide = {4096, 4096}, float one = {1}, int64[1] four = {4}> {
            w2 = Mul(w, w) w3 = Identity(w2) a = Add(x, w3) sh = Shape(x) flat = Reshape(a, sh)
            d = DequantizeLinear(q, s, z) b = Add(flat, d) huge = Expand(one, wide) m = ReduceMax<keepdims = 0>(huge)
            y = Add(b, m) r = RandomNormal<shape = [4], seed = 1.0>()
        }"""
    )


def quantized() -> Graph:
    return small(
        """g (float[1,2,4,4] x) => (float[1,2,4,4] y) <float s = {0.1}, int8 z = {0}> {
            a = Relu(x) q = QuantizeLinear(a, s, z) d = DequantizeLinear(q, s, z)
            t = Transpose<perm = [0, 1, 3, 2]>(d) y = Neg(t)
        }"""
    )


def plugin() -> Graph:
    """A node of a domain that onnx doesn't know, with its type declared."""
    model = parsed("g (float[2,3] x) => (float[2,3] y) { a = Relu(x) b = trt.plugins.Gelu(a) y = Neg(b) }",
                   extra=', "trt.plugins" : 1')  # fmt: skip
    model.graph.value_info.append(TensorType(1, (2, 3)).value_info("b"))
    return graph_of(model)


def old_inputs() -> Graph:
    """IR 3: a weight is a graph input as well."""
    model = parsed("g (float[2,3] x, float[3] w) => (float[2,3] y) { y = Add(x, w) }", opset=8)
    model.ir_version = 3
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w"))
    return graph_of(model)


def unnamed() -> Graph:
    """No node has a name of its own: two share one, the others have none."""
    model = parsed("g (float[2,3] x) => (float[2,3] y) { a = Relu(x) b = Neg(a) y = Tanh(b) }", named=False)
    for node in model.graph.node[:2]:
        node.name = "same"
    return graph_of(model)
