"""Cases of the laws for the operations of Clean up."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph
from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case


def noops() -> Graph:
    """Every kind of node that changes nothing, and some that look alike and do something."""
    return models.small(
        """g (float[2,3] x, float16[2,3] h) => (float[2,3] y, float16[2,3] k, float[3,2] t, float[2,3] s)
        <int64[2] same = {2, 3}, int64[1] zero = {0}, int64[1] end = {9223372036854775807}, int64[1] one = {1},
         float unit = {1}, int64[1] cut = {1}> {
            a = Identity(x) b = Cast<to = 1>(a) c = Reshape(b, same) d = Dropout(c)
            e = Transpose<perm = [1, 0]>(d) f = Transpose<perm = [1, 0]>(e) i = Slice(f, zero, end)
            j = Concat<axis = 0>(i) l, m = Split<axis = 0>(j) n = Concat<axis = 0>(l, m)
            o = Mul(n, unit) u = Unsqueeze(o, zero) v = Squeeze(u, zero) y = Neg(v)
            w = Cast<to = 1>(h) k = Cast<to = 10>(w)
            t = Transpose<perm = [1, 0]>(x) z = Identity(x) q = Cast<to = 10>(z) s = Cast<to = 1>(q)
        }"""
    )


def twice() -> Graph:
    return models.small(
        """g (float[2,3] x) => (float[2,3] y, float[2,3] z) <float[3] w = {1, 2, 3}, float[3] w2 = {1, 2, 3}> {
            a = Relu(x) b = Relu(x) c = Add(a, w) d = Add(w2, b) e = Mul(c, d) y = Neg(e) f = Neg(e) z = Add(f, e)
        }"""
    )


def normed() -> Graph:
    """BatchNormalization behind Conv, a grouped ConvTranspose, Gemm, MatMul, and where it can't be fused."""
    model = models.parsed(
        """g (float[1,4,6,6] x) => (float[1,5] y, float[1,4,6,6] z) {
            a = Conv<kernel_shape = [1, 1]>(x, w1) b = BatchNormalization(a, s4, b4, m4, v4)
            c = ConvTranspose<group = 2>(b, w2, c2) d = BatchNormalization<epsilon = 0.01>(c, s4, b4, m4, v4)
            e = Flatten(d) f = Gemm<transB = 1, alpha = 0.5, beta = 2.0>(e, w3, c3)
            g1 = BatchNormalization(f, s5, b5, m5, v5)
            h = MatMul(g1, w5) y = BatchNormalization(h, s5, b5, m5, v5)
            r = Relu(b) z = BatchNormalization(r, s4, b4, m4, v4)
        }"""
    )
    random = np.random.default_rng(3)
    shapes = {"w1": (4, 4, 1, 1), "w2": (4, 2, 3, 3), "c2": (4,), "w3": (5, 256), "c3": (5,), "w5": (5, 5)}
    shapes |= {f"{kind}{size}": (size,) for kind in "sbmv" for size in (4, 5)}
    for name, shape in shapes.items():
        values = random.uniform(0.5, 1.5, shape) if name[0] == "v" else random.normal(size=shape)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    return models.graph_of(model)


def heads() -> Graph:
    """Attention's split into heads: batch and length are read from what is reshaped."""
    return models.small(
        """g (float[n,s,12] x) => (float[n,s,3,4] y)
        <int64 i0 = {0}, int64 i1 = {1}, int64[1] zero = {0}, int64[1] three = {3}, int64[1] four = {4}> {
            a = Shape(x) n = Gather(a, i0) s = Gather(a, i1) nu = Unsqueeze(n, zero) su = Unsqueeze(s, zero)
            t = Concat<axis = 0>(nu, su, three, four) y = Reshape(x, t)
        }"""
    )


def unsorted() -> Graph:
    model = models.parsed("g (float[2,3] x) => (float[2,3] y) { a = Relu(x) b = Neg(a) y = Tanh(b) }")
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[2], nodes[0], nodes[1]])
    return models.typed(decode(model.SerializeToString(), None, None))


def older() -> Graph:
    return models.small(
        """g (float[2,1,3] x, bool c) => (float[1,3] y) {
            s = Squeeze<axes = [1]>(x)
            t = If (c) <then_branch = t () => (float[2,1,3] o) { o = Unsqueeze<axes = [1]>(s) },
                        else_branch = e () => (float[2,1,3] p) { p = Neg(x) }>
            u = Squeeze<axes = [1]>(t) y = ReduceSum<axes = [0]>(u)
        }""", opset=11,
    )  # fmt: skip


CASES = [
    Case("cleanup.remove_noops", noops, {}),
    Case("cleanup.remove_noops", noops, {"transposes": False, "casts": False}),
    Case("cleanup.remove_noops", noops, {"nodes": ["Identity_0"]}),
    Case("cleanup.common_subexpressions", twice, {}),
    Case("cleanup.fuse_batch_norm", normed, {}),
    Case("cleanup.fuse_batch_norm", models.digits_bn, {}),
    Case("cleanup.sort", unsorted, {}),
    Case("cleanup.convert_opset", older, {"version": 18}),
    Case("cleanup.convert_opset", models.chain, {"version": 14}),
    Case("cleanup.convert_opset", models.branches, {"version": 18}),
    Case("cleanup.convert_ir", models.chain, {"version": 10}),
    Case("cleanup.convert_ir", models.old_inputs, {"version": 7}),
    Case("graph.fold_constants", heads, {}),
    Case("cleanup.sanitize", models.constants, {}),
    Case("cleanup.simplify", models.digits_bn, {}),
    Case("cleanup.simplify", noops, {}),
]
