"""Remove a Q/DQ pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.constants import constant
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.quantize.insertion import prune
from graftwerk.backend.quantize.pairs import QdqPair, pair_at, pair_of, pairs_on, per_channel


def selected_pair(graph: Graph, selection: Selection) -> QdqPair | Reason:
    """The one pair that a selection means: one of its nodes or both, or a tensor before, in or behind it."""
    try:
        found = {pair_of(graph, node) for node in selection.nodes}
    except Fault as fault:
        return Reason(fault.message, fault.hint)
    for tensor in selection.tensors:
        made = graph.producer(tensor)
        behind = [] if made is None else [pair for pair in [pair_at(graph, made)] if pair is not None]
        users = (pair_at(graph, node) for node in graph.consumers(tensor))
        inside = [pair for pair in users if pair is not None]
        found.update(behind or inside or pairs_on(graph, tensor))
    if len(found) == 1:
        return found.pop()
    return Reason("More than one Q/DQ pair is selected" if found else "Select a Q/DQ pair")


@operation("qdq.remove", title="Remove Q/DQ", menu="Quantize")
@dataclass(frozen=True)
class RemoveQdq(Operation):
    """Removes a pair; what read the quantized tensor reads the float one again.

    `node` is either of its two nodes. Scales and zero points that nothing else uses go with it. A weight that is
    stored quantized (a DequantizeLinear alone) becomes the float weight that it stands for.
    """

    node: NodeRef = param(label="Pair", help="The QuantizeLinear or the DequantizeLinear")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        found = selected_pair(graph, selection)
        return found if isinstance(found, Reason) else cls(graph.ref(found.dequantize))

    def blocked(self, graph: Graph) -> Reason | None:
        pair = pair_of(graph, graph.find(self.node))
        if pair.quantize is None and constant(graph, pair.scale) is None:
            return Reason("The scale of this stored weight is computed", "Fold constants first")
        return None

    def apply(self, edit: Edit) -> None:
        remove_pair(edit, pair_of(edit.base, edit.base.find(self.node)))


def remove_pair(edit: Edit, pair: QdqPair) -> None:
    """Takes a pair away; what read it reads its source, a stored weight as floats."""
    edit.remove_node(pair.dequantize)
    edit.value_infos.pop(pair.quantized, None)
    edit.value_infos.pop(pair.output, None)
    if pair.quantize is None:
        _store_float(edit, pair)
    else:
        if not edit.consumers(pair.quantized) and not edit.is_output(pair.quantized):
            edit.remove_node(pair.quantize)
        pass_on(edit, pair.output, pair.source)
    prune(edit, pair.scale, pair.zero_point)


def _store_float(edit: Edit, pair: QdqPair) -> None:
    """The stored weight as float, under the name that its DequantizeLinear made."""
    values, scale = constant(edit, pair.source), constant(edit, pair.scale)
    zero = constant(edit, pair.zero_point) if pair.zero_point else None
    if values is None or scale is None:
        raise Fault("The weight's values are not known", pair.source)
    shape = [1] * values.ndim
    if per_channel(edit, pair):
        shape[pair.axis] = -1
    offset = np.float64(0) if zero is None else zero.astype(np.float64).reshape(shape)
    floats = (values.astype(np.float64) - offset) * scale.astype(np.float64).reshape(shape)
    edit.set_initializer(floats.astype(scale.dtype), pair.output)
    prune(edit, pair.source)


def pass_on(edit: Edit, old: str, new: str) -> None:
    """Lets everything that read `old`, which nothing makes any more, read `new`; a graph output keeps its name."""
    if not edit.is_output(old):
        edit.rewire(old, new)
        return
    made = edit.producer(new)
    if made is None or edit.is_output(new):
        edit.add_node("Identity", [new], [old], name=edit.fresh_node(f"{old}_Identity"))
        return
    known = edit.type_of(new)
    edit.replace_node(made, outputs=[old if name == new else name for name in edit.nodes[made].output])
    edit.rewire(new, old)
    edit.value_infos.pop(new, None)
    if known is not None:
        edit.set_type(old, TensorType(known.dtype, known.shape))
