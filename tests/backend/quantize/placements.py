"""ResNet-50 in its real sizes, with Q/DQ pairs placed in four ways, good and bad: those of which the layers and times
on an H200 (TensorRT 8.6, batch 32) were measured."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE, find_pairs

BLOCKS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)


def resnet50(batch: int = 32) -> onnx.ModelProto:
    """The network, batch normalization folded, opset 17; all weights are 0.01."""
    nodes: list[onnx.NodeProto] = []
    stored: list[TensorProto] = []

    def give(shape: tuple[int, ...]) -> NDArray[np.float32]:
        return np.full(shape, 0.01, np.float32)

    def add(op: str, name: str, *inputs: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [f"{name}/{op}_output"], f"{name}/{op}", **attributes))  # type: ignore[arg-type]
        return f"{name}/{op}_output"

    def conv(name: str, x: str, out: int, channels: int, size: int, stride: int = 1) -> str:
        for kind, shape in (("weight", (out, channels, size, size)), ("bias", (out,))):
            stored.append(numpy_helper.from_array(give(shape), f"{name}.{kind}"))
        return add("Conv", f"/{name}", x, f"{name}.weight", f"{name}.bias", kernel_shape=[size, size],
                   strides=[stride, stride], pads=[size // 2] * 4)  # fmt: skip

    x = add("Relu", "/conv1", conv("conv1", "input", 64, 3, 7, 2))
    x = add("MaxPool", "/maxpool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (count, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True), 1):
        for block in range(count):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            y = add("Relu", f"/{name}.conv1", conv(f"{name}.conv1", x, width, channels, 1))
            y = add("Relu", f"/{name}.conv2", conv(f"{name}.conv2", y, width, width, 3, stride))
            y = conv(f"{name}.conv3", y, 4 * width, width, 1)
            short = conv(f"{name}.downsample", x, 4 * width, channels, 1, stride) if block == 0 else x
            x = add("Relu", f"/{name}", add("Add", f"/{name}", y, short))
            channels = 4 * width
    x = add("Flatten", "/flat", add("GlobalAveragePool", "/pool", x))
    for kind, shape in (("weight", (1000, 2048)), ("bias", (1000,))):
        stored.append(numpy_helper.from_array(give(shape), f"fc.{kind}"))
    x = add("Gemm", "/fc", x, "fc.weight", "fc.bias", transB=1)
    nodes.append(helper.make_node("Identity", [x], ["output"], "/output"))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "resnet50", [info("input", TensorProto.FLOAT, [batch, 3, 224, 224])],
        [info("output", TensorProto.FLOAT, [batch, 1000])], stored,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@cache
def plain() -> Graph:
    return typed(decode(resnet50().SerializeToString(), None, None), symbolic=False)


def placed(graph: Graph, way: str) -> Graph:
    """`graph`, a ResNet, with the pairs of one of the ways that were measured."""
    if way == "residual_float":
        return _do(graph, "qdq.place", residual=False, above=False, keep=["@op=Gemm"])
    if way == "expert":
        whole = _do(graph, "qdq.place", above=False, keep=["@op=Gemm"])
        return _without_downsamples(whole)
    if way == "before_relu":
        return _paired(placed(graph, "expert"), _read_by(graph, ["Relu"]))
    if way == "everywhere":
        return _paired(placed(graph, "expert"), _read_by(graph, ["Add", "MaxPool", "GlobalAveragePool"]))
    raise ValueError(way)


def _without_downsamples(graph: Graph) -> Graph:
    """Without pairs on the branch that a downsampling convolution makes: so the good one was, when it was measured."""
    for pair in find_pairs(graph).values():
        made = graph.producer(pair.source)
        if made is not None and "downsample" in graph.nodes[made].name:
            graph = apply(make("qdq.remove", {"node": graph.ref(pair.dequantize)}), graph)
    return typed(graph, symbolic=False)


def _read_by(graph: Graph, ops: Iterable[str]) -> list[str]:
    wanted = (record for record in graph.nodes.values() if record.op_type in set(ops))
    return list(dict.fromkeys(name for record in wanted for name in record.input))


def _paired(graph: Graph, tensors: Iterable[str]) -> Graph:
    for tensor in tensors:
        only = [graph.ref(node) for node in graph.consumers(tensor) if not _half(graph, node)]
        if only:
            graph = apply(make("qdq.insert", {"tensor": tensor, "only": only}), graph)
    return typed(graph, symbolic=False)


def _half(graph: Graph, node: NodeId) -> bool:
    return graph.nodes[node].op_type in (QUANTIZE, DEQUANTIZE)


def _do(graph: Graph, id: str, **values: object) -> Graph:
    return typed(apply(make(id, values), graph), symbolic=False)
