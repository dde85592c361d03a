"""A whole graph to a library that rewrites models, and back as changes that touch only what differs."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, TensorProto

from graftwerk.backend.graph.adapter import same_node, same_values
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import NodeId
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType

#: Nodes in a row that a library may make one of: Conv, BatchNormalization and what is between them.
_FUSED = 4


@dataclass(frozen=True)
class Whole:
    """A model for a library. `held_back` are weights that stand in it as inputs of their type: their values were not
    read, and nothing that depends on them can be computed."""

    model: ModelProto
    held_back: frozenset[str]


def whole_model(edit: Edit, largest: int, types: bool = False) -> Whole:
    """The graph as it is so far, without its local functions; every record is a copy. Weights of more than `largest`
    bytes are held back, those with no bytes to read as well. With `types`, what was inferred is declared too.

    Raises Fault where a weight can't be read.
    """
    model = ModelProto()
    model.CopyFrom(edit.header)
    model.graph.CopyFrom(edit.base.skeleton)
    model.graph.node.extend(edit.nodes.values())
    model.graph.input.extend(edit.inputs)
    model.graph.output.extend(edit.outputs)
    held = []
    for name, weight in edit.initializers.items():
        if weight.nbytes <= largest and not weight.missing and weight.stripped is None:
            model.graph.initializer.append(weight.complete())
        else:
            held.append(name)
            if not edit.is_input(name):
                model.graph.input.append(TensorType(weight.dtype, weight.dims).value_info(name))
    declared = dict(edit.value_infos)
    if types:
        for name in edit.base.types:
            known = edit.type_of(name)
            if name in declared or known is None or known.kind != "tensor":
                continue
            if edit.producer(name) is not None:
                declared[name] = known.value_info(name)
    model.graph.value_info.extend(info for name, info in declared.items() if not edit.is_output(name))
    return Whole(model, frozenset(held))


def adopt_whole(edit: Edit, whole: Whole, changed: ModelProto) -> None:
    """Takes what a library made of `whole` as changes of the graph. Its inputs and outputs, functions and imports of
    operator sets stay as they are.

    A node of the changed model is the one that has its name and operator, or else that made its first output or was
    fused with the one that did; records that do the same as before are not touched, nor are
    weights whose values are the same.
    """
    found, fresh = _matched(edit, changed.graph.node)
    gone = [node for node in edit.nodes if node not in found]
    for node in gone:
        for output in edit.nodes[node].output:
            edit.value_infos.pop(output, None)
        edit.remove_node(node)
    _adopt_weights(edit, whole, changed)
    differing = {node: record for node, record in found.items() if not same_node(edit.nodes[node], record)}
    for node in differing:  # out of the way first: two of them may swap the names of their outputs
        edit.replace_node(node, inputs=[], outputs=[])
    for node, record in differing.items():
        edit.replace_node(
            node, op_type=record.op_type, domain=record.domain, inputs=list(record.input),
            outputs=list(record.output), attributes=list(record.attribute),
        )  # fmt: skip
    for record in fresh:
        copy = NodeProto()
        copy.CopyFrom(record)
        edit.add_record(copy)
    _drop_idle_weights(edit)


def _matched(edit: Edit, records: Iterable[NodeProto]) -> tuple[dict[NodeId, NodeProto], list[NodeProto]]:
    """The nodes that are still there, with their new records, and the records that are new."""
    found: dict[NodeId, NodeProto] = {}
    fresh: list[NodeProto] = []
    waiting: list[NodeProto] = []
    named = edit.base.names
    for record in records:
        owners = named.get(record.name, ()) if record.name else ()
        node = owners[0] if len(owners) == 1 else None
        if node is not None and node not in found and edit.nodes[node].op_type == record.op_type:
            found[node] = record
        else:
            waiting.append(record)
    for record in waiting:
        node = next((edit.producer(output) for output in record.output if output), None)
        node = _fused_into(edit, node, record, found)
        if node is not None and node not in found:
            found[node] = record
        else:
            fresh.append(record)
    return found, fresh


def _fused_into(edit: Edit, made: NodeId | None, record: NodeProto, found: Container[NodeId]) -> NodeId | None:
    """The node that took over the output of `made`: one before it of the record's operator, or else itself."""
    node = made
    for _ in range(_FUSED):
        if node is None or edit.nodes[node].op_type == record.op_type or not edit.nodes[node].input:
            break
        node = edit.producer(edit.nodes[node].input[0])
    alike = node is not None and node not in found and edit.nodes[node].op_type == record.op_type
    return node if alike else made


def _adopt_weights(edit: Edit, whole: Whole, changed: ModelProto) -> None:
    kept = {tensor.name for tensor in changed.graph.initializer} | whole.held_back
    for name in [name for name in edit.initializers if name not in kept and not edit.is_input(name)]:
        edit.remove_initializer(name)
        edit.value_infos.pop(name, None)
    for tensor in changed.graph.initializer:
        known = edit.initializers.get(tensor.name)
        if known is None or not same_values(known, tensor):
            own = TensorProto()
            own.CopyFrom(tensor)
            edit.set_initializer(Initializer(own))


def _drop_idle_weights(edit: Edit) -> None:
    """Removes weights that the library's rewriting left without a reader."""
    before = edit.base
    for name in list(edit.initializers):
        unread = not edit.consumers(name) and not edit.is_input(name) and not edit.is_output(name)
        if unread and (name not in before.initializers or before.consumers(name)):
            edit.remove_initializer(name)
            edit.value_infos.pop(name, None)
