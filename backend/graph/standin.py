"""Stand-ins: the subgraph that a plugin node took the place of, kept with it as a local function.

The function lies in the domain `graftwerk.standin`; the plugin node's metadata names it. onnx.checker, ONNX Runtime
and TensorRT-RTX accept such a model from IR 3 on (metadata of nodes is younger, but an unknown field to older readers).
A model that is to be deployed has neither, see `deployable`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from onnx import FunctionProto, NodeProto, OperatorSetIdProto, StringStringEntryProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.functions import all_records
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef

DOMAIN = "graftwerk.standin"
#: Metadata of a plugin node: the name of its function.
KEY = "graftwerk.standin"
#: Metadata of a Constant node inside a function that was an initializer of the graph.
INITIALIZER = "graftwerk.initializer"
#: Metadata of a function: its `Changes`.
_CHANGES = "graftwerk.changes"
_OURS = "graftwerk."


class Changes(msgspec.Struct, frozen=True):
    """What a plugin changed in the graph besides its nodes, for its subgraph to be put back as it was.

    `declared` are tensors that were declared for it; `imported` says whether its domain was imported for plugins;
    `behind` names, by first outputs, the node before a node of the subgraph, where that is none of the subgraph.
    """

    declared: tuple[str, ...] = ()
    imported: bool = False
    behind: dict[str, str] = {}


def changes_of(function: FunctionProto) -> Changes:
    """What is recorded with a stand-in; nothing where it is not from here."""
    found = next((entry.value for entry in function.metadata_props if entry.key == _CHANGES), "{}")
    try:
        return msgspec.json.decode(found, type=Changes)
    except msgspec.DecodeError:
        return Changes()


def stand_in(graph: Graph | Edit, node: NodeProto) -> FunctionProto | None:
    """The function that stands in for a plugin node; None for a node that has none."""
    name = next((entry.value for entry in node.metadata_props if entry.key == KEY), None)
    if name is None:
        return None
    return next((each for each in graph.functions if each.domain == DOMAIN and each.name == name), None)


def plugin_nodes(graph: Graph) -> list[NodeId]:
    """The plugin nodes that have a stand-in."""
    return [node for node, record in graph.nodes.items() if record.metadata_props and stand_in(graph, record)]


def with_stand_ins(graph: Graph) -> tuple[Graph, list[NodeRef]]:
    """The graph with every such plugin node a call of its function, so that it runs and compiles without the plugin.

    Also gives the references of these nodes: what is shown of the result has to say that they are stand-ins. Each has
    its reference for its name, which TensorRT-RTX puts behind the names of inlined nodes: `inner | outer (function)`.
    Raises Fault where a plugin node was given other ports than its stand-in has.
    """
    if all(function.domain != DOMAIN for function in graph.functions):
        return graph, []
    edit = Edit(graph)
    nodes = plugin_nodes(graph)
    refs = [graph.ref(node) for node in nodes]
    for node, ref in zip(nodes, refs, strict=True):
        edit.replace_record(node, _call(graph, graph.nodes[node], ref))
    for node in graph.holders:
        inside = _plugins(graph, [edit.nodes[node]])
        if inside:
            refs += [NodeRef(plugin.name or plugin.op_type) for plugin in inside]
            copy = NodeProto()
            copy.CopyFrom(edit.nodes[node])
            _call_inside(graph, [copy])
            edit.replace_record(node, copy)
    for at, function in enumerate(graph.functions):
        inside = _plugins(graph, function.node)
        if inside:
            edit.functions[at] = _with_calls(graph, function)
        if inside and function.domain != DOMAIN:
            refs += [NodeRef(plugin.name or plugin.op_type) for plugin in inside]
    return (edit.commit(), refs) if refs else (graph, [])


def _plugins(graph: Graph, records: Iterable[NodeProto]) -> list[NodeProto]:
    """The plugin nodes with a stand-in among some nodes and in their bodies."""
    return [record for record in all_records(records) if record.metadata_props and stand_in(graph, record)]


def _call_inside(graph: Graph, records: Iterable[NodeProto]) -> None:
    """Makes calls of the plugin nodes among records that are nobody else's, and in their bodies."""
    for plugin in _plugins(graph, records):
        plugin.CopyFrom(_call(graph, plugin, plugin.name))


