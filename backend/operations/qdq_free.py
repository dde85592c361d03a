"""Take Q/DQ pairs out of the way of fusions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.operations.qdq_remove import remove_pair
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.quantize.insertion import existing, insert_pair, readers
from graftwerk.backend.quantize.obstacles import Obstacle, obstacles
from graftwerk.backend.quantize.pairs import UNCALIBRATED, calibrated, pair_of, quantized_dtype, scales
from graftwerk.backend.quantize.scales import DTYPES

_NAMES = {number: name for name, number in DTYPES.items()}


@operation("qdq.free_fusions", title="Free fusions", menu="Quantize")
@dataclass(frozen=True)
class FreeFusions(Operation):
    """Take the pairs away that keep TensorRT from fusing, and put them behind what is fused.

    A pair between a layer and its activation, or between a first convolution and its MaxPool, goes behind these, unless
    there is one; a pair between a convolution and the Add that it could compute is removed, that on the other branch
    stays. Pairs that are not in the way are left.
    """

    pairs: tuple[NodeRef, ...] = param((), label="Only these pairs", help="A node of each; none: all in the way")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self:
        chosen = set(selection.nodes)
        return cls(tuple(graph.ref(one.pair.dequantize) for one in obstacles(graph) if chosen & set(one.pair.nodes)))

    def blocked(self, graph: Graph) -> Reason | None:
        found = self._found(graph)
        if not found:
            return Reason("No Q/DQ pair keeps a layer from fusing with what is behind it", settled=True)
        return None

    def _found(self, graph: Graph) -> list[Obstacle]:
        found = obstacles(graph)
        if not self.pairs:
            return found
        by_pair = {one.pair.dequantize: one for one in found}
        chosen = [pair_of(graph, graph.find(ref)) for ref in self.pairs]
        for ref, pair in zip(self.pairs, chosen, strict=True):
            if pair.dequantize not in by_pair:
                raise Fault("This pair is in the way of no fusion", ref)
        return [by_pair[pair.dequantize] for pair in chosen]

    def apply(self, edit: Edit) -> None:
        for one in self._found(edit.base):
            _move(edit, one)

    def summary(self) -> str:
        return f"Free fusions of {len(self.pairs)} Q/DQ pairs" if self.pairs else "Free fusions of Q/DQ pairs"


def _move(edit: Edit, one: Obstacle) -> None:
    pair, base = one.pair, edit.base
    values, dtype, known = scales(base, pair), quantized_dtype(base, pair), calibrated(base, pair)
    remove_pair(edit, pair)
    behind = edit.nodes[one.behind].output[0]
    users = readers(edit, behind)
    known_scale = values is not None and values.size == 1 and dtype in _NAMES
    if one.kind != "add" and users and known_scale and existing(edit, behind) is None:
        assert values is not None
        metadata = {} if known else {UNCALIBRATED: "guess"}
        insert_pair(edit, behind, users, np.asarray(values[0], np.float32), _NAMES[dtype], None, metadata)
