"""Copies of nodes beside them."""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef, inner_names
from graftwerk.backend.graph.records import declared_as
from graftwerk.backend.graph.rename_all import Names, renamed_all
from graftwerk.backend.operations.registry import Operation, operation, param


@operation("node.duplicate", title="Duplicate", menu="Edit", preserves=True, shortcut="Ctrl+D")
@dataclass(frozen=True)
class DuplicateNodes(Operation):
    """Make copies of nodes. They read what the originals read, or the copy of it where that is made by one of them;
    nothing reads what they make yet. Weights are shared. Names get a number."""

    nodes: tuple[NodeRef, ...] = param(help="The nodes to copy")

    def blocked(self, graph: Graph) -> Reason | None:
        for ref in self.nodes:
            graph.find(ref)
        return None if self.nodes else Reason("No node is given", "Select one or more nodes")

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        chosen = set(map(graph.find, self.nodes))
        records = [graph.nodes[node] for node in (graph.nodes if len(chosen) > 1 else chosen) if node in chosen]
        free = Names(edit)
        names: dict[str, str] = {}
        for record in records:
            for name in (*record.output, *sorted(inner_names(record))):
                if name and name not in names:
                    names[name] = free.fresh(f"{name}_copy")
        for record in records:
            copy = renamed_all(record, names)
            if copy.name:
                copy.name = edit.fresh_node(f"{record.name}_copy")
            edit.add_record(copy)
        for old, new in names.items():
            known, declared = graph.types.get(old), graph.declared(old)
            if known is not None:
                edit.set_type(new, known)
            if declared is not None:
                edit.declare(declared_as(declared, new))

    def summary(self) -> str:
        return f"Duplicate {len(self.nodes)} nodes" if len(self.nodes) > 1 else f"Duplicate {''.join(self.nodes)}"
