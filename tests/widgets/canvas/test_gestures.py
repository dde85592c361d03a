"""Mouse and keys on the canvas."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef, TensorName
from graftwerk.backend.operations.qdq_move import MoveQdq
from graftwerk.backend.operations.registry import Operation, apply
from graftwerk.backend.operations.rewire import RewireInput
from graftwerk.widgets.canvas.look import color
from graftwerk.widgets.canvas.overlay import Hull, Overlay
from graftwerk.widgets.canvas.view import Canvas
from tests.widgets.canvas.places import middle, named

LEFT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton
NONE, CONTROL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


def drag(canvas: Canvas, start: QPoint, end: QPoint, button: Qt.MouseButton = LEFT,
         release: bool = True) -> None:
    QTest.mousePress(canvas, button, NONE, start)
    for step in range(1, 6):
        QTest.mouseMove(canvas, start + (end - start) * step / 5)
    if release:
        QTest.mouseRelease(canvas, button, NONE, end)


@pytest.fixture
def asked(canvas: Canvas) -> list[Operation]:
    found: list[Operation] = []
    canvas.operation_requested.connect(found.append)
    return found


def test_click_selects_and_control_adds(qtbot: QtBot, canvas: Canvas, graph: Graph) -> None:
    relu, add = named(graph, "/block/relu/Relu"), named(graph, "/block/Add")
    with qtbot.waitSignal(canvas.selection_changed) as told:
        QTest.mouseClick(canvas, LEFT, NONE, middle(canvas, relu))
    assert told.args == [(relu,), ()]
    QTest.mouseClick(canvas, LEFT, CONTROL, middle(canvas, add))
    assert list(canvas.selected_nodes) == [relu, add]
    QTest.mouseClick(canvas, LEFT, CONTROL, middle(canvas, relu))
    assert list(canvas.selected_nodes) == [add]
    QTest.mouseClick(canvas, LEFT, NONE, QPoint(5, 5))
    assert not canvas.selected_nodes


def test_a_pill_is_its_pair_and_a_folded_node_shows_at_its_reader(canvas: Canvas, graph: Graph) -> None:
    diagram = canvas.picture.diagram
    pill = diagram.box(named(graph, "Q"))
    assert pill is not None
    assert pill == diagram.box(named(graph, "DQ"))
    assert diagram.nodes(pill) == (named(graph, "Q"), named(graph, "DQ"))
    assert diagram.box(named(graph, "half")) == diagram.box(named(graph, "/head/Mul"))
    assert diagram.box(named(graph, "DQ_w2")) == diagram.box(named(graph, "/block/conv2/Conv"))
    chips = canvas.painter.captions.box(diagram.box(named(graph, "/block/conv2/Conv")) or 0).chips
    assert [(chip.name, chip.text, chip.quantized) for chip in chips] == [("W", "4×4×1×1 INT8", True)]
    assert canvas.painter.captions.box(pill).title == "Q/DQ 0.0312"


def test_click_on_an_edge_selects_its_tensor(qtbot: QtBot, canvas: Canvas, graph: Graph) -> None:
    edge = int(canvas.picture.diagram.edges_of("c1")[0])
    (x0, y0), (x1, y1) = canvas.picture.starts[edge], canvas.picture.ends[edge]
    x, y = canvas.camera.to_view((x0 + x1) / 2, (y0 + y1) / 2)
    QTest.mouseClick(canvas, LEFT, NONE, QPoint(round(x), round(y)))
    assert (canvas.selected_nodes, canvas.selected_tensors) == ((), ("c1",))


def test_rubber_band_and_escape(qtbot: QtBot, canvas: Canvas, graph: Graph) -> None:
    drag(canvas, QPoint(3, 3), QPoint(880, 520), release=False)
    assert set(canvas.selected_nodes) >= {named(graph, "/block/relu/Relu"), named(graph, "Q")}
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert not canvas.selected_nodes
    QTest.mouseRelease(canvas, LEFT, NONE, QPoint(880, 520))
    assert not canvas.selected_nodes


def test_a_rubber_band_leaves_the_colours_of_marks_alone(canvas: Canvas) -> None:
    drag(canvas, QPoint(3, 3), QPoint(880, 520), release=False)
    canvas.grab()
    QTest.mouseRelease(canvas, LEFT, NONE, QPoint(880, 520))
    assert color(canvas.theme.accent).alpha() == 255


def test_dragging_a_node_moves_it_in_the_view_only(qtbot: QtBot, canvas: Canvas, graph: Graph,
                                                   asked: list[Operation]) -> None:
    relu = named(graph, "/block/relu/Relu")
    before, start = canvas.picture, middle(canvas, relu)
    box = before.diagram.box(relu)
    drag(canvas, start, start + QPoint(60, 20))
    moved = canvas.picture
    assert moved.left[box] == pytest.approx(before.left[box] + 60 / canvas.camera.zoom)
    others = [other for other in range(len(before.left)) if other != box]
    assert (moved.left[others] == before.left[others]).all()
    assert asked == []
    assert canvas.graph is graph
    assert len(canvas.state.moved) == 1
    drag(canvas, middle(canvas, relu), QPoint(300, 300), release=False)
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert canvas.picture.left[box] == moved.left[box]
    canvas.reset_moved()
    assert (canvas.picture.left == before.left).all()


def test_a_pill_dragged_over_its_producer_asks_for_a_move(qtbot: QtBot, canvas: Canvas, graph: Graph,
                                                          asked: list[Operation]) -> None:
    drag(canvas, middle(canvas, named(graph, "Q")), middle(canvas, named(graph, "/block/conv2/Conv")))
    assert asked == []  # a convolution can't be passed
    add = named(graph, "/block/Add")
    drag(canvas, middle(canvas, named(graph, "Q")), middle(canvas, add))
    assert asked == []  # not a neighbour
    drag(canvas, middle(canvas, named(graph, "Q")), middle(canvas, named(graph, "/block/relu/Relu")),
         release=False)
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert asked == []


def test_a_pill_moves_where_it_may(qtbot: QtBot, canvas: Canvas, graph: Graph, asked: list[Operation]) -> None:
    edit = Edit(graph)
    made = edit.add_node("MaxPool", ["dq"], ["pooled"], name="pool", attributes={"kernel_shape": [1, 1]})
    edit.rewire("dq", "pooled", only=[named(graph, "/block/conv2/Conv")])
    longer = edit.commit()
    canvas.set_graph(longer, diff(graph, longer))
    canvas.zoom_fit()
    drag(canvas, middle(canvas, named(longer, "Q")), middle(canvas, made))
    assert asked == [MoveQdq(longer.ref(named(longer, "DQ")), "down", NodeRef("pool"))]
    assert apply(asked[0], longer).producer("pooled") is not None


def test_connecting_a_port_asks_for_a_rewire(qtbot: QtBot, canvas: Canvas, graph: Graph,
                                             asked: list[Operation]) -> None:
    edge = int(canvas.picture.diagram.edges_of("c1")[0])
    x, y = canvas.camera.to_view(*canvas.picture.starts[edge].tolist())
    drag(canvas, QPoint(round(x), round(y)), middle(canvas, named(graph, "/head/Mul")))
    assert asked == [RewireInput(graph.ref(named(graph, "/head/Mul")), 0, TensorName("c1"))]


def test_middle_button_and_space_pan(qtbot: QtBot, canvas: Canvas) -> None:
    before = canvas.camera
    drag(canvas, QPoint(400, 300), QPoint(440, 330), MIDDLE)
    assert canvas.camera.x == pytest.approx(before.moved(40, 30).x)
    assert canvas.camera.y == pytest.approx(before.moved(40, 30).y)
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    drag(canvas, QPoint(400, 300), QPoint(360, 270))
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    assert canvas.camera.x == pytest.approx(before.x)
    assert not canvas.selected_nodes


def wheel(canvas: Canvas, at: QPointF, notches: int, modifiers: Qt.KeyboardModifier = NONE) -> None:
    event = QWheelEvent(at, canvas.mapToGlobal(at), QPoint(), QPoint(0, 120 * notches), Qt.MouseButton.NoButton,
                        modifiers, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(canvas, event)


def test_wheel_scrolls_and_control_wheel_zooms_at_the_mouse(canvas: Canvas) -> None:
    before, at = canvas.camera, QPointF(200, 150)
    wheel(canvas, at, -1)
    assert canvas.camera.y > before.y
    assert canvas.camera.zoom == before.zoom
    here = canvas.camera.to_scene(200, 150)
    wheel(canvas, at, 2, CONTROL)
    assert canvas.camera.zoom > before.zoom
    assert canvas.camera.to_scene(200, 150) == pytest.approx(here)


def test_keys(qtbot: QtBot, canvas: Canvas, graph: Graph) -> None:
    canvas.select([named(graph, "/block/conv1/Conv")])
    for expected in ("/block/relu/Relu", "Q", "/block/conv2/Conv", "/block/Add", "/head/Mul"):
        QTest.keyClick(canvas, Qt.Key.Key_Down)
        assert canvas.selected_nodes[0] == named(graph, expected)
    QTest.keyClick(canvas, Qt.Key.Key_Up)
    assert list(canvas.selected_nodes) == [named(graph, "/block/Add")]
    zoom = canvas.camera.zoom
    QTest.keyClick(canvas, Qt.Key.Key_Plus)
    assert canvas.camera.zoom > zoom
    QTest.keyClick(canvas, Qt.Key.Key_0)
    assert canvas.camera.zoom == 1.0
    QTest.keyClick(canvas, Qt.Key.Key_F)
    assert canvas.camera.frame.top <= canvas.picture.bounds.top
    assert canvas.camera.frame.bottom >= canvas.picture.bounds.bottom
    with qtbot.waitSignal(canvas.open_nested) as told:
        QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert told.args == [named(graph, "/block/Add")]
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert not canvas.selected_nodes


def test_a_hull_can_be_pointed_at_and_clicked(qtbot: QtBot, canvas: Canvas, graph: Graph) -> None:
    conv, relu = named(graph, "/block/conv1/Conv"), named(graph, "/block/relu/Relu")
    canvas.set_overlay(Overlay("Fusion", hulls=(Hull("layer 1", "layer 1 · INT8", "#e69f00", (conv, relu)),)))
    picture = canvas.picture
    box = picture.diagram.box(conv)
    x, y = canvas.camera.to_view(float(picture.left[box]) - 5, float(picture.bottom[box]) + 20)
    with qtbot.waitSignal(canvas.layer_hovered) as told:
        QTest.mouseMove(canvas, QPoint(round(x), round(y)))
    assert told.args == ["layer 1"]
    with qtbot.waitSignal(canvas.layer_activated) as told:
        QTest.mouseClick(canvas, LEFT, NONE, QPoint(round(x), round(y)))
    assert told.args == ["layer 1"]
    canvas.select([relu])  # as the window does when a layer is activated
    with qtbot.waitSignal(canvas.layer_hovered) as told:
        QApplication.sendEvent(canvas, QEvent(QEvent.Type.Leave))
    assert told.args == [""]
    assert not canvas.look.marks.hovered_hull


def test_a_click_beside_the_graph_on_the_minimap_shows_the_graph(canvas: Canvas) -> None:
    canvas.set_zoom(2.0)
    rect = canvas.furniture.map_rect(canvas.camera)
    for corner in (rect.topLeft() + QPointF(2, 2), rect.bottomRight() - QPointF(3, 3)):
        QTest.mouseClick(canvas, LEFT, NONE, corner.toPoint())
        bounds = canvas.picture.bounds
        assert bounds.left <= canvas.camera.x <= bounds.right
        assert bounds.top <= canvas.camera.y <= bounds.bottom


def test_minimap_moves_the_view(qtbot: QtBot, canvas: Canvas) -> None:
    canvas.set_zoom(2.0)
    rect = canvas.furniture.map_rect(canvas.camera)
    drag(canvas, rect.center().toPoint(), QPoint(round(rect.center().x()), round(rect.bottom()) - 9))
    assert canvas.camera.y == pytest.approx(canvas.picture.bounds.bottom, abs=60)
    assert not canvas.selected_nodes


def test_double_click_expands_a_scope(qtbot: QtBot, canvas: Canvas, graph: Graph) -> None:
    count = len(canvas.picture.left)
    canvas.set_collapsed([("block",)])
    canvas.zoom_fit()
    assert len(canvas.picture.left) < count
    add = named(graph, "/block/Add")
    QTest.mouseDClick(canvas, LEFT, NONE, middle(canvas, add))
    assert canvas.collapsed == frozenset()
    assert len(canvas.picture.left) == count
