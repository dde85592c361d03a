"""What lies at a point of the view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.graph.diagram_picture import Picture
from graftwerk.widgets.canvas.camera import Camera
from graftwerk.widgets.canvas.hulls import Hulls

#: How near an edge, a port or a stub has to be, in pixels.
EDGE_REACH, PORT_REACH = 5.0, 7.0
#: Zooms from which on ports can be taken hold of, and hulls and tunnels exist.
PORT_ZOOM, HULL_ZOOM, STUB_ZOOM = 0.45, 0.45, 0.16


@dataclass(frozen=True)
class Hit:
    """At most one of these, by falling preference: an output port, a box, the stub of a tunnel, an edge, a hull.

    `port`: the tensor that leaves there; with it, `box` is the box that makes it. With `tunnel`, `edge` is the edge.
    """

    port: str = ""
    box: int = -1
    tunnel: bool = False
    at_source: bool = False
    edge: int = -1
    hull: str = ""


def hit(picture: Picture, hulls: Hulls, camera: Camera, x: float, y: float) -> Hit:
    """What is at pixels x, y."""
    sx, sy = camera.to_scene(x, y)
    near = 1 / camera.zoom
    if camera.zoom >= PORT_ZOOM:
        found = _port(picture, sx, sy, PORT_REACH * near)
        if found is not None:
            return found
    box = picture.box_at(sx, sy)
    if box is not None:
        return Hit(box=box)
    if camera.zoom >= STUB_ZOOM:
        stub = picture.tunnel_at(sx, sy, PORT_REACH * near)
        if stub is not None:
            return Hit(edge=stub[0], tunnel=True, at_source=stub[1])
    edge = picture.edge_at(sx, sy, EDGE_REACH * near)
    if edge is not None:
        return Hit(edge=edge)
    hull = hulls.at(sx, sy) if camera.zoom >= HULL_ZOOM else None
    return Hit(hull=hull.name) if hull is not None else Hit()


def _port(picture: Picture, x: float, y: float, reach: float) -> Hit | None:
    """An output port: where an edge leaves a box, on its lower border, not far inside."""
    starts = picture.starts
    close = (np.abs(starts[:, 0] - x) <= reach) & (np.abs(starts[:, 1] - y) <= reach)
    found = np.flatnonzero(close)
    if not len(found):
        return None
    distance = np.abs(starts[found] - (x, y)).sum(axis=1)
    edge = int(found[int(distance.argmin())])
    return Hit(port=picture.diagram.tensor_name(edge), box=int(picture.diagram.source[edge]))


def input_at(picture: Picture, box: int, x: float) -> int | None:
    """Which input of the one node of a box is meant by a point at scene x over it: that of the nearest edge into it.

    0 where no edge enters the box; None for a box that is no node.
    """
    diagram = picture.diagram
    if int(diagram.kind[box]) != Kind.NODE:
        return None
    edges = np.flatnonzero(diagram.target == box)
    if not len(edges):
        return 0
    edge = int(edges[int(np.abs(picture.ends[edges, 0] - x).argmin())])
    inputs = list(diagram.graph.nodes[int(diagram.ref[box])].input)
    name = diagram.tensor_name(edge)
    return inputs.index(name) if name in inputs else None
