"""What lies at a point of the view."""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.graph.diagram_picture import Picture
from graftwerk.widgets.canvas.camera import Camera
from graftwerk.widgets.canvas.hulls import Hulls
from graftwerk.widgets.canvas.ports import Inlet, Outlet, port_at

#: How near an edge or a stub has to be, in pixels.
EDGE_REACH, PORT_REACH = 5.0, 7.0
#: Zooms from which on ports can be taken hold of, and hulls and tunnels exist.
PORT_ZOOM, HULL_ZOOM, STUB_ZOOM = 0.45, 0.45, 0.16


@dataclass(frozen=True)
class Hit:
    """At most one of these, by falling preference: a port, a box, the stub of a tunnel, an edge, a hull.

    With `port`, `box` is the box that it is of. With `tunnel`, `edge` is the edge.
    """

    port: Inlet | Outlet | None = None
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
        port = port_at(picture, sx, sy, near)
        if port is not None:
            return Hit(port=port, box=port.box)
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
