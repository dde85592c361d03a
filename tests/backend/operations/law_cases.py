"""For every operation at least one case: a model and parameters with which it can be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graftwerk.backend.graph.graph import Graph
from tests.backend.operations import law_models as models


@dataclass(frozen=True)
class Case:
    """An operation on a model; `first` are steps that prepare it."""

    id: str
    model: Callable[[], Graph]
    parameters: dict[str, Any]
    first: tuple[tuple[str, dict[str, Any]], ...] = ()

    def __str__(self) -> str:
        shown = "-".join(str(value) for value in self.parameters.values() if isinstance(value, str | int | bool))
        return f"{self.id}-{self.model.__name__}-{shown}"


_MINE = {"nodes": ["Neg_1", "Add_2"], "op_type": "Mine"}
CASES = [
    Case("node.delete", models.chain, {"nodes": ["Relu_0"]}),
    Case("node.delete", models.chain, {"nodes": ["Sigmoid_1"]}),
    Case("node.delete", models.chain, {"nodes": ["Neg_2"]}),
    Case("node.delete", models.chain, {"nodes": ["Neg_2", "Relu_0", "Sigmoid_1"]}),
    Case("node.delete", models.chain, {"nodes": ["Relu_0"], "bridge": False}),
    Case("node.delete", models.chain, {"nodes": ["Sigmoid_1"], "bridge": False}),
    Case("node.delete", models.residual, {"nodes": ["Neg_1", "Add_2"]}),
    Case("node.delete", models.residual, {"nodes": ["Add_2"], "through": "a"}),
    Case("node.delete", models.branches, {"nodes": ["Relu_0"]}),
    Case("node.delete", models.branches, {"nodes": ["If_1"], "bridge": False}),
    Case("node.delete", models.loop, {"nodes": ["Relu_0"]}),
    Case("node.delete", models.unnamed, {"nodes": ["a", "b"]}),
    Case("node.delete", models.plugin, {"nodes": ["Gelu_1"]}),
    Case("node.delete", models.digits, {"nodes": ["/stem/relu/Relu"]}),
    Case("node.insert", models.chain, {"tensor": "r", "op_type": "Identity"}),
    Case("node.insert", models.chain, {"tensor": "s", "op_type": "Relu"}),
    Case("node.insert", models.chain, {"tensor": "s", "op_type": "Relu", "before": ["Neg_2"], "name": "mine"}),
    Case("node.insert", models.chain, {"tensor": "s", "op_type": "Mul", "extra_inputs": ["s"]}),
    Case("node.insert", models.chain, {"tensor": "x", "op_type": "Cast", "attributes": {"to": "DOUBLE"}}),
    Case("node.insert", models.chain, {"tensor": "y", "op_type": "Scale", "domain": "trt.plugins",
                                       "attributes": {"factor": 2.0, "mode": "fast", "axes": [0, 1]}}),
    Case("node.insert", models.branches, {"tensor": "r", "op_type": "Neg"}),
    Case("node.insert", models.branches, {"tensor": "w", "op_type": "Neg"}),
    Case("node.insert", models.loop, {"tensor": "r", "op_type": "Add", "extra_inputs": ["x"]}),
    Case("node.rewire", models.residual, {"node": "Add_2", "input": 1, "tensor": "x"}),
    Case("node.rewire", models.residual, {"node": "Neg_1", "tensor": "x"}),
    Case("node.rewire", models.branches, {"node": "Neg_2", "tensor": "r"}),
    Case("node.rewire", models.digits, {"node": "/stem/conv/Conv", "input": 2, "tensor": ""}),
    Case("node.rename", models.chain, {"node": "Relu_0", "name": "first"}),
    Case("node.rename", models.unnamed, {"node": "a", "name": "first"}),
    Case("tensor.rename", models.chain, {"tensor": "s", "name": "middle"}),
    Case("tensor.rename", models.chain, {"tensor": "x", "name": "input"}),
    Case("tensor.rename", models.branches, {"tensor": "r", "name": "captured"}),
    Case("tensor.rename", models.branches, {"tensor": "w", "name": "weight"}),
    Case("tensor.rename", models.loop, {"tensor": "r", "name": "step"}),
    Case("tensor.rename", models.old_inputs, {"tensor": "w", "name": "weight"}),
    Case("attribute.set", models.dead, {"node": "Concat_5", "name": "axis", "value": -1}),
    Case("attribute.set", models.digits, {"node": "/stem/conv/Conv", "name": "pads", "value": [2, 2, 2, 2]}),
    Case("attribute.set", models.plugin, {"node": "Gelu_1", "name": "scale", "value": 2, "type": "float"}),
    Case("attribute.remove", models.digits, {"node": "/stem/conv/Conv", "name": "dilations"}),
    Case("interface.set_input", models.chain, {"tensor": "x", "dims": "batch,3"}),
    Case("interface.set_input", models.chain, {"tensor": "x", "name": "image", "dtype": "FP64"}),
    Case("interface.set_input", models.branches, {"tensor": "x", "name": "image"}),
    Case("interface.set_output", models.chain, {"tensor": "s", "name": "scores", "dims": "2,n"}),
    Case("interface.set_output", models.chain, {"tensor": "y", "dims": "?,3"}),
    Case("interface.mark_output", models.chain, {"tensor": "r"}),
    Case("interface.mark_output", models.branches, {"tensor": "w"}),
    Case("interface.unmark_output", models.chain, {"tensor": "s"}),
    Case("interface.unmark_output", models.chain, {"tensor": "y"}),
    Case("interface.remove_input", models.dead, {"tensor": "spare"}),
    Case("interface.remove_input", models.old_inputs, {"tensor": "w"}),
    Case("graph.remove_unused", models.dead, {}),
    Case("graph.remove_unused", models.dead, {"weights": False, "functions": False}),
    Case("graph.fold_constants", models.constants, {}),
    Case("graph.fold_constants", models.constants, {"limit": 0.0}),
    Case("qdq.insert", models.chain, {"tensor": "r", "scale": 0.1}),
    Case("qdq.insert", models.branches, {"tensor": "r", "scale": 0.1}),
    Case("qdq.insert", models.digits, {"tensor": "stem.conv.weight"}),
    Case("qdq.insert_layer", models.digits, {"node": "/stem/conv/Conv"}),
    Case("qdq.insert", models.chain, {"tensor": "y"}),
    Case("qdq.insert", models.chain, {"tensor": "s", "only": ["Neg_2"]}),
    Case("qdq.insert", models.digits, {"tensor": "stem.conv.weight", "granularity": "tensor"}),
    Case("qdq.insert", models.encoder, {"tensor": "/embeddings/LayerNorm/Sub_output_0"}),
    Case("qdq.insert_layer", models.encoder, {"node": "/encoder/layer.0/attention/self/query/MatMul"}),
    Case("qdq.remove", models.quantized, {"node": "DequantizeLinear_2"}),
    Case("qdq.remove", models.chain, {"node": "y"}, (("qdq.insert", {"tensor": "y"}),)),
    Case("qdq.move", models.quantized, {"node": "DequantizeLinear_2"}),
    Case("qdq.move", models.quantized, {"node": "QuantizeLinear_1", "direction": "up"}),
    Case("qdq.move", models.branches, {"node": "r_QuantizeLinear", "direction": "up"},
         (("qdq.insert", {"tensor": "r"}),)),
    Case("qdq.move", models.dead, {"node": "x_QuantizeLinear", "across": "Split_4"},
         (("qdq.insert", {"tensor": "x"}),)),
    Case("plugin.replace", models.branches, {"nodes": ["Relu_0", "If_1"], "op_type": "Choice"}),
    Case("plugin.replace", models.loop, {"nodes": ["Abs_1", "y"], "op_type": "Repeat", "inputs": ["r", "x"]}),
    Case("plugin.replace", models.old_inputs, {"nodes": ["Add_0"], "op_type": "P", "attributes": {"a": [1, 2]}}),
    Case("plugin.replace", models.residual, _MINE),
    Case("plugin.restore", models.residual, {"node": "Mine"}, (("plugin.replace", _MINE),)),
    Case("graph.remove_unused", models.dead, {}, (("plugin.replace", {"nodes": ["Relu_0", "Neg_1"], "op_type": "P"}),)),
]  # fmt: skip
