"""Letting one input of a node read another tensor."""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.check import TO_CONNECT
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.graph.reach import path_between
from graftwerk.backend.graph.schema import schema_of
from graftwerk.backend.graph.sockets import open_inputs, required, sockets, variadic, why_unfit
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.retype import retype


@operation("node.rewire", title="Rewire input", menu="Edit")
@dataclass(frozen=True)
class RewireInput(Operation):
    """Let one input of a node read another tensor.

    *Input* counts from 0; one that the node doesn't have yet is added, where the operator takes it. An empty tensor
    disconnects an optional input. A tensor whose datatype or shape doesn't fit is refused, and so is one that depends
    on the node itself, with the path of the cycle.
    """

    node: NodeRef
    input: int = param(0, minimum=0, help="Which input, from 0")
    tensor: TensorName = param(TensorName(""), help="What it reads then; empty disconnects an optional input")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> RewireInput | Reason:
        if len(selection.nodes) != 1:
            return Reason("Select one node, and perhaps the tensor that it is to read")
        tensor = selection.tensors[0] if len(selection.tensors) == 1 else ""
        return cls(graph.ref(selection.nodes[0]), 0, TensorName(tensor))

    def blocked(self, graph: Graph) -> Reason | None:
        node = graph.find(self.node)
        record = graph.nodes[node]
        count = max(len(record.input), len(sockets(graph, record)) - 1)
        if self.input > count:
            raise Fault(f"{record.op_type} has {len(record.input)} inputs; the next one is {count}", "input")
        if self.input < len(record.input) and record.input[self.input] == self.tensor:
            return Reason("The input reads this tensor already", settled=True)
        if self.tensor and not graph.defines(self.tensor):
            raise Fault("There is no such tensor", self.tensor)
        return self._by_schema(graph, node) or self._cycle(graph, node)

    def _by_schema(self, graph: Graph, node: NodeId) -> Reason | None:
        record = graph.nodes[node]
        if self.tensor:
            return why_unfit(graph, record, self.input, self.tensor)
        if self.input >= len(record.input) or not record.input[self.input]:
            return Reason("The input reads nothing", "Name a tensor")
        schema = schema_of(graph, record.op_type, record.domain)
        if schema is not None and variadic(schema) and self.input < len(record.input) - 1:
            return Reason(f"The inputs of {record.op_type} have no gaps", "Disconnect the last one, or name a tensor")
        if schema is not None and required(schema, self.input):
            return Reason(f"Input {self.input} of {record.op_type} is not optional", "Name a tensor")
        return None

    def _cycle(self, graph: Graph, node: NodeId) -> Reason | None:
        maker = graph.producer(self.tensor)
        if maker is None:
            return None
        way = path_between(graph, node, maker)
        if way is None:
            return None
        names = [graph.ref(member) for member in way]
        shown = names if len(names) < 9 else [*names[:4], "…", *names[-4:]]
        return Reason(f"That would make a cycle: {' → '.join([*shown, names[0]])}", "Rewire the other nodes first")

    def apply(self, edit: Edit) -> None:
        node = edit.base.find(self.node)
        inputs = [*edit.nodes[node].input]
        inputs += [""] * (self.input + 1 - len(inputs))  # optional ones in between stay open
        inputs[self.input] = self.tensor
        while inputs and not inputs[-1]:
            inputs.pop()  # an omitted input at the end is left out, which every opset understands
        edit.replace_node(node, inputs=inputs)
        missing = open_inputs(edit, edit.nodes[node])
        if missing:
            edit.mark_incomplete(Reason(f"{self.node} reads nothing at {', '.join(missing)}", TO_CONNECT))
        else:
            retype(edit, node)
