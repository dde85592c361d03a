"""Where the inputs and outputs of a box are, those included that nothing is connected to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.graph.diagram_picture import Picture

#: How far a port may lie inside its box to be hit there, pixels: further in, the box itself is meant.
INSIDE = 4.0


@dataclass(frozen=True, slots=True)
class Inlet:
    """An input of a box's node at scene `x`, on its upper border. `tensor` is what it reads, "" where it is open;
    `edge` -1 where that stands in the box itself (a weight), or nothing is read."""

    box: int
    index: int
    name: str
    tensor: str
    required: bool
    x: float
    edge: int = -1


@dataclass(frozen=True, slots=True)
class Outlet:
    """A tensor that leaves a box at scene `x`, on its lower border."""

    box: int
    name: str
    tensor: str
    x: float


@dataclass(frozen=True)
class Ports:
    inlets: tuple[Inlet, ...] = ()
    outlets: tuple[Outlet, ...] = ()

    def inlet(self, x: float) -> Inlet | None:
        """The input nearest to a place; of two at the same distance the first."""
        return min(self.inlets, key=lambda port: abs(port.x - x), default=None)

    def outlet(self, x: float) -> Outlet | None:
        return min(self.outlets, key=lambda port: abs(port.x - x), default=None)


def ports_of(picture: Picture, box: int) -> Ports:
    """The ports of a node's box, or of a graph input's; none for other boxes."""
    diagram = picture.diagram
    kind = int(diagram.kind[box])
    middle = float(picture.left[box] + picture.right[box]) / 2
    if kind == Kind.INPUT:
        return Ports((), (Outlet(box, "", diagram.name(box), middle),))
    if kind != Kind.NODE:
        return Ports()
    return Ports(_inlets(picture, box), _outlets(picture, box))


def _inlets(picture: Picture, box: int) -> tuple[Inlet, ...]:
    from graftwerk.backend.graph.sockets import sockets  # with the first port that is pointed at

    diagram = picture.diagram
    record = diagram.graph.nodes[int(diagram.ref[box])]
    edges = np.flatnonzero(diagram.target == box)
    edges = edges[np.argsort(picture.ends[edges, 0], kind="stable")].tolist()
    waiting: dict[str, list[int]] = {}
    for edge in edges:
        waiting.setdefault(diagram.tensor_name(edge), []).append(edge)
    found = []
    for socket in sockets(diagram.graph, record):
        own = waiting.get(socket.tensor) if socket.tensor else None
        found.append((socket, own.pop(0) if own else -1))
    fixed = [float(picture.ends[edge, 0]) if edge >= 0 else None for _, edge in found]
    return tuple(
        Inlet(box, socket.index, socket.name, socket.tensor, socket.required, x, edge)
        for (socket, edge), x in zip(found, _spread(picture, box, fixed), strict=True)
    )


def _outlets(picture: Picture, box: int) -> tuple[Outlet, ...]:
    from graftwerk.backend.graph.schema import schema_of

    diagram = picture.diagram
    record = diagram.graph.nodes[int(diagram.ref[box])]
    schema = schema_of(diagram.graph, record.op_type, record.domain)
    formal = [port.name for port in schema.outputs] if schema is not None else []
    starts: dict[str, float] = {}
    for edge in np.flatnonzero(diagram.source == box).tolist():
        starts.setdefault(diagram.tensor_name(edge), float(picture.starts[edge, 0]))
    made = [(at, tensor) for at, tensor in enumerate(record.output) if tensor]
    fixed = [starts.get(tensor) for _, tensor in made]
    return tuple(
        Outlet(box, formal[at] if at < len(formal) else str(at), tensor, x)
        for (at, tensor), x in zip(made, _spread(picture, box, fixed), strict=True)
    )


def _spread(picture: Picture, box: int, fixed: Sequence[float | None]) -> list[float]:
    """Places for ports: those of edges are given, the others go where most room is, from left to right."""
    left, right = float(picture.left[box]) + 10, float(picture.right[box]) - 10
    taken = [x for x in fixed if x is not None]
    open_ = len(fixed) - len(taken)
    if not taken:
        return [left + (right - left) * (at + 1) / (open_ + 1) for at in range(open_)]
    grid = [left + (right - left) * step / 24 for step in range(25)]
    chosen: list[float] = []
    for _ in range(open_):
        chosen.append(max(grid, key=lambda x: min(abs(x - other) for other in (*taken, *chosen))))
    rest = iter(sorted(chosen))
    return [x if x is not None else next(rest) for x in fixed]


def port_at(picture: Picture, x: float, y: float, near: float) -> Inlet | Outlet | None:
    """The port at a point of the scene; `near` is the length of a pixel there."""
    reach, inside = 7.0 * near, INSIDE * near
    wide = (picture.left <= x + reach) & (picture.right >= x - reach)
    above = wide & (y >= picture.top - reach) & (y <= picture.top + inside)
    below = wide & (y >= picture.bottom - inside) & (y <= picture.bottom + reach)
    for box in np.flatnonzero(above).tolist():
        inlet = ports_of(picture, box).inlet(x)
        if inlet is not None and abs(inlet.x - x) <= reach:
            return inlet
    for box in np.flatnonzero(below).tolist():
        outlet = ports_of(picture, box).outlet(x)
        if outlet is not None and abs(outlet.x - x) <= reach:
            return outlet
    return None
