"""The main job by mouse: open, quantize, build, see what was fused, profile, save, replay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QSignalSpy, QTest

from graftwerk.app.main import main
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.engines.report import Report
from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.operations.qdq_insert import InsertQdqLayer
from graftwerk.widgets.panels.form import OperationDialog
from tests.app import driving
from tests.app.driving import click, context_menu, dialog_of, finish, nodes_of, pick, point_of, press_key, wait_until

Open = Callable[[Path], Tab]


def quantize_by_mouse(window: Window, tab: Tab, node: int) -> None:
    """Selects a layer on the canvas and quantizes it through the context menu and the form."""
    click(tab, node)
    assert tab.selection.nodes == (node,)
    with context_menu(tab, point_of(tab, node)) as menu:
        pick(menu, "Quantize layer")
    dialog = dialog_of(window, OperationDialog)
    assert dialog.form.operation().node == tab.graph.ref(node)  # type: ignore[attr-defined]
    assert dialog.apply_button.isEnabled()
    QTest.mouseClick(dialog.apply_button, driving.LEFT)


def test_from_an_opened_model_to_a_saved_one(
    window: Window, digits: Tab, models: Path, tmp_path: Path
) -> None:
    tab, first = digits, digits.graph
    conv = nodes_of(first, "Conv")[1]
    name = tab.graph.ref(conv)
    quantize_by_mouse(window, tab, conv)
    pills = np.count_nonzero(tab.canvas.picture.diagram.kind == Kind.PILL)
    assert pills == 1  # that of the weights stands in the convolution's box
    assert tab.document.dirty
    assert window._tabs.tabText(0) == "digits.onnx •"

    QTest.mouseClick(window.toolbar.build, driving.LEFT)
    finish(window.jobs.tasks[-1])
    assert tab.report is not None
    assert tab.report.nodes[name].precision == "INT8"
    assert tab.overlay == "fusion"
    assert tab.report.version in tab.canvas.look.overlay.title
    assert "SM89" in tab.canvas.look.overlay.title
    assert tab.engine is not None
    assert tab.engine.stat().st_size == tab.report.engine_bytes > 0

    QTest.mouseClick(window.toolbar.profile, driving.LEFT)
    finish(window.jobs.tasks[-1])
    assert tab.profile is not None
    assert tab.overlay == "time"
    assert "ONNX Runtime" in tab.canvas.look.overlay.title
    assert "TensorRT" not in tab.canvas.look.overlay.title

    saved, recipe = tmp_path / "mine.onnx", tmp_path / "mine.recipe.json"
    with driving.answering(driving.choose(saved)):  # a bundled sample is never written over
        window.menus.shown["file.save"].trigger()
    with driving.answering(driving.choose(recipe)):
        window.menus.shown["file.save_recipe"].trigger()
    assert not tab.document.dirty
    assert window._tabs.tabText(0) == "mine.onnx"
    replayed = tmp_path / "replayed.onnx"
    assert main(["apply", str(recipe), str(models / "digits.onnx"), "-o", str(replayed)]) == 0
    assert onnx.load(replayed) == onnx.load(saved)
    images = np.load(models / "digits_eval.npz")["input"][:8]
    before, after = (run_model(path, {"input": images}) for path in (models / "digits.onnx", saved))
    (one,), (other,) = before.values(), after.values()
    assert one.shape == other.shape
    assert not np.array_equal(one, other)


def test_undo_and_redo_lead_back_and_forth(window: Window, digits: Tab) -> None:
    tab = digits
    original = tab.graph
    quantize_by_mouse(window, tab, nodes_of(original, "Conv")[0])
    edited = tab.graph
    press_key(window, Qt.Key.Key_Z, driving.CONTROL)
    assert tab.graph.revision == original.revision
    assert not tab.document.dirty
    assert tab.canvas.graph is tab.graph
    press_key(window, Qt.Key.Key_Z, driving.CONTROL | driving.SHIFT)
    assert tab.graph.revision == edited.revision


def test_dragging_a_pill_across_a_node_moves_the_pair(window: Window, open_model: Open, quantized_digits: Path) -> None:
    tab = open_model(quantized_digits)
    tab.canvas.set_zoom(1.0)
    diagram = tab.canvas.picture.diagram
    (pill,) = np.flatnonzero(diagram.kind == Kind.PILL)
    (pool,) = diagram.ref[diagram.source[diagram.target == pill]].tolist()
    assert tab.graph.nodes[pool].op_type == "MaxPool"
    point_of(tab, pool)
    start = driving.point_of_box(tab, int(pill))
    driving.drag(tab, start, point_of(tab, pool))
    (step,) = tab.document.recipe.operations()
    assert (step.info.id, step.across) == ("qdq.move", tab.graph.ref(pool))  # type: ignore[attr-defined]
    diagram = tab.canvas.picture.diagram
    (pill,) = np.flatnonzero(diagram.kind == Kind.PILL)
    assert pool in diagram.ref[diagram.target[diagram.source == pill]].tolist()


def test_a_hull_and_the_layer_table_select_each_other(window: Window, digits: Tab) -> None:
    tab = digits
    finish(window.engines.build())
    assert tab.report is not None
    window.docks.show("layers")
    tab.set_overlay("fusion")
    conv = nodes_of(tab.graph, "Conv")[1]
    layer = tab.report.nodes[tab.graph.ref(conv)].layer
    tab.canvas.reveal(conv)
    tab.canvas.set_zoom(1.0)
    QTest.mouseClick(tab.canvas, driving.LEFT, driving.NONE, free_place_in(tab, layer))
    assert window.docks.layers.selected() == (layer,)
    assert conv in tab.selection.nodes

    other = next(one for one in tab.report.layers if one.onnx_nodes and one.name != layer)
    table = window.docks.layers.table
    row = next(
        row for row in range(table.model().rowCount())
        if window.docks.layers.model.layers[window.docks.layers.model.shown[row]] is other
    )  # fmt: skip
    cell = table.model().index(row, 1)
    table.scrollTo(cell)
    QTest.mouseClick(table.viewport(), driving.LEFT, driving.NONE, table.visualRect(cell).center())
    chosen = {tab.graph.ref(node) for node in tab.selection.nodes}
    assert chosen == set(other.onnx_nodes) & {tab.graph.ref(node) for node in tab.graph.nodes}


def free_place_in(tab: Tab, layer: str) -> QPoint:
    """A point of the view inside a layer's hull and outside of everything else."""
    canvas = tab.canvas
    for y in range(0, canvas.height(), 4):
        for x in range(0, canvas.width(), 8):
            if canvas._input.hit(QPoint(x, y).toPointF()).hull == layer:
                return QPoint(x, y)
    raise AssertionError(f"the hull of {layer} is not in view")


