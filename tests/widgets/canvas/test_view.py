"""What the canvas shows: pixels, revisions, scopes, exports; and that nothing big or odd makes it fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.diagram_picture import Frame, curve_points, draw
from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.canvas import paint_far
from graftwerk.widgets.canvas.lettering import Lettering, Letterings, shortened
from graftwerk.widgets.canvas.overlay import Hull, LegendLine, Overlay
from graftwerk.widgets.canvas.paint_far import FarPainter, Level
from graftwerk.widgets.canvas.primitives import curves
from graftwerk.widgets.canvas.view import Canvas
from graftwerk.widgets.theme import DARK, LIGHT, Theme
from tests.widgets.canvas.places import middle, named

ORANGE = "#e69f00"


def pixel(image: QImage, at: QPoint) -> str:
    return QColor(image.pixel(at * image.devicePixelRatioF())).name()


def stripe(canvas: Canvas, name: str) -> QPoint:
    """A pixel on the stripe of a node's box."""
    box = canvas.picture.diagram.box(named(canvas.graph, name))
    assert box is not None
    x, _ = canvas.camera.to_view(float(canvas.picture.left[box]) + 2.5, 0)
    return QPoint(round(x), middle(canvas, named(canvas.graph, name)).y())


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_boxes_are_striped_by_family_or_overlay(canvas: Canvas, graph: Graph, theme: object) -> None:
    canvas.set_theme(DARK if theme is DARK else LIGHT)
    image = canvas.grab().toImage()
    assert pixel(image, stripe(canvas, "/block/relu/Relu")) == canvas.theme.family("activation")
    assert pixel(image, stripe(canvas, "/block/conv1/Conv")) == canvas.theme.family("compute")
    assert pixel(image, QPoint(1, 1)) == canvas.theme.canvas
    canvas.set_overlay(Overlay("Precision", {named(graph, "/block/relu/Relu"): ORANGE}))
    image = canvas.grab().toImage()
    assert pixel(image, stripe(canvas, "/block/relu/Relu")) == ORANGE
    assert pixel(image, stripe(canvas, "/block/conv1/Conv")) == canvas.theme.border_strong


def test_a_hull_surrounds_its_nodes_and_no_others(canvas: Canvas, graph: Graph) -> None:
    conv, add = named(graph, "/block/conv1/Conv"), named(graph, "/block/Add")
    canvas.set_overlay(Overlay("Fusion", hulls=(Hull("one", "layer 1", ORANGE, (conv, add)),)))
    picture = canvas.picture
    outline = canvas.painter.hulls.outline(0)
    own = {picture.diagram.box(conv), picture.diagram.box(add)}
    assert len(outline.titles) == 2  # apart: two pieces
    for box in range(len(picture.left)):
        x, y = (picture.left[box] + picture.right[box]) / 2, (picture.top[box] + picture.bottom[box]) / 2
        assert (canvas.painter.hulls.at(float(x), float(y)) is not None) == (box in own)


def test_joined_nodes_get_one_piece(canvas: Canvas, graph: Graph) -> None:
    nodes = tuple(named(graph, name) for name in ("/block/conv1/Conv", "/block/relu/Relu"))
    canvas.set_overlay(Overlay("Fusion", hulls=(Hull("one", "layer 1", ORANGE, nodes),)))
    assert len(canvas.painter.hulls.outline(0).titles) == 1


def test_a_pair_between_two_layers_stands_between_their_hulls(canvas: Canvas, graph: Graph) -> None:
    relu, q, dq, conv = (named(graph, name) for name in ("/block/relu/Relu", "Q", "DQ", "/block/conv2/Conv"))
    pill = canvas.picture.diagram.box(q)
    canvas.set_overlay(Overlay("Fusion", hulls=(Hull("a", "a", ORANGE, (relu, q)), Hull("b", "b", ORANGE, (dq, conv)),
                                                Hull("c", "c", ORANGE, (q,)), Hull("d", "d", ORANGE, (q, dq, conv)))))
    hulls = canvas.painter.hulls
    assert [pill in hulls.members(number) for number in range(4)] == [False, False, True, True]
    assert [len(hulls.members(number)) for number in range(4)] == [1, 1, 1, 2]


