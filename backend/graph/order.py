"""Where edited nodes stand: the order stays topological, and what was not touched keeps its place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from onnx import NodeProto

from graftwerk.backend.graph.graph import NodeId, reads
from graftwerk.backend.graph.index import Index, topological


def in_order(
    nodes: dict[NodeId, NodeProto], index: Index, touched: Collection[NodeId], first_new: NodeId,
    behind: Mapping[NodeId, NodeId],
) -> dict[NodeId, NodeProto]:  # fmt: skip
    """The nodes of an edit in topological order, given that they were in one before it.

    Untouched nodes keep their order; a new one (from `first_new` on, last in `nodes`) comes right behind the last of
    its producers, and of the node that `behind` names for it; where there is none of them, right before the first of
    its consumers. Raises Fault for a cycle.
    """
    changed = [node for node in touched if node in nodes]
    if not changed:
        return nodes
    added = sorted(node for node in changed if node >= first_new)
    order = list(nodes)[: len(nodes) - len(added)]
    place: dict[NodeId, int] = dict(zip(order, range(len(order)), strict=True))
    after: dict[NodeId, int] = {}
    for node in added:
        makers = [made for tensor in reads(nodes[node]) if (made := index.producers.get(tensor)) is not None]
        makers += [behind[node]] if node in behind else []
        after[node] = max((after.get(made, place.get(made, -1)) for made in makers), default=-1)
    for node in reversed(added):
        if after[node] < 0:
            users = [user for output in nodes[node].output for user in index.users.get(output, ())]
            after[node] = min((after.get(user, place.get(user, 0) - 1) for user in users), default=-1)
    if added:
        order = _merged(order, sorted(added, key=after.__getitem__), after)
        place = dict(zip(order, range(len(order)), strict=True))
    if not _sound(nodes, index, changed, place):
        order = topological(nodes, index, order)
    elif not added:
        return nodes
    return {node: nodes[node] for node in order}


def _sound(
    nodes: Mapping[NodeId, NodeProto], index: Index, changed: Iterable[NodeId], place: Mapping[NodeId, int]
) -> bool:
    """Whether the changed nodes stand behind their producers and before their consumers."""
    for node in changed:
        at = place[node]
        for tensor in reads(nodes[node]):
            made = index.producers.get(tensor)
            if made is not None and place[made] >= at:
                return False
        if any(place[user] <= at for output in nodes[node].output for user in index.users.get(output, ())):
            return False
    return True


def _merged(kept: list[NodeId], added: list[NodeId], after: Mapping[NodeId, int]) -> list[NodeId]:
    """`kept` with each added node, in their order, behind the position that `after` names."""
    result: list[NodeId] = []
    at = 0
    for node in added:
        result += kept[at : after[node] + 1]
        result.append(node)
        at = max(at, after[node] + 1)
    return result + kept[at:]
