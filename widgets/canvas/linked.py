"""Two canvases that show two models side by side and move together: the same node stands at the same place in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from PySide6.QtCore import QObject, Signal

from graftwerk.backend.graph.graph import NodeId
from graftwerk.widgets.canvas.camera import Camera
from graftwerk.widgets.canvas.view import Canvas


class Link(QObject):
    """`pairs` maps nodes of the first canvas to those of the second. `selected` tells what was selected by hand: a node
    of the first, and one of the second, None where there is none."""

    selected = Signal(object, object)

    def __init__(self, first: Canvas, second: Canvas, parent: QObject) -> None:
        super().__init__(parent)
        self._pairs: tuple[Mapping[NodeId, NodeId], Mapping[NodeId, NodeId]] = ({}, {})
        self._canvases = (first, second)
        self._cameras = [first.camera, second.camera]
        self._still = False
        for side, canvas in enumerate(self._canvases):
            canvas.camera_changed.connect(lambda at=side: self._follow(at))
            canvas.selection_changed.connect(lambda nodes, tensors, at=side: self._select(at, nodes))

    def set_pairs(self, pairs: Mapping[NodeId, NodeId]) -> None:
        self._pairs = (pairs, {new: old for old, new in pairs.items()})

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Lets each be moved by itself meanwhile."""
        before, self._still = self._still, True
        try:
            yield
        finally:
            self._still = before
            self._cameras = [canvas.camera for canvas in self._canvases]

    def show(self, node: NodeId | None, other: NodeId | None) -> None:
        """Selects a node in each and brings both to the middle; where one has none, it shows what lies around."""
        first, second = self._canvases
        with self.apart():
            for canvas, one in ((first, node), (second, other)):
                canvas.select(() if one is None else (one,))
                if one is not None:
                    _center(canvas, one)
            if node is None and other is not None:
                self._match(1)
            elif other is None and node is not None:
                self._match(0)

    def _select(self, side: int, nodes: tuple[NodeId, ...]) -> None:
        if self._still or not nodes:
            return
        mine = nodes[-1]
        other = self._pairs[side].get(mine)
        with self.apart():
            self._canvases[1 - side].select(() if other is None else (other,))
        self.selected.emit(*((mine, other) if side == 0 else (other, mine)))

    def _follow(self, side: int) -> None:
        if not self._still:
            with self.apart():
                self._match(side)

    def _match(self, side: int) -> None:
        """Moves the other canvas so that it shows what this one shows."""
        mine, other = self._canvases[side], self._canvases[1 - side]
        camera = mine.camera
        anchor = self._anchor(side)
        if anchor is None:
            was = self._cameras[side]
            x = other.camera.x + camera.x - was.x
            y = other.camera.y + camera.y - was.y
        else:
            (x, y), (its_x, its_y) = _middle(mine, anchor), _middle(other, self._pairs[side][anchor])
            x, y = its_x + camera.x - x, its_y + camera.y - y
        other.set_camera(Camera(camera.zoom, x, y, other.camera.width, other.camera.height))

    def _anchor(self, side: int) -> NodeId | None:
        """The node with a counterpart that is nearest to the middle of the view."""
        canvas, pairs = self._canvases[side], self._pairs[side]
        picture, camera = canvas.picture, canvas.camera
        boxes = picture.boxes_in(camera.frame)
        if not len(boxes):
            return None
        x = (picture.left[boxes] + picture.right[boxes]) / 2 - camera.x
        y = (picture.top[boxes] + picture.bottom[boxes]) / 2 - camera.y
        for box in boxes[np.argsort(x * x + y * y)][:200].tolist():
            for node in picture.diagram.nodes(box):
                if node in pairs and self._canvases[1 - side].picture.diagram.box(pairs[node]) is not None:
                    return int(node)
        return None


def _middle(canvas: Canvas, node: NodeId) -> tuple[float, float]:
    box = canvas.picture.diagram.box(node)
    return canvas._middle(box)


def _center(canvas: Canvas, node: NodeId) -> None:
    x, y = _middle(canvas, node)
    camera = canvas.camera
    canvas.set_camera(Camera(max(camera.zoom, 0.6), x, y, camera.width, camera.height))
