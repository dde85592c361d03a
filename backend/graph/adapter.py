"""To libraries that change models, and back: part of a graph as a ModelProto, and what became of it as an edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
from onnx import ModelProto, NodeProto, TensorProto

from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import NodeId, reads
from graftwerk.backend.graph.tensors import Initializer


def region_model(edit: Edit, region: Iterable[NodeId], outputs: Iterable[str], values: bool = True) -> ModelProto:
    """Some nodes as a model of their own, in the graph's order; every record is a copy.

    What they read from elsewhere is its inputs, and weights come along: with all their values, or without `values`
    as records that refer to no file, so that shapes can be inferred but nothing is read from disk. Local functions are
    left out. Raises Fault where a weight can't be read.
    """
    chosen = set(region)
    model = ModelProto()
    model.CopyFrom(edit.header)
    model.graph.name = edit.base.skeleton.name or "region"
    records = [record for node, record in edit.nodes.items() if node in chosen]
    model.graph.node.extend(records)
    made = {output for record in records for output in record.output}
    for name in dict.fromkeys(tensor for record in records for tensor in reads(record) if tensor not in made):
        weight = edit.initializers.get(name)
        if weight is None:
            known = edit.type_of(name)
            model.graph.input.append(known.value_info(name) if known else onnx.ValueInfoProto(name=name))
        else:
            model.graph.initializer.append(weight.complete() if values else _without_values(weight))
    for name in outputs:
        known = edit.type_of(name)
        model.graph.output.append(known.value_info(name) if known else onnx.ValueInfoProto(name=name))
    return model


def adopt(edit: Edit, model: ModelProto, region: Iterable[NodeId]) -> None:
    """Takes what a library made of a region (see `region_model`) as changes of the graph.

    A node of the model is the one in the region that made its first output; where its operator, inputs, outputs and
    attributes are the same, it is not touched: record and id stay. What is missing in the model is removed. A weight
    is only touched where its datatype, shape or values differ.
    """
    found: dict[NodeId, NodeProto] = {}
    fresh: list[NodeProto] = []
    old = set(region)
    for record in model.graph.node:
        node = next((edit.producer(output) for output in record.output if output), None)
        if node is not None and node in old:
            found[node] = record
        else:
            fresh.append(record)
    for node in old - found.keys():
        for output in edit.nodes[node].output:
            edit.value_infos.pop(output, None)
        edit.remove_node(node)
    for tensor in model.graph.initializer:
        known = edit.initializers.get(tensor.name)
        if known is None or not same_values(known, tensor):
            edit.set_initializer(Initializer(_own(tensor)))
    for node, record in found.items():
        if not same_node(edit.nodes[node], record):
            edit.replace_node(
                node, op_type=record.op_type, domain=record.domain, inputs=list(record.input),
                outputs=list(record.output), attributes=list(record.attribute),
            )  # fmt: skip
    for record in fresh:
        copy = NodeProto()
        copy.CopyFrom(record)
        edit.add_record(copy)


def _own(tensor: TensorProto) -> TensorProto:
    copy = TensorProto()
    copy.CopyFrom(tensor)
    return copy


def _without_values(weight: Initializer) -> TensorProto:
    if weight.span is None:
        return weight.proto
    proto = _own(weight.proto)
    proto.data_location = TensorProto.EXTERNAL
    del proto.external_data[:]
    proto.external_data.add(key="location", value="not-loaded")
    return proto


def same_node(one: NodeProto, other: NodeProto) -> bool:
    """Whether two nodes do the same: operator, inputs, outputs and attributes, whatever they are called."""
    return (
        (one.op_type, one.domain, list(one.input), list(one.output))
        == (other.op_type, other.domain, list(other.input), list(other.output))
        and _by_name(one) == _by_name(other)
    )  # fmt: skip


def _by_name(record: NodeProto) -> Mapping[str, bytes]:
    return {attribute.name: attribute.SerializeToString(deterministic=True) for attribute in record.attribute}


def same_values(weight: Initializer, tensor: TensorProto) -> bool:
    """Whether a tensor has a weight's datatype, shape and bytes; one whose bytes were not loaded has them."""
    if (weight.dtype, weight.dims) != (tensor.data_type, tuple(tensor.dims)):
        return False
    if tensor.data_location == TensorProto.EXTERNAL:
        return True
    return weight.array().tobytes() == onnx.numpy_helper.to_array(tensor).tobytes()
