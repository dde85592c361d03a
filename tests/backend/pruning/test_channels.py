"""Channel pruning: a pruned model computes what the whole one does with the same channels set to zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.backend.pruning.channels import Kept, chosen, count_left, groups_of, importance, prune
from graftwerk.backend.pruning.groups import Group, find_groups, weight_behind
from tests.backend.operations.law_models import digits, digits_bn, small


def with_weights(text: str, **weights: tuple[int, ...]) -> Graph:
    """A graph with random weights of these dimensions."""
    graph = small(text.replace("WEIGHTS", ", ".join(f"float[{','.join('1' * len(d))}] {n} = {{1}}"
                                                    for n, d in weights.items())))  # fmt: skip
    edit, generator = Edit(graph), np.random.default_rng(0)
    for name, dims in weights.items():
        edit.set_initializer(np.abs(generator.standard_normal(dims)).astype(np.float32) + 0.1, name)
    made = edit.commit().with_types({})
    return made.with_types(infer(made))


def residual_sum() -> Graph:
    return with_weights(
        """g (float[1,3,8,8] x) => (float[1,5,8,8] y) <WEIGHTS> {
            a = Conv<pads = [1,1,1,1]>(x, w1, b1) r = Relu(a) c = Conv<pads = [1,1,1,1]>(r, w2) s = Add(c, r)
            t = Relu(s) y = Conv(t, w3)
        }""",
        w1=(16, 3, 3, 3), b1=(16,), w2=(16, 16, 3, 3), w3=(5, 16, 1, 1),
    )  # fmt: skip


def side_by_side() -> Graph:
    return with_weights(
        """g (float[1,3,8,8] x) => (float[1,4,8,8] y) <WEIGHTS> {
            a = Conv(x, w1) b = Conv(x, w2) c = Concat<axis = 1>(a, b) d = BatchNormalization(c, g, h, m, v)
            y = Conv(d, w3)
        }""",
        w1=(8, 3, 1, 1), w2=(12, 3, 1, 1), g=(20,), h=(20,), m=(20,), v=(20,), w3=(4, 20, 1, 1),
    )  # fmt: skip


def depthwise() -> Graph:
    return with_weights(
        """g (float[1,3,8,8] x) => (float[1,4,6,6] y) <WEIGHTS> {
            a = Conv(x, w1) d = Conv<group = 16>(a, w2, b2) y = Conv(d, w3)
        }""",
        w1=(16, 3, 1, 1), w2=(16, 1, 3, 3), b2=(16,), w3=(4, 16, 1, 1),
    )  # fmt: skip


def grouped() -> Graph:
    return with_weights(
        """g (float[1,3,8,8] x) => (float[1,4,6,6] y) <WEIGHTS> {
            a = Conv(x, w1) d = Conv<group = 2>(a, w2, b2) y = Conv(d, w3)
        }""",
        w1=(16, 3, 1, 1), w2=(12, 8, 3, 3), b2=(12,), w3=(4, 12, 1, 1),
    )  # fmt: skip


def flattened() -> Graph:
    return with_weights(
        """g (float[1,3,4,4] x) => (float[1,7] y) <WEIGHTS> {
            a = Conv(x, w1) p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(a) f = Flatten(p)
            h = Gemm<transB = 1>(f, w2, b2) r = Relu(h) y = MatMul(r, w3)
        }""",
        w1=(8, 3, 1, 1), w2=(16, 32), b2=(16,), w3=(16, 7),
    )  # fmt: skip


def squeezed() -> Graph:
    """Squeeze and excitation, and a scale for every channel."""
    return with_weights(
        """g (float[1,3,8,8] x) => (float[1,4,8,8] y) <WEIGHTS> {
            a = Conv(x, w1) p = GlobalAveragePool(a) q = Conv(p, w2) r = Relu(q) s = Conv(r, w3) t = Sigmoid(s)
            u = Mul(a, t) v = Mul(u, k) y = Conv(v, w4)
        }""",
        w1=(16, 3, 1, 1), w2=(8, 16, 1, 1), w3=(16, 8, 1, 1), k=(16, 1, 1), w4=(4, 16, 1, 1),
    )  # fmt: skip


def tied() -> Graph:
    """One bias of two layers, behind an Identity, as exporters store equal weights."""
    return with_weights(
        """g (float[1,2,6] x) => (float[1,2,5] y) <WEIGHTS> {
            b2 = Identity(b) h = MatMul(x, w1) i = Add(b2, h) r = Relu(i) j = MatMul(r, w2) k = Add(b, j)
            l = Relu(k) y = MatMul(l, w3)
        }""",
        b=(8,), w1=(6, 8), w2=(8, 8), w3=(8, 5),
    )  # fmt: skip


MODELS = [tied, residual_sum, side_by_side, depthwise, grouped, flattened, squeezed, digits, digits_bn]


def zeroed(graph: Graph, kept: list[tuple[Group, Kept]]) -> Graph:
    """The whole model with what makes the other channels at zero; what reads them is as it was."""
    edit = Edit(graph)
    for group, stays in kept:
        lost = np.setdiff1d(np.arange(group.size), stays)
        for use, read in ((use, use not in group.made) for use in (*group.made, *group.uses)):
            weight = weight_behind(edit, use.weight)
            assert weight is not None
            if read and max(weight.dims) != weight.size:
                continue  # a layer that reads them
            if edit.consumers(use.weight) != (use.node,) or use.weight not in edit.initializers:
                own = edit.set_initializer(weight.array(), edit.fresh_tensor("own"))
                edit.rewire(use.weight, own, only=[use.node])
                use = replace(use, weight=own)
            values = np.moveaxis(weight.array().copy(), use.axis, 0)
            values[(use.start + lost[:, None] * use.repeat + np.arange(use.repeat)).reshape(-1)] = 0
            edit.set_initializer(np.ascontiguousarray(np.moveaxis(values, 0, use.axis)), use.weight)
    return edit.commit()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_pruned_is_the_whole_with_zeros(model: Callable[[], Graph], ratio: float) -> None:
    graph = model()
    graph = graph.with_types(infer(graph))
    groups = [group for group in find_groups(graph) if not group.frozen]
    assert groups
    kept = [(g, chosen(importance(graph, g, "L1 norm"), g, count_left(g, ratio, 1))) for g in groups]
    assert any(len(stays) < group.size for group, stays in kept)
    edit = Edit(graph)
    prune(edit, kept)
    made = edit.commit()
    shape = [d.dim_value or 2 for d in graph.inputs[0].type.tensor_type.shape.dim]
    feeds = {graph.inputs[0].name: np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    wanted, found = (run_model(to_model(each), feeds) for each in (zeroed(graph, kept), made))
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4)
    assert sum(w.size for w in made.initializers.values()) < sum(w.size for w in graph.initializers.values())


def test_what_meets_goes_together() -> None:
    first, *_ = find_groups(residual_sum())
    assert len(first.makers) == 2
    assert len(find_groups(side_by_side())) == 3
    assert [group.blocks for group in find_groups(grouped())] == [2, 2, 1]


def test_outputs_and_what_is_not_understood_hold_channels() -> None:
    groups = find_groups(residual_sum())
    assert "is an output" in groups[-1].frozen
    text = "g (float[1,3,8,8] x) => (float[1,8,8,8] y) <WEIGHTS> { a = Conv(x, w) s = Softmax<axis=1>(a) y = Relu(s) }"
    graph = with_weights(text, w=(8, 3, 1, 1))
    assert "Softmax" in find_groups(graph)[0].frozen
    reason = why_blocked(make("weights.prune_channels", {"nodes": ["Conv_0"]}), graph)
    assert reason is not None
    assert "have to stay" in reason.text


@pytest.mark.parametrize(
    ("ratio", "multiple", "left"), [(0.5, 8, 8), (0.3, 8, 8), (0.2, 8, 16), (0.9, 8, 8), (0.1, 32, 16)]
)
def test_multiples(ratio: float, multiple: int, left: int) -> None:
    group = Group(16)
    assert count_left(group, ratio, multiple) == left


def test_batch_norm_scale_chooses() -> None:
    graph = side_by_side()
    edit = Edit(graph)
    scale = np.ones(20, np.float32)
    scale[[1, 3, 10]] = 1e-3
    edit.set_initializer(scale, "g")
    graph = edit.commit().with_types(graph.types)
    first, second, _ = groups_of(graph, ())
    assert not {1, 3} & set(chosen(importance(graph, first, "batch norm scale"), first, 6).tolist())
    assert 10 - 8 not in chosen(importance(graph, second, "batch norm scale"), second, 11).tolist()


def test_the_operation_leaves_multiples_and_runs() -> None:
    made = apply(make("weights.prune_channels", {"ratio": 0.5, "multiple": "8"}), digits())
    for name, weight in made.initializers.items():
        if len(weight.dims) == 4 and weight.dims != digits().initializers[name].dims:
            assert weight.dims[0] % 8 == 0
    run_model(to_model(made), {"input": np.zeros((2, 1, 8, 8), np.float32)})
