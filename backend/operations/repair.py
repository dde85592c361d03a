"""Small repairs of what a checker complains about: an import that is missing, names that are not unique, no name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.operations.registry import Operation, Selection, operation, param


@operation("model.import_opset", title="Import operator set", menu="Model", preserves=True)
@dataclass(frozen=True)
class ImportOpset(Operation):
    """Import an operator set that the model does not import, such as com.microsoft in version 1.

    Nodes of a domain that is not imported are refused by onnx's checker and by ONNX Runtime. The version of a set that
    is imported already is changed by a conversion, not here.
    """

    domain: str = param(help="Such as com.microsoft")
    version: int = param(1, minimum=1)

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> ImportOpset | Reason:
        missing = sorted(missing_imports(graph))
        return cls(missing[0]) if missing else cls("")

    def blocked(self, graph: Graph) -> Reason | None:
        known = graph.opset(self.domain)
        return Reason(f"{self.domain} is imported already, in version {known}") if known is not None else None

    def apply(self, edit: Edit) -> None:
        edit.require_opset(self.domain, self.version)

    def summary(self) -> str:
        return f"Import {self.domain} {self.version}"


def missing_imports(graph: Graph) -> set[str]:
    """Domains of nodes that the model does not import; the standard one is never among them."""
    used = {record.domain for record in graph.nodes.values()} - {"", "ai.onnx"}
    return {domain for domain in used if graph.opset(domain) is None}


@operation("model.unique_names", title="Give nodes names of their own", menu="Model", preserves=True)
@dataclass(frozen=True)
class UniqueNames(Operation):
    """Number the nodes that share a name, so that each can be found by its own; the first keeps it.

    Nodes without a name are given one as well where *unnamed* is set: their operator's.
    """

    unnamed: bool = param(False, help="Name the nodes without a name too")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> UniqueNames:
        return cls()

    def blocked(self, graph: Graph) -> Reason | None:
        return None if next(self._nodes(graph), None) is not None else Reason("Every node has a name of its own")

    def apply(self, edit: Edit) -> None:
        for node in list(self._nodes(edit.base)):
            record = edit.nodes[node]
            edit.replace_node(node, name=edit.fresh_node(record.name or record.op_type))

    def _nodes(self, graph: Graph) -> Iterator[NodeId]:
        for owners in graph.names.values():
            yield from owners[1:]
        if self.unnamed:
            yield from (node for node, record in graph.nodes.items() if not record.name)
