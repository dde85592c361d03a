"""Q/DQ pairs for a whole model, by rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.graph.scopes import check_kept
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, operation, param
from graftwerk.backend.quantize.calibration import Calibration, load
from graftwerk.backend.quantize.insertion import automatic, existing, insert_pair
from graftwerk.backend.quantize.pairs import UNCALIBRATED
from graftwerk.backend.quantize.policy import Placement, Plan, Policy, plan
from graftwerk.backend.quantize.scales import QuantizedType, weight


@operation("qdq.place", title="Quantize model", menu="Quantize", slow=True)
@dataclass(frozen=True)
class PlaceQdq(Operation):
    """Put Q/DQ pairs where TensorRT makes the most of them: before every linear layer, on its weight, and by the rules.

    Weights get a scale for each output channel from their values. Activations get theirs from a calibration, of what
    shares a scale the largest; without one, or where it doesn't know a tensor, a guess that is marked as such. Pairs
    that are there stay. What is left in float is named with the reason.
    """

    calibration: FilePath = param(FilePath(""), help="As `graftwerk calibrate` writes it, or TensorRT's cache")
    dtype: QuantizedType = param("int8", label="Datatype", help="fp8e4m3fn needs opset 19")
    attention: bool = param(False, label="Products of two activations", help="The batched MatMuls of attention too")
    residual: bool = param(True, label="Residual branches", help="What a residual Add reads beside its convolution")
    share: bool = param(True, label="One scale at a Concat", help="All inputs of a Concat that is quantized")
    above: bool = param(True, label="Above MaxPool, Reshape …", help="Above what only moves values")
    skip_first: bool = param(False, label="First layer in float")
    skip_last: bool = param(False, label="Last layer in float")
    smallest: int = param(0, minimum=0, label="Least channels", help="Layers with fewer stay in float")
    keep: tuple[NodeRef, ...] = param((), label="Keep in float", help="Layers, or selectors")
    keep_ops: tuple[str, ...] = param((), label="Keep operators", help="Such as Gemm")
    keep_scopes: tuple[str, ...] = param((), label="Keep scopes", help="Such as head")
    scopes: tuple[str, ...] = param((), label="Only these scopes", help="Empty: the whole model")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self:
        return cls()

    def plan(self, graph: Graph) -> Plan:
        """What it would do. Raises Fault for nodes that there are not."""
        return plan(graph, Policy(
            self.dtype, self.attention, self.residual, self.share, self.above, self.skip_first, self.skip_last,
            self.smallest, frozenset(map(graph.find, self.keep)), frozenset(self.keep_ops), self.keep_scopes,
            self.scopes,
        ))  # fmt: skip

    def blocked(self, graph: Graph) -> Reason | None:
        check_kept(graph, self.keep_ops, (*self.keep_scopes, *self.scopes))
        made = self.plan(graph)
        if made.placements:
            return None
        if made.layers:
            return Reason("Everything that can be is quantized already", settled=True)
        if made.left:
            node, reason = made.left[0]
            return Reason(f"No layer is left to quantize; {graph.ref(node)}: {reason.text}", reason.hint)
        return Reason("There is no Conv, ConvTranspose, Gemm or MatMul with weights")

    def apply(self, edit: Edit) -> None:
        known = load(Path(self.calibration)) if self.calibration else Calibration()
        placements = self.plan(edit.base).placements
        shared: dict[str, float] = {}
        for placement in placements.values():
            if placement.group:
                largest = max(shared.get(placement.group, 0.0), known.amax(placement.tensor) or 0.0)
                shared[placement.group] = largest
        for placement in placements.values():
            self._insert(edit, placement, known, shared)

    def _insert(self, edit: Edit, placement: Placement, known: Calibration, shared: dict[str, float]) -> None:
        pair = existing(edit, placement.tensor)
        if pair is not None:
            edit.rewire(placement.tensor, pair.output, only=placement.readers)
            return
        scale = known.with_given(placement.tensor, shared[placement.group]).scale(placement.tensor, self.dtype) \
            if placement.group else known.scale(placement.tensor, self.dtype)  # fmt: skip
        metadata: dict[str, str] = {}
        axis = None
        if weight(edit, placement.tensor) is None and scale:
            values = np.asarray(scale, np.float32)
        else:
            values, axis, guessed = automatic(edit, placement.tensor, placement.readers, self.dtype, None)
            metadata = {UNCALIBRATED: "guess"} if guessed else {}
        insert_pair(edit, placement.tensor, placement.readers, values, self.dtype, axis, metadata)

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        made = self.plan(before)
        known = load(Path(self.calibration)) if self.calibration else Calibration()
        left = [f"{before.ref(node)} stays in float: {reason.text}" for node, reason in made.left]
        guessed = [name for name in made.placements if weight(before, name) is None and not known.amax(name)]
        if guessed:
            more = f" and {len(guessed) - 1} more" if len(guessed) > 1 else ""
            left.append(f"Not calibrated, a guess: {guessed[0]}{more}")
        return tuple(left)

    def summary(self) -> str:
        how = f"calibrated by {Path(self.calibration).name}" if self.calibration else "not calibrated"
        return f"Quantize the model ({self.dtype}, {how})"
