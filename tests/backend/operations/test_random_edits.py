"""Random sequences of operations on random graphs keep all laws."""

from __future__ import annotations

import os

import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
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
from tests.backend.operations.laws import (
    checked,
    computes_the_same,
    fingerprint,
    indexes_are_fresh,
    runs,
    shares_the_rest,
)  # fmt: skip

#: Sequences in all: 2,000.
PARTS, EACH = 10, 200
#: Looks for the shortest sequence that fails: minutes, for whoever mends it.
SHRINK = "GRAFTWERK_SHRINK" in os.environ
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


#: Texts that fit some parameter or other, and some that are taken.
_TEXTS = ("fresh", "t1", "else_branch2", "w1", "batch", "2,3", "batch,3", "x0", "FP16", "3,2", "")


@st.composite
def drawn(draw: st.DrawFn, graph: Graph) -> Operation | None:
    """Some operation that can be done on a random selection, its free parameters drawn; None where eight can't."""
    nodes, tensors = list(graph.nodes), list(graph.tensors())
    for _ in range(8):
        count = min(draw(st.sampled_from((1, 1, 1, 0, 2, 3))), len(nodes))
        chosen = tuple(draw(st.lists(st.sampled_from(nodes), min_size=count, max_size=count, unique=True)))
        edges = tuple(draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=1))) if draw(st.booleans()) else ()
        fitting = [
            suggested
            for found in operations().values()
            if isinstance(suggested := found.cls.suggest(graph, Selection(chosen, edges)), found.cls)
        ]
        quick = [suggested for suggested in fitting if not suggested.info.slow]
        made = draw(with_parameters(draw(st.sampled_from(quick * 5 + fitting)), graph)) if fitting else None
        if made is not None and why_blocked(made, graph) is None:
            return made
    return None


@st.composite
def with_parameters(draw: st.DrawFn, suggested: Operation, graph: Graph) -> Operation | None:
    """The suggested operation with some of its parameters drawn anew."""
    values = {parameter.name: getattr(suggested, parameter.name) for parameter in suggested.info.parameters}
    for parameter in suggested.info.parameters:
        if parameter.name == "op_type":
            values["op_type"] = draw(st.sampled_from((*_UNARY, "Fancy")))
            if values["op_type"] == "Fancy" and "domain" in values:
                values["domain"] = "trt.plugins"
        elif (parameter.required and not values[parameter.name]) or draw(st.integers(0, 3)) == 0:
            match parameter.kind:
                case "text" if parameter.name == "domain":
                    values["domain"] = "trt.plugins"
                case "text":
                    values[parameter.name] = draw(st.sampled_from(_TEXTS))
                case "tensor":
                    values[parameter.name] = draw(st.sampled_from(list(graph.tensors())))
                case "flag":
                    values[parameter.name] = draw(st.booleans())
                case "choice":
                    values[parameter.name] = draw(st.sampled_from(parameter.choices))
                case "integer":
                    values[parameter.name] = draw(st.integers(-1, 2))
                case "number":
                    values[parameter.name] = draw(st.sampled_from((0.5, 2.0, 1.0, -1.0)))
    try:
        return make(suggested.info.id, values)
    except Fault:
        return None  # what was drawn doesn't fit: the form says so


@pytest.mark.parametrize("part", range(PARTS))
def test_random_sequences_keep_the_laws(part: int) -> None:
    """Each part has sequences of its own, the same in every run: what fails here fails again."""
    work = given(st.data())(_keeps_the_laws)
    plain = settings(
        max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
    )  # fmt: skip
    seed(part)(plain(work))()


def _keeps_the_laws(data: st.DataObject) -> None:
    document = Document(data.draw(graphs()))
    start = document.graph
    for _ in range(data.draw(st.integers(1, 6))):
        graph = document.graph
        if not graph.nodes:
            break
        operation = data.draw(drawn(graph))
        if operation is None:
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
        plugins = any(record.domain and graph.function(record) is None for record in graph.nodes.values())
        if operation.info.preserves and not plugins and runs(graph):
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
