"""Whatever is selected in a random graph is found there again by its pattern, and can be replaced everywhere."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.match.matcher import find
from graftwerk.backend.match.pattern import parse
from graftwerk.backend.match.selection import pattern_of
from graftwerk.backend.operations.pattern_replace import ReplacePattern
from graftwerk.backend.operations.registry import Selection, apply
from tests.backend.operations.laws import checked, computes_the_same, runs
from tests.backend.operations.test_random_edits import graphs


@st.composite
def connected(draw: st.DrawFn, graph: Graph) -> tuple[NodeId, ...]:
    """Up to five nodes that hang together, none with a body."""
    plain = [node for node in graph.nodes if node not in graph.holders]
    chosen = {draw(st.sampled_from(plain))}
    for _ in range(draw(st.integers(0, 4))):
        read = (graph.producer(name) for node in chosen for name in graph.nodes[node].input)
        readers = (user for node in chosen for name in graph.nodes[node].output for user in graph.consumers(name))
        near = {node for node in (*read, *readers) if node is not None} - graph.holders - chosen
        if near:
            chosen.add(draw(st.sampled_from(sorted(near))))
    return tuple(sorted(chosen))


@seed(0)
@settings(
    max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
@given(st.data())
def test_what_is_selected_is_found_and_replaced(data: st.DataObject) -> None:
    graph = data.draw(graphs().filter(lambda made: len(made.nodes) > len(made.holders)))
    chosen = data.draw(connected(graph))
    pattern = pattern_of(graph, chosen)
    assert parse(str(pattern)) == pattern
    found = find([pattern], graph)
    assert frozenset(chosen) in {one.key for one in found.occurrences}
    operation = ReplacePattern.suggest(graph, Selection(chosen))
    assert isinstance(operation, ReplacePattern)
    try:
        result = apply(operation, graph)
    except Fault:
        return
    checked(result)
    assert runs(graph)
    computes_the_same(graph, result)
