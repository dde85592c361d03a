"""Insert Q/DQ: on one tensor, or on everything that one compute node multiplies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.operations.registry import Operation, operation, param
from graftwerk.backend.quantize.insertion import (
    automatic,
    consumers_in,
    differs,
    existing,
    insert_pair,
    readers,
    why_not,
    why_not_scale,
)  # fmt: skip
from graftwerk.backend.quantize.pairs import DEQUANTIZE, UNCALIBRATED
from graftwerk.backend.quantize.scales import COMPUTE, QuantizedType, weight


@operation("qdq.insert", title="Insert Q/DQ", menu="Quantize", shortcut="Q")
@dataclass(frozen=True)
class InsertQdq(Operation):
    """Quantizes one tensor: QuantizeLinear and DequantizeLinear, symmetric (zero point 0), before its consumers.

    A weight (an initializer or Constant, also behind Identity or Transpose) gets its scales from max|w|, along the
    axis of the output channels of the nodes that read it. It stays in float with the pair behind it; the compiler
    quantizes it, and a later change of scale loses nothing. An activation has one scale, in units of the tensor per
    step; without one it gets a guess (the bound of Softmax, Tanh, Clip …, else a range of ±6) and is marked as not
    calibrated.

    All consumers read the pair, or those in `only`; a tensor that is put out and read by nothing is quantized before
    the output, which keeps its name. Where the tensor has a pair already, other consumers join it.
    """

    tensor: TensorName = param(help="The tensor to quantize")
    scale: float = param(0.0, minimum=0.0, help="Units per step; 0: from a weight's values, a guess for an activation")
    dtype: QuantizedType = param("int8", label="Datatype", help="fp8e4m3fn needs opset 19")
    granularity: Literal["auto", "tensor", "channel"] = param(
        "auto", help="One scale, or one per channel of a weight; auto asks the nodes that read it"
    )
    axis: int = param(0, help="The axis of the channels, for granularity 'channel'")
    scales: tuple[float, ...] = param((), help="Given scales, one per channel; empty: from the weight's values")
    only: tuple[NodeRef, ...] = param((), label="Only for", help="The consumers to quantize it for; empty: all")

    def blocked(self, graph: Graph) -> Reason | None:
        given = self.scales or ((self.scale,) if self.scale else ())
        reason = why_not(graph, self.tensor, self.dtype) or why_not_scale(graph, self.tensor, given)
        reason = reason or self._channels_blocked(graph)
        if reason is not None:
            return reason
        consumers = graph.consumers(self.tensor)
        pair = existing(graph, self.tensor)
        if self._targets(graph):
            wanted = list(self.scales) or ([self.scale] if self.scale else [])
            if pair is not None and differs(graph, pair, self.dtype, wanted):
                there = f"{graph.ref(pair.dequantize)} quantizes {self.tensor} for other consumers, with another scale"
                return Reason(there, "Remove that pair first, or insert this one without a scale to join it")
            return None
        if pair is not None:
            return Reason(f"{graph.ref(pair.dequantize)} quantizes {self.tensor} already", "Remove that pair first")
        if consumers:
            return Reason(f"{graph.ref(consumers[0])} takes {self.tensor} as a parameter, which stays in float")
        if not graph.is_output(self.tensor):
            return Reason(f"Nothing reads {self.tensor}")
        return None if graph.producer(self.tensor) is not None else Reason("No node makes this graph output")

    def _channels_blocked(self, graph: Graph) -> Reason | None:
        if self.granularity != "channel":
            return Reason("Several scales need granularity 'channel'") if self.scales else None
        if self.scale:
            return Reason("One scale does not make channels: give scales, or none to take the weight's own")
        if (graph.opset() or 0) < 13:
            return Reason(f"Scales per channel need opset 13; the model has {graph.opset()}", "Quantize per tensor")
        found = weight(graph, self.tensor)
        if found is None:
            return Reason("An activation has one scale: TensorRT quantizes only weights per channel")
        rank = len(found.dims)
        if not -rank <= self.axis < rank:
            return Reason(f"{self.tensor} has {rank} axes; {self.axis} is none of them")
        if self.scales and len(self.scales) != found.dims[self.axis]:
            return Reason(f"{self.tensor} has {found.dims[self.axis]} channels, not {len(self.scales)}")
        return None

    def _targets(self, graph: Graph) -> list[NodeId]:
        possible = readers(graph, self.tensor)
        if not self.only:
            return possible
        chosen = set(consumers_in(graph, self.tensor, self.only))
        return [node for node in possible if node in chosen]

    def apply(self, edit: Edit) -> None:
        targets = self._targets(edit.base)
        pair = existing(edit, self.tensor)
        if pair is not None:
            edit.rewire(self.tensor, pair.output, only=targets)
            return
        metadata: dict[str, str] = {}
        axis = self._axis(edit.base)
        if self.scales:
            scale = np.asarray(self.scales, np.float32)
        elif self.scale:
            scale = np.asarray(self.scale, np.float32)
        else:
            per_channel = {"auto": None, "tensor": False, "channel": True}[self.granularity]
            scale, axis, guessed = automatic(edit, self.tensor, targets, self.dtype, per_channel, axis)
            metadata = {UNCALIBRATED: "guess"} if guessed else {}
        insert_pair(edit, self.tensor, targets, scale, self.dtype, axis, metadata)

    def _axis(self, graph: Graph) -> int | None:
        found = weight(graph, self.tensor) if self.granularity == "channel" else None
        return self.axis % len(found.dims) if found is not None else None

    def summary(self) -> str:
        if self.scales:
            how = f"{len(self.scales)} scales along axis {self.axis}"
        else:
            how = f"scale {self.scale:g}" if self.scale else "scale from the weights; an activation is not calibrated"
        return f"Insert Q/DQ on {self.tensor} ({self.dtype}, {how})"


@operation("qdq.insert_layer", title="Quantize layer", menu="Quantize", shortcut="Shift+Q")
@dataclass(frozen=True)
class InsertQdqLayer(Operation):
    """Quantizes both factors of a convolution, Gemm or MatMul, so that it is computed in INT8 (or FP8).

    `scales` gives scales for activations by tensor, in units of the tensor per step (measured range / 127 for INT8).
    What it lacks is found as in Insert Q/DQ: weights from their values per channel, other activations as a guess that
    is marked as not calibrated. A factor that has a pair already keeps it; a tensor that has one for other consumers
    is read through it. The bias stays in float.
    """

    node: NodeRef = param(help="A Conv, ConvTranspose, Gemm or MatMul")
    scales: dict[str, float] = param({}, help='Scales of activations by tensor: {"x": 0.05}')
    dtype: QuantizedType = param("int8", label="Datatype", help="fp8e4m3fn needs opset 19")

    def blocked(self, graph: Graph) -> Reason | None:
        node = graph.find(self.node)
        record = graph.nodes[node]
        if record.op_type not in COMPUTE or record.domain not in ("", "ai.onnx"):
            known = ", ".join(COMPUTE)
            return Reason(f"{record.op_type} has no quantized form: quantizing a layer is for {known}", "Insert Q/DQ")
        wrong = (why_not_scale(graph, tensor, (scale,)) for tensor, scale in self.scales.items())
        bad = next(filter(None, wrong), None)
        if bad is not None:
            return bad
        factors = self._open(graph, node)
        if not factors:
            return Reason(f"Both factors of {self.node} are quantized already")
        for tensor in factors:
            reason = why_not(graph, tensor, self.dtype)
            if reason is None:
                pair = existing(graph, tensor)
                if pair is not None and differs(graph, pair, self.dtype, ()):
                    reason = Reason(f"{graph.ref(pair.dequantize)} quantizes {tensor} to another datatype")
            if reason is not None:
                return reason
        return None

    @staticmethod
    def _open(view: Graph | Edit, node: NodeId) -> list[str]:
        """The factors that are not quantized."""
        record = view.nodes[node]
        factors = dict.fromkeys(record.input[at] for at in COMPUTE[record.op_type])
        made = {tensor: view.producer(tensor) for tensor in factors}
        return [tensor for tensor, at in made.items() if at is None or view.nodes[at].op_type != DEQUANTIZE]

    def apply(self, edit: Edit) -> None:
        node = edit.base.find(self.node)
        for tensor in self._open(edit, node):
            pair = existing(edit, tensor)
            if pair is not None:
                edit.rewire(tensor, pair.output, only=[node])
                continue
            given = self.scales.get(tensor)
            axis, guessed = None, False
            if given is not None:
                scale = np.asarray(given, np.float32)
            else:
                scale, axis, guessed = automatic(edit, tensor, [node], self.dtype, None)
            insert_pair(edit, tensor, [node], scale, self.dtype, axis, {UNCALIBRATED: "guess"} if guessed else {})

    def summary(self) -> str:
        given = len(self.scales)
        how = f"{given} scale{'s' if given > 1 else ''} given" if given else "activations not calibrated"
        return f"Quantize layer {self.node} ({self.dtype}, {how})"
