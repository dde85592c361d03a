"""Finding patterns in a graph of 10,000 nodes, against networkx's matcher over the same nodes and edges.

The matcher of networkx knows operators and edges alone here, no ports, attributes or constants: less than is asked.
"""

from __future__ import annotations

from time import perf_counter

import networkx as nx
from networkx.algorithms.isomorphism import DiGraphMatcher

from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.match.matcher import find
from graftwerk.backend.match.selection import pattern_of
from tests.bench.rows import Row, model

#: Seconds after which networkx is stopped; what it found by then is what it is compared by.
PATIENCE = 60.0


def main() -> list[Row]:
    graph = load(model("llm10k"))
    rows = []
    for part in ("input_layernorm", "self_attn"):
        nodes = by_scope(graph, "model", "layers.0", part)
        begin = perf_counter()
        found = find([pattern_of(graph, nodes)], graph)
        ours = perf_counter() - begin
        count = len(found.occurrences)
        seconds, theirs = by_networkx(graph, set(nodes), count)
        rows.append(Row(f"{count} occurrences of {len(nodes)} nodes in 10,000", ours, bound=2.0))
        note = "" if theirs == count else f" ({theirs} found in {seconds:.0f} s)"
        each = 1000 * seconds / max(1, theirs)
        rows.append(Row(f"… for each, against networkx{note}", 1000 * ours / count, "ms", each, 1.0))
        begin = perf_counter()
        find([pattern_of(graph, nodes)], graph, near=True)
        rows.append(Row("… with near misses", perf_counter() - begin, bound=2.0))
    return rows


def by_scope(graph: Graph, *scope: str) -> list[NodeId]:
    return [node for node, record in graph.nodes.items() if scope_of(record)[: len(scope)] == scope]


def by_networkx(graph: Graph, nodes: set[NodeId], wanted: int) -> tuple[float, int]:
    """Seconds, and how many different occurrences networkx found in them; it stops when it has as many as we."""
    whole = nx.DiGraph()
    for node, record in graph.nodes.items():
        whole.add_node(node, kind=record.op_type)
        whole.add_edges_from((node, user) for output in record.output for user in graph.consumers(output))
    matcher = DiGraphMatcher(whole, whole.subgraph(nodes).copy(), node_match=lambda a, b: a["kind"] == b["kind"])
    begin, found = perf_counter(), set()
    for mapping in matcher.subgraph_isomorphisms_iter():
        found.add(frozenset(mapping))
        if len(found) >= wanted or perf_counter() - begin > PATIENCE:
            break
    return perf_counter() - begin, len(found)
