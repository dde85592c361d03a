"""Taking nodes out of the way of the data: led around them, or with an Identity in their place."""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.operations.delete import (
    DeleteNodes,
    build_bridges,
    drop_constant,
    selected_nodes,
)  # fmt: skip
from graftwerk.backend.operations.registry import Operation, operation, param
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE

_ALREADY = "Select a node whose output is read"


@operation("node.bypass", title="Bypass", menu="Edit", shortcut="B")
@dataclass(frozen=True)
class BypassNodes(Operation):
    """Lead the data around nodes, which stay where they are: what read their output reads their main input instead.

    The main input is the one that is not a constant, or of several the one that has the output's type; *through* names
    it where that is not clear. Types at both ends must agree. Graph outputs keep their names. What the nodes make is
    read by nothing then, until it is connected again.
    """

    nodes: tuple[NodeRef, ...] = param(help="The nodes to lead around")
    through: TensorName = param(TensorName(""), help="The main input, where it is not clear")

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.nodes:
            return Reason("No node is given", "Select one or more nodes")
        try:
            found = self._bridges(graph)
        except Fault as fault:
            return Reason(str(fault), fault.hint)
        return None if found else Reason("Nothing reads what these nodes make", _ALREADY)

    def _bridges(self, graph: Graph) -> dict[str, str]:
        return DeleteNodes(self.nodes, through=self.through).bridges(graph, selected_nodes(graph, self.nodes))

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        bridges, chosen = self._bridges(graph), set(selected_nodes(graph, self.nodes))
        for tensor in bridges:
            fresh, known, made = edit.fresh_tensor(f"{tensor}_bypassed"), edit.type_of(tensor), graph.producers[tensor]
            outputs = [fresh if name == tensor else name for name in edit.nodes[made].output]
            edit.replace_node(made, outputs=outputs)
            edit.rewire(tensor, fresh, [node for node in edit.consumers(tensor) if node in chosen])
            edit.value_infos.pop(tensor, None)
            if known is not None:
                edit.set_type(fresh, known)
        build_bridges(edit, bridges)


@operation("node.to_identity", title="Replace by Identity", menu="Edit")
@dataclass(frozen=True)
class ReplaceByIdentity(Operation):
    """Put an Identity in the place of each node, which passes on its main input under the name of its output.

    The main input is the one that is not a constant, or of several the one that has the output's type; *through* names
    it where that is not clear. Types at both ends must agree. Constants that nothing else reads go.
    """

    nodes: tuple[NodeRef, ...] = param(help="The nodes to replace, each by one Identity")
    through: TensorName = param(TensorName(""), help="The main input, where it is not clear")

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.nodes:
            return Reason("No node is given", "Select one or more nodes")
        try:
            for node in selected_nodes(graph, self.nodes):
                self._passed(graph, node)
        except Fault as fault:
            return Reason(str(fault), fault.hint)
        return None

    def _passed(self, graph: Graph, node: NodeId) -> tuple[str, str]:
        """The output that is read, and the input that it is to be."""
        record, ref = graph.nodes[node], graph.ref(node)
        if record.op_type == "Identity":
            raise Fault("The node is an Identity already", ref)
        if record.op_type in (QUANTIZE, DEQUANTIZE) and not record.domain:
            hint = "Quantize › Remove Q/DQ (qdq.remove) removes both"
            raise Fault("One half of a Q/DQ pair can't be passed by", ref, hint)
        found = DeleteNodes((ref,), through=self.through).bridges(graph, [node])
        if not found:
            raise Fault("Nothing reads what this node makes", ref, _ALREADY)
        return next(iter(found.items()))

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        for node in selected_nodes(graph, self.nodes):
            output, source = self._passed(graph, node)
            record = edit.nodes[node]
            edit.replace_node(
                node, op_type="Identity", domain="", inputs=[source], outputs=[output], attributes=(), metadata={}
            )
            for tensor in record.input:
                drop_constant(edit, tensor)
            for other in record.output:
                if other != output:
                    edit.value_infos.pop(other, None)
