"""Structured pruning: whole channels out of convolutions and fully connected layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.pruning.channels import Criterion, chosen, count_left, groups_of, importance, prune
from graftwerk.backend.pruning.groups import Group

_LAYERS = ("Conv", "Gemm", "MatMul")


@operation("weights.prune_channels", title="Prune channels", menu="Weights", slow=True)
@dataclass(frozen=True)
class PruneChannels(Operation):
    """Takes the least important channels out of layers, and out of everything that reads or adds to them.

    Channels that meet in a residual sum go together; a Concat, depthwise and grouped convolutions, batch normalization
    and Flatten before a fully connected layer are followed. Channels of the model's inputs and outputs, and those that
    reach what isn't understood, stay. Importance is the L1 norm of the weights that make a channel, or |gamma| of the
    batch normalization on it. A group keeps a multiple of `multiple` channels, for tensor cores.

    Outputs change: `graftwerk prune MODEL --sensitivity` shows by how much, group by group, and the model usually has
    to be trained on.
    """

    nodes: tuple[NodeRef, ...] = param((), label="Layers", help="Their whole groups are pruned; empty: all that can")
    ratio: float = param(0.25, minimum=0.0, maximum=0.99, help="The share of channels to take out")
    multiple: Literal["1", "8", "32", "64"] = param("8", help="Channels left are a multiple of this")
    criterion: Criterion = param("L1 norm", help="What makes a channel important")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> PruneChannels | Reason:
        layers = [node for node in selection.nodes if graph.nodes[node].op_type in _LAYERS]
        if selection.nodes and not layers:
            return Reason("Select convolutions or fully connected layers")
        return cls(tuple(graph.ref(node) for node in layers))

    def blocked(self, graph: Graph) -> Reason | None:
        for ref in self.nodes:
            if graph.nodes[graph.find(ref)].op_type not in _LAYERS:
                return Reason(f"{ref} makes no channels of its own", f"{', '.join(_LAYERS)} do")
        if not any(record.op_type in _LAYERS for record in graph.nodes.values()):
            return Reason("The model has no layer with channels")
        groups = groups_of(graph, map(graph.find, self.nodes))
        frozen = next((group.frozen for group in groups if group.frozen), "")
        if self.nodes and len(groups) == 0:
            return Reason("The weights of this layer are shared, or not in the model")
        if all(group.frozen for group in groups):
            return Reason(f"These channels have to stay: {frozen or 'no layer has a weight of its own'}")
        if not any(self._left(group) < group.size for group in groups if not group.frozen):
            return Reason("No channel would go", "Choose a larger ratio or a smaller multiple")
        return None

    def _left(self, group: Group) -> int:
        return count_left(group, self.ratio, int(self.multiple))

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        groups = [group for group in groups_of(graph, map(graph.find, self.nodes)) if not group.frozen]
        if self.criterion == "batch norm scale" and any(group.norms for group in groups):
            groups = [group for group in groups if group.norms]  # the others have nothing to be judged by
        kept = []
        for group in groups:
            left = self._left(group)
            if left < group.size:
                kept.append((group, chosen(importance(graph, group, self.criterion), group, left)))
        prune(edit, kept)

    def summary(self) -> str:
        which = f"{len(self.nodes)} layers" if self.nodes else "all layers"
        return f"Prune {self.ratio:.0%} of the channels of {which} by {self.criterion}, to multiples of {self.multiple}"

