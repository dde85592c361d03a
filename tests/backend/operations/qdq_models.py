"""Small models in ONNX's text form for the tests of Q/DQ and plugins, and what ONNX Runtime computes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from numpy.typing import NDArray

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations import all as _registered  # noqa: F401
from graftwerk.backend.operations.registry import apply, make, why_blocked


def floats(values: object) -> NDArray[Any]:
    return np.asarray(values, np.float32)


def int8(values: object) -> NDArray[Any]:
    return np.asarray(values, np.int8)


def parse(
    text: str, opset: int = 17, ir: int = 8, weights: Mapping[str, NDArray[Any]] | None = None, extra: str = "",
    check: bool = True,
) -> Graph:  # fmt: skip
    """A graph of a text such as `g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }`, with further weights.

    `extra` are imports of further domains, such as `, "trt.plugins" : 1`.
    """
    model = onnx.parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}{extra}]>' + text)
    for name, values in (weights or {}).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    if check:
        onnx.checker.check_model(model)
    return decode(model.SerializeToString(), None, None)


def checked(graph: Graph) -> onnx.ModelProto:
    model = to_model(graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(graph: Graph, feeds: Mapping[str, NDArray[Any]] | None = None) -> list[NDArray[Any]]:
    """What ONNX Runtime computes, without optimizing, of the feeds or of random numbers with negatives and ties."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(checked(graph).SerializeToString(), options, ["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, dict(feeds or random_feeds(graph)))]


def random_feeds(graph: Graph) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(3)
    feeds: dict[str, NDArray[Any]] = {}
    for info in graph.inputs:
        if info.name in graph.initializers:
            continue
        known = graph.type_of(info.name)
        assert known is not None
        assert known.shape is not None
        shape = [size if isinstance(size, int) else 2 for size in known.shape]
        kind = onnx.helper.tensor_dtype_to_np_dtype(known.dtype)
        feeds[info.name] = (random.normal(0, 2, shape) if kind.kind == "f" else random.random(shape) > 0.5).astype(kind)
    return feeds


def do(graph: Graph, operation: str, **parameters: object) -> Graph:
    return apply(make(operation, parameters), graph)


def why(graph: Graph, operation: str, **parameters: object) -> str:
    reason = why_blocked(make(operation, parameters), graph)
    assert reason is not None, "it is not blocked"
    return reason.text


def ops(graph: Graph) -> list[str]:
    return [record.op_type for record in graph.nodes.values()]
