"""One node in the place of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from onnx import NodeProto

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.attributes import make_attributes
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef, TensorName
from graftwerk.backend.graph.schema import accepts, dtype_word, no_operator, output_types, schema_of
from graftwerk.backend.graph.standin import DOMAIN as STAND_INS
from graftwerk.backend.operations.plugin import Cut, cut
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.retype import fits
from graftwerk.backend.quantize.insertion import prune


@operation("subgraph.replace_with_node", title="Replace with node", menu="Subgraph")
@dataclass(frozen=True)
class ReplaceWithNode(Operation):
    """Puts one node of an operator or a local function in the place of some nodes.

    Its inputs are the tensors that the nodes read from outside, in the order in which they read them, its outputs what
    is read outside; *inputs* and *outputs* say another order. Constants of up to 16 elements are left out, unless
    *inputs* names them. Operators are checked against their schema: attributes, numbers of inputs and outputs,
    datatypes, and that what comes out fits what was there. Nodes that a path leaves and comes back to are refused.
    """

    nodes: tuple[NodeRef, ...] = param(help="The nodes to replace")
    op_type: str = param(label="Operator", help="Such as Gelu, LayerNormalization, or a local function")
    attributes: dict[str, Any] = param({}, help='JSON, such as {"approximate": "tanh"}')
    domain: str = param("", help="Empty for standard operators")
    name: str = param("", label="Node name", help="Empty: after the operator")
    inputs: tuple[TensorName, ...] = param((), help="All inputs in order; only constants may be left out")
    outputs: tuple[TensorName, ...] = param((), help="All outputs in the operator's order")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        if not selection.nodes:
            return Reason("Select one or more nodes")
        return cls(tuple(graph.ref(node) for node in selection.nodes), "")

    @property
    def _domain(self) -> str:
        return "" if self.domain == "ai.onnx" else self.domain

    def blocked(self, graph: Graph) -> Reason | None:
        if self.domain == STAND_INS:
            return Reason(f"The domain {STAND_INS} is for the subgraphs that plugins replaced", "Choose another domain")
        if self.name in graph.names:
            return Reason(f"A node is called {self.name} already", "Choose another name")
        found = cut(graph, self)
        if isinstance(found, Reason):
            return found
        return self._ports(graph, found) or self._types(graph, found)

    def _ports(self, graph: Graph, found: Cut) -> Reason | None:
        """Whether the operator takes and makes as many tensors as the nodes."""
        schema = schema_of(graph, self.op_type, self._domain)
        function = graph.function(NodeProto(op_type=self.op_type, domain=self._domain))
        if function is not None:
            return _count("inputs", self.op_type, found.inputs, 0, len(function.input)) or _count(
                "outputs", self.op_type, found.outputs, 0, len(function.output)
            )
        if schema is None:
            if self._domain:
                make_attributes(self.op_type, None, self.attributes)
                return None
            return no_operator(graph, self.op_type)
        make_attributes(self.op_type, schema, self.attributes)
        return _count("inputs", self.op_type, found.inputs, schema.min_input, schema.max_input) or _count(
            "outputs", self.op_type, found.outputs, schema.min_output, schema.max_output
        )

    def _types(self, graph: Graph, found: Cut) -> Reason | None:
        """Whether the operator takes these types, and makes what was there."""
        schema = schema_of(graph, self.op_type, self._domain)
        if schema is None:
            return None
        for index, tensor in enumerate(found.inputs):
            known = graph.type_of(tensor)
            if known is not None and not accepts(schema, index, known.dtype):
                return Reason(f"{self.op_type} doesn't take {dtype_word(known.dtype)} as input {index} ({tensor})")
        made = output_types(graph, self._record(graph, found, "node"))
        for tensor in found.outputs:
            before, after = graph.type_of(tensor), made.get(tensor)
            if not fits(after, before):
                hint = "Give the inputs in another order, other attributes, or replace other nodes"
                return Reason(f"{self.op_type} would make {tensor} {after}, but it is read as {before}", hint)
        return None

    def _record(self, graph: Graph | Edit, found: Cut, name: str) -> NodeProto:
        schema = schema_of(graph, self.op_type, self._domain)
        record = NodeProto(op_type=self.op_type, domain=self._domain, name=name)
        record.input.extend(found.inputs)
        record.output.extend(found.outputs)
        record.attribute.extend(make_attributes(self.op_type, schema, self.attributes))
        return record

    def apply(self, edit: Edit) -> None:
        found = cut(edit.base, self)
        if isinstance(found, Reason):
            raise found.fault(self.op_type)
        for node in found.nodes:
            for output in edit.nodes[node].output:
                if output not in found.outputs:
                    edit.value_infos.pop(output, None)
            edit.remove_node(node)
        for tensor in found.constants:
            prune(edit, tensor)
        if self._domain:
            edit.require_opset(self._domain, 1)
        edit.add_record(self._record(edit, found, self.name or edit.fresh_node(self.op_type)))

    def summary(self) -> str:
        return f"Replace {len(self.nodes)} nodes with {self.op_type}"


def _count(what: str, op_type: str, there: Sequence[str], low: int, high: int) -> Reason | None:
    """Why an operator can't have these ports, None where it can."""
    if low <= len(there) <= high:
        return None
    allowed = f"{low}" if low == high else f"at least {low}" if len(there) < low else f"at most {high}"
    hint = f"Say in '{what}' which ones, in its order, or replace other nodes"
    noun = what.removesuffix("s") if allowed == "1" else what
    return Reason(f"{op_type} has {allowed} {noun}; these nodes have {len(there)}: {', '.join(there) or 'none'}", hint)
