"""A subgraph gives way to a plugin node by mouse, and everything that needs to run goes on with its stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PySide6.QtTest import QTest

from graftwerk.app.main import main
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.standin import DOMAIN, plugin_nodes
from graftwerk.widgets.panels.form import OperationDialog
from tests.app import driving
from tests.app.driving import answering, choose, click, context_menu, dialog_of, finish, pick, point_of, wait_until

Open = Callable[[Path], Tab]


def softmax_block(graph: Graph) -> list[NodeId]:
    """The first Softmax and what feeds it alone, back to the product of queries and keys."""
    softmax = next(node for node, record in graph.nodes.items() if record.op_type == "Softmax")
    found, node = [softmax], softmax
    while graph.nodes[node].op_type != "MatMul":
        makers = [made for name in graph.nodes[node].input if (made := graph.producer(name)) is not None]
        node = next(made for made in makers if graph.nodes[made].op_type in ("MatMul", "Div", "Mul", "Add"))
        found.append(node)
    return found


@pytest.fixture(params=["encoder", "bert"])
def source(request: pytest.FixtureRequest, models: Path) -> Path:
    if request.param == "encoder":
        return models / "encoder.onnx"
    shared: Path = request.getfixturevalue("shared")
    return shared / "models" / "bert_ts.onnx"


def replace_by_mouse(window: Window, tab: Tab, nodes: list[NodeId]) -> NodeId:
    """Picks the nodes one after the other and replaces them through the form."""
    for node in nodes:
        click(tab, node, driving.CONTROL)
    assert set(tab.selection.nodes) == set(nodes)
    with context_menu(tab, point_of(tab, nodes[0])) as menu:
        assert set(tab.selection.nodes) == set(nodes)
        pick(menu, "Replace with plugin")
    dialog = dialog_of(window, OperationDialog)
    dialog.form.editors["op_type"].set_value("FusedSoftmax")
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    (plugin,) = plugin_nodes(tab.graph)
    return plugin


def test_a_plugin_in_the_place_of_a_subgraph(
    window: Window, open_model: Open, source: Path, tmp_path: Path
) -> None:
    tab = open_model(source)
    original = tab.graph
    nodes = softmax_block(original)
    assert len(nodes) >= 2
    plugin = replace_by_mouse(window, tab, nodes)
    assert len(tab.graph.nodes) < len(original.nodes)
    ref = tab.graph.ref(plugin)
    wait_until(lambda: tab.inference.known)
    assert tab.graph.type_of(tab.graph.nodes[plugin].output[0]) is not None

    tab.preview.set_on(True)
    wait_until(lambda: tab.report_revision == tab.graph.revision and not tab.preview.busy)
    tab.preview.set_on(False)
    assert tab.report is not None
    assert tab.report.stand_ins == (ref,)
    legend = [(line.text, line.note) for line in tab.canvas.look.overlay.legend]
    assert any("stand-in" in f"{text} {note}" for text, note in legend), legend
    outcome = tab.report.nodes[ref]
    assert outcome.layer
    assert plugin in {node for hull in tab.canvas.look.overlay.hulls for node in hull.nodes}

    finish(window.engines.profile())
    assert tab.profile is not None
    assert ref in tab.profile.stand_ins
    legend = [(line.text, line.note) for line in tab.canvas.look.overlay.legend]
    assert any("stand-in" in f"{text} {note}" for text, note in legend), legend
    finish(window.engines.verify())
    assert tab.verification is not None
    assert ref in tab.verification.stand_ins
    assert tab.verification.absolute < 1e-4

    deployed, working = tmp_path / "deployed.onnx", tmp_path / "working.onnx"
    with answering(choose(deployed)):
        window.menus.shown["file.export_deployable"].trigger()
    exported = onnx.load(deployed)
    assert not [function for function in exported.functions if function.domain == DOMAIN]
    assert "FusedSoftmax" in [node.op_type for node in exported.graph.node]
    assert not any(entry.key.startswith("graftwerk") for node in exported.graph.node for entry in node.metadata_props)
    with answering(choose(working)):
        window.menus.shown["file.save_as"].trigger()
    tab = window.need_tab()
    engine = tmp_path / "working.engine"
    assert main(["build", str(working), "-o", str(engine), "--report", str(tmp_path / "report.json")]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["stand_ins"] == [ref]
    assert engine.stat().st_size > 0

    click(tab, plugin)
    with context_menu(tab, point_of(tab, plugin)) as menu:
        pick(menu, "Restore subgraph")
    if not plugin_nodes(tab.graph):
        return compare(tab, source, tmp_path)
    dialog = dialog_of(window, OperationDialog)
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    return compare(tab, source, tmp_path)


def compare(tab: Tab, source: Path, tmp_path: Path) -> None:
    """What was restored computes what the model did."""
    assert plugin_nodes(tab.graph) == []
    assert not tab.graph.functions
    restored = tmp_path / "restored.onnx"
    tab.document.save(restored)
    onnx.checker.check_model(onnx.load(restored))
    random = np.random.default_rng(1)
    feeds = {}
    for info in onnx.load(source).graph.input:
        dims = [dim.dim_value or 2 for dim in info.type.tensor_type.shape.dim]
        kind = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        values = random.integers(0, 2, dims) if kind.kind in "iub" else random.normal(size=dims)
        feeds[info.name] = values.astype(kind)
    before, after = run_model(source, feeds), run_model(restored, feeds)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, rtol=1e-5, atol=1e-6)


def test_a_selection_that_a_path_leaves_is_refused_with_the_path(window: Window, digits: Tab) -> None:
    graph = digits.graph
    first, last = graph.find("/stem/relu/Relu"), graph.find("/layer1/layer1.0/Add")
    click(digits, first, driving.CONTROL)
    click(digits, last, driving.CONTROL)
    with context_menu(digits, point_of(digits, last)) as menu:
        pick(menu, "Replace with plugin")
    dialog = dialog_of(window, OperationDialog)
    wait_until(lambda: "a path leaves them" in dialog.reason.text())
    assert not dialog.apply_button.isEnabled()
    assert "/layer1/layer1.0/conv1/Conv" in dialog.reason.text()
    dialog.reject()
