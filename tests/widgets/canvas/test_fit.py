"""Fitting into the view: nothing stands beneath the legend or the minimap, and no room is given away for nothing."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.canvas.overlay import LegendLine, Overlay
from graftwerk.widgets.canvas.view import Canvas

#: Chains side by side, nodes in each: wide, square, tall, and one that never comes near a corner.
SHAPES = [(30, 2), (12, 12), (9, 40), (2, 60), (1, 2)]
SIZES = [(430, 310), (460, 420), (700, 500), (1500, 900)]


def chains(count: int, length: int) -> Graph:
    operators = ("Relu", "Softmax", "Identity", "Transpose", "Not", "Shape", "Floor", "Exp")
    nodes = [helper.make_node(operators[(chain + at) % 8], [f"x{chain}_{at}"], [f"x{chain}_{at + 1}"])
             for chain in range(count) for at in range(length)]
    infos = [[helper.make_tensor_value_info(f"x{chain}_{at}", TensorProto.FLOAT, [4]) for chain in range(count)]
             for at in (0, length)]
    model = helper.make_model(helper.make_graph(nodes, "chains", infos[0], infos[1]))
    return decode(model.SerializeToString(), None, None)


@pytest.fixture
def view(qtbot: QtBot) -> Canvas:
    made = Canvas()
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    return made


def corners(canvas: Canvas) -> list[QRectF]:
    furniture = canvas.furniture
    return [furniture.legend_rect(canvas.picture, canvas.look, canvas.camera), furniture.map_rect(canvas.camera)]


def covered(canvas: Canvas) -> int:
    """Boxes beneath a corner or hardly beside it."""
    picture, found = canvas.picture, 0
    for box in range(len(picture.left)):
        left, top = canvas.camera.to_view(float(picture.left[box]), float(picture.top[box]))
        right, bottom = canvas.camera.to_view(float(picture.right[box]), float(picture.bottom[box]))
        rect = QRectF(left, top, right - left, bottom - top)
        found += any(rect.intersects(corner.adjusted(-8, -8, 8, 8)) for corner in corners(canvas))
        assert QRectF(0, 0, canvas.width(), canvas.height()).contains(rect)
    return found


def frames(canvas: Canvas, rects: list[QRectF]) -> list[str]:
    """The colours on the upper edges of some rectangles."""
    image = canvas.grab().toImage()
    ratio = image.devicePixelRatioF()
    return [QColor(image.pixel(round((rect.left() + 20) * ratio), round(rect.top() * ratio))).name() for rect in rects]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_fitted_beneath_a_corner(view: Canvas, shape: tuple[int, int], size: tuple[int, int]) -> None:
    view.resize(*size)
    view.set_graph(chains(*shape))
    view.zoom_fit()
    plain = view.camera.fitted(view.picture.bounds)
    assert view.camera.zoom >= plain.zoom / 2
    assert not covered(view)
    if view.camera != plain:  # it gave way for something
        view.set_camera(plain)
        assert covered(view)


def test_a_corner_as_large_as_the_view_is_not_given_way_to(view: Canvas) -> None:
    view.resize(430, 310)
    view.set_graph(chains(12, 12))
    view.set_overlay(Overlay("Fusion", legend=tuple(LegendLine("#e69f00", "A long line " * 4) for _ in range(12))))
    view.zoom_fit()
    assert view.camera == view.camera.fitted(view.picture.bounds)


def test_a_tall_graph_keeps_its_size_and_makes_room_at_the_side(view: Canvas) -> None:
    view.resize(700, 500)
    view.set_graph(chains(9, 40))
    plain = view.camera.fitted(view.picture.bounds)
    view.zoom_fit()
    assert view.camera.zoom == pytest.approx(plain.zoom)


def test_fitting_some_nodes_keeps_those_free(view: Canvas) -> None:
    view.resize(700, 500)
    graph = chains(12, 12)
    view.set_graph(graph)
    chosen = list(graph.nodes)[:60]
    view.zoom_fit(chosen)
    picture, camera = view.picture, view.camera
    for node in chosen:
        box = picture.diagram.box(node)
        left, top = camera.to_view(float(picture.left[box]), float(picture.top[box]))
        right, bottom = camera.to_view(float(picture.right[box]), float(picture.bottom[box]))
        assert not any(QRectF(left, top, right - left, bottom - top).intersects(corner) for corner in corners(view))


def test_what_is_not_wanted_is_gone_and_takes_no_room(view: Canvas) -> None:
    view.resize(700, 500)
    view.set_graph(chains(12, 12))
    rects = corners(view)
    view.zoom_fit()
    before = view.camera
    assert view.theme.canvas not in frames(view, rects)
    view.show_furniture(legend=False, minimap=False)
    assert view.camera == before
    assert frames(view, rects) == [view.theme.canvas] * 2
    assert all(corner.isEmpty() for corner in corners(view))
    view.zoom_fit()
    assert view.camera == view.camera.fitted(view.picture.bounds)
    view.show_furniture(legend=True, minimap=False)
    assert [corner.isEmpty() for corner in corners(view)] == [False, True]
