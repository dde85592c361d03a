"""Batch normalization after a linear operator, multiplied into that operator's weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.attributes import find_attribute
from graftwerk.backend.graph.constants import stored
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef
from graftwerk.backend.operations.delete import drop_constant
from graftwerk.backend.operations.registry import Operation, Selection, operation, param

_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_NAMES = "Conv, ConvTranspose, Gemm or MatMul"
Values = NDArray[np.float64]


@operation("cleanup.fuse_batch_norm", title="Fuse batch normalization", menu="Clean up", preserves=True)
@dataclass(frozen=True)
class FuseBatchNorm(Operation):
    """Multiply BatchNormalization into the weights and bias of the Conv, ConvTranspose, Gemm or MatMul before it.

    W' = W·s and b' = (b - mean)·s + B for each output channel, with s = scale / sqrt(var + epsilon) (ONNX,
    BatchNormalization), in double precision, then in the datatype of the weight. A
    MatMul of matrices becomes a Gemm, which has a bias. Only where nothing else reads the
    linear operator's output and all parameters are constants; what stays says why in the result's remarks.
    """

    nodes: tuple[NodeRef, ...] = param((), label="Only these", help="BatchNormalization nodes; all where none is given")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> FuseBatchNorm:
        chosen = (node for node in selection.nodes if graph.nodes[node].op_type == "BatchNormalization")
        return cls(tuple(graph.ref(node) for node in chosen))

    def blocked(self, graph: Graph) -> Reason | None:
        first = None
        for node in self._chosen(graph):
            reason = obstacle(graph, node)
            if reason is None:
                return None
            first = first or reason
        if first is None:
            return Reason("There is no BatchNormalization", settled=True)
        return first if self.nodes else replace(first, settled=True)

    def apply(self, edit: Edit) -> None:
        for node in self._chosen(edit.base):
            if obstacle(edit, node) is None:
                _fuse(edit, node)
        if not edit.touched:
            raise Fault("No BatchNormalization could be fused")

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        left = ((after.ref(n), obstacle(after, n)) for n in self._chosen(before) if n in after.nodes)
        return tuple(f"{ref} stays: {reason.text}" for ref, reason in left if reason is not None)

    def _chosen(self, graph: Graph) -> Iterator[NodeId]:
        if self.nodes:
            return (graph.find(ref) for ref in self.nodes)
        return (node for node, record in graph.nodes.items() if record.op_type == "BatchNormalization")


def obstacle(graph: Graph | Edit, node: NodeId) -> Reason | None:
    """Why a BatchNormalization can't be fused into what is before it; None where it can. Reads no values."""
    record = graph.nodes[node]
    if record.op_type != "BatchNormalization" or record.domain not in ("", "ai.onnx"):
        return Reason(f"{record.op_type} is not BatchNormalization")
    if _flag(record, "training_mode", 0) or not _flag(record, "spatial", 1):
        return Reason("It is in training mode, or normalizes every element by itself")
    if any(output and (graph.consumers(output) or graph.is_output(output)) for output in record.output[1:]):
        return Reason("Its statistics are read")
    if len(record.input) < 5 or not all(record.input):
        return Reason("Its inputs are not connected")
    made = graph.producer(record.input[0])
    linear = graph.nodes[made] if made is not None else None
    if linear is None or linear.op_type not in _LINEAR or linear.domain not in ("", "ai.onnx"):
        return Reason(f"{linear.op_type if linear else 'An input'} is before it, not {_NAMES}")
    if linear.op_type == "MatMul" and not all(_rank(graph, name) == 2 for name in linear.input):
        return Reason("The MatMul before it is not of two matrices, as far as is known")
    if graph.consumers(record.input[0]) != (node,) or graph.is_output(record.input[0]):
        return Reason(f"The output of {linear.op_type} is needed elsewhere too")
    bias = [name for name in linear.input[2:3] if name]
    for name in (linear.input[1], *bias, *record.input[1:5]):
        weight = stored(graph, name)
        if weight is None or weight.missing or weight.stripped is not None or graph.is_input(name):
            return Reason(f"{name} is not a constant whose values are at hand")
    return None


def _fuse(edit: Edit, node: NodeId) -> None:
    norm = edit.nodes[node]
    made = edit.producer(norm.input[0])
    assert made is not None
    linear = edit.nodes[made]
    scale, shift, mean, variance = (_values(edit, name) for name in norm.input[1:5])
    epsilon = find_attribute(norm, "epsilon")
    factor = scale / np.sqrt(variance + (epsilon.f if epsilon is not None else 1e-5))
    weight, kind = _values(edit, linear.input[1]), _kind(edit, linear.input[1])
    beta = find_attribute(linear, "beta")
    old = [name for name in linear.input[2:3] if name]
    bias = _values(edit, old[0]) if old else np.zeros(1)
    if linear.op_type == "Gemm" and beta is not None:
        bias = bias * beta.f
    bias = np.broadcast_to(bias, (*bias.shape[:-1], len(factor)))
    fused = (weight * _along(linear, weight, factor)).astype(kind)
    shifted = ((bias - mean) * factor + shift).astype(kind)
    if linear.op_type not in ("Gemm", "MatMul"):
        shifted = shifted.reshape(len(factor))
    op_type = "Gemm" if linear.op_type == "MatMul" else linear.op_type
    attributes = [one for one in linear.attribute if one.name != "beta"]
    names = [_own(edit, made, linear.input[1]), edit.fresh_tensor(f"{linear.input[1]}.bias")]
    if old:
        names[1] = _own(edit, made, old[0])
    edit.remove_node(node)
    inputs = [linear.input[0], *names]
    edit.replace_node(made, op_type=op_type, inputs=inputs, outputs=[norm.output[0]], attributes=attributes)
    for name in (linear.input[1], *old, *norm.input[1:5]):
        if name not in names:
            drop_constant(edit, name)
    for name, values in zip(names, (fused, shifted), strict=True):
        edit.set_initializer(values, name)
    edit.value_infos.pop(norm.input[0], None)


def _along(linear: NodeProto, weight: Values, factor: Values) -> Values:
    """The factors of the output channels, shaped to be multiplied with the weight."""
    if linear.op_type in ("Gemm", "MatMul"):
        return factor[:, None] if _flag(linear, "transB", 0) else factor[None, :]
    if linear.op_type == "Conv":  # (M, C/group, kernel…)
        return factor.reshape(-1, *[1] * (weight.ndim - 1))
    groups = _flag(linear, "group", 1)  # (C, M/group, kernel…), the first axis group after group
    rows = np.repeat(factor.reshape(groups, -1), weight.shape[0] // groups, axis=0)
    return rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))


def _rank(graph: Graph | Edit, name: str) -> int | None:
    known = graph.type_of(name)
    return len(known.shape) if known is not None and known.shape is not None else None


def _own(edit: Edit, user: NodeId, name: str) -> str:
    """The name of a weight that may be replaced, or a new one where others read it or a node makes it."""
    mine = name in edit.initializers and edit.consumers(name) == (user,) and not edit.is_output(name)
    twice = list(edit.nodes[user].input).count(name) > 1
    return name if mine and not twice else edit.fresh_tensor(f"{name}.fused")


def _values(edit: Edit, name: str) -> Values:
    weight = stored(edit, name)
    assert weight is not None
    return weight.array().astype(np.float64)


def _kind(edit: Edit, name: str) -> np.dtype[np.generic]:
    weight = stored(edit, name)
    assert weight is not None
    return weight.array().dtype


def _flag(record: NodeProto, name: str, default: int) -> int:
    found = find_attribute(record, name)
    return int(found.i) if found is not None else default
