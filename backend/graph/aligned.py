"""A nested graph that is looked at anew, with the ids and records that it had: so that it counts as a revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message
from onnx import NodeProto

from graftwerk.backend.graph.graph import Graph, NodeId, holds_bodies
from graftwerk.backend.graph.index import Index

M = TypeVar("M", bound=Message)


def aligned(after: Graph, before: Graph) -> Graph:
    """`after`, in which a node that makes what one of `before` made has its id, and what is equal is shared with it.

    `diff` then finds what changed between two views of one place.
    """
    nodes: dict[NodeId, NodeProto] = {}
    fresh = max(before.next_id, after.next_id)
    for record in after.nodes.values():
        node = _same(before, record)
        if node is None or node in nodes:
            node, fresh = fresh, fresh + 1
        known = before.nodes.get(node)
        nodes[node] = known if known is not None and known == record else record
    index = Index.of(nodes, (node for node, record in nodes.items() if holds_bodies(record)))
    weights = {
        name: old if (old := before.initializers.get(name)) is not None and old.proto == weight.proto else weight
        for name, weight in after.initializers.items()
    }
    return replace(
        after, nodes=nodes, producers=index.producers, users=index.users, names=index.names,
        holders=frozenset(index.holders), next_id=fresh, inputs=_shared(before.inputs, after.inputs),
        outputs=_shared(before.outputs, after.outputs), initializers=weights,
    )  # fmt: skip


def _same(before: Graph, record: NodeProto) -> NodeId | None:
    made = (before.producers[output] for output in record.output if output in before.producers)
    found = next(made, None)
    if found is None and record.name and len(before.names.get(record.name, ())) == 1:
        found = before.names[record.name][0]
    return found


def _shared(before: Iterable[M], after: Iterable[M]) -> tuple[M, ...]:
    known: Mapping[bytes, M] = {info.SerializeToString(deterministic=True): info for info in before}
    return tuple(known.get(info.SerializeToString(deterministic=True), info) for info in after)
