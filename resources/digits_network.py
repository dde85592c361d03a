"""The digits classifier among the bundled models: its architecture and its two ONNX forms.

The network is a list of steps. The trainer runs that list forwards and backwards; `export` writes the same list as
ONNX nodes, named as PyTorch's exporter names them. Every convolution is followed by a batch normalization, which the
one form folds into the convolution and the other keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Weights = dict[str, Array]

EPSILON = 1e-5
CLASSES = 10


@dataclass(frozen=True)
class Step:
    """One step of the network. `name` is a module path ("layer1.0.conv1"); `inputs` are names of earlier steps.

    `kernel`, `stride`, `pad` concern Conv and MaxPool; `channels` (in, out) concerns Conv and Gemm.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    channels: tuple[int, int] = (0, 0)
    kernel: int = 1
    stride: int = 1
    pad: int = 0


def residual(scope: str, source: str, channels: tuple[int, int], stride: int = 1) -> list[Step]:
    """A residual block of two 3×3 convolutions; its shortcut gets a 1×1 convolution where the shape changes."""
    width = channels[1]
    steps = [
        Step("Conv", f"{scope}.conv1", (source,), channels, 3, stride, 1),
        Step("Relu", f"{scope}.relu", (f"{scope}.conv1",)),
        Step("Conv", f"{scope}.conv2", (f"{scope}.relu",), (width, width), 3, 1, 1),
    ]
    shortcut = source
    if stride != 1 or channels[0] != width:
        shortcut = f"{scope}.downsample.0"
        steps.append(Step("Conv", shortcut, (source,), channels, 1, stride))
    steps.append(Step("Add", f"{scope}.add", (f"{scope}.conv2", shortcut)))
    steps.append(Step("Relu", f"{scope}.relu_1", (f"{scope}.add",)))
    return steps


def branches(scope: str, source: str, channels: int) -> list[Step]:
    """Three branches over the same tensor, joined by a Concat: 1×1, 3×3, and pooling with 1×1 behind it."""
    width = (channels, 32)
    return [
        Step("Conv", f"{scope}.branch1x1.conv", (source,), width),
        Step("Relu", f"{scope}.branch1x1.relu", (f"{scope}.branch1x1.conv",)),
        Step("Conv", f"{scope}.branch3x3.conv", (source,), width, 3, 1, 1),
        Step("Relu", f"{scope}.branch3x3.relu", (f"{scope}.branch3x3.conv",)),
        Step("MaxPool", f"{scope}.branch_pool.pool", (source,), (0, 0), 3, 1, 1),
        Step("Conv", f"{scope}.branch_pool.conv", (f"{scope}.branch_pool.pool",), width),
        Step("Relu", f"{scope}.branch_pool.relu", (f"{scope}.branch_pool.conv",)),
        Step(
            "Concat", f"{scope}.cat",
            (f"{scope}.branch1x1.relu", f"{scope}.branch3x3.relu", f"{scope}.branch_pool.relu"),
        ),
    ]


# Channels are multiples of 32, as INT8 kernels like them; only the one-channel image itself is not.
ARCHITECTURE: tuple[Step, ...] = (
    Step("Conv", "stem.conv", ("input",), (1, 32), 3, 1, 1),
    Step("Relu", "stem.relu", ("stem.conv",)),
    *residual("layer1.0", "stem.relu", (32, 32)),
    Step("MaxPool", "maxpool", ("layer1.0.relu_1",), (0, 0), 2, 2),
    *residual("layer2.0", "maxpool", (32, 64)),
    *branches("mixed", "layer2.0.relu_1", 64),
    *residual("layer3.0", "mixed.cat", (96, 64), 2),
    Step("GlobalAveragePool", "avgpool", ("layer3.0.relu_1",)),
    Step("Flatten", "flatten", ("avgpool",)),
    Step("Gemm", "fc", ("flatten",), (64, CLASSES)),
)


def norm_of(conv: str) -> str:
    """The path of the batch normalization behind a convolution: conv1 → bn1, downsample.0 → downsample.1."""
    head, _, last = conv.rpartition(".")
    return f"{head}.1" if last == "0" else f"{head}.{last.replace('conv', 'bn')}"


