"""Canvas: frames against a QGraphicsScene with an item per node, in one run; an edit with its picture and undo; and how
long the picture of a graph takes. Offscreen, antialiasing on for both.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from time import perf_counter

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from onnx import TensorProto, helper
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import (
    QApplication,
    QGraphicsItem,
    QGraphicsPathItem,
    QGraphicsRectItem,
    QGraphicsScene,
    QGraphicsView,
    QWidget,
)

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.diagram_columns import build
from graftwerk.backend.graph.diagram_picture import Picture
from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.canvas.view import Canvas
from graftwerk.widgets.theme import LIGHT
from tests.bench.rows import Row, model

FRAMES, WIDTH, HEIGHT = 120, 1400, 900
#: A language model as a whole is a thin line, so it is looked at from nearer too.
ZOOMS = (0.002, 0.02, 0.1, 0.17, 0.3, 0.5, 1.0)


def main() -> list[Row]:
    application = QApplication.instance() or QApplication([])
    rows = []
    for name in ("llm50k", "moe50k"):
        graph = load(model(name))
        rows.append(Row(f"diagram of {name}", _best(lambda graph=graph: build(graph)), bound=0.5))  # type: ignore[misc]
        canvas = _canvas(graph)
        rows.append(Row(f"panning {name}, whole graph in view, p95", 1000 * _panned(canvas), "ms", bound=16.6))
        for zoom in ZOOMS:
            canvas.set_zoom(zoom)
            canvas.reveal_box(len(canvas.picture.left) // 2)
            canvas.set_zoom(zoom)
            rows.append(Row(f"panning {name} at {zoom:.1%}, p95", 1000 * _panned(canvas), "ms", bound=16.6))
        rows.append(Row(f"edit, picture and undo, {name}", 1000 * _edited(graph), "ms", bound=100))
    canvas = _canvas(_wide(50_000, 320))
    rows.append(Row("panning 50,000 nodes in 320 chains, whole graph in view, p95", 1000 * _panned(canvas), "ms",
                    bound=16.6))
    rows.append(Row("zooming the same, every frame painted anew, p95", 1000 * _p95(canvas, _zoom_step(canvas)), "ms"))
    for factor, bound in ((1.02, 16.6), (1.2, math.inf)):  # a pinch; a notch of the wheel
        canvas.zoom_fit()
        rows.append(Row(f"zooming the same by gesture, {factor - 1:.0%} a frame, p95",
                        1000 * _p95(canvas, _gesture_step(canvas, factor)), "ms", bound=bound))
    rows += _against_scene(load(model("llm10k")))
    application.processEvents()
    return rows


def _against_scene(graph: Graph) -> list[Row]:
    rows = [Row("diagram of llm10k", _best(lambda: build(graph)), bound=0.15)]
    canvas = _canvas(graph)
    ours = _panned(canvas)
    view = _peer(canvas.picture)
    view.fitInView(view.sceneRect(), Qt.AspectRatioMode.KeepAspectRatio)
    rows.append(Row("panning llm10k, whole graph in view, against QGraphicsScene, p95", 1000 * ours, "ms",
                    1000 * _p95(view, lambda step: _pan_peer(view, step)), bound=0.2))
    rows.append(Row("edit, picture and undo, llm10k", 1000 * _edited(graph), "ms", bound=30))
    return rows


def _wide(nodes: int, chains: int) -> Graph:
    """Chains side by side between one input and one output: as a whole they fill the view."""
    made = []
    ends = []
    for chain in range(chains):
        last = "x"
        for at in range(nodes // chains - 1):
            made.append(helper.make_node(("Relu", "MatMul", "Add")[at % 3], [last] * (1 + (at % 3 > 0)),
                                         [f"t{chain}_{at}"]))
            last = made[-1].output[0]
        ends.append(last)
    made.append(helper.make_node("Concat", ends, ["y"], axis=0))
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4]) for name in "xy"]
    model = helper.make_model(helper.make_graph(made, "wide", infos[:1], infos[1:]))
    return decode(model.SerializeToString(), None, None)


def _canvas(graph: Graph) -> Canvas:
    canvas = Canvas()
    canvas.resize(WIDTH, HEIGHT)
    canvas.show()
    canvas.set_graph(graph)
    canvas.zoom_fit()
    return canvas


def _panned(canvas: Canvas) -> float:
    def step(at: int) -> None:
        canvas.set_camera(canvas.camera.moved(3 if at % 40 < 20 else -3, 2 if at % 40 < 20 else -2))

    return _p95(canvas, step)


def _zoom_step(canvas: Canvas) -> Callable[[int], None]:
    return lambda at: canvas.set_zoom(canvas.camera.zoom * (1.02 if at % 40 < 20 else 1 / 1.02))


def _gesture_step(canvas: Canvas, factor: float) -> Callable[[int], None]:
    return lambda at: canvas.zoom_step(factor if at % 40 < 20 else 1 / factor, WIDTH / 2, HEIGHT / 3)


def _p95(widget: QWidget, step: Callable[[int], None]) -> float:
    """Seconds for a frame, the 95th percentile: one step of panning and painting the widget into an image."""
    image = QImage(WIDTH, HEIGHT, QImage.Format.Format_ARGB32_Premultiplied)
    times = []
    for at in range(FRAMES):
        begin = perf_counter()
        step(at)
        QWidget.render(widget, image)  # a QGraphicsView has another `render`
        times.append(perf_counter() - begin)
    return float(np.percentile(times[3:], 95))


def _edited(graph: Graph) -> float:
    """Seconds for one edit (a node on an edge), its picture painted, and undo painted; the median of several."""
    canvas = _canvas(graph)
    canvas.set_zoom(0.7)
    image = QImage(WIDTH, HEIGHT, QImage.Format.Format_ARGB32_Premultiplied)
    nodes = list(graph.nodes)
    times = []
    for at in range(5):
        tensor = graph.nodes[nodes[len(nodes) // 2 + 7 * at]].output[0]
        canvas.reveal(tensor)
        canvas.render(image)
        begin = perf_counter()
        edit = Edit(graph)
        users = edit.consumers(tensor)
        made = edit.fresh_tensor(f"{tensor}_id")
        edit.add_node("Identity", [tensor], [made], name=edit.fresh_node("bench"))
        edit.rewire(tensor, made, only=list(users))
        after = edit.commit()
        canvas.set_graph(after, diff(graph, after))
        canvas.render(image)
        canvas.set_graph(graph, diff(after, graph))
        canvas.render(image)
        times.append(perf_counter() - begin)
    return float(np.median(times))


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        begin = perf_counter()
        work()
        times.append(perf_counter() - begin)
    return min(times)


def _peer(picture: Picture) -> QGraphicsView:
    """The same picture as items of a scene, a rectangle per box and a path per edge, and the view's usual settings."""
    scene = QGraphicsScene()
    edge_pen, box_pen = QPen(QColor(LIGHT.edge), 0), QPen(QColor(LIGHT.node_border), 0)
    starts, ends = picture.starts.tolist(), picture.ends.tolist()
    for (x0, y0), (x1, y1) in zip(starts, ends, strict=True):
        path = QPainterPath()
        path.moveTo(x0, y0)
        middle = (y0 + y1) / 2
        path.cubicTo(x0, middle, x1, middle, x1, y1)
        item: QGraphicsItem = QGraphicsPathItem(path)
        item.setPen(edge_pen)  # type: ignore[attr-defined]
        scene.addItem(item)
    for x, y, width, height in picture.rects(np.arange(len(picture.left))).tolist():
        box = QGraphicsRectItem(QRectF(x, y, width, height))
        box.setPen(box_pen)
        box.setBrush(QColor(LIGHT.family("compute")))
        scene.addItem(box)
    view = QGraphicsView(scene)
    scene.setParent(view)
    view.resize(WIDTH, HEIGHT)
    view.setRenderHint(QPainter.RenderHint.Antialiasing)
    view.show()
    return view


def _pan_peer(view: QGraphicsView, at: int) -> None:
    way = 1 if at % 40 < 20 else -1
    horizontal, vertical = view.horizontalScrollBar(), view.verticalScrollBar()
    horizontal.setValue(horizontal.value() + 3 * way)
    vertical.setValue(vertical.value() + 2 * way)


if __name__ == "__main__":
    from tests.bench.rows import table

    print(table(main()))
