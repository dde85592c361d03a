"""A new node beside what there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from onnx import NodeProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.attributes import make_attributes
from graftwerk.backend.graph.check import TO_CONNECT
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.schema import no_operator, schema_of
from graftwerk.backend.graph.sockets import open_inputs, why_unfit
from graftwerk.backend.graph.standin import DOMAIN as STAND_INS
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.retype import retype


@operation("node.add", title="Add node", menu="Edit")
@dataclass(frozen=True)
class AddNode(Operation):
    """Add a node of an operator, a local function or a plugin. It reads the given tensors, and nothing reads it yet.

    *Inputs* are in the operator's order; an empty name leaves one open. A node with open inputs that the operator needs
    is allowed: the model is called incomplete, and can't run, until they are connected. Standard operators are checked
    against their schema in the model's opset: attributes, number of inputs, datatypes and shapes; a domain that the
    model doesn't import is imported in version 1, and taken as it is. *Outputs* names what the node makes.
    """

    op_type: str = param(label="Operator", help="Such as Cast, Relu, Concat")
    inputs: tuple[TensorName, ...] = param((), help="What it reads, in order; empty names stay open")
    attributes: dict[str, Any] = param({}, help='JSON, such as {"to": "FLOAT16"}')
    domain: str = param("", help="Empty for standard operators")
    name: str = param("", label="Node name", help="Made up where empty")
    outputs: tuple[TensorName, ...] = param((), help="Names of what it makes; made up where empty")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        return cls("", tuple(TensorName(name) for name in selection.tensors))

    @property
    def _domain(self) -> str:
        """The standard domain has two names, of which nodes are given the empty one."""
        return "" if self.domain == "ai.onnx" else self.domain

    def blocked(self, graph: Graph) -> Reason | None:
        if self.domain == STAND_INS:
            return Reason(f"The domain {STAND_INS} is for the subgraphs that plugins replaced", "Choose another domain")
        for tensor in self.inputs:
            if tensor and not graph.defines(tensor):
                raise Fault("There is no such tensor", tensor)
        if self.name and self.name in graph.names:
            return Reason(f"A node is called {self.name!r} already", "Choose another name")
        return self._outputs_taken(graph) or self._operator(graph)

    def _outputs_taken(self, graph: Graph) -> Reason | None:
        named = [tensor for tensor in self.outputs if tensor]
        for tensor in named:
            if graph.defines(tensor) or tensor in graph.reserved or named.count(tensor) > 1:
                return Reason(f"A tensor is called {tensor!r} already", "Choose another name for the output")
        return None

    def _operator(self, graph: Graph) -> Reason | None:
        schema = schema_of(graph, self.op_type, self._domain)
        record = NodeProto(op_type=self.op_type, domain=self._domain, input=self.inputs)
        function = graph.function(record)
        if function is not None:
            make_attributes(self.op_type, None, self.attributes)
            return _too_many("inputs", self.op_type, self.inputs, len(function.input)) or _too_many(
                "outputs", self.op_type, self.outputs, len(function.output)
            )
        if schema is None:
            if self._domain:
                make_attributes(self.op_type, None, self.attributes)
                return None
            return no_operator(graph, self.op_type)
        if schema.deprecated:
            hint = "Its page in the operator palette says what took its place"
            return Reason(f"{self.op_type} is deprecated since opset {schema.since_version}", hint)
        record.attribute.extend(make_attributes(self.op_type, schema, self.attributes))
        many = _too_many("inputs", self.op_type, self.inputs, schema.max_input) or _too_many(
            "outputs", self.op_type, self.outputs, schema.max_output
        )
        unfit = (why_unfit(graph, record, at, tensor) for at, tensor in enumerate(self.inputs) if tensor)
        return many or next(filter(None, unfit), None)

    def apply(self, edit: Edit) -> None:
        schema = schema_of(edit, self.op_type, self._domain)
        if self._domain:
            edit.require_opset(self._domain, 1)
        name = self.name or edit.fresh_node(self.op_type)
        inputs = list(self.inputs)
        while inputs and not inputs[-1]:
            inputs.pop()
        attributes = make_attributes(self.op_type, schema, self.attributes)
        outputs = self._outputs(edit, name, schema.min_output if schema is not None else 1)
        node = edit.add_node(self.op_type, inputs, outputs, name=name, domain=self._domain, attributes=attributes)
        missing = open_inputs(edit, edit.nodes[node])
        if missing:
            edit.mark_incomplete(Reason(f"{name} reads nothing at {', '.join(missing)}", TO_CONNECT))
        else:
            retype(edit, node)

    def _outputs(self, edit: Edit, name: str, least: int) -> list[str]:
        """At least one, for a node without a name of its own is known by what it makes."""
        function = edit.base.function(NodeProto(op_type=self.op_type, domain=self._domain))
        least = len(function.output) if function is not None else max(least, 1)
        found: list[str] = []
        for at in range(max(least, len(self.outputs))):
            wanted = self.outputs[at] if at < len(self.outputs) else ""
            base = wanted or (f"{name}_output" if least == 1 else f"{name}_output_{at}")
            fresh = edit.fresh_tensor(base)
            number = 0
            while fresh in found:
                number += 1
                fresh = edit.fresh_tensor(f"{base}_{number}")
            found.append(fresh)
        return found

    def summary(self) -> str:
        return f"Add {self.op_type}"


def _too_many(what: str, op_type: str, there: Sequence[str], most: int) -> Reason | None:
    if len(there) <= most:
        return None
    noun = what.removesuffix("s") if most == 1 else what
    return Reason(f"{op_type} has at most {most} {noun}, not {len(there)}", f"Give fewer {what}")