def test_after_an_edit_the_rest_does_not_move_and_undo_brings_back(canvas: Canvas, graph: Graph) -> None:
    before, camera = canvas.picture, canvas.camera
    edit = Edit(graph)
    made = edit.add_node("Sigmoid", ["r1"], ["r1s"], name="new")
    edit.rewire("r1", "r1s", only=[named(graph, "/block/Add")])
    after = edit.commit()
    canvas.set_graph(after, diff(graph, after))
    assert canvas.camera == camera
    assert canvas.picture.diagram.box(made) is not None
    for box in range(len(before.left)):
        found = canvas.picture.diagram.find(before.diagram.key(box))
        assert found is not None
        assert (canvas.picture.left[found], canvas.picture.top[found]) == (before.left[box], before.top[box])
    canvas.set_graph(graph, diff(after, graph))
    assert np.array_equal(canvas.picture.left, before.left)
    assert np.array_equal(canvas.picture.segments, before.segments)


def test_selection_survives_an_edit_where_it_can(canvas: Canvas, graph: Graph) -> None:
    mul, add = named(graph, "/head/Mul"), named(graph, "/block/Add")
    canvas.select([add, mul], ["r1"])
    edit = Edit(graph)
    edit.rewire("a", "c2", only=[mul])
    edit.remove_node(add)
    after = edit.commit()
    canvas.set_graph(after, diff(graph, after))
    assert canvas.selected_nodes == (mul,)
    assert canvas.selected_tensors == ("r1",)


def test_views_are_remembered(canvas: Canvas, graph: Graph, models: Path) -> None:
    canvas.set_collapsed([("block",)])
    canvas.set_zoom(1.7)
    state = canvas.state
    canvas.set_graph(load(models / "digits.onnx"))
    assert canvas.collapsed == frozenset()
    canvas.set_graph(graph)
    assert canvas.state == state


def test_upstream_downstream_and_path(canvas: Canvas, graph: Graph) -> None:
    conv, add = named(graph, "/block/conv1/Conv"), named(graph, "/block/Add")
    canvas.select([named(graph, "Q")])
    canvas.select_upstream()
    assert set(canvas.selected_nodes) == {conv, named(graph, "/block/relu/Relu"), named(graph, "Q")}
    canvas.select([add])
    canvas.select_downstream()
    assert set(canvas.selected_nodes) == {add, named(graph, "/head/Mul")}
    canvas.select([add, conv])
    assert canvas.select_path()
    assert len(canvas.selected_nodes) == 6
    canvas.select([named(graph, "half"), conv])
    assert not canvas.select_path()


def test_reveal_brings_into_view(canvas: Canvas, graph: Graph) -> None:
    canvas.set_camera(canvas.camera.at(1e5, 1e5))
    canvas.reveal(named(graph, "half"))  # folded: its reader comes into view
    at = middle(canvas, named(graph, "/head/Mul"))
    assert canvas.rect().contains(at)
    canvas.set_camera(canvas.camera.at(1e5, 1e5))
    canvas.reveal("c1")
    assert canvas.rect().contains(middle(canvas, named(graph, "/block/conv1/Conv")))