def test_a_bar_of_the_timeline_selects_its_node(window: Window, digits: Tab) -> None:
    tab = digits
    finish(window.engines.profile())
    assert tab.profile is not None
    timeline = window.docks.timeline
    wait_until(lambda: timeline.plot is not None)
    plot = timeline.plot
    assert plot is not None
    longest = max(tab.profile.layers, key=lambda one: one.milliseconds[0])
    number = tab.profile.layers.index(longest)
    bars = plot.item.bars
    assert bars is not None
    bar = int(np.flatnonzero((bars.node == number) & (bars.row == 0))[0])

    def place() -> QPointF:
        return QPointF(plot.item.mapToScene(float(bars.start[bar] + bars.length[bar] / 2), 0.5))

    start, length = float(bars.start[bar]), float(bars.length[bar])
    plot.setXRange(start - length, start + 2 * length, padding=0)  # one slow run makes the others a few pixels wide
    wait_until(lambda: plot.bar_at(place()) == bar, "for the timeline to be laid out")
    QTest.mouseClick(plot.viewport(), driving.LEFT, driving.NONE, plot.mapFromScene(place()))
    assert [tab.graph.ref(node) for node in tab.selection.nodes] == [longest.onnx_nodes[0]]
    other = next(node for node in nodes_of(tab.graph, "Conv") if node not in tab.selection.nodes)
    click(tab, other)
    chosen = {tab.profile.layers[int(bars.node[one])].onnx_nodes for one in plot.item.chosen}
    assert chosen
    assert all(tab.graph.ref(other) in refs for refs in chosen)


