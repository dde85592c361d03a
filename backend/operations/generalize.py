"""Selectors that mean the same nodes as names do, so that a recipe's line can say what nodes are like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.operations.selectors import select_nodes

_ENOUGH = 4


def selectors_for(refs: Sequence[str], graph: Graph) -> list[str]:
    """Up to four selectors, the most general first, each of which means exactly these nodes in this graph."""
    try:
        nodes = [graph.find(ref) for ref in refs]
    except Fault:
        return []
    found: list[str] = []
    for text in _candidates(nodes, refs, graph):
        try:
            if text not in found and set(select_nodes(text, graph)) == set(nodes):
                found.append(text)
        except Fault:
            continue
        if len(found) == _ENOUGH:
            break
    return found


def _candidates(nodes: Sequence[int], refs: Sequence[str], graph: Graph) -> Iterator[str]:
    records = [graph.nodes[node] for node in nodes]
    ops = "op=" + ",".join(dict.fromkeys(record.op_type for record in records))
    yield f"@{ops}"
    scopes = [scope_of(record) for record in records]
    shared = _shared(scopes)
    for depth in range(1, len(shared) + 1):
        scope = "scope=/" + "/".join(shared[:depth])
        yield f"@{scope}"
        yield f"@{ops} & {scope}"
    last = {ref.rpartition("/")[2] for ref in refs}
    if len(last) == 1:
        yield f"@name=*/{last.pop()}"
    ends = "/".join(_shared([ref.split("/")[::-1] for ref in refs])[::-1])
    if ends:
        yield f"@{ops} & name=*/{ends}"
    if len(nodes) == 1:
        alike = [node for node, record in graph.nodes.items() if record.op_type == records[0].op_type]
        if len(alike) > 1:
            yield f"@{ops} [{alike.index(nodes[0])}]"
        if shared:
            scope = "scope=/" + "/".join(shared)
            inside = [node for node in alike if scope_of(graph.nodes[node])[: len(shared)] == tuple(shared)]
            if len(inside) > 1:
                yield f"@{ops} & {scope} [{inside.index(nodes[0])}]"


def _shared(paths: Sequence[Sequence[str]]) -> list[str]:
    """The parts that all paths begin with."""
    return [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))]