def _call(graph: Graph, plugin: NodeProto, name: str) -> NodeProto:
    function = stand_in(graph, plugin)
    if function is None:
        return plugin
    ports = (len(plugin.input), len(plugin.output))
    if ports != (len(function.input), len(function.output)):
        has = f"{len(function.input)} inputs and {len(function.output)} outputs"
        raise Fault(
            f"The plugin has {ports[0]} inputs and {ports[1]} outputs, the subgraph that stands in for it {has}", name,
            "Restore the subgraph and replace it again, or undo the edit of the ports",
        )  # fmt: skip
    return NodeProto(
        op_type=function.name, domain=DOMAIN, name=name, input=plugin.input, output=plugin.output,
        metadata_props=plugin.metadata_props,
    )  # fmt: skip


def _with_calls(graph: Graph, function: FunctionProto) -> FunctionProto:
    """A copy of a function with the plugin nodes in its body as calls."""
    copy = FunctionProto()
    copy.CopyFrom(function)
    _call_inside(graph, copy.node)
    if all(entry.domain != DOMAIN for entry in copy.opset_import):
        copy.opset_import.add(domain=DOMAIN, version=1)
    return copy


def deployable(graph: Graph) -> Graph:
    """The graph without stand-ins and without anything else that only this program understands."""
    edit = Edit(graph)
    for node, record in graph.nodes.items():
        if any(map(_is_ours, all_records([record]))):
            copy = NodeProto()
            copy.CopyFrom(record)
            _clean([copy])
            edit.replace_record(node, copy)
    edit.functions = [_clean_function(function) for function in graph.functions if function.domain != DOMAIN]
    if len(edit.functions) < len(graph.functions):
        edit.drop_opset(DOMAIN)
    return edit.commit()


def _clean_function(function: FunctionProto) -> FunctionProto:
    copy = FunctionProto()
    copy.CopyFrom(function)
    _clean(copy.node)
    imports = [entry for entry in function.opset_import if entry.domain != DOMAIN]
    del copy.opset_import[:]
    copy.opset_import.extend(imports)
    return copy


def _is_ours(record: NodeProto) -> bool:
    return any(entry.key.startswith(_OURS) for entry in record.metadata_props)


def _clean(records: Iterable[NodeProto]) -> None:
    """Takes our metadata from records that are nobody else's, and from those in their bodies."""
    for record in all_records(records):
        if _is_ours(record):
            others = _others(record.metadata_props)
            record.ClearField("metadata_props")
            record.metadata_props.extend(others)


def _others(entries: Iterable[StringStringEntryProto]) -> list[StringStringEntryProto]:
    return [entry for entry in entries if not entry.key.startswith(_OURS)]


def make_stand_in(
    edit: Edit, base: str, nodes: Sequence[NodeProto], inputs: Sequence[str], outputs: Sequence[str], changes: Changes
) -> str:
    """Adds a function with these nodes as its body under a name of its own, and returns the name. `changes` go along.

    Its inputs and outputs are called as the tensors are; what is declared of the types in between goes along.
    """
    taken = {function.name for function in edit.functions if function.domain == DOMAIN}
    number = next(n for n in range(1, len(taken) + 2) if f"{base}_{n}" not in taken)
    inner = dict.fromkeys(name for node in nodes for name in node.output if name and name not in outputs)
    infos = [edit.value_infos.pop(name) for name in inner if name in edit.value_infos]
    imports = [OperatorSetIdProto(domain=each.domain, version=each.version) for each in edit.base.model.opset_import]
    function = FunctionProto(
        name=f"{base}_{number}", domain=DOMAIN, input=inputs, output=outputs, node=nodes, opset_import=imports,
        value_info=infos,
    )  # fmt: skip
    function.metadata_props.add(key=_CHANGES, value=msgspec.json.encode(changes).decode())
    edit.functions.append(function)
    edit.require_opset(DOMAIN, 1)
    return f"{base}_{number}"


def drop_unused(edit: Edit, name: str) -> None:
    """Removes a stand-in that no plugin node names any more, and the import of its domain with the last one."""
    records = [*edit.nodes.values(), *(inner for function in edit.functions for inner in function.node)]
    if any(entry.key == KEY and entry.value == name for record in records for entry in record.metadata_props):
        return
    edit.functions = [each for each in edit.functions if (each.domain, each.name) != (DOMAIN, name)]
    if all(function.domain != DOMAIN for function in edit.functions):
        edit.drop_opset(DOMAIN)
