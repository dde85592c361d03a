"""Replace a subgraph by one plugin node, and put it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.attributes import fits_type
from graftwerk.backend.graph.check import unconnected
from graftwerk.backend.graph.constants import constant_value, is_constant_node, stored
from graftwerk.backend.graph.convex import breaking_path, shown
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName, bodies, reads
from graftwerk.backend.graph.index import Index, topological
from graftwerk.backend.graph.records import renamed
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.graph.standin import (
    DOMAIN,
    INITIALIZER,
    KEY,
    Changes,
    changes_of,
    drop_unused,
    make_stand_in,
    stand_in,
)
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.quantize.insertion import prune
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE

#: Constants up to this many elements (shapes, axes, epsilons) go into the stand-in; larger ones become inputs.
SMALL = 16

#: Operators that are known by their name alone: ONNX Runtime 1.31 takes a Constant of any domain for a weight, and its
#: optimizers crash on the arithmetic ones; Q/DQ pairs are found by theirs.
MISTAKEN = frozenset({"Constant", "Add", "Sub", "Mul", "Div", "Gather", QUANTIZE, DEQUANTIZE})


@dataclass(frozen=True, slots=True)
class Cut:
    """What a plugin node takes the place of: nodes in the graph's order, constants that go along, and its ports."""

    nodes: tuple[NodeId, ...]
    constants: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@operation("plugin.replace", title="Replace with plugin", menu="Plugin", preserves=True)
@dataclass(frozen=True)
class ReplaceWithPlugin(Operation):
    """Puts one plugin node in the place of a connected or unconnected set of nodes.

    TensorRT looks a plugin up by its operator type, version and namespace, and hands it the attributes. Its inputs
    are the tensors that the nodes read from outside, in the order in which they read them; its outputs are what is
    read outside. Constants of up to 16 elements go along unless `inputs` names them. The nodes stay with the model as
    a local function that stands in wherever it is run or compiled without the plugin. A set that a path leaves and
    comes back to is refused, with the path.
    """

    nodes: tuple[NodeRef, ...] = param(help="The nodes to replace")
    op_type: str = param(label="Operator type", help="The plugin's name")
    domain: str = param("trt.plugins", help="Of its own, so that onnx.checker lets the node be")
    attributes: dict[str, Any] = param({}, help='Plugin fields: {"axis": 1, "eps": 1e-5}; 1 is an integer, 1.0 a float')
    plugin_version: str = param("1", help="As TensorRT's registry has it")
    plugin_namespace: str = param("", help="As TensorRT's registry has it")
    name: str = param("", help="Of the node; empty: after the operator type")
    inputs: tuple[TensorName, ...] = param((), help="All inputs in the plugin's order; only constants may be left out")
    outputs: tuple[TensorName, ...] = param((), help="All outputs in the plugin's order")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        if not selection.nodes:
            return Reason("Select one or more nodes")
        return cls(tuple(graph.ref(node) for node in selection.nodes), "CustomPlugin")

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.op_type.isidentifier():
            return Reason(f"{self.op_type!r} can't be an operator type", "A name of letters, digits and _")
        if self.op_type in MISTAKEN:
            hint = "Give the plugin a name of its own"
            return Reason(f"Tools take any {self.op_type} for the standard operator, whatever its domain", hint)
        if self.domain in ("", "ai.onnx", DOMAIN) or self.domain.startswith("ai.onnx."):
            return Reason(f"A plugin can't be in the domain {self.domain!r}", "trt.plugins is there for plugins")
        if self.name in graph.names:
            return Reason(f"A node is called {self.name} already")
        try:
            _attributes(self)
        except ValueError as error:
            return Reason(str(error))
        found = cut(graph, self)
        return found if isinstance(found, Reason) else None

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        found = cut(graph, self)
        if isinstance(found, Reason):
            raise found.fault(self.op_type)
        body = [*bodies_of_constants(graph, found.constants), *(graph.nodes[node] for node in found.nodes)]
        declared = self._declare_outputs(edit, found.outputs)
        changes = Changes(declared, _imported_for_plugins(edit, self.domain), _behind(graph, found.nodes))
        for node in found.nodes:
            edit.remove_node(node)
        for tensor in found.constants:
            prune(edit, tensor)
        name = make_stand_in(edit, self.op_type, body, found.inputs, found.outputs, changes)
        edit.require_opset(self.domain, 1)
        edit.add_node(
            self.op_type, found.inputs, found.outputs, domain=self.domain, attributes=_attributes(self),
            name=self.name or edit.fresh_node(self.op_type), metadata={KEY: name},
        )  # fmt: skip

    @staticmethod
    def _declare_outputs(edit: Edit, outputs: Sequence[str]) -> tuple[str, ...]:
        """Writes down the types behind the plugin, which nobody can infer; gives the tensors that were not declared."""
        graph = edit.base
        known = {tensor: graph.type_of(tensor) for tensor in outputs}
        if any(kind is None or not kind.dtype for kind in known.values()):
            inferred = infer(graph, symbolic=False)
            known = {tensor: inferred.get(tensor, kind) for tensor, kind in known.items()}
        added = []
        for tensor, kind in known.items():
            if kind is None or not kind.dtype or graph.is_output(tensor):
                continue
            before = graph.value_infos.get(tensor)
            if before is None:
                added.append(tensor)
            if before is None or TensorType.of(before.type) != kind:
                edit.declare(kind.value_info(tensor))
        return tuple(added)

    def summary(self) -> str:
        return f"Replace {len(self.nodes)} nodes with plugin {self.op_type}"


