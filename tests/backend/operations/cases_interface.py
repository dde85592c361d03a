"""Cases of the laws for the operations on graph inputs and outputs."""

from __future__ import annotations

from graftwerk.backend.graph.graph import Graph
from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case


def image() -> Graph:
    """A convolution whose input, in NHWC, goes through a Transpose, and one of whose outputs comes from one."""
    weights = ", ".join(str(number % 7) for number in range(135))
    return models.small(
        f"""g (float[1,8,6,3] x) => (float[1,6,4,5] y, float[1,5,6,4] z) <float[5,3,3,3] w = {{{weights}}}> {{
            n = Transpose<perm = [0, 3, 1, 2]>(x) c = Conv(n, w) z = Relu(c) a = Abs(c)
            y = Transpose<perm = [0, 2, 3, 1]>(a)
        }}"""
    )


def attention() -> Graph:
    """Heads taken apart and joined by Reshapes with a batch of 2 built in, one of them with a -1 elsewhere."""
    return models.small(
        """g (float[2,5,12] x, int64[2,5] m) => (float[2,5,12] y, float[10,12] rows, int64[2,5] k)
            <int64[4] split = {2, 5, 3, 4}, int64[3] join = {2, -1, 12}, int64[2] flat = {10, 12}> {
            h = Reshape(x, split) t = Transpose<perm = [0, 2, 1, 3]>(h) r = Relu(t)
            b = Transpose<perm = [0, 2, 1, 3]>(r) y = Reshape(b, join) rows = Reshape(y, flat) k = Identity(m)
        }"""
    )


def named() -> Graph:
    """Named dimensions, and an output that is twice as long."""
    return models.small("g (float[batch,seq] x) => (float[batch,N] y) { y = Concat<axis = 1>(x, x) }")


CASES = [
    Case("interface.mark_outputs", models.chain, {"all": True}),
    Case("interface.mark_outputs", models.residual, {"op_types": ["Relu", "Add"]}),
    Case("interface.mark_outputs", models.residual, {"tensors": ["a"], "nodes": ["Add_2"]}),
    Case("interface.unmark_outputs", models.chain, {"all_but": ["y"]}),
    Case("interface.unmark_outputs", models.chain, {"op_types": ["Relu"]},
         (("interface.mark_outputs", {"all": True}),)),
    Case("interface.set_shapes", models.chain, {"shapes": {"x": "n,7"}}),
    Case("interface.fix_dimension", named, {"name": "batch", "size": 4}),
    Case("interface.rename_dimension", named, {"name": "seq", "new_name": "time"}),
    Case("interface.name_dimension", models.chain, {"tensors": ["x"], "axis": 1, "name": "width"}),
    Case("interface.dynamic_batch", attention, {}),
    Case("interface.dynamic_batch", models.chain, {"name": "n"}),
    Case("interface.static_batch", named, {"size": 3}),
    Case("interface.static_batch", attention, {"size": 3}, (("interface.dynamic_batch", {}),)),
    Case("interface.set_layout", image, {"tensors": ["x"], "to": "NCHW"}),
    Case("interface.set_layout", image, {"tensors": ["z"], "to": "NHWC"}),
    Case("interface.set_layout", image, {"tensors": ["y"], "to": "NCHW"}),
]  # fmt: skip
