"""Setting and removing attributes of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.attributes import find_attribute, json_value, make_attribute
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.graph.schema import attribute_rules, close_names, schema_of
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.retype import retype


@operation("attribute.set", title="Set attribute", menu="Edit")
@dataclass(frozen=True)
class SetAttribute(Operation):
    """Give a node's attribute a value, or add the attribute.

    The value is JSON: 3, 0.5, "same", [1, 1]. It is checked against the operator's schema in the opset that the model
    imports; a datatype may be given by name ("FLOAT16", "FP16"). Operators that onnx doesn't know, such as plugins,
    take any attribute; *type* says what it is where the value alone does not (2 as a float, an empty list).
    """

    node: NodeRef
    name: str = param(label="Attribute")
    value: Any = param(help="JSON: 3, 0.5, \"text\", [1, 1]")
    type: Literal["auto", "int", "float", "string", "ints", "floats", "strings"] = "auto"

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> SetAttribute | Reason:
        if len(selection.nodes) != 1:
            return Reason("Select one node")
        record = graph.nodes[selection.nodes[0]]
        values = ((attribute.name, json_value(attribute)) for attribute in record.attribute)
        name, value = next(((name, value) for name, value in values if value is not None), ("", 0))
        return cls(graph.ref(selection.nodes[0]), name, value)

    def blocked(self, graph: Graph) -> Reason | None:
        record = graph.nodes[graph.find(self.node)]
        schema = schema_of(graph, record.op_type, record.domain)
        function = graph.function(record)
        if function is not None:
            known = [*function.attribute, *(attribute.name for attribute in function.attribute_proto)]
            if self.name not in known:
                hint = close_names(self.name, known)
                return Reason(f"The function {function.name} has no attribute {self.name!r}", hint)
        made = make_attribute(record.op_type, schema, self.name, self.value, self.type)
        if find_attribute(record, self.name) == made:
            return Reason(f"{self.name} has this value already", settled=True)
        return None

    def apply(self, edit: Edit) -> None:
        node = edit.base.find(self.node)
        record = edit.nodes[node]
        schema = schema_of(edit, record.op_type, record.domain)
        made = make_attribute(record.op_type, schema, self.name, self.value, self.type)
        if find_attribute(record, self.name) is None:
            attributes = [*record.attribute, made]
        else:
            attributes = [made if old.name == self.name else old for old in record.attribute]
        edit.replace_node(node, attributes=attributes)
        retype(edit, node)


@operation("attribute.remove", title="Remove attribute", menu="Edit")
@dataclass(frozen=True)
class RemoveAttribute(Operation):
    """Take an attribute away from a node; the operator uses its default then.

    Attributes that the operator's schema requires can't be removed.
    """

    node: NodeRef
    name: str = param(label="Attribute")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> RemoveAttribute | Reason:
        if len(selection.nodes) != 1:
            return Reason("Select one node")
        record = graph.nodes[selection.nodes[0]]
        if not record.attribute:
            return Reason(f"{record.op_type} has no attributes set")
        return cls(graph.ref(selection.nodes[0]), record.attribute[0].name)

    def blocked(self, graph: Graph) -> Reason | None:
        record = graph.nodes[graph.find(self.node)]
        if find_attribute(record, self.name) is None:
            present = [attribute.name for attribute in record.attribute]
            hint = f"It has: {', '.join(present)}" if present else "It has none"
            raise Fault(f"This {record.op_type} has no attribute {self.name!r} set", "name", hint)
        schema = schema_of(graph, record.op_type, record.domain)
        if schema is not None:
            rule = attribute_rules(schema).get(self.name)
            if rule is not None and rule.required:
                return Reason(f"{record.op_type} needs the attribute {self.name!r}", "Set another value instead")
        return None

    def apply(self, edit: Edit) -> None:
        node = edit.base.find(self.node)
        kept = [attribute for attribute in edit.nodes[node].attribute if attribute.name != self.name]
        edit.replace_node(node, attributes=kept)
        retype(edit, node)


@operation("attribute.set_all", title="Edit attributes", menu="Edit", shortcut="Ctrl+Return")
@dataclass(frozen=True)
class SetAttributes(Operation):
    """Give a node several attributes at once: those in *attributes* are set or added, those in *remove* taken away.

    Values are checked against the operator's schema as one alone is. Attributes that the schema requires can't be
    removed.
    """

    node: NodeRef
    attributes: dict[str, Any] = param(help='JSON, such as {"axis": 1}')
    remove: tuple[str, ...] = param((), help="Names of those to take away")

    def blocked(self, graph: Graph) -> Reason | None:
        record = graph.nodes[graph.find(self.node)]
        changed = [name for name, value in self.attributes.items()
                   if _why_not(SetAttribute(self.node, name, value), graph) is None]  # fmt: skip
        for name in self.remove:
            reason = RemoveAttribute(self.node, name).blocked(graph)
            if reason is not None:
                return reason
            if name in self.attributes:
                return Reason(f"{name} is to be set and to be removed", "Do one of the two")
        if not changed and not self.remove:
            return Reason(f"No attribute of {record.op_type} is changed", "Change a value")
        return None

    def apply(self, edit: Edit) -> None:
        for name in self.remove:
            RemoveAttribute(self.node, name).apply(edit)
        for name, value in self.attributes.items():
            SetAttribute(self.node, name, value).apply(edit)

    def summary(self) -> str:
        return f"Set {', '.join((*self.attributes, *self.remove))} of {self.node}"


def _why_not(operation: SetAttribute, graph: Graph) -> Reason | None:
    """Why an attribute needn't be set: it is what it is to be. Raises Fault where it can't be."""
    reason = operation.blocked(graph)
    if reason is not None and "already" not in reason.text:
        raise reason.fault(operation.name)
    return reason
