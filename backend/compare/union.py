"""Two models in one graph: the newer one, and beside it what is gone from the older."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto, ValueInfoProto

from graftwerk.backend.compare.result import Comparison
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, holds_bodies


@dataclass(frozen=True, slots=True)
class Union:
    """A graph to look at: the newer one's nodes under their own numbers, and `gone`: the number here of every node
    of the older that has no counterpart, by its number there."""

    graph: Graph
    gone: dict[NodeId, NodeId]


def union(before: Graph, after: Graph, found: Comparison) -> Union:
    """The newer graph, with the removed nodes hanging where they hung: on what their inputs are now."""
    edit = Edit(after)
    names = _counterparts(before, after, found)
    gone: dict[NodeId, NodeId] = {}
    for node, record in before.nodes.items():
        if node in found.pairs:
            continue
        made = NodeProto()
        made.CopyFrom(record)
        if holds_bodies(made):
            del made.attribute[:]  # it is to be seen beside others, not into
        made.name = edit.fresh_node(record.name or record.op_type)
        for tensor in record.input:
            if tensor and tensor not in names:
                names[tensor] = _carried(before, edit, tensor)
        inputs = [names[tensor] if tensor else "" for tensor in record.input]
        outputs = []
        for tensor in record.output:
            names[tensor] = edit.fresh_tensor(tensor) if tensor else ""
            outputs.append(names[tensor])
        del made.input[:], made.output[:]
        made.input.extend(inputs)
        made.output.extend(outputs)
        gone[node] = edit.add_record(made)
    return Union(edit.commit(), gone)


def _counterparts(before: Graph, after: Graph, found: Comparison) -> dict[str, str]:
    """What each tensor of the older model is called in the newer one."""
    names = dict(found.weight_pairs)
    for info in before.inputs:
        if after.is_input(info.name):
            names.setdefault(info.name, info.name)
    for node, other in found.pairs.items():
        names.update(zip(before.nodes[node].output, after.nodes[other].output, strict=False))
    names.pop("", None)
    return names


def _carried(before: Graph, edit: Edit, tensor: str) -> str:
    """A weight or an input that only the older model has, for its node to read."""
    name = edit.fresh_tensor(tensor)
    weight = before.initializers.get(tensor)
    if weight is not None:
        return edit.set_initializer(weight.renamed(name))
    info, known = ValueInfoProto(), before.declared(tensor)
    if known is not None:
        info.CopyFrom(known)
    info.name = name
    edit.set_inputs([*edit.inputs, info])
    return name
