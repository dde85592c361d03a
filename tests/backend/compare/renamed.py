"""Models to compare: the same one with other names, as a re-export gives it."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import GraphProto, ModelProto

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph


def graph_of(model: ModelProto) -> Graph:
    return decode(model.SerializeToString(), None, None)


def renamed(model: ModelProto, change: Callable[[GraphProto], object] | None = None) -> ModelProto:
    """A copy in which nodes, inner tensors and weights have other names, all shifted; `change` edits it before."""
    made = ModelProto()
    made.CopyFrom(model)
    if change is not None:
        change(made.graph)
    graph = made.graph
    kept = {info.name for info in (*graph.input, *graph.output)}
    names: dict[str, str] = {}

    def new(name: str) -> str:
        return name if not name or name in kept else names.setdefault(name, f"t{len(names) + 1000}")

    for number, node in enumerate(graph.node):
        node.name = f"node_{number + 7}"
        inputs, outputs = list(map(new, node.input)), list(map(new, node.output))
        del node.input[:], node.output[:]
        node.input.extend(inputs)
        node.output.extend(outputs)
    for value in (*graph.initializer, *graph.value_info):
        value.name = new(value.name)
    return made


def tower(layers: int, seed: int = 0) -> ModelProto:
    """Layers that look the same but for their weights: MatMul, Add, Relu, and a residual Add."""
    import numpy as np

    random = np.random.default_rng(seed)
    nodes, weights, last = [], [], "x"
    for number in range(layers):
        weights.append(onnx.numpy_helper.from_array(random.normal(size=(8, 8)).astype(np.float32), f"w{number}"))
        weights.append(onnx.numpy_helper.from_array(random.normal(size=8).astype(np.float32), f"b{number}"))
        nodes += [
            onnx.helper.make_node("MatMul", [last, f"w{number}"], [f"m{number}"], f"/layer{number}/MatMul"),
            onnx.helper.make_node("Add", [f"m{number}", f"b{number}"], [f"a{number}"], f"/layer{number}/Add"),
            onnx.helper.make_node("Relu", [f"a{number}"], [f"r{number}"], f"/layer{number}/Relu"),
            onnx.helper.make_node("Add", [f"r{number}", last], [f"y{number}"], f"/layer{number}/Add_1"),
        ]
        last = f"y{number}"
    shape = [1, 8]
    graph = onnx.helper.make_graph(
        nodes, "tower",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, shape)], weights,
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
