"""What differs between revisions: the same however far they are apart."""

from __future__ import annotations

import numpy as np

from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from tests.backend.operations import law_models as models


def edited(graph: Graph, step: int) -> Graph:
    edit = Edit(graph)
    if step == 0:
        edit.rewire("r", "fresh")
        edit.add_node("Abs", ["r"], ["fresh"], name="new")
    elif step == 1:
        edit.remove_node(graph.find("Neg_2"))
        edit.set_outputs(info for info in graph.outputs if info.name != "y")
    else:
        edit.set_initializer(np.zeros(1, np.float32), "weight")
    return edit.commit()


def test_one_edit() -> None:
    graph = models.chain()
    after = edited(graph, 0)
    found = diff(graph, after)
    new = after.find("new")
    changed = frozenset({graph.find("Sigmoid_1")})
    assert (found.added, found.removed, found.changed) == (frozenset({new}), frozenset(), changed)
    back = diff(after, graph)
    assert (back.added, back.removed, back.changed) == (frozenset(), frozenset({new}), changed)
    assert not found.empty
    assert diff(graph, graph).empty


def test_several_edits_and_back() -> None:
    first = models.chain()
    graphs = [first]
    for step in range(3):
        graphs.append(edited(graphs[-1], step))
    found = diff(graphs[0], graphs[3])
    assert found.added == {graphs[3].find("new")}
    assert found.removed == {first.find("Neg_2")}
    assert found.changed == {first.find("Sigmoid_1")}
    assert found.tensors == {"y", "weight"}
    assert diff(graphs[3], graphs[0]).tensors == found.tensors
    assert diff(graphs[2], graphs[3]).tensors == {"weight"}


def test_types_are_no_difference() -> None:
    graph = models.chain()
    assert diff(graph, graph.with_types({})).empty
