"""Another operator for a node, with what fits of its attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from onnx import AttributeProto, NodeProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.attributes import json_value, make_attribute
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.graph.schema import TYPE_WORDS, attribute_rules, no_operator, schema_of
from graftwerk.backend.graph.sockets import open_inputs, why_unfit
from graftwerk.backend.graph.standin import DOMAIN as STAND_INS
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.retype import retype


@dataclass(frozen=True, slots=True)
class Carried:
    """What becomes of a node's attributes under another operator: those it keeps, those it can't have and why, and
    those that the operator needs and the node has not."""

    kept: tuple[AttributeProto, ...]
    dropped: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]


def carried(graph: Graph | Edit, record: NodeProto, op_type: str, domain: str = "") -> Carried:
    """A plugin or a local function, of which nothing is known, keeps all."""
    schema = schema_of(graph, op_type, domain)
    if schema is None:
        return Carried(tuple(record.attribute), (), ())
    rules = attribute_rules(schema)
    kept: list[AttributeProto] = []
    dropped: list[tuple[str, str]] = []
    for attribute in record.attribute:
        rule = rules.get(attribute.name)
        if rule is None:
            dropped.append((attribute.name, f"{op_type} has no such attribute"))
        elif rule.type != attribute.type:
            wanted, there = TYPE_WORDS.get(rule.type, "?"), TYPE_WORDS.get(attribute.type, "?")
            dropped.append((attribute.name, f"of type {wanted} in {op_type}, and {there} here"))
        elif attribute.ref_attr_name or json_value(attribute) is None or _allowed(op_type, graph, domain, attribute):
            kept.append(attribute)
        else:
            dropped.append((attribute.name, f"{op_type} does not take {json_value(attribute)!r}"))
    names = {attribute.name for attribute in kept}
    missing = tuple(name for name, rule in rules.items() if rule.required and name not in names)
    return Carried(tuple(kept), tuple(dropped), missing)


def _allowed(op_type: str, graph: Graph | Edit, domain: str, attribute: AttributeProto) -> bool:
    try:
        make_attribute(op_type, schema_of(graph, op_type, domain), attribute.name, json_value(attribute))
    except Fault:
        return False
    return True


@operation("node.swap", title="Change operator", menu="Edit")
@dataclass(frozen=True)
class SwapOperator(Operation):
    """Make nodes of another operator of them: inputs, outputs and names stay.

    Attributes that the new operator has too, of the same type, are kept; the others go, and are named in the effect.
    *Attributes* sets or replaces some; one that the operator needs must be there. The inputs must fit in number,
    datatype and shape.
    """

    nodes: tuple[NodeRef, ...] = param(help="The nodes that become another operator")
    op_type: str = param(label="Operator", help="Such as Gelu, or a plugin's name with its domain")
    attributes: dict[str, Any] = param({}, help='To set: {"axis": 1}')
    domain: str = param("", help="Empty for standard operators")

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
        if not self.nodes:
            return Reason("No node is given", "Select one or more nodes")
        function = graph.function(NodeProto(op_type=self.op_type, domain=self._domain))
        if schema_of(graph, self.op_type, self._domain) is None and not self._domain and function is None:
            return no_operator(graph, self.op_type)
        return next(filter(None, (self._one(graph, ref) for ref in self.nodes)), None)

    def _one(self, graph: Graph, ref: NodeRef) -> Reason | None:
        record = graph.nodes[graph.find(ref)]
        if (record.op_type, record.domain) == (self.op_type, self._domain):
            return Reason(f"{ref} is of {self.op_type} already")
        missing = [name for name in carried(graph, record, self.op_type, self._domain).missing
                   if name not in self.attributes]  # fmt: skip
        if missing:
            return Reason(f"{self.op_type} needs the attribute {missing[0]!r}", f'Such as {{"{missing[0]}": …}}')
        changed = self._changed(graph, record)
        schema = schema_of(graph, self.op_type, self._domain)
        if schema is None:
            return None
        for what, there, low, high in (
            ("inputs", len(record.input), schema.min_input, schema.max_input),
            ("outputs", len(record.output), schema.min_output, schema.max_output),
        ):
            if not low <= there <= high:
                allowed = f"{low}" if low == high else f"{low} to {high}" if high < 1 << 20 else f"{low} or more"
                return Reason(f"{self.op_type} has {allowed} {what}; {ref} has {there}", "Choose another operator")
        unfit = (why_unfit(graph, changed, at, tensor) for at, tensor in enumerate(record.input) if tensor)
        return next(filter(None, unfit), None)

    def _changed(self, graph: Graph | Edit, record: NodeProto) -> NodeProto:
        schema = schema_of(graph, self.op_type, self._domain)
        made = {n: make_attribute(self.op_type, schema, n, value) for n, value in self.attributes.items()}
        kept = [made.pop(found.name, found) for found in carried(graph, record, self.op_type, self._domain).kept]
        changed = NodeProto()
        changed.CopyFrom(record)
        changed.op_type, changed.domain = self.op_type, self._domain
        changed.ClearField("attribute")
        changed.attribute.extend([*kept, *made.values()])
        changed.ClearField("metadata_props")  # which may name what stood in for a plugin
        changed.metadata_props.extend(e for e in record.metadata_props if not e.key.startswith("graftwerk."))
        return changed

    def apply(self, edit: Edit) -> None:
        if self._domain:
            edit.require_opset(self._domain, 1)
        for ref in self.nodes:
            node = edit.base.find(ref)
            edit.replace_record(node, self._changed(edit, edit.nodes[node]))
            if not open_inputs(edit, edit.nodes[node]):
                retype(edit, node)

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        found = []
        for ref in self.nodes:
            for name, why in carried(before, before.nodes[before.find(ref)], self.op_type, self._domain).dropped:
                found.append(f"{ref} loses {name}: {why}")
        return tuple(found)

    def summary(self) -> str:
        more = f" and {len(self.nodes) - 1} more" if len(self.nodes) > 1 else ""
        return f"Change {self.nodes[0]}{more} to {self.op_type}"