# Live preview


def reports_of(tab: Tab) -> list[int]:
    """Fills with the revisions of the reports that the tab gets from now on."""
    seen: list[int] = []
    take = tab.set_report

    def noted(report: Report | None, revision: int) -> None:
        seen.append(revision)
        take(report, revision)

    tab.set_report = noted  # type: ignore[method-assign]
    return seen


def test_the_preview_follows_each_edit_and_the_latest_wins(window: Window, digits: Tab) -> None:
    tab = digits
    seen = reports_of(tab)
    press_key(window, Qt.Key.Key_F7)
    assert tab.preview.on
    wait_until(lambda: tab.report_revision == tab.graph.revision)
    assert seen == [tab.graph.revision]

    seen.clear()
    layers = [node for node in tab.graph.nodes if tab.graph.nodes[node].op_type in ("Conv", "Gemm")]
    refs = [tab.graph.ref(node) for node in layers]
    revisions = []
    for node in layers:
        tab.select_refs((tab.graph.ref(node),))
        quantize_by_mouse(window, tab, node)
        revisions.append(tab.graph.revision)
    while len(revisions) < 5:
        tab.document.undo()
        tab.document.redo()
        revisions.append(tab.graph.revision)
    wait_until(lambda: tab.report_revision == tab.graph.revision and not tab.preview.busy)
    wait_until(lambda: tab.inference.known)
    assert seen == [tab.graph.revision]
    assert tab.report is not None
    assert all(tab.report.nodes[ref].precision == "INT8" for ref in refs)

    seen.clear()
    tab.document.undo()
    wait_until(lambda: tab.report_revision == tab.graph.revision and not tab.preview.busy)
    assert seen == [tab.graph.revision]
    assert tab.report.nodes[refs[-1]].precision != "INT8"
    press_key(window, Qt.Key.Key_F7)
    assert not tab.preview.on


def test_an_old_build_does_not_hide_a_newer_report(window: Window, digits: Tab) -> None:
    tab = digits
    old = window.engines.build()
    tab.document.apply(first_quantization(tab))
    seen = reports_of(tab)
    tab.preview.set_on(True)
    wait_until(lambda: old.over and tab.report_revision == tab.graph.revision and not tab.preview.busy)
    assert tab.report is not None
    assert "INT8" in {outcome.precision for outcome in tab.report.nodes.values()}
    again = window.engines.build()
    tab.document.undo()
    wait_until(lambda: again.over and not tab.preview.busy)
    assert tab.report_revision == tab.graph.revision
    assert seen


def first_quantization(tab: Tab) -> InsertQdqLayer:
    return InsertQdqLayer(tab.graph.ref(nodes_of(tab.graph, "Conv")[0]))


def test_inference_of_shapes_does_not_compile_again(window: Window, digits: Tab) -> None:
    """Types arrive while the preview compiles: the graph is the same, so is its engine."""
    tab = digits
    tab.preview.set_on(True)
    wait_until(lambda: tab.report_revision == tab.graph.revision)
    started = QSignalSpy(window.jobs.changed)
    tab.document.apply(first_quantization(tab))
    wait_until(lambda: tab.report_revision == tab.graph.revision and tab.inference.known and not tab.preview.busy)
    tasks = {id(started.at(at)[0]): started.at(at)[0] for at in range(started.count())}
    assert sum(task.view.title.startswith("Preview") for task in tasks.values()) == 1