def _imported_for_plugins(edit: Edit, domain: str) -> bool:
    """Whether a domain is imported for this plugin, or was for others: it goes with the last of them."""
    if edit.opset(domain) is None:
        return True
    plugins = (record for record in edit.base.nodes.values() if record.domain == domain)
    functions = (stand_in(edit, record) for record in plugins)
    return any(function is not None and changes_of(function).imported for function in functions)


def _behind(graph: Graph, nodes: Sequence[NodeId]) -> dict[str, str]:
    """For each run of nodes in the graph's order: its first node and the one before it, by their first outputs."""
    chosen, found, last = set(nodes), dict[str, str](), None
    for node in graph.nodes:
        if node in chosen and last is not None and last not in chosen:
            found[_output(graph.nodes[node])] = _output(graph.nodes[last])
        last = node
    return found


def _output(record: NodeProto) -> str:
    return next((name for name in record.output if name), "")


def _attributes(plugin: ReplaceWithPlugin) -> list[AttributeProto]:
    """Raises ValueError for what can't be an attribute."""
    made = []
    for key, value in plugin.attributes.items():
        if not key:
            raise ValueError("An attribute needs a name")
        if key in ("plugin_version", "plugin_namespace"):
            raise ValueError(f"{key} has a field of its own")
        values = value if isinstance(value, list | tuple) else [value]
        kinds = {bool: int, int: int, float: float, str: str}
        found = {kinds.get(type(item)) for item in values}
        if not values or None in found or (len(found) > 1 and found != {int, float}):
            raise ValueError(f"Attribute {key} is {value!r}; fields are numbers, texts and lists of one kind")
        one = float if float in found else str if str in found else int
        kind = {int: AttributeProto.INT, float: AttributeProto.FLOAT, str: AttributeProto.STRING}[one]
        if not all(fits_type(item, kind) for item in values):
            raise ValueError(f"Attribute {key} holds a number that is too large")
        numbers = [one(item) for item in values]
        made.append(helper.make_attribute(key, numbers if isinstance(value, list | tuple) else numbers[0]))
    made.append(helper.make_attribute("plugin_version", plugin.plugin_version))
    made.append(helper.make_attribute("plugin_namespace", plugin.plugin_namespace))
    return made


class Region(Protocol):
    """An operation that puts one node in the place of several."""

    @property
    def nodes(self) -> tuple[NodeRef, ...]: ...
    @property
    def inputs(self) -> tuple[TensorName, ...]: ...
    @property
    def outputs(self) -> tuple[TensorName, ...]: ...