def initial_weights(generator: np.random.Generator) -> Weights:
    """He-initialized weights under PyTorch's parameter names; convolutions are [out, in, k, k]."""
    weights: Weights = {}
    for step in ARCHITECTURE:
        inside, out = step.channels
        if step.op == "Conv":
            fan_in = inside * step.kernel**2
            shape = (out, inside, step.kernel, step.kernel)
            weights[f"{step.name}.weight"] = generator.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
            norm = norm_of(step.name)
            for leaf, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
                weights[f"{norm}.{leaf}"] = np.full(out, value, np.float32)
        elif step.op == "Gemm":
            weights[f"{step.name}.weight"] = generator.normal(0, np.sqrt(1 / inside), (out, inside)).astype(np.float32)
            weights[f"{step.name}.bias"] = np.zeros(out, np.float32)
    return weights


def scope(module: str) -> str:
    """The node-name prefix that PyTorch's exporter gives a module: layer1.0.conv1 → /layer1/layer1.0/conv1."""
    parts: list[str] = []
    for part in module.split("."):
        parts.append(f"{parts[-1]}.{part}" if part.isdigit() else part)
    return "/" + "/".join(parts)


def export(weights: Weights, *, fold: bool) -> onnx.ModelProto:
    """The network as ONNX (opset 17, input [N, 1, 8, 8], output logits [N, 10]); `fold` folds the batch norms."""
    nodes: list[onnx.NodeProto] = []
    constants: Weights = {}
    tensors = {"input": "input"}
    for step in ARCHITECTURE:
        tensors[step.name] = _emit(step, [tensors[name] for name in step.inputs], weights, fold, nodes, constants)
    nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)], producer_name="graftwerk/make_models"
    )


def _emit(
    step: Step, inputs: list[str], weights: Weights, fold: bool, nodes: list[onnx.NodeProto], constants: Weights
) -> str:
    """Append the nodes and initializers of one step; the name of its output tensor."""
    if step.op == "Conv":
        attributes = _window_attributes(step) | {"dilations": [1, 1], "group": 1}
        names = _conv_constants(step.name, weights, fold, constants)
        out = _node(nodes, "Conv", step.name, [*inputs, *names], attributes)
        if fold:
            return out
        norm = norm_of(step.name)
        leaves = [f"{norm}.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var")]
        constants.update((name, weights[name]) for name in leaves)
        return _node(nodes, "BatchNormalization", norm, [out, *leaves], {"epsilon": EPSILON, "momentum": 0.9})
    if step.op == "Gemm":
        names = [f"{step.name}.weight", f"{step.name}.bias"]
        constants.update((name, weights[name]) for name in names)
        return _node(nodes, "Gemm", step.name, [*inputs, *names], {"alpha": 1.0, "beta": 1.0, "transB": 1})
    if step.op == "MaxPool":
        return _node(nodes, "MaxPool", step.name, inputs, _window_attributes(step) | {"ceil_mode": 0})
    attributes = {"axis": 1} if step.op in ("Concat", "Flatten") else {}
    return _node(nodes, step.op, step.name, inputs, attributes)


def _window_attributes(step: Step) -> dict[str, Any]:
    return {"kernel_shape": [step.kernel] * 2, "pads": [step.pad] * 4, "strides": [step.stride] * 2}


def _conv_constants(name: str, weights: Weights, fold: bool, constants: Weights) -> list[str]:
    """The initializers of one convolution: kernel alone, or kernel and bias with the batch norm folded in."""
    kernel, norm = weights[f"{name}.weight"], norm_of(name)
    if not fold:
        constants[f"{name}.weight"] = kernel
        return [f"{name}.weight"]
    gain = weights[f"{norm}.weight"].astype(np.float64) / np.sqrt(weights[f"{norm}.running_var"] + np.float64(EPSILON))
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    constants[f"{name}.weight"] = (kernel * gain[:, None, None, None]).astype(np.float32)
    constants[f"{name}.bias"] = bias.astype(np.float32)
    return [f"{name}.weight", f"{name}.bias"]


# Modules whose node carries the module's own name; a function call (torch.add, torch.cat) is named after its operator.
_FUNCTIONS = {"Add": "add", "Concat": "cat", "Flatten": "flatten"}


def _node(nodes: list[onnx.NodeProto], op: str, module: str, inputs: list[str], attributes: dict[str, Any]) -> str:
    head, _, leaf = module.rpartition(".")
    if op in _FUNCTIONS:
        path = scope(head) if head else ""
    elif leaf == "relu_1":  # the block's one ReLU module, called a second time
        path = scope(f"{head}.relu")
    else:
        path = scope(module)
    name = f"{path}/{op}_1" if leaf == "relu_1" else f"{path}/{op}"
    nodes.append(helper.make_node(op, inputs, [f"{name}_output_0"], name, **attributes))
    return f"{name}_output_0"
