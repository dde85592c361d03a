"""Random sequences of operations on random graphs keep all laws."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.registry import Operation, Selection, make, operations, why_blocked
from tests.backend.operations.law_models import typed
from tests.backend.operations.laws import checked, computes_the_same, fingerprint, indexes_are_fresh, shares_the_rest

#: Sequences in all: 2,000.
PARTS, EACH = 10, 200
_UNARY = ("Relu", "Neg", "Tanh", "Sigmoid", "Abs", "Identity")
_BINARY = ("Add", "Mul", "Sub", "Max")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to 12 element-wise nodes on FP32 tensors of 2×3, two inputs, two weights, an If that captures, some dead."""
    tensors, nodes = ["x0", "x1", "w0", "w1"], []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(("unary", "binary", "if")))
        name = f"t{number}"
        first, second = draw(st.sampled_from(tensors)), draw(st.sampled_from(tensors))
        if kind == "unary":
            nodes.append(helper.make_node(draw(st.sampled_from(_UNARY)), [first], [name], name=f"n{number}"))
        elif kind == "binary":
            nodes.append(helper.make_node(draw(st.sampled_from(_BINARY)), [first, second], [name], name=f"n{number}"))
        else:
            nodes.append(_branch(number, first, second, name))
        tensors.append(name)
    outputs = draw(st.sets(st.sampled_from(tensors[4:]), min_size=1, max_size=3))
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("x0", "x1")]
    inputs.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    values = [1.0, -2.0, 0.5, 0.0, 3.0, -1.0]
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [2, 3], values) for name in ("w0", "w1")]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in sorted(outputs)]
    graph = helper.make_graph(nodes, "random", inputs, made, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(inferred)
    return typed(decode(inferred.SerializeToString(), None, None))


def _branch(number: int, first: str, second: str, name: str) -> onnx.NodeProto:
    bodies = {}
    for label, op_type, inputs in (("then_branch", "Add", [first, second]), ("else_branch", "Neg", [first])):
        out = f"{label}{number}"
        info = helper.make_tensor_value_info(out, TensorProto.FLOAT, [2, 3])
        bodies[label] = helper.make_graph([helper.make_node(op_type, inputs, [out])], label, [], [info])
    return helper.make_node("If", ["c"], [name], name=f"n{number}", **bodies)


@st.composite
def drawn(draw: st.DrawFn, graph: Graph) -> Operation | None:
    """Some operation on a random selection, its free parameters drawn; None where the selection doesn't fit."""
    found = operations()[draw(st.sampled_from(sorted(operations())))]
    nodes, tensors = list(graph.nodes), list(graph.tensors())
    count = min(draw(st.sampled_from((1, 1, 1, 0, 2, 3))), len(nodes))
    chosen = tuple(draw(st.lists(st.sampled_from(nodes), min_size=count, max_size=count, unique=True)))
    edges = tuple(draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=1))) if draw(st.booleans()) else ()
    suggested = found.cls.suggest(graph, Selection(chosen, edges))
    if not isinstance(suggested, found.cls):
        return None
    values = {parameter.name: getattr(suggested, parameter.name) for parameter in found.parameters}
    for parameter in found.parameters:
        match parameter.name:
            case "op_type":
                values["op_type"] = draw(st.sampled_from((*_UNARY, "Fancy")))
                if values["op_type"] == "Fancy":
                    values["domain"] = "trt.plugins"
            case "name" | "tensor" if found.id in ("node.rename", "tensor.rename") and parameter.name == "name":
                values["name"] = draw(st.sampled_from(("fresh", "t1", "else_branch2", "w1")))
            case "tensor" if found.id == "node.rewire":
                values["tensor"] = draw(st.sampled_from(tensors))
            case "bridge":
                values["bridge"] = draw(st.booleans())
    try:
        return make(found.id, values)
    except Fault:
        return None  # a required text is empty: the form says so


@pytest.mark.parametrize("part", range(PARTS))
def test_random_sequences_keep_the_laws(part: int) -> None:
    """Each part has sequences of its own, the same in every run: what fails here fails again."""
    work = given(st.data())(_keeps_the_laws)
    seed(part)(settings(max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck), database=None)(work))()


def _keeps_the_laws(data: st.DataObject) -> None:
    document = Document(data.draw(graphs()))
    start = document.graph
    for _ in range(data.draw(st.integers(1, 6))):
        graph = document.graph
        if not graph.nodes:
            break
        operation = data.draw(drawn(graph))
        if operation is None or why_blocked(operation, graph) is not None:
            continue
        before = fingerprint(graph)
        try:
            result = document.apply(operation)
        except Fault:
            assert document.graph is graph
            continue
        finally:
            assert fingerprint(graph) == before
        shares_the_rest(graph, result)
        checked(result)
        indexes_are_fresh(result)
        plugins = any(record.domain == "trt.plugins" for record in graph.nodes.values())
        if operation.info.preserves and not plugins:
            computes_the_same(graph, result)
        document.set_types(result, typed(result).types)
    _replays(document, start)


def _replays(document: Document, start: Graph) -> None:
    recipe = Recipe.loads(document.recipe.dumps())
    assert recipe == document.recipe
    last = to_model(document.graph).SerializeToString(deterministic=True)
    again = start
    for step in recipe.operations():
        again = replay(Recipe.of([step]), again)
        again = again.with_types(typed(again).types)
    assert to_model(again).SerializeToString(deterministic=True) == last
    while document.can_undo:
        document.undo()
    assert to_model(document.graph) == to_model(start)
