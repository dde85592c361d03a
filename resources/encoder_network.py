"""The transformer encoder among the bundled models: a small BERT as PyTorch writes it at opset 17.

LayerNorm and GELU are unfused, q, k and v are separate MatMul + Add, and shapes are computed in the graph with Shape,
Gather, Unsqueeze and Concat, so that fusing, folding and plugin replacement have something to find. The weights are
random (seeded): the model is for looking at, editing and compiling, and its outputs mean nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

VOCABULARY = 256
POSITIONS = 128
HIDDEN = 128
HEADS = 4
FEED_FORWARD = 256
LAYERS = 2


class Tape:
    """Collects nodes and initializers under PyTorch-like scopes; node outputs are named `<node name>_output_0`."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._seen: dict[str, int] = {}

    def node(self, op: str, scope: str, *inputs: str, **attributes: Any) -> str:
        """Append a node in `scope`, numbered where that scope has one of the same kind; its output's name."""
        base = f"{scope}/{op}"
        count = self._seen.get(base, 0)
        self._seen[base] = count + 1
        name = f"{base}_{count}" if count else base
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_output_0"], name, **attributes))
        return f"{name}_output_0"

    def constant(self, scope: str, value: npt.ArrayLike, dtype: type = np.int64) -> str:
        """A Constant node, as the exporter writes every literal."""
        return self.node("Constant", scope, value=numpy_helper.from_array(np.asarray(value, dtype)))

    def weight(self, name: str, *shape: int, spread: float = 0.0, mean: float = 0.0) -> str:
        """A float32 initializer drawn from a normal distribution."""
        value = self.generator.normal(mean, spread, shape).astype(np.float32)
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def size(self, scope: str, tensor: str, axis: int) -> str:
        """The size of one dimension, as a scalar computed in the graph."""
        return self.node("Gather", scope, self.node("Shape", scope, tensor), self.constant(scope, axis), axis=0)


def linear(tape: Tape, scope: str, path: str, x: str, inside: int, out: int) -> str:
    """x @ W + b, W [in, out]: MatMul and Add, as a Linear on a 3-D tensor is exported."""
    kernel = tape.weight(f"{path}.weight", inside, out, spread=inside**-0.5)
    return tape.node(
        "Add", scope, tape.weight(f"{path}.bias", out, spread=0.02), tape.node("MatMul", scope, x, kernel)
    )


def layer_norm(tape: Tape, scope: str, path: str, x: str) -> str:
    """LayerNorm over the last axis, before opset 18 could say it in one node."""
    centred = tape.node("Sub", scope, x, tape.node("ReduceMean", scope, x, axes=[-1], keepdims=1))
    squared = tape.node("Pow", scope, centred, tape.constant(scope, 2.0, np.float32))
    variance = tape.node("ReduceMean", scope, squared, axes=[-1], keepdims=1)
    steady = tape.node("Add", scope, variance, tape.constant(scope, 1e-12, np.float32))
    whitened = tape.node("Div", scope, centred, tape.node("Sqrt", scope, steady))
    scaled = tape.node("Mul", scope, whitened, tape.weight(f"{path}.weight", HIDDEN, mean=1.0, spread=0.1))
    return tape.node("Add", scope, scaled, tape.weight(f"{path}.bias", HIDDEN, spread=0.02))


def gelu(tape: Tape, scope: str, x: str) -> str:
    """x · (1 + erf(x / √2)) / 2."""
    scaled = tape.node("Div", scope, x, tape.constant(scope, 2**0.5, np.float32))
    shifted = tape.node("Add", scope, tape.node("Erf", scope, scaled), tape.constant(scope, 1.0, np.float32))
    return tape.node("Mul", scope, tape.node("Mul", scope, x, shifted), tape.constant(scope, 0.5, np.float32))


def embeddings(tape: Tape) -> str:
    """Token plus position embeddings, normalized: [N, S] → [N, S, HIDDEN]."""
    scope, path = "/embeddings", "embeddings"
    tape.initializers.append(
        numpy_helper.from_array(np.arange(POSITIONS, dtype=np.int64)[None], f"{path}.position_ids")
    )
    length = tape.node("Unsqueeze", scope, tape.size(scope, "input_ids", 1), tape.constant(scope, [0]))
    places = tape.node(
        "Slice", scope, f"{path}.position_ids",
        tape.constant(scope, [0]), length, tape.constant(scope, [1]), tape.constant(scope, [1]),
    )
    words = tape.weight(f"{path}.word_embeddings.weight", VOCABULARY, HIDDEN, spread=1.0)
    positions = tape.weight(f"{path}.position_embeddings.weight", POSITIONS, HIDDEN, spread=0.3)
    total = tape.node(
        "Add", scope,
        tape.node("Gather", f"{scope}/word_embeddings", words, "input_ids"),
        tape.node("Gather", f"{scope}/position_embeddings", positions, places),
    )
    return layer_norm(tape, f"{scope}/LayerNorm", f"{path}.LayerNorm", total)