def cut(graph: Graph, region: Region) -> Cut | Reason:
    """What the one node would replace, or why it can't. Raises Fault for an unknown node."""
    chosen = {graph.find(ref) for ref in region.nodes}
    nodes = [node for node in chosen if not _shared_constant(graph, node, chosen)]
    if not nodes:
        return Reason("Select nodes that compute something")
    opened = unconnected(graph.model.opset_import, (graph.nodes[node] for node in nodes)) if graph.incomplete else None
    if opened is not None:
        return opened
    path = breaking_path(graph, nodes)
    if path is not None:
        hint = "Select the nodes in between too, or leave out those at one end"
        return Reason(f"One node can't take their place: a path leaves them and comes back: {shown(graph, path)}", hint)
    nodes = _in_order(graph, nodes)
    made = {output: node for node in nodes for output in graph.nodes[node].output if output}
    read = dict.fromkeys(tensor for node in nodes for tensor in reads(graph.nodes[node]) if tensor not in made)
    inputs = _inputs(graph, region.inputs, list(read))
    if isinstance(inputs, Reason):
        return inputs
    outside = [
        tensor for tensor in made
        if graph.is_output(tensor) or any(user not in chosen for user in graph.consumers(tensor))
    ]  # fmt: skip
    outputs = _outputs(region.outputs, outside, made)
    if isinstance(outputs, Reason):
        return outputs
    return Cut(tuple(nodes), tuple(tensor for tensor in read if tensor not in inputs), inputs, outputs)


def _in_order(graph: Graph, nodes: Sequence[NodeId]) -> list[NodeId]:
    """The nodes as a body lists them: as the graph does, and sorted where the file that it came from was not."""
    place = {node: at for at, node in enumerate(graph.nodes)}
    records = {node: graph.nodes[node] for node in nodes}
    index = Index.of(records, graph.holders.intersection(records))
    return topological(records, index, sorted(nodes, key=place.__getitem__))


def _shared_constant(graph: Graph, node: NodeId, chosen: set[NodeId]) -> bool:
    """Whether a node is a Constant that nodes outside read too: it stays where it is then."""
    record = graph.nodes[node]
    if not is_constant_node(record):
        return False
    users = graph.consumers(record.output[0])
    return graph.is_output(record.output[0]) or any(user not in chosen for user in users)


def _constant(graph: Graph, tensor: str) -> Initializer | None:
    """The weight behind a tensor; None also for one that a graph input can overrule, or whose values were stripped."""
    found = None if graph.is_input(tensor) else stored(graph, tensor)
    return None if found is None or found.stripped is not None else found


def _inputs(graph: Graph, given: Sequence[str], read: Sequence[str]) -> tuple[str, ...] | Reason:
    constants = {tensor: found for tensor in read if (found := _constant(graph, tensor)) is not None}
    if given:
        unknown = [tensor for tensor in given if tensor not in read]
        missing = [tensor for tensor in read if tensor not in given and tensor not in constants]
        if unknown:
            return Reason(f"The nodes don't read {unknown[0]} from outside")
        if missing:
            return Reason(f"The nodes need {missing[0]}, which is not an input", "Only constants can be left out")
        return tuple(dict.fromkeys(given))
    needed = tuple(tensor for tensor in read if tensor not in constants or constants[tensor].size > SMALL)
    return needed or Reason("The nodes read nothing from outside but constants", "Fold constants instead")


def _outputs(given: Sequence[str], outside: Sequence[str], made: dict[str, NodeId]) -> tuple[str, ...] | Reason:
    if not outside:
        return Reason("Nothing outside reads what these nodes make")
    unknown = [tensor for tensor in given if tensor not in made]
    missing = [tensor for tensor in outside if given and tensor not in given]
    if unknown:
        return Reason(f"The nodes don't make {unknown[0]}")
    if missing:
        return Reason(f"{missing[0]} is read outside, but is not among the outputs")
    return tuple(dict.fromkeys(given)) or tuple(outside)


