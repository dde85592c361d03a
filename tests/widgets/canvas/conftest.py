"""A canvas that shows a small residual network with a quantized branch, and the mouse over it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, ValueInfoProto, helper
from pytestqt.qtbot import QtBot

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.canvas.view import Canvas


def float_info(name: str, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


@pytest.fixture
def graph() -> Graph:
    """x → conv → relu → Q/DQ → conv2 → add(relu) → y; weights, a Constant, a quantized weight."""
    node = helper.make_node
    weights = [
        helper.make_tensor("w1", TensorProto.FLOAT, (4, 4, 1, 1), np.ones(16, np.float32)),
        helper.make_tensor("b1", TensorProto.FLOAT, (4,), np.ones(4, np.float32)),
        helper.make_tensor("w2", TensorProto.INT8, (4, 4, 1, 1), np.ones(16, np.int8)),
        helper.make_tensor("s", TensorProto.FLOAT, (), [0.0312]),
        helper.make_tensor("z", TensorProto.INT8, (), [0]),
    ]
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], "/block/conv1/Conv"),
        node("Relu", ["c1"], ["r1"], "/block/relu/Relu"),
        node("QuantizeLinear", ["r1", "s", "z"], ["q"], "Q"),
        node("DequantizeLinear", ["q", "s", "z"], ["dq"], "DQ"),
        node("DequantizeLinear", ["w2", "s", "z"], ["w2f"], "DQ_w2"),
        node("Conv", ["dq", "w2f"], ["c2"], "/block/conv2/Conv"),
        node("Add", ["c2", "r1"], ["a"], "/block/Add"),
        node("Constant", [], ["half"], "half", value=helper.make_tensor("v", TensorProto.FLOAT, (), [0.5])),
        node("Mul", ["a", "half"], ["y"], "/head/Mul"),
    ]
    made = helper.make_graph(nodes, "g", [float_info("x", 1, 4, 8, 8)], [float_info("y", 1, 4, 8, 8)], weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    return decode(model.SerializeToString(), None, None)


@pytest.fixture
def canvas(qtbot: QtBot, graph: Graph) -> Canvas:
    made = Canvas()
    qtbot.addWidget(made)
    made.resize(900, 700)
    made.show()
    qtbot.waitExposed(made)
    made.set_graph(graph)
    made.set_camera(made.camera.fitted(made.picture.bounds))
    return made
