"""Renaming nodes and tensors."""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef, TensorName
from graftwerk.backend.operations.registry import Operation, Selection, operation, param


@operation("node.rename", title="Rename node", menu="Edit", preserves=True)
@dataclass(frozen=True)
class RenameNode(Operation):
    """Give a node another name. Tensors keep theirs. The name must not be another node's."""

    node: NodeRef
    name: str = param(label="New name")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> RenameNode | Reason:
        if len(selection.nodes) != 1:
            return Reason("Select one node")
        return cls(graph.ref(selection.nodes[0]), graph.nodes[selection.nodes[0]].name)

    def blocked(self, graph: Graph) -> Reason | None:
        if graph.nodes[graph.find(self.node)].name == self.name:
            return Reason("The node has this name already", "Type a new one", True)
        if self.name in graph.names:
            return Reason(f"Another node is called {self.name!r}", "Choose another name")
        return None

    def apply(self, edit: Edit) -> None:
        edit.replace_node(edit.base.find(self.node), name=self.name)


@operation("tensor.rename", title="Rename tensor", menu="Edit", preserves=True)
@dataclass(frozen=True)
class RenameTensor(Operation):
    """Rename a tensor wherever it is made, read (in the bodies of If, Loop and Scan too), declared or put out.

    Works for what nodes make, weights, graph inputs and graph outputs. The name must not be in use.
    """

    tensor: TensorName
    name: str = param(label="New name")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> RenameTensor | Reason:
        if len(selection.tensors) != 1:
            return Reason("Select one tensor (an edge)")
        return cls(TensorName(selection.tensors[0]), selection.tensors[0])

    def blocked(self, graph: Graph) -> Reason | None:
        if not graph.defines(self.tensor):
            raise Fault("There is no such tensor", self.tensor)
        if self.tensor == self.name:
            return Reason("The tensor has this name already", "Type a new one", True)
        if graph.defines(self.name):
            return Reason(f"Another tensor is called {self.name!r}", "Choose another name")
        return None

    def apply(self, edit: Edit) -> None:
        edit.rename_tensor(self.tensor, self.name)
