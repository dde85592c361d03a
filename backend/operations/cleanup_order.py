"""The order of the nodes in the file."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, reads
from graftwerk.backend.operations.registry import Operation, operation


@operation("cleanup.sort", title="Sort topologically", menu="Clean up", preserves=True)
@dataclass(frozen=True)
class SortNodes(Operation):
    """Put the nodes in an order in which each stands behind what it reads, as ONNX demands.

    What is in order already keeps its place.
    """

    def blocked(self, graph: Graph) -> Reason | None:
        return None if _misplaced(graph) else Reason("The nodes are in topological order", settled=True)

    def apply(self, edit: Edit) -> None:
        for node in _misplaced(edit.base):  # the transaction puts the nodes that it touches where they belong
            record = NodeProto()
            record.CopyFrom(edit.nodes[node])
            edit.replace_record(node, record)


def _misplaced(graph: Graph) -> list[NodeId]:
    """The nodes that stand before something that they read."""
    place = {node: at for at, node in enumerate(graph.nodes)}
    found = []
    for node, record in graph.nodes.items():
        makers = (graph.producers.get(tensor) for tensor in reads(record))
        if any(made is not None and place[made] >= place[node] for made in makers):
            found.append(node)
    return found
