"""Removing nodes that change nothing: what each of them gives is there already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graftwerk.backend.fault import Reason, Settled
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, reads
from graftwerk.backend.operations.delete import drop_constant
from graftwerk.backend.operations.noop_rules import CASTS, IDENTITIES, RESHAPES, TRANSPOSES, Change, change_of
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.unused import remove_idle


@operation("cleanup.remove_noops", title="Remove no-ops", menu="Clean up", preserves=True)
@dataclass(frozen=True)
class RemoveNoops(Operation):
    """Remove casts, reshapes, transposes, identities, slices, concatenations and dropouts that change nothing.

    Pairs that undo each other count: a transpose and its inverse, a Split whose parts are joined again, a cast to a
    wider datatype and back. Two reshapes or transposes in a row become one. What can't be seen from known shapes and
    constants stays, and so does a node between an input and an output of the graph. No result changes by one bit.
    """

    casts: bool = param(True, help="Cast")
    reshapes: bool = param(True, help="Reshape, Flatten, Squeeze, Unsqueeze, Expand")
    transposes: bool = param(True, help="Transpose, inverse pairs too")
    identities: bool = param(True, help="Identity, and Dropout outside of training")
    others: bool = param(True, help="Slice, Concat, Split, Pad, Tile, Sum and their like")
    nodes: tuple[NodeRef, ...] = param((), label="Only these nodes", help="All where there is none")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> RemoveNoops:
        return cls(nodes=tuple(graph.ref(node) for node in selection.nodes))

    def blocked(self, graph: Graph) -> Reason | None:
        if next(self._found(graph, self._candidates(graph)), None) is None:
            return Reason("There is no node that changes nothing", "Shapes have to be known for many of them", True)
        return None

    def apply(self, edit: Edit) -> None:
        waiting = list(self._candidates(edit.base))
        while waiting:
            again: set[NodeId] = set()
            for node, change in self._found(edit, waiting):
                again.update(_users(edit, node) | {node})
                _make(edit, node, change)
            allowed = set(waiting) if self.nodes else again
            waiting = sorted(node for node in again & allowed if node in edit.nodes)
        if not edit.touched:
            raise Settled("There is no node that changes nothing")

    def summary(self) -> str:
        return f"Remove no-ops among {len(self.nodes)} nodes" if self.nodes else "Remove no-ops"

    def _candidates(self, graph: Graph) -> list[NodeId]:
        return [graph.find(ref) for ref in self.nodes] if self.nodes else list(graph.nodes)

    def _found(self, graph: Graph | Edit, candidates: list[NodeId]) -> Iterator[tuple[NodeId, Change]]:
        wanted = {
            **dict.fromkeys(CASTS, self.casts), **dict.fromkeys(RESHAPES, self.reshapes),
            **dict.fromkeys(TRANSPOSES, self.transposes), **dict.fromkeys(IDENTITIES, self.identities),
        }  # fmt: skip
        for node in candidates:
            record = graph.nodes.get(node)
            if record is not None and wanted.get(record.op_type, self.others):
                change = change_of(graph, node)
                if change is not None and possible(graph, node, change):
                    yield node, change


def possible(graph: Graph | Edit, node: NodeId, change: Change) -> bool:
    """Whether the node can go: a graph output needs a node that makes it, under its name."""
    output = graph.nodes[node].output[0]
    if change.op_type or not graph.is_output(output):
        return True
    return graph.producer(change.source) is not None and not graph.is_output(change.source)


def _users(edit: Edit, node: NodeId) -> set[NodeId]:
    """What may change nothing once a node is gone: what reads it, and what reads what it reads."""
    record = edit.nodes[node]
    return {user for tensor in (*record.output, *record.input) if tensor for user in edit.consumers(tensor)}


def _make(edit: Edit, node: NodeId, change: Change) -> None:
    """Does one change, and removes what nothing needs after it."""
    record = edit.nodes[node]
    output = record.output[0]
    if change.op_type:
        inputs = [change.source, *record.input[1:]]
        edit.replace_node(node, inputs=inputs, attributes=change.attributes or list(record.attribute))
    else:
        edit.remove_node(node)
        edit.value_infos.pop(output, None)
        if edit.is_output(output):
            edit.rename_tensor(change.source, output)
        else:
            edit.rewire(output, change.source)
    for tensor in reads(record):
        drop_constant(edit, tensor)
        made = edit.producer(tensor)
        if made is not None:
            remove_idle(edit, [made])
