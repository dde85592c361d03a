"""Wrapping nodes into a local function, and putting the nodes of functions in the place of their calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import onnx
from onnx import FunctionProto, NodeProto, OperatorSetIdProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.functions import all_records, arguments, bound, called_function, function_key
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.graph.rename_all import Names, every_name, renamed_all
from graftwerk.backend.graph.schema import schema_of
from graftwerk.backend.graph.standin import DOMAIN as STAND_INS
from graftwerk.backend.graph.standin import INITIALIZER
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.plugin import Cut, bodies_of_constants, cut
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.unused import called
from graftwerk.backend.quantize.insertion import prune


@operation("function.wrap", title="Wrap into function", menu="Subgraph", preserves=True)
@dataclass(frozen=True)
class WrapIntoFunction(Operation):
    """Makes a local function of some nodes, and puts one call in their place.

    Its inputs are the tensors that the nodes read from outside, its outputs what is read outside, both under their
    names. A function has no weights: constants of up to 16 elements go into it, larger ones become inputs, unless
    `inputs` says otherwise. Nodes that a path leaves and comes back to are refused, with the path.
    """

    nodes: tuple[NodeRef, ...] = param(help="The nodes to wrap")
    name: str = param(help="Of the function, which is the call's operator type too")
    domain: str = param("local", help="Of the function")
    inputs: tuple[TensorName, ...] = param((), help="All inputs in order; only constants may be left out")
    outputs: tuple[TensorName, ...] = param((), help="All outputs in the function's order")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        if not selection.nodes:
            return Reason("Select one or more nodes")
        taken = {function.name for function in graph.functions}
        number = next(number for number in range(1, len(taken) + 2) if f"Block{number}" not in taken)
        return cls(tuple(graph.ref(node) for node in selection.nodes), f"Block{number}")

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.name.isidentifier():
            return Reason(f"{self.name!r} can't be a function's name", "A name of letters, digits and _")
        if self.domain in ("", "ai.onnx", STAND_INS) or self.domain.startswith("ai.onnx."):
            return Reason(f"A function can't be in the domain {self.domain!r}", "local is there for functions")
        if any((function.domain, function.name) == (self.domain, self.name) for function in graph.functions):
            return Reason(f"There is a function {self.domain}::{self.name} already", "Choose another name")
        if any((node.domain, node.op_type) == (self.domain, self.name) for node in graph.nodes.values()):
            return Reason(f"Nodes are {self.domain}::{self.name} already", "Choose another name")
        found = cut(graph, self)
        return found if isinstance(found, Reason) else None

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        found = cut(graph, self)
        if isinstance(found, Reason):
            raise found.fault(self.name)
        edit.functions.append(self._function(edit, found))
        for node in found.nodes:
            edit.remove_node(node)
        for tensor in found.constants:
            prune(edit, tensor)
        edit.require_opset(self.domain, 1)
        edit.require_ir(8)  # functions came with it
        edit.add_node(self.name, found.inputs, found.outputs, domain=self.domain, name=edit.fresh_node(self.name))

    def _function(self, edit: Edit, found: Cut) -> FunctionProto:
        graph = edit.base
        body = [*bodies_of_constants(graph, found.constants), *(graph.nodes[node] for node in found.nodes)]
        inner = {name for node in body for name in node.output if name and name not in found.outputs}
        imports = [OperatorSetIdProto(domain=one.domain, version=one.version) for one in edit.header.opset_import]
        declared = [edit.value_infos.pop(name) for name in sorted(inner & edit.value_infos.keys())]
        return FunctionProto(
            name=self.name, domain=self.domain, input=found.inputs, output=found.outputs, node=body,
            opset_import=imports, value_info=declared,
        )  # fmt: skip

    def summary(self) -> str:
        return f"Wrap {len(self.nodes)} nodes into {self.name}"


@operation("function.inline", title="Inline function", menu="Subgraph", preserves=True)
@dataclass(frozen=True)
class InlineFunction(Operation):
    """Puts the nodes of a local function in the place of calls, with the calls' attributes in them.

    With *deep*, calls inside are inlined as well, until none is left. A function that nothing calls any more goes. One
    that is written for another version of an operator than the model imports is refused, with the operator.
    """

    nodes: tuple[NodeRef, ...] = param(label="Calls", help="Nodes that call a local function")
    deep: bool = param(False, help="Inline the calls inside as well")

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.nodes:
            return Reason("No node is given")
        for ref in self.nodes:
            record = graph.nodes[graph.find(ref)]
            function = graph.function(record)
            if function is None:
                hint = "Select a node that calls a local function"
                return Reason(f"{record.op_type} is an operator, not a call of a local function", hint)
            _check(graph, function)
        return None

    def apply(self, edit: Edit) -> None:
        waiting = [edit.base.find(ref) for ref in dict.fromkeys(self.nodes)]
        for _ in range(_MOST):
            if not waiting:
                break
            node = waiting.pop()
            function = called_function(edit.functions, edit.nodes[node])
            if function is None:
                continue
            _check(edit, function)
            made = _inline(edit, node, function)
            if self.deep:
                waiting += [each for each in made if called_function(edit.functions, edit.nodes[each]) is not None]
        else:
            raise Fault(f"More than {_MOST} calls are inside", self.nodes[0], "Do the functions call themselves?")
        there = called(edit)
        gone = {function_key(function) for function in edit.functions} - there
        edit.functions = [function for function in edit.functions if function_key(function) in there]
        used = {record.domain for record in all_records(_all_nodes(edit))} | {key[0] for key in there}
        for domain in {key[0] for key in gone} - used:
            edit.drop_opset(domain)


#: Calls that one inlining follows; the functions of a damaged model may call each other in a ring.
_MOST = 100_000


def _all_nodes(edit: Edit) -> Iterator[NodeProto]:
    yield from edit.nodes.values()
    for function in edit.functions:
        yield from function.node


def _check(graph: Graph | Edit, function: FunctionProto) -> None:
    """Raises Fault where the function's operators are of other versions than the model's."""
    theirs = {entry.domain if entry.domain != "ai.onnx" else "": entry.version for entry in function.opset_import}
    for record in all_records(function.node):
        domain = "" if record.domain == "ai.onnx" else record.domain
        wanted, ours = theirs.get(domain), graph.opset(domain)
        if wanted is None or ours is None or wanted == ours or not onnx.defs.has(record.op_type, domain):
            continue
        there = schema_of(graph, record.op_type, domain)
        meant = onnx.defs.get_schema(record.op_type, wanted, domain)
        if there is None or there.since_version != meant.since_version:
            raise Fault(
                f"{function.name} is written for opset {wanted}, where {record.op_type} is another one than in the "
                f"model's opset {ours}", function.name, "Convert the model to that opset first",
            )  # fmt: skip


def _inline(edit: Edit, node: NodeId, function: FunctionProto) -> list[NodeId]:
    """Puts a function's nodes in the place of a call; gives the new ones."""
    call = edit.nodes[node]
    free = Names(edit)
    inputs = _filled(call.input, len(function.input))
    outputs = _filled(call.output, len(function.output))
    edit.remove_node(node)
    names = dict(zip(function.input, inputs, strict=True))
    passed: list[tuple[str, str]] = []
    for inner, outer in zip(function.output, outputs, strict=True):
        if inner in names:
            passed.append((inner, outer))
        elif outer:
            names[inner] = outer
    for name in every_name(function.node):
        if name not in names:
            names[name] = free.fresh(name)
    values = arguments(function, call)
    for entry in function.opset_import:
        edit.require_opset(entry.domain, entry.version)
    made = [_added(edit, renamed_all(bound(record, values), names)) for record in function.node]
    for inner, outer in passed:
        if outer and names[inner]:
            made.append(edit.add_node("Identity", [names[inner]], [outer], name=edit.fresh_node("Identity")))
    for info in function.value_info:
        copy = onnx.ValueInfoProto()
        copy.CopyFrom(info)
        copy.name = names.get(info.name, info.name)
        if copy.name and not edit.is_output(copy.name) and not edit.is_input(copy.name):
            edit.declare(copy)
    return [each for each in made if each is not None]


def _filled(ports: Sequence[str], count: int) -> list[str]:
    """The ports of a call, those that it leaves out at the end as empty names."""
    return [*ports, *[""] * (count - len(ports))][:count]


def _added(edit: Edit, record: NodeProto) -> NodeId | None:
    """Adds a node of a function; one that was a weight before it was wrapped becomes a weight again."""
    if any(entry.key == INITIALIZER for entry in record.metadata_props):
        edit.set_initializer(Initializer(record.attribute[0].t).renamed(record.output[0]))
        return None
    if record.name:
        record.name = edit.fresh_node(record.name)
    return edit.add_record(record)
