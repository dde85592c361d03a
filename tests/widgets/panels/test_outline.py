"""The outline shows scopes with their counts, follows edits and the selection, and never stops the window."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from pytestqt.qtbot import QtBot

import graftwerk.backend.operations.all  # noqa: F401
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.delete import DeleteNodes
from graftwerk.backend.operations.registry import Selection, apply
from graftwerk.backend.operations.rename import RenameNode
from graftwerk.widgets.panels.outline import Outline
from graftwerk.widgets.panels.outline_model import COUNT
from tests.clock import timed

LARGE = 50_000


@pytest.fixture
def outline(qtbot: QtBot) -> Outline:
    made = Outline()
    qtbot.addWidget(made)
    made.resize(260, 600)
    made.show()
    return made


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A chain of 50,000 nodes in scopes three deep."""
    nodes = [
        make_node("Relu", [f"t{i}"], [f"t{i + 1}"], f"/model/layers.{i // 500}/block.{i // 50 % 10}/Relu_{i}")
        for i in range(LARGE)
    ]
    ends = [make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("t0", f"t{LARGE}")]
    path = tmp_path_factory.mktemp("large") / "large.onnx"
    graph = make_graph(nodes, "large", ends[:1], ends[1:])
    path.write_bytes(make_model(graph, opset_imports=[make_opsetid("", 17)]).SerializeToString())
    return load(path)


def rows(outline: Outline) -> list[str]:
    """What is visible, a line for each row: indentation, name, count."""
    found = []
    index = outline.model.index(0, 0)
    while index.isValid():
        depth, above = 0, index.parent()
        while above.isValid():
            depth, above = depth + 1, above.parent()
        found.append(" ".join(filter(None, ["  " * depth + index.data(), index.data(COUNT)])))
        index = outline.tree.indexBelow(index)
    return found


def node(graph: Graph, part: str) -> int:
    return next(node for node, record in graph.nodes.items() if part in record.name)


def test_scopes_and_counts(outline: Outline, models: Path) -> None:
    graph = load(models / "digits.onnx")
    outline.set_graph(graph)
    shown = rows(outline)
    assert shown[0].endswith(f" {len(graph.nodes)}")
    top = dict(line.split() for line in shown[1:] if len(line.split()) == 2)
    for name, count in top.items():
        assert int(count) == sum(record.name.startswith(f"/{name}/") for record in graph.nodes.values())
    leaves = [line for line in shown[1:] if len(line.split()) == 1]
    assert sum(map(int, top.values())) + len(leaves) == len(graph.nodes)


def test_a_node_selected_elsewhere_is_opened_and_shown(outline: Outline, models: Path, qtbot: QtBot) -> None:
    graph = load(models / "digits.onnx")
    outline.set_graph(graph)
    wanted = node(graph, "/mixed/branch1x1/conv")
    with qtbot.assertNotEmitted(outline.selected):
        outline.set_selection(Selection((wanted,)))
    (index,) = outline.tree.selectionModel().selectedIndexes()
    assert outline.model.item(index).nodes == (wanted,)
    assert outline.tree.viewport().rect().contains(outline.tree.visualRect(index).center())


def test_a_click_selects_a_scopes_nodes(outline: Outline, models: Path, qtbot: QtBot) -> None:
    graph = load(models / "digits.onnx")
    outline.set_graph(graph)
    item = outline.model.find_scope(("mixed",))
    assert item is not None
    with qtbot.waitSignal(outline.selected) as chosen:
        outline.tree.setCurrentIndex(outline.model.index_of(item))
    assert set(chosen.args[0].nodes) == {n for n, r in graph.nodes.items() if r.name.startswith("/mixed/")}
    outline.set_selection(chosen.args[0])  # comes back from the window; the scope stays the one row that is marked
    assert [outline.model.item(i) for i in outline.tree.selectionModel().selectedIndexes()] == [item]


def test_what_is_open_stays_open_over_edits_and_undo(outline: Outline, models: Path) -> None:
    graph = load(models / "digits.onnx")
    outline.set_graph(graph)
    outline.set_selection(Selection((node(graph, "/mixed/branch1x1/conv"),)))
    before = rows(outline)
    renamed = node(graph, "/mixed/branch1x1/relu")
    edited = apply(RenameNode(graph.ref(renamed), "/mixed/other/Relu"), graph)
    outline.set_graph(edited)
    after = rows(outline)
    assert "    other 1" in after
    outline.set_graph(graph)
    assert rows(outline) == before
    smaller = apply(DeleteNodes((graph.ref(renamed),)), graph)
    outline.set_graph(smaller)
    assert rows(outline)[0].endswith(f" {len(graph.nodes) - 1}")


def test_what_is_open_and_where_one_was_are_kept_per_model(outline: Outline, models: Path) -> None:
    outline.resize(260, 120)
    first, second = load(models / "digits.onnx"), load(models / "encoder.onnx")
    outline.set_graph(first)
    outline.set_selection(Selection((node(first, "/mixed/branch1x1/conv"),)))
    bar = outline.tree.verticalScrollBar()
    before, place = rows(outline), bar.value()
    assert place > 0
    outline.set_graph(second)
    assert bar.value() == 0, "a model is opened at its top"
    assert not outline.tree.selectionModel().selectedIndexes()
    bar.setValue(3)
    outline.set_graph(first)
    assert (rows(outline), bar.value()) == (before, place)
    outline.set_graph(None)
    outline.set_graph(second)
    assert bar.value() == 3


def test_without_a_model_it_says_what_to_do(outline: Outline, models: Path) -> None:
    assert not outline.tree.isVisible()
    outline.set_graph(load(models / "digits.onnx"))
    assert outline.tree.isVisible()
    outline.set_graph(None)
    assert not outline.tree.isVisible()
    assert rows(outline) == []


def test_fifty_thousand_nodes_do_not_stop_the_window(outline: Outline, large: Graph, qtbot: QtBot) -> None:
    spent = [timed(outline.set_graph, large)[1]]
    while outline.busy:
        spent.append(timed(outline._step)[1])
    assert rows(outline)[0] == f"large {LARGE // 1000}\u202f000"
    middle = list(large.nodes)[LARGE // 2]
    spent.append(timed(outline.set_selection, Selection((middle,)))[1])
    edited = apply(RenameNode(large.ref(middle), "/model/new/Relu"), large)
    spent.append(timed(outline.set_graph, edited)[1])
    spent.append(timed(outline.set_selection, Selection(tuple(edited.nodes)))[1])
    assert max(spent) < 0.1  # under 0.05 on a machine that has nothing else to do
    assert outline.model.find_scope(("model", "new")) is not None
