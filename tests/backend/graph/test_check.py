"""What makes a graph unusable, and what is only doubtful."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.check import check
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph
from tests.backend.operations.law_models import parsed


def chain() -> ModelProto:
    return parsed("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { a = Relu(x) b = Add(a, w) y = Neg(b) }")


def opened(model: ModelProto) -> Graph:
    graph = decode(model.SerializeToString(), None, None)
    check(graph)
    return graph


def node(model: ModelProto, index: int) -> NodeProto:
    found: NodeProto = model.graph.node[index]
    return found


def cycle(model: ModelProto) -> None:
    node(model, 0).input[0] = "b"


def own_cycle(model: ModelProto) -> None:
    node(model, 1).input[1] = "b"


def dangling(model: ModelProto) -> None:
    node(model, 1).input[1] = "nowhere"


def dangling_output(model: ModelProto) -> None:
    model.graph.output[0].name = "nowhere"


def made_twice(model: ModelProto) -> None:
    node(model, 1).output[0] = "a"


def weight_twice(model: ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])


def weight_made(model: ModelProto) -> None:
    model.graph.initializer[0].name = "a"


def input_made(model: ModelProto) -> None:
    model.graph.input[0].name = "a"


def input_twice(model: ModelProto) -> None:
    model.graph.input.append(model.graph.input[0])


def output_twice(model: ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def opset_of_the_future(model: ModelProto) -> None:
    model.opset_import[0].version = 99


def no_opset(model: ModelProto) -> None:
    model.opset_import[0].domain = "elsewhere"


def no_graph(model: ModelProto) -> None:
    model.ClearField("graph")


@pytest.mark.parametrize(
    ("spoil", "said", "where"),
    [
        (cycle, "cycle", "Relu_0 → Add_1 → Relu_0"),
        (own_cycle, "cycle", "Add_1 → Add_1"),
        (dangling, "nowhere", "Add_1"),
        (dangling_output, "nothing", "nowhere"),
        (made_twice, "Two nodes", "a"),
        (weight_twice, "Two initializers", "w"),
        (weight_made, "initializer as well", "a"),
        (input_made, "graph input as well", "a"),
        (input_twice, "Two graph inputs", "x"),
        (output_twice, "Two graph outputs", "y"),
        (opset_of_the_future, "opset 99", "opset_import"),
        (no_opset, "no version", "opset_import"),
        (no_graph, "no graph", ""),
    ],
)
def test_unusable(spoil: Callable[[ModelProto], None], said: str, where: str) -> None:
    model = chain()
    opened(model)
    spoil(model)
    with pytest.raises(Fault, match=said) as caught:
        opened(model)
    assert caught.value.where == where
    assert caught.value.hint


def test_doubtful() -> None:
    model = chain()
    model.graph.name = ""
    node(model, 0).name = node(model, 1).name = "same"
    node(model, 2).op_type = "Negative"
    said = [problem.message for problem in check(decode(model.SerializeToString(), None, None))]
    assert said == ["2 nodes have this name", "The graph has no name", "Opset 17 has no operator 'Negative'"]


def test_an_order_that_is_not_topological_opens_and_is_told() -> None:
    model = chain()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    graph = decode(model.SerializeToString(), None, None)
    assert [problem.message for problem in check(graph)] == ["The nodes are not in topological order"]


def test_operators_of_other_domains_and_functions_are_no_problem() -> None:
    model = parsed("g (float[2] x) => (float[2] y) { a = trt.plugins.Any(x) y = local.Twice(a) }",
                   extra=', "trt.plugins" : 1, "local" : 1')  # fmt: skip
    body = [helper.make_node("Add", ["v", "v"], ["w"])]
    model.functions.append(helper.make_function("local", "Twice", ["v"], ["w"], body, [helper.make_opsetid("", 17)]))
    onnx.checker.check_model(model)
    assert check(decode(model.SerializeToString(), None, None)) == ()


@pytest.mark.parametrize("version", [0, -3])
def test_an_operator_set_that_there_can_not_be_is_refused(version: int) -> None:
    model = chain()
    model.opset_import[0].version = version
    with pytest.raises(Fault, match="none below 1"):
        opened(model)


def errors(model: ModelProto) -> list[tuple[str, str]]:
    graph = decode(model.SerializeToString(), None, None)
    return [(problem.where, problem.message) for problem in check(graph) if problem.severity == "error"]


@pytest.mark.parametrize("version", [99, -1])
def test_an_unknown_ir_version_is_marked(version: int) -> None:
    model = chain()
    model.ir_version = version
    [(where, message)] = errors(model)
    assert where == "ir_version"
    assert str(version) in message


@pytest.mark.parametrize(
    ("word", "dims", "dtype", "size"), [("negative", -2, 1, 8), ("datatype 77", 2, 77, 8), ("12 bytes", 2, 1, 12)]
)
def test_a_weight_that_its_record_does_not_fit_is_marked(word: str, dims: int, dtype: int, size: int) -> None:
    model = chain()
    assert errors(model) == []
    model.graph.initializer[0].CopyFrom(TensorProto(name="w", data_type=dtype, dims=[dims], raw_data=bytes(size)))
    [(where, message)] = errors(model)
    assert where == "w"
    assert word in message
    with pytest.raises(Fault):
        decode(model.SerializeToString(), None, None).initializers["w"].array()


@pytest.mark.parametrize("place", ["symbol", "inner symbol", "domain", "producer", "function"])
def test_texts_that_are_none_are_refused(place: str) -> None:
    model = chain()
    mark = "NAMEHERE"
    if place == "symbol":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = mark
    elif place == "inner symbol":
        model.graph.value_info.append(helper.make_tensor_value_info("a", 1, [mark]))
    elif place == "domain":
        model.opset_import.add(domain=mark, version=1)
    elif place == "producer":
        model.producer_name = mark
    else:
        model.functions.append(helper.make_function("d", "f", ["i"], ["o"], [helper.make_node("Relu", ["i"], [mark])],
                                                    [helper.make_opsetid("", 17)]))  # fmt: skip
    data = model.SerializeToString().replace(mark.encode(), b"NAME\xff\xfeXY")
    with pytest.raises(Fault, match="Damaged"):
        decode(data, None, None)
