"""Small models for the compiler, and a context that remembers what a job said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from graftwerk.backend.engines.report import Report
from graftwerk.backend.engines.report_file import read_report
from graftwerk.backend.engines.tensorrt_rtx import BuildRtx

Weights = dict[str, NDArray[Any] | TensorProto]

RNG = np.random.default_rng(0)


@dataclass
class Recorder:
    """A job's context; asks to cancel once the phase `stop` is entered."""

    folder: Path
    stop: str = ""
    phases: list[str] = field(default_factory=list)
    logged: list[tuple[str, str]] = field(default_factory=list)

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def progress(self, done: int, total: int) -> None:
        assert 0 <= done <= total

    def log(self, text: str, level: str = "info") -> None:
        self.logged.append((level, text))

    def cancelled(self) -> bool:
        return self.stop in self.phases


def model(
    nodes: Sequence[NodeProto], weights: Weights, inputs: dict[str, tuple[int, list[Any]]], outputs: dict[str, int],
    opset: int = 17, functions: Sequence[onnx.FunctionProto] = (),
) -> ModelProto:  # fmt: skip
    def info(name: str, dtype: int, dims: list[Any] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, dtype, dims)

    tensors = [w if isinstance(w, TensorProto) else numpy_helper.from_array(w, name) for name, w in weights.items()]
    for name, tensor in zip(weights, tensors, strict=True):
        tensor.name = name
    graph = helper.make_graph(
        list(nodes),
        "g",
        [info(name, dtype, dims) for name, (dtype, dims) in inputs.items()],
        [info(name, dtype, None) for name, dtype in outputs.items()],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(f.domain, 1) for f in functions)]
    made = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    made.ir_version = 10
    return made


def weight(*shape: int, dtype: int = TensorProto.FLOAT) -> TensorProto:
    values = RNG.standard_normal(shape).astype(np.float32) * 0.1
    if dtype == TensorProto.FLOAT:
        return numpy_helper.from_array(values, "w")
    return helper.make_tensor("w", dtype, shape, values.ravel())


def saved(a_model: ModelProto, folder: Path, name: str = "model.onnx") -> str:
    onnx.save(a_model, folder / name)
    return str(folder / name)


def built(folder: Path, path: str, **asked: Any) -> tuple[Report, str]:
    """The report of a real build, and the builder's log as it was written."""
    result = BuildRtx(path, **asked).run(Recorder(folder))
    assert Path(result["engine"]).stat().st_size == result["engine_bytes"] > 0
    return read_report(Path(result["report"])), Path(result["log"]).read_text()


def quantized(original: ModelProto) -> ModelProto:
    """A copy with Q/DQ before every Conv: activations per tensor, weights per output channel, scales made up."""
    made = ModelProto()
    made.CopyFrom(original)
    graph = made.graph
    kernels = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    done: set[str] = set()

    def pair(tensor: str, scale: NDArray[np.float32], **axis: Any) -> str:
        if tensor not in done:
            done.add(tensor)
            zero = np.zeros(scale.shape, np.int8)
            graph.initializer.append(numpy_helper.from_array(scale, f"{tensor}_scale"))
            graph.initializer.append(numpy_helper.from_array(zero, f"{tensor}_zero"))
            parameters = [f"{tensor}_scale", f"{tensor}_zero"]
            steps = ((tensor, "QuantizeLinear", f"{tensor}_q"), (f"{tensor}_q", "DequantizeLinear", f"{tensor}_dq"))
            for before, op, after in steps:
                nodes.append(helper.make_node(op, [before, *parameters], [after], f"{tensor}_{op}", **axis))
        return f"{tensor}_dq"

    for node in original.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        if node.op_type == "Conv":
            kernel = kernels[node.input[1]]
            widest = np.abs(kernel).reshape(len(kernel), -1).max(1) / 127
            copy.input[0] = pair(node.input[0], np.array(0.05, np.float32))
            copy.input[1] = pair(node.input[1], np.maximum(widest, 1e-8).astype(np.float32), axis=0)
        nodes.append(copy)
    del graph.node[:]
    graph.node.extend(nodes)
    return made


def halved(original: ModelProto) -> ModelProto:
    """A copy whose floats are all FP16."""
    made = ModelProto()
    made.CopyFrom(original)
    for tensor in made.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    for info in (*made.graph.input, *made.graph.output, *made.graph.value_info):
        if info.type.tensor_type.elem_type == TensorProto.FLOAT:
            info.type.tensor_type.elem_type = TensorProto.FLOAT16
    return made


def attention(dtype: int, width: int = 256, heads: int = 4, length: int = 128) -> ModelProto:
    """One self-attention: q, k and v from one input, then softmax(q·k)·v and the projection."""
    nodes: list[NodeProto] = []
    weights: Weights = {}
    for part in "qkv":
        turn = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
        nodes += [
            helper.make_node("MatMul", ["x", f"w_{part}"], [f"{part}0"], part),
            helper.make_node("Add", [f"{part}0", f"b_{part}"], [f"{part}1"], f"{part}_bias"),
            helper.make_node("Reshape", [f"{part}1", "split"], [f"{part}2"], f"{part}_split"),
            helper.make_node("Transpose", [f"{part}2"], [f"{part}3"], f"{part}_turn", perm=turn),
        ]
        weights |= {f"w_{part}": weight(width, width, dtype=dtype), f"b_{part}": weight(width, dtype=dtype)}
    nodes += [
        helper.make_node("MatMul", ["q3", "k3"], ["s0"], "qk"),
        helper.make_node("Mul", ["s0", "scale"], ["s1"], "scaled"),
        helper.make_node("Softmax", ["s1"], ["s2"], "softmax"),
        helper.make_node("MatMul", ["s2", "v3"], ["o0"], "pv"),
        helper.make_node("Transpose", ["o0"], ["o1"], "o_turn", perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["o1", "join"], ["o2"], "o_join"),
        helper.make_node("MatMul", ["o2", "w_o"], ["y"], "projection"),
    ]
    weights |= {
        "w_o": weight(width, width, dtype=dtype), "scale": weight(dtype=dtype),
        "split": np.array([0, -1, heads, width // heads]), "join": np.array([0, -1, width]),
    }  # fmt: skip
    return model(nodes, weights, {"x": (dtype, [1, length, width])}, {"y": dtype})
