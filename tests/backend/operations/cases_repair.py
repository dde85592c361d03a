from __future__ import annotations

import onnx

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph
from tests.backend.operations.law_case import Case


def same_names() -> Graph:
    """Three nodes of which two are called alike and one has no name."""
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["a"], "same"),
        onnx.helper.make_node("Abs", ["a"], ["b"], "same"),
        onnx.helper.make_node("Neg", ["b"], ["y"]),
    ]
    infos = [onnx.helper.make_tensor_value_info(name, 1, [2, 3]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "names", infos[:1], infos[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return decode(model.SerializeToString(), None, None)


CASES = [
    Case("model.import_opset", same_names, {"domain": "com.microsoft", "version": 1}),
    Case("model.unique_names", same_names, {}),
    Case("model.unique_names", same_names, {"unnamed": True}),
]
