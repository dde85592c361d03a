"""What differs between two revisions: an identity check, because what an edit did not touch is shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graftwerk.backend.graph.graph import Graph, NodeId


@dataclass(frozen=True, slots=True)
class Diff:
    """Nodes by id, and the names of weights, inputs and outputs that were added, removed or changed."""

    added: frozenset[NodeId]
    removed: frozenset[NodeId]
    changed: frozenset[NodeId]
    tensors: frozenset[str]

    @property
    def empty(self) -> bool:
        return not (self.added or self.removed or self.changed or self.tensors)


def diff(before: Graph, after: Graph) -> Diff:
    """What leads from one revision of a model to another; both must stem from the same opened file.

    Constant time but for the tensors where one is made of the other by one edit, else one pass over the nodes.
    """
    if after.parent == before.revision:
        nodes: frozenset[NodeId] = after.touched
    elif before.parent == after.revision:
        nodes = before.touched
    elif before.nodes is after.nodes:
        nodes = frozenset()
    else:
        old, new = before.nodes, after.nodes
        nodes = frozenset(node for node, record in new.items() if old.get(node) is not record)
        nodes |= old.keys() - new.keys()
    return Diff(
        added=frozenset(node for node in nodes if node in after.nodes and node not in before.nodes),
        removed=frozenset(node for node in nodes if node in before.nodes and node not in after.nodes),
        changed=frozenset(node for node in nodes if node in before.nodes and node in after.nodes),
        tensors=_tensors(before, after),
    )


def _tensors(before: Graph, after: Graph) -> frozenset[str]:
    found = _differing(before.initializers, after.initializers)
    for old, new in ((before.inputs, after.inputs), (before.outputs, after.outputs)):
        if old is not new:
            found |= _differing({info.name: info for info in old}, {info.name: info for info in new})
    return frozenset(found)


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> set[str]:
    if old is new:
        return set()
    found = {name for name, value in new.items() if old.get(name) is not value}
    return found | (old.keys() - new.keys())
