"""The transaction: what it refuses, what it keeps, where new nodes come to stand."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType
from tests.backend.operations import law_models as models
from tests.backend.operations.laws import checked, fingerprint, indexes_are_fresh


def names(graph: Graph) -> list[str]:
    return [record.name for record in graph.nodes.values()]


def test_a_dropped_edit_changes_nothing() -> None:
    graph = models.branches()
    before = fingerprint(graph)
    edit = Edit(graph)
    edit.rename_tensor("r", "renamed")
    edit.remove_node(graph.find("Neg_2"))
    edit.set_initializer(np.zeros(3, np.float32), "w")
    edit.model.producer_name = "someone"
    assert fingerprint(graph) == before


def test_new_nodes_stand_behind_their_producers() -> None:
    graph = models.chain()
    edit = Edit(graph)
    edit.rewire("r", "r2")
    edit.add_node("Abs", ["r1"], ["r2"], name="second")
    edit.add_node("Abs", ["r"], ["r1"], name="first")  # added later, needed earlier
    after = edit.commit()
    assert names(after) == ["Relu_0", "first", "second", "Sigmoid_1", "Neg_2"]
    indexes_are_fresh(after)
    checked(after)


def test_several_new_nodes_at_one_place_keep_their_order() -> None:
    edit = Edit(models.chain())
    for number in range(5):
        edit.add_node("Abs", ["r"], [f"a{number}"], name=f"abs{number}")
    edit.add_node("Abs", ["x"], ["b"], name="front")
    assert names(edit.commit()) == ["front", "Relu_0", *(f"abs{n}" for n in range(5)), "Sigmoid_1", "Neg_2"]


def test_new_nodes_that_read_weights_stand_before_their_consumers() -> None:
    edit = Edit(models.chain())
    edit.set_initializer(np.zeros(2, np.float32), "w")
    edit.add_node("Abs", ["w"], ["w1"], name="first")
    edit.add_node("Neg", ["w1"], ["w2"], name="second")
    last = edit.base.find("Neg_2")
    edit.replace_node(last, op_type="Add", inputs=[*edit.nodes[last].input, "w2"])
    after = edit.commit()
    assert names(after) == ["Relu_0", "Sigmoid_1", "first", "second", "Neg_2"]


def test_a_rewire_to_what_comes_later_moves_the_nodes() -> None:
    graph = models.small("g (float[2] x) => (float[2] y, float[2] z) { a = Relu(x) y = Neg(a) b = Abs(x) z = Tanh(b) }")
    edit = Edit(graph)
    edit.rewire("a", "b")
    after = edit.commit()
    assert names(after) == ["Relu_0", "Abs_2", "Neg_1", "Tanh_3"]
    indexes_are_fresh(after)
    assert after.nodes[graph.find("Relu_0")] is graph.nodes[graph.find("Relu_0")]


def test_a_cycle_is_refused_with_its_path() -> None:
    edit = Edit(models.chain())
    edit.replace_node(edit.base.find("Relu_0"), inputs=["s"])
    with pytest.raises(Fault, match="cycle") as caught:
        edit.commit()
    assert caught.value.where == "Relu_0 → Sigmoid_1 → Relu_0"


def test_what_would_read_nothing_is_refused() -> None:
    graph = models.branches()
    spoils: tuple[Callable[[Edit], None], ...] = (
        lambda edit: edit.remove_node(graph.find("Relu_0")),  # only a body reads it
        lambda edit: edit.remove_initializer("w"),
        lambda edit: edit.set_inputs(graph.inputs[:1]),
        lambda edit: edit.remove_node(graph.find("Neg_2")),
        lambda edit: edit.replace_node(graph.find("Neg_2"), inputs=["nowhere"]),
        lambda edit: edit.set_outputs([TensorType(1, (2,)).value_info("nowhere")]),
    )
    for spoil in spoils:
        edit = Edit(graph)
        spoil(edit)
        with pytest.raises(Fault, match=r"nothing makes|Nothing would"):
            edit.commit()


def test_names_that_are_in_use_are_refused() -> None:
    graph = models.branches()
    edit = Edit(graph)
    for name in ("x", "w", "r", "y"):
        with pytest.raises(Fault):
            edit.add_node("Abs", ["x"], [name])
    for name in ("x", "w", "z", "inner"):
        with pytest.raises(Fault):
            edit.rename_tensor("r", name)
    with pytest.raises(Fault, match="A node makes"):
        edit.set_initializer(np.zeros(1, np.float32), "r")
    with pytest.raises(Fault, match="same name"):
        edit.set_inputs([graph.inputs[0], graph.inputs[0]])
    assert edit.fresh_tensor("inner") == "inner_1"
    assert edit.fresh_tensor("r") == "r_1"
    assert edit.fresh_tensor("free") == "free"
    assert edit.fresh_node("Relu_0") == "Relu_0_1"


def test_only_the_named_consumers_are_rewired() -> None:
    graph = models.branches()
    edit = Edit(graph)
    edit.rewire("x", "w", only=[graph.find("If_1")])
    after = edit.commit()
    assert after.consumers("x") == (graph.find("Relu_0"),)
    then = after.nodes[graph.find("If_1")].attribute[0].g
    assert list(then.node[1].input) == ["inner", "w"]


def test_a_body_that_shadows_a_name_is_not_rewired() -> None:
    """Before SSA was required, exporters wrote bodies whose inputs are called like outer tensors."""
    model = models.parsed(
        """g (float[3] x) => (float[3] y) <int64 n = {3}, bool k = {1}> {
            s = Relu(x)
            y = Loop (n, k, s) <body = b (int64 i, bool c, float[3] s) => (bool c2, float[3] t) {
                c2 = Identity(c) t = Neg(s)
            }>
        }"""
    )
    graph = decode(model.SerializeToString(), None, None)
    edit = Edit(graph)
    edit.rewire("s", "x")
    loop = edit.commit().nodes[graph.find("Loop_1")]
    assert list(loop.input) == ["n", "k", "x"]
    assert list(loop.attribute[0].g.node[1].input) == ["s"]


def test_types_are_forgotten_downstream_only() -> None:
    graph = models.plugin()
    edit = Edit(graph)
    edit.forget_types(["a"])
    after = edit.commit()
    assert after.type_of("a") is None
    assert after.type_of("b") == TensorType(1, (2, 3)), "declared behind a plugin: inference can't find it"
    assert after.type_of("x") == TensorType(1, (2, 3))
    edit = Edit(models.residual())
    edit.forget_types(["b"])
    assert [edit.type_of(name) is None for name in "abc"] == [False, True, True]


def test_an_initializer_in_a_model_of_ir_3_raises_the_ir() -> None:
    edit = Edit(models.old_inputs())
    edit.set_initializer(np.zeros(3, np.float32), "fresh")
    assert edit.commit().model.ir_version == 4
    assert edit.base.model.ir_version == 3


def test_incomplete_and_revisions() -> None:
    graph = models.chain()
    edit = Edit(graph)
    edit.mark_incomplete(Reason("the types do not fit"))
    after = edit.commit()
    assert after.incomplete == Reason("the types do not fit")
    assert (after.parent, after.revision > graph.revision, after.touched) == (graph.revision, True, frozenset())
    assert after.nodes is not graph.nodes
    assert Edit(after).commit().incomplete is not None


def test_an_edit_of_50000_nodes_is_fast() -> None:
    """Against copying the graph's dictionaries, which any edit does at least: within 15 times of that."""
    edit = Edit(models.chain())
    tensor = "r"
    for number in range(50_000):
        edit.add_node("Abs", [tensor], [f"a{number}"], name=f"abs{number}")
        tensor = f"a{number}"
    graph = edit.commit()

    def once() -> float:
        start = time.perf_counter()
        edit = Edit(graph)
        edit.rewire("a25000", "fresh", only=[graph.find("abs25001")])
        edit.add_node("Neg", ["a25000"], ["fresh"])
        assert len(edit.commit().nodes) == 50_004
        return time.perf_counter() - start

    def copied() -> float:
        start = time.perf_counter()
        for table in (graph.nodes, graph.producers, graph.users, graph.names):
            dict(table.items())
        return time.perf_counter() - start

    assert min(once() for _ in range(7)) < 15 * min(copied() for _ in range(7))
