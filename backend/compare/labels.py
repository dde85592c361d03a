"""What a node is, as numbers that are equal where nodes are alike, whatever they and their tensors are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId, captures
from graftwerk.backend.graph.index import Index, ordered, topological
from graftwerk.backend.graph.tensors import Initializer

#: Bytes that are looked at of a large weight: its beginning, middle and end.
_SAMPLE = 1024
_RADIUS = 3


@dataclass(frozen=True, slots=True)
class Labels:
    """Hashes by node. With `exact`, attributes and samples of weights count; without, operators and wiring alone.

    `up` sums up all that a node is computed from, `down` all that is computed from it, and `near[r]` what lies within
    r edges of it.
    """

    up: Mapping[NodeId, int]
    down: Mapping[NodeId, int]
    near: tuple[Mapping[NodeId, int], ...]


@dataclass(frozen=True, slots=True)
class Wiring:
    """A graph's edges by node, made once: `order` is topological; `users` are (node, input) of each tensor."""

    graph: Graph
    order: tuple[NodeId, ...]
    users: Mapping[str, tuple[tuple[NodeId, int], ...]]
    weights: Mapping[str, int]

    @classmethod
    def of(cls, graph: Graph) -> Wiring:
        order = list(graph.nodes)
        if not ordered(graph, order):
            order = topological(graph.nodes, Index(graph.producers, graph.users, graph.names, graph.holders), order)
        users: dict[str, list[tuple[NodeId, int]]] = {}
        for node in order:
            for slot, tensor in enumerate(graph.nodes[node].input):
                if tensor:
                    users.setdefault(tensor, []).append((node, slot))
        found = {tensor: tuple(places) for tensor, places in users.items()}
        return cls(graph, tuple(order), found, {name: sample(w) for name, w in graph.initializers.items()})


def labels(wiring: Wiring, ends: Mapping[str, int], exact: bool) -> Labels:
    """The hashes of a graph's nodes; `ends` are numbers for inputs and outputs, equal where these are the same."""
    own = _own(wiring, exact)
    return Labels(_up(wiring, own, ends, exact), _down(wiring, own, ends), _near(wiring, own, ends))


def _own(wiring: Wiring, exact: bool) -> dict[NodeId, int]:
    """What each node is by itself, with the weights that it reads."""
    graph, weights = wiring.graph, wiring.weights
    found = {}
    for node, record in graph.nodes.items():
        read = tuple(
            (slot, weights[tensor] if exact else 0)
            for slot, tensor in enumerate(record.input)
            if tensor in weights
        )
        parts = (record.op_type, record.domain, len(record.input), len(record.output), read)
        found[node] = hash((*parts, attributes_label(record)) if exact else parts)
    return found


def _up(wiring: Wiring, own: Mapping[NodeId, int], ends: Mapping[str, int], exact: bool) -> dict[NodeId, int]:
    tensors: dict[str, int] = dict(ends)
    tensors.update(wiring.weights if exact else dict.fromkeys(wiring.weights, 7))
    found: dict[NodeId, int] = {}
    for node in wiring.order:
        record = wiring.graph.nodes[node]
        found[node] = label = hash((own[node], tuple([tensors.get(tensor, 1) for tensor in record.input])))
        for slot, output in enumerate(record.output):
            tensors[output] = hash((label, slot))
    return found


def _down(wiring: Wiring, own: Mapping[NodeId, int], ends: Mapping[str, int]) -> dict[NodeId, int]:
    found: dict[NodeId, int] = {}
    put_out = {info.name for info in wiring.graph.outputs}
    for node in reversed(wiring.order):
        reads: list[tuple[int, int, int]] = []
        for slot, output in enumerate(wiring.graph.nodes[node].output):
            reads += [(slot, found[user], at) for user, at in wiring.users.get(output, ())]
            if output in put_out:
                reads.append((slot, ends.get(output, 2), -1))
        reads.sort()
        found[node] = hash((own[node], tuple(reads)))
    return found


