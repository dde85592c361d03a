"""Inserting a node on an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnx import NodeProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.attributes import make_attributes
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.graph.schema import no_operator, schema_of
from graftwerk.backend.graph.sockets import why_unfit
from graftwerk.backend.graph.standin import DOMAIN as STAND_INS
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.retype import retype


@operation("node.insert", title="Insert node", menu="Edit")
@dataclass(frozen=True)
class InsertNode(Operation):
    """Put a new node on an edge: it reads the tensor, and what read the tensor reads the node's output.

    Without *before* all consumers are rewired, and if the tensor is a graph output, the new node makes that output
    under its old name. With *before*, only these consumers are rewired. *Extra inputs* follow the tensor as the
    node's further inputs, an empty name skips an optional one. Operators of the standard domain are checked against
    their schema; any other domain is taken as it is.
    """

    tensor: TensorName
    op_type: str = param(label="Operator", help="Such as Cast, Relu, Mul")
    attributes: dict[str, Any] = param({}, help='JSON, such as {"to": "FLOAT16"}')
    extra_inputs: tuple[TensorName, ...] = param((), help="Tensors that follow as further inputs")
    before: tuple[NodeRef, ...] = param((), help="Only towards these consumers")
    domain: str = param("", help="Empty for standard operators")
    name: str = param("", label="Node name", help="Made up where empty")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> InsertNode | Reason:
        tensors = selection.tensors
        if not tensors and len(selection.nodes) == 1:
            tensors = tuple(name for name in graph.nodes[selection.nodes[0]].output if name)
        if len(tensors) != 1:
            return Reason("Select one tensor (an edge)")
        users = graph.consumers(tensors[0])
        towards = tuple(graph.ref(node) for node in selection.nodes if node in users)
        return cls(TensorName(tensors[0]), "", before=towards)

    @property
    def _domain(self) -> str:
        """The standard domain has two names, of which nodes are given the empty one."""
        return "" if self.domain == "ai.onnx" else self.domain

    def blocked(self, graph: Graph) -> Reason | None:
        if self.domain == STAND_INS:
            return Reason(f"The domain {STAND_INS} is for the subgraphs that plugins replaced", "Choose another domain")
        for tensor in (self.tensor, *self.extra_inputs):
            if tensor and not graph.defines(tensor):
                raise Fault("There is no such tensor", tensor)
        if self.name and self.name in graph.names:
            return Reason(f"A node is called {self.name!r} already", "Choose another name")
        users = graph.consumers(self.tensor)
        for ref in self.before:
            if graph.find(ref) not in users:
                return Reason(f"{ref} does not read {self.tensor}", "Name consumers of the tensor in 'before'")
        if not users and not graph.is_output(self.tensor):
            return Reason(f"Nothing reads {self.tensor}")
        if not users and graph.producer(self.tensor) is None:
            return Reason("A graph input that is a graph output as well has no edge to put a node on")
        return self._operator(graph)

    def _operator(self, graph: Graph) -> Reason | None:
        schema = schema_of(graph, self.op_type, self._domain)
        if schema is None:
            if self._domain:
                make_attributes(self.op_type, None, self.attributes)
                return None
            return no_operator(graph, self.op_type)
        make_attributes(self.op_type, schema, self.attributes)
        count = 1 + len(self.extra_inputs)
        if not schema.min_input <= count <= schema.max_input:
            low, high = schema.min_input, schema.max_input
            allowed = f"{low}" if low == high else f"at least {low}" if count < low else f"at most {high}"
            hint = "Give the others as extra inputs" if count < low else "Leave some of the extra inputs out"
            noun = "input" if allowed == "1" else "inputs"
            return Reason(f"{self.op_type} takes {allowed} {noun}, not {count}", hint)
        record = NodeProto(op_type=self.op_type, domain=self._domain, input=(self.tensor, *self.extra_inputs))
        record.attribute.extend(make_attributes(self.op_type, schema, self.attributes))
        unfit = (why_unfit(graph, record, at, tensor) for at, tensor in enumerate(record.input) if tensor)
        return next(filter(None, unfit), None)

    def apply(self, edit: Edit) -> None:
        schema = schema_of(edit, self.op_type, self._domain)
        attributes = make_attributes(self.op_type, schema, self.attributes)
        if self._domain:
            edit.require_opset(self._domain, 1)
        source, target = self._cut(edit)
        more = range(1, schema.min_output if schema is not None else 1)
        outputs = [target, *(edit.fresh_tensor(f"{target}_{number}") for number in more)]
        inputs = [source, *(source if tensor == self.tensor else tensor for tensor in self.extra_inputs)]
        name = self.name or edit.fresh_node(self.op_type)
        node = edit.add_node(self.op_type, inputs, outputs, name=name, domain=self._domain, attributes=attributes)
        retype(edit, node)

    def _cut(self, edit: Edit) -> tuple[str, str]:
        """Cuts the edge open; what the new node is to read, and what to make."""
        known = edit.type_of(self.tensor)
        made = edit.producer(self.tensor)
        if edit.is_output(self.tensor) and made is not None and not self.before:
            # The graph output keeps its name: what makes the tensor makes it under another one.
            fresh = edit.fresh_tensor(f"{self.tensor}_before_{self.op_type}")
            outputs = edit.nodes[made].output
            edit.replace_node(made, outputs=[fresh if name == self.tensor else name for name in outputs])
            cut = fresh, str(self.tensor)
        else:
            fresh = edit.fresh_tensor(f"{self.tensor}_{self.op_type}")
            users: Sequence[NodeId] = [edit.base.find(ref) for ref in self.before] or edit.consumers(self.tensor)
            edit.rewire(self.tensor, fresh, users)
            cut = str(self.tensor), fresh
        if known is not None:
            edit.set_type(fresh, known)
        return cut