@pytest.mark.parametrize("zoom", [0.001, 0.05, 0.2, 0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("name", ["encoder.onnx", "digits_bn.onnx"])
def test_every_zoom_paints_something(canvas: Canvas, models: Path, name: str, zoom: float) -> None:
    canvas.set_graph(load(models / name))
    nodes = tuple(canvas.graph.nodes)
    canvas.set_overlay(Overlay("Time", dict.fromkeys(nodes, ORANGE), dict.fromkeys(nodes, "1 µs"),
                               (LegendLine(ORANGE, "dear"), LegendLine("", "sum", "1 ms")),
                               (Hull("h", "layer", ORANGE, nodes[:6]),)))
    canvas.select(nodes[:3])
    canvas.set_matches(nodes[3:5])
    canvas.reveal_box(canvas.picture.diagram.box(nodes[-1]) or 0)
    canvas.set_zoom(zoom)
    image = canvas.grab().toImage()
    assert len({image.pixel(x, y) for x in range(0, 900, 3) for y in range(0, 700, 3)}) > 2


def test_a_large_graph(canvas: Canvas, large: Graph) -> None:
    canvas.set_graph(large)
    canvas.zoom_fit()
    canvas.grab()
    box = len(canvas.picture.left) // 2
    for zoom in (0.02, 0.17, 0.46, 1.0):
        canvas.set_zoom(zoom)
        canvas.reveal_box(box)
        canvas.grab()
    assert len(canvas.picture.tunnels) > 4000


@pytest.fixture
def large(qtbot: QtBot) -> Graph:
    """10,000 nodes: a chain with branches, and one tensor that all of it reads."""
    nodes = []
    for at in range(5000):
        nodes.append(helper.make_node("Relu", [f"t{at}"], [f"r{at}"], f"/l{at // 100}/r{at}"))
        nodes.append(helper.make_node("Add", [f"r{at}", "mask" if at % 10 else "t0"], [f"t{at + 1}"]))
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("t0", "mask", "t5000")]
    model = helper.make_model(helper.make_graph(nodes, "g", infos[:2], infos[2:]))
    return decode(model.SerializeToString(), None, None)


def test_panning_far_away_shows_what_painting_anew_does(canvas: Canvas, monkeypatch: pytest.MonkeyPatch,
                                                        models: Path) -> None:
    canvas.set_graph(load(models / "encoder.onnx"))
    canvas.set_camera(replace(canvas.camera.fitted(canvas.picture.bounds), zoom=0.1))
    plain = canvas.grab().toImage()
    monkeypatch.setattr(paint_far, "HEAVY", 0)
    canvas.set_camera(canvas.camera.moved(40, -30))
    canvas.grab()  # draws the sheet
    canvas.set_camera(canvas.camera.moved(-40, 30))
    panned = canvas.grab().toImage()
    shown = [(x, y) for x in range(0, 900, 2) for y in range(0, 540, 2) if plain.pixel(x, y) != plain.pixel(0, 0)]
    alike = sum(panned.pixel(x, y) != panned.pixel(0, 0) for x, y in shown)
    assert len(shown) > 500
    assert alike > 0.97 * len(shown)


def test_zooming_far_away_stretches_what_is_there_until_it_pauses(
    canvas: Canvas, monkeypatch: pytest.MonkeyPatch, models: Path, qtbot: QtBot
) -> None:
    monkeypatch.setattr(paint_far, "HEAVY", 0)
    canvas.set_graph(load(models / "encoder.onnx"))
    canvas.show_furniture(legend=False, minimap=False)
    canvas.set_camera(replace(canvas.camera.fitted(canvas.picture.bounds), zoom=0.08))
    canvas.grab()
    drawn: list[float] = []
    draw_level = FarPainter._draw

    def draw_and_count(self: FarPainter, painter: QPainter, level: Level, theme: Theme, frame: Frame,
                       lines: bool) -> None:
        drawn.append(canvas.camera.zoom)
        draw_level(self, painter, level, theme, frame, lines)

    monkeypatch.setattr(FarPainter, "_draw", draw_and_count)
    canvas.zoom_step(1.3, 300, 200)
    stretched = canvas.grab().toImage()
    assert drawn == []
    qtbot.waitUntil(lambda: bool(drawn))  # the pause: it paints itself
    exact = canvas.grab().toImage()
    assert drawn == [canvas.camera.zoom]
    anew = canvas.render_image(scale=canvas.devicePixelRatioF())
    assert anew == exact.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
    empty, width, height = exact.pixel(0, 0), exact.width(), exact.height()
    shown = [(x, y) for x in range(0, width, 2) for y in range(0, height, 2) if exact.pixel(x, y) != empty]
    alike = sum(stretched.pixel(x, y) != empty for x, y in shown)
    assert len(shown) > 300
    assert alike > 0.9 * len(shown)


def test_a_picture_in_a_file_is_never_stretched(canvas: Canvas, monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    monkeypatch.setattr(paint_far, "HEAVY", 0)
    canvas.set_graph(load(models / "encoder.onnx"))
    canvas.set_camera(replace(canvas.camera.fitted(canvas.picture.bounds), zoom=0.08))
    canvas.grab()
    canvas.zoom_step(1.3, 300, 200)
    in_a_file = canvas.render_image()
    canvas.set_camera(canvas.camera.moved(1, 0))
    canvas.set_camera(canvas.camera.moved(-1, 0))
    assert canvas.render_image() == in_a_file


def test_a_click_on_the_end_of_a_tunnel_jumps_to_the_other(canvas: Canvas, large: Graph) -> None:
    canvas.set_graph(large)
    picture = canvas.picture
    tunnel = int(picture.tunnels[-1])
    canvas.set_camera(replace(canvas.camera, zoom=1.0, x=float(picture.ends[tunnel, 0]),
                              y=float(picture.ends[tunnel, 1])))
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(canvas.width() // 2, canvas.height() // 2 - 20))
    assert list(canvas.selected_tensors) == [picture.diagram.tensor_name(tunnel)]
    x, y = canvas.camera.to_view(*picture.starts[tunnel].tolist())
    assert canvas.rect().contains(QPoint(round(x), round(y)))


def test_tiny_views_show_no_furniture(canvas: Canvas) -> None:
    canvas.resize(200, 120)
    assert not canvas.furniture.room(canvas.camera)
    canvas.grab()


def test_an_empty_canvas(qtbot: QtBot) -> None:
    made = Canvas()
    qtbot.addWidget(made)
    made.resize(500, 400)
    made.grab()
    made.zoom_fit()
    made.set_overlay(Overlay("x", {3: ORANGE}, {}, (), (Hull("h", "h", ORANGE, (3,)),)))
    made.grab()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_export(canvas: Canvas, tmp_path: Path, whole: bool, suffix: str) -> None:
    path = tmp_path / f"graph{suffix}"
    canvas.export(path, whole)
    if suffix == ".svg":
        text = path.read_text()
        assert text.count("conv1") == 1
        assert "</svg>" in text
    else:
        image = QImage(str(path))
        assert image.width() >= (canvas.picture.bounds.width if whole else canvas.width())
        assert image.height() >= (canvas.picture.bounds.height if whole else canvas.height())


@pytest.mark.parametrize("name", ["graph.svg", "graph.png", "graph.unknown"])
def test_export_to_nowhere_is_a_fault(canvas: Canvas, tmp_path: Path, name: str) -> None:
    with pytest.raises(Fault):
        canvas.export(tmp_path / "missing" / name)


def test_a_large_whole_image_is_made_smaller(canvas: Canvas, large: Graph) -> None:
    canvas.set_graph(large)
    image = canvas.render_image(whole=True)
    assert 1000 < max(image.width(), image.height()) <= 32000


def test_curves_pass_where_they_are_hit() -> None:
    segments = np.array([[0.0, 0.0, 100.0, 50.0], [10.0, 0.0, 10.0, 80.0]])
    path = curves(segments)
    assert path.elementCount() == 6
    joined = curves(np.array([[0.0, 0.0, 0.0, 50.0], [0.0, 50.0, 30.0, 90.0]]))
    assert [joined.elementAt(at).isMoveTo() for at in range(joined.elementCount())] == [True] + 4 * [False]
    points = curve_points(segments, 9)
    for index, share in enumerate(np.linspace(0, 1, 9)):
        cubic = curves(segments[:1])
        at = cubic.pointAtPercent(cubic.percentAtLength(0))
        assert (at.x(), at.y()) == (0.0, 0.0)
        assert points[0, index, 0] == pytest.approx(100 * (3 * share**2 - 2 * share**3))
    assert (np.diff(points[0, :, 1]) >= 0).all()


def test_picture_finds_what_is_at_a_point(graph: Graph) -> None:
    picture = draw(graph)
    for box in range(len(picture.left)):
        x, y = (picture.left[box] + picture.right[box]) / 2, (picture.top[box] + picture.bottom[box]) / 2
        assert picture.box_at(float(x), float(y)) == box
    curve = curve_points(picture.segments, 5)
    for segment, edge in enumerate(picture.segment_edge.tolist()):
        x, y = curve[segment, 2].tolist()
        assert picture.edge_at(x, y, 1.0) == edge


def test_texts_fit(qtbot: QtBot) -> None:
    letters: Lettering = Letterings().title
    text = "a_rather_long_name_of_a_node"
    for width in (20, 60, 120):
        assert letters.width(letters.elided(text, width)) <= width
    assert letters.elided(text, 1000) == text
    assert shortened("abcdefgh", 4) == "ab…gh"