def _near(wiring: Wiring, own: Mapping[NodeId, int], ends: Mapping[str, int]) -> tuple[Mapping[NodeId, int], ...]:
    """Weisfeiler and Lehman's refinement: each round adds what the neighbours are known to be."""
    rounds: list[Mapping[NodeId, int]] = [own]
    graph, users = wiring.graph, wiring.users
    for _ in range(_RADIUS):
        last, made = rounds[-1], {}
        tensors: dict[str, int] = dict(ends)
        for node, record in graph.nodes.items():
            for slot, output in enumerate(record.output):
                tensors[output] = hash((last[node], slot))
        for node, record in graph.nodes.items():
            below = [
                (slot, last[user], at)
                for slot, output in enumerate(record.output)
                for user, at in users.get(output, ())
            ]
            below.sort()
            made[node] = hash((last[node], tuple([tensors.get(tensor, 1) for tensor in record.input]), tuple(below)))
        rounds.append(made)
    return tuple(rounds)


def attributes_label(record: NodeProto) -> int:
    """Equal for nodes whose attributes say the same, in any order and with other names inside their bodies."""
    if not record.attribute:
        return 0
    return hash(tuple(sorted((attribute.name, attribute_label(attribute)) for attribute in record.attribute)))


def attribute_label(attribute: AttributeProto) -> int:
    """Equal for attributes that say the same."""
    kind = attribute.type
    if kind == AttributeProto.GRAPH:
        return body_label(attribute.g)
    if kind == AttributeProto.GRAPHS:
        return hash(tuple(body_label(body) for body in attribute.graphs))
    if kind == AttributeProto.TENSOR:
        return tensor_label(attribute.t)
    if attribute.doc_string or attribute.name:
        bare = AttributeProto()
        bare.CopyFrom(attribute)
        bare.ClearField("name")
        bare.ClearField("doc_string")
        attribute = bare
    return hash(attribute.SerializeToString(deterministic=True))


def tensor_label(proto: TensorProto) -> int:
    """Equal for records of the same datatype, shape and values, whatever they are called."""
    bare = TensorProto()
    bare.CopyFrom(proto)
    bare.ClearField("name")
    bare.ClearField("doc_string")
    return hash(bare.SerializeToString(deterministic=True))


def body_label(body: GraphProto) -> int:
    """Equal for bodies that are the same but for the names of nodes and tensors."""
    numbers = {name: number for number, name in enumerate(sorted(captures(body)))}
    for info in body.input:
        numbers.setdefault(info.name, len(numbers))
    weights = [(numbers.setdefault(one.name, len(numbers)), tensor_label(one)) for one in body.initializer]
    nodes = []
    for record in body.node:
        inputs = tuple(numbers.setdefault(name, len(numbers)) if name else -1 for name in record.input)
        outputs = tuple(numbers.setdefault(name, len(numbers)) if name else -1 for name in record.output)
        nodes.append((record.op_type, record.domain, inputs, outputs, attributes_label(record)))
    types = tuple(info.type.SerializeToString(deterministic=True) for info in body.input)
    outputs = tuple(numbers.get(info.name, -1) for info in body.output)
    return hash((types, tuple(weights), tuple(nodes), outputs))


def sample(weight: Initializer) -> int:
    """Equal for weights of the same datatype, shape and, as far as a sample says, values."""
    kind = (weight.dtype, weight.dims)
    try:
        if weight.span is not None:
            raw = weight.span.read()
        elif weight.proto.HasField("raw_data"):
            raw = np.frombuffer(weight.proto.raw_data, np.uint8)
        else:
            return hash((kind, tensor_label(weight.proto)))
    except Fault:
        return hash(kind)  # missing, or changed since: whoever compares the values says so
    if len(raw) <= 3 * _SAMPLE:
        return hash((kind, raw.tobytes()))
    middle = len(raw) // 2
    parts = (raw[:_SAMPLE], raw[middle : middle + _SAMPLE], raw[-_SAMPLE:])
    return hash((kind, *(part.tobytes() for part in parts)))