def mask(tape: Tape) -> str:
    """The additive mask [N, 1, 1, S]: 0 where attention_mask is 1, −10000 where it is 0."""
    wide = tape.node("Unsqueeze", "", "attention_mask", tape.constant("", [1]))
    wide = tape.node("Unsqueeze", "", wide, tape.constant("", [2]))
    absent = tape.node(
        "Sub", "", tape.constant("", 1.0, np.float32), tape.node("Cast", "", wide, to=TensorProto.FLOAT)
    )
    return tape.node("Mul", "", absent, tape.constant("", -10000.0, np.float32))


def heads(tape: Tape, scope: str, path: str, name: str, x: str, permutation: list[int]) -> str:
    """One of q, k, v: a projection split into heads and transposed by `permutation`."""
    projected = linear(tape, f"{scope}/{name}", f"{path}.{name}", x, HIDDEN, HIDDEN)
    sizes = [
        tape.node("Unsqueeze", scope, tape.size(scope, projected, axis), tape.constant(scope, [0])) for axis in (0, 1)
    ]
    rest = [tape.constant(scope, [HEADS]), tape.constant(scope, [HIDDEN // HEADS])]
    shape = tape.node("Concat", scope, *sizes, *rest, axis=0)
    return tape.node("Transpose", scope, tape.node("Reshape", scope, projected, shape), perm=permutation)


def attention(tape: Tape, scope: str, path: str, x: str, additive_mask: str) -> str:
    """Multi-head self-attention with its output projection, residual sum and LayerNorm."""
    inner = f"{scope}/self"
    query = heads(tape, inner, f"{path}.self", "query", x, [0, 2, 1, 3])
    key = heads(tape, inner, f"{path}.self", "key", x, [0, 2, 3, 1])
    value = heads(tape, inner, f"{path}.self", "value", x, [0, 2, 1, 3])
    scores = tape.node("MatMul", inner, query, key)
    scores = tape.node("Div", inner, scores, tape.constant(inner, (HIDDEN // HEADS) ** 0.5, np.float32))
    chances = tape.node("Softmax", inner, tape.node("Add", inner, scores, additive_mask), axis=-1)
    context = tape.node("Transpose", inner, tape.node("MatMul", inner, chances, value), perm=[0, 2, 1, 3])
    sizes = [
        tape.node("Unsqueeze", inner, tape.size(inner, context, axis), tape.constant(inner, [0])) for axis in (0, 1)
    ]
    shape = tape.node("Concat", inner, *sizes, tape.constant(inner, [HIDDEN]), axis=0)
    merged = tape.node("Reshape", inner, context, shape)
    out = linear(tape, f"{scope}/output/dense", f"{path}.output.dense", merged, HIDDEN, HIDDEN)
    total = tape.node("Add", f"{scope}/output", out, x)
    return layer_norm(tape, f"{scope}/output/LayerNorm", f"{path}.output.LayerNorm", total)


def feed_forward(tape: Tape, scope: str, path: str, x: str) -> str:
    """Linear, GELU, Linear, with the residual sum and LayerNorm behind."""
    wide = linear(
        tape, f"{scope}/intermediate/dense", f"{path}.intermediate.dense", x, HIDDEN, FEED_FORWARD
    )
    active = gelu(tape, f"{scope}/intermediate/intermediate_act_fn", wide)
    out = linear(tape, f"{scope}/output/dense", f"{path}.output.dense", active, FEED_FORWARD, HIDDEN)
    total = tape.node("Add", f"{scope}/output", out, x)
    return layer_norm(tape, f"{scope}/output/LayerNorm", f"{path}.output.LayerNorm", total)


def export(seed: int) -> onnx.ModelProto:
    """The encoder (opset 17): input_ids and attention_mask [N, S] int64, S ≤ 128 → last_hidden_state [N, S, 128]."""
    tape = Tape(seed)
    additive_mask = mask(tape)
    hidden = embeddings(tape)
    for index in range(LAYERS):
        scope, path = f"/encoder/layer.{index}", f"encoder.layer.{index}"
        hidden = attention(tape, f"{scope}/attention", f"{path}.attention", hidden, additive_mask)
        hidden = feed_forward(tape, scope, path, hidden)
    tape.nodes[-1].output[0] = "last_hidden_state"
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "S"]) for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["N", "S", HIDDEN])
    graph = helper.make_graph(tape.nodes, "encoder", inputs, [output], tape.initializers)
    return helper.make_model(
        graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)], producer_name="graftwerk/make_models"
    )
