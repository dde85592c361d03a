"""2:4 sparsity: two of every four weights zero, by magnitude."""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.weight_values import with_values
from graftwerk.backend.pruning.sparsity import LayerWeight, layer_weights, pruned, why_not


@operation("weights.prune_2_4", title="Prune to 2:4", menu="Weights", slow=True)
@dataclass(frozen=True)
class PruneSparse(Operation):
    """Sets the two smallest of every four weights to zero along what a layer sums over, as sparse tensor cores want it.

    `graftwerk sparsity MODEL` shows each layer's error, |w - w'| / |w|, before it is done. Outputs change: the model
    usually has to be trained on. The compiler makes use of it only with its option flag.SPARSE_WEIGHTS.
    """

    nodes: tuple[NodeRef, ...] = param((), label="Layers", help="Conv, Gemm, MatMul; empty: all that can")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> PruneSparse | Reason:
        return cls(tuple(graph.ref(node) for node in selection.nodes))

    def blocked(self, graph: Graph) -> Reason | None:
        layers = {layer.node: layer for layer in layer_weights(graph)}
        for ref in self.nodes:
            layer = layers.get(graph.find(ref))
            if layer is None:
                return Reason(f"{ref} has no float weight in the model", "Conv, Gemm and MatMul have")
            reason = why_not(layer)
            if reason is not None:
                return Reason(f"{ref}: {reason.text}")
        if not self.nodes and not any(why_not(layer) is None for layer in layers.values()):
            return Reason("No layer sums over a multiple of 4")
        return None

    def _chosen(self, graph: Graph) -> list[LayerWeight]:
        chosen = {graph.find(ref) for ref in self.nodes}
        return [each for each in layer_weights(graph)
                if each.node in chosen or (not chosen and why_not(each) is None)]  # fmt: skip

    def apply(self, edit: Edit) -> None:
        done: dict[str, int] = {}
        for layer in self._chosen(edit.base):
            axis = done.setdefault(layer.weight.name, layer.axis)
            if axis != layer.axis:
                why = Reason(f"{layer.weight.name} is summed over along two axes", "Give each layer its own weight")
                raise why.fault(edit.base.ref(layer.node))
            edit.set_initializer(with_values(layer.weight, pruned(layer.weight.array(), layer.axis)))

    def summary(self) -> str:
        return f"Prune {f'{len(self.nodes)} layers' if self.nodes else 'all layers'} to 2:4 by magnitude"