def bodies_of_constants(graph: Graph, tensors: Sequence[str]) -> Iterator[NodeProto]:
    """A Constant node for each: a function has no initializers. Those that were say so, to become some again."""
    for tensor in tensors:
        made = graph.producer(tensor)
        if made is not None:
            yield graph.nodes[made]
            continue
        value = TensorProto()
        value.CopyFrom(graph.initializers[tensor].complete())
        record = NodeProto(op_type="Constant", output=[tensor], name=tensor)
        record.attribute.append(helper.make_attribute("value", value))
        record.metadata_props.add(key=INITIALIZER, value="1")
        yield record


@operation("plugin.restore", title="Restore subgraph", menu="Plugin", preserves=True)
@dataclass(frozen=True)
class RestoreSubgraph(Operation):
    """Puts back the nodes that a plugin node took the place of, under their names where these are free."""

    node: NodeRef = param(label="Plugin node", help="A node that Replace with plugin made")

    def blocked(self, graph: Graph) -> Reason | None:
        record = graph.nodes[graph.find(self.node)]
        function = stand_in(graph, record)
        if function is None:
            return Reason(f"No subgraph is kept with this {record.op_type} node", "Only Replace with plugin keeps one")
        if (len(record.input), len(record.output)) != (len(function.input), len(function.output)):
            return Reason("The plugin's ports have changed: the subgraph doesn't fit them")
        return None

    def apply(self, edit: Edit) -> None:
        node = edit.base.find(self.node)
        plugin = edit.base.nodes[node]
        function = stand_in(edit.base, plugin)
        if function is None:
            raise Fault("No subgraph is kept with this node", self.node)
        edit.remove_node(node)
        names = dict(zip([*function.input, *function.output], [*plugin.input, *plugin.output], strict=True))
        changes = changes_of(function)
        for tensor in changes.declared:
            edit.value_infos.pop(names.get(tensor, ""), None)
        last: NodeId | None = None
        for record in function.node:
            shared = _shared(edit, record)
            for output in record.output:
                if output and output not in names:
                    names[output] = output if shared else edit.fresh_tensor(output)
            if not shared:
                before = changes.behind.get(_output(record))
                behind = last if before is None else edit.producer(names.get(before, before))
                last = self._put_back(edit, record, names, behind) or last
        for info in function.value_info:
            if names.get(info.name) == info.name:
                edit.declare(info)
        drop_unused(edit, function.name)
        if changes.imported and plugin.domain not in _domains(edit):
            edit.drop_opset(plugin.domain)

    @staticmethod
    def _put_back(edit: Edit, record: NodeProto, names: dict[str, str], behind: NodeId | None) -> NodeId | None:
        """Gives the node that a record became; None for a weight."""
        if any(entry.key == INITIALIZER for entry in record.metadata_props):
            edit.set_initializer(Initializer(record.attribute[0].t).renamed(names[record.output[0]]))
            return None
        changed = {old: new for old, new in names.items() if old != new}
        copy = renamed(record, changed, outputs=True)
        if copy.name:
            copy.name = edit.fresh_node(copy.name)
        return edit.add_record(copy, behind)


def _domains(edit: Edit) -> set[str]:
    """The domains of all nodes, in bodies and functions too."""
    found: set[str] = set()
    waiting: list[Iterable[NodeProto]] = [edit.nodes.values(), *(function.node for function in edit.functions)]
    while waiting:
        for record in waiting.pop():
            found.add(record.domain)
            waiting += [body.node for _, body in bodies(record)]
    return found | {function.domain for function in edit.functions}


def _shared(edit: Edit, record: NodeProto) -> bool:
    """Whether a constant of the subgraph is still in the graph, because others read it too."""
    value = constant_value(record, edit.sources)
    there = stored(edit, record.output[0]) if value is not None else None
    if value is None or there is None or (value.dtype, value.dims) != (there.dtype, there.dims):
        return False
    return bool(np.array_equal(value.array(), there.array(), equal_nan=value.array().dtype.kind == "f"))
