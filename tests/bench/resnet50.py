"""ResNet-50 at 224×224 with random weights, batch norm folded: 53 convolutions, 25.5 M parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper


def write(path: Path, batch: int | str = "N") -> None:
    """Writes the model; He and others, 2016, with the stride in the 3×3 convolutions."""
    random = np.random.default_rng(0)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []

    def conv(x: str, name: str, inputs: int, outputs: int, size: int, stride: int = 1) -> str:
        deviation = np.sqrt(2 / (inputs * size * size))
        values = random.normal(0, deviation, (outputs, inputs, size, size)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"{name}.weight"))
        weights.append(numpy_helper.from_array(np.zeros(outputs, np.float32), f"{name}.bias"))
        padding = [size // 2] * 4
        nodes.append(helper.make_node("Conv", [x, f"{name}.weight", f"{name}.bias"], [name], name=name,
                                      kernel_shape=[size, size], strides=[stride, stride], pads=padding))  # fmt: skip
        return name

    def op(kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    x = op("Relu", [conv("input", "conv1", 3, 64, 7, 2)], "relu1")
    x = op("MaxPool", [x], "pool1", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            at, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            y = op("Relu", [conv(x, f"{at}.conv1", channels, width, 1)], f"{at}.relu1")
            y = op("Relu", [conv(y, f"{at}.conv2", width, width, 3, stride)], f"{at}.relu2")
            y = conv(y, f"{at}.conv3", width, 4 * width, 1)
            if block == 0:
                x = conv(x, f"{at}.downsample", channels, 4 * width, 1, stride)
            channels = 4 * width
            x = op("Relu", [op("Add", [y, x], f"{at}.add")], f"{at}.out")
    x = op("Flatten", [op("GlobalAveragePool", [x], "average")], "flat")
    weights.append(numpy_helper.from_array(random.normal(0, 0.02, (1000, 2048)).astype(np.float32), "fc.weight"))
    weights.append(numpy_helper.from_array(np.zeros(1000, np.float32), "fc.bias"))
    nodes.append(helper.make_node("Gemm", [x, "fc.weight", "fc.bias"], ["output"], name="fc", transB=1))
    info = helper.make_tensor_value_info
    ends = [info("input", TensorProto.FLOAT, [batch, 3, 224, 224])], [info("output", TensorProto.FLOAT, [batch, 1000])]
    graph = helper.make_graph(nodes, "resnet50", *ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
