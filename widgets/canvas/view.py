"""The canvas: shows one graph, its overlay and a selection; turns mouse and keys into requests. It never edits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPoint, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from graftwerk.backend.graph.diagram import Key, Kind
from graftwerk.backend.graph.diagram_picture import Frame, Picture
from graftwerk.backend.graph.diagram_roles import Path
from graftwerk.backend.graph.diagram_walk import between, downstream, upstream
from graftwerk.backend.graph.diff import Diff
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.widgets.canvas import export
from graftwerk.widgets.canvas.input import Input
from graftwerk.widgets.canvas.look import Look, Marks
from graftwerk.widgets.canvas.overlay import Overlay
from graftwerk.widgets.canvas.pictures import Pictures
from graftwerk.widgets.canvas.state import ViewState
from graftwerk.widgets.canvas.surface import Surface
from graftwerk.widgets.theme import Theme

if TYPE_CHECKING:
    from graftwerk.backend.graph.operators import Operator

#: How mouse and keys work here, for the help of the window.
HELP = """\
Wheel or two fingers: scroll · Ctrl+wheel or pinch: zoom · middle button or Space+drag: pan
Click: select · Ctrl or Shift+click: add · drag on free space: select in a frame · drag a node: move it
Drag a Q/DQ pill across a node: move the pair · drag from port to port: connect · off its port: disconnect
Click the end of a dashed edge: jump to its other end · double click or Enter: open what is inside
Arrows: to the neighbours · + − 0: zoom, 100 % · F: all in view · Shift+F: the selection · Esc: never mind"""


class Canvas(Surface):
    """Wheel scrolls, Ctrl+wheel and pinch zoom; left drag on free space selects, middle or Space drag pans."""

    #: NodeIds in the order they were picked, names of tensors; both tuples
    selection_changed = Signal(object, object)
    #: an Operation that a gesture ends in
    operation_requested = Signal(object)
    #: a tensor, the consumers that an operator is to be put before (NodeIds; none: it is to be added), QPoint on screen
    operator_wanted = Signal(str, object, QPoint)
    #: an Operator of the palette, the tensor it was dropped on or "", consumers (NodeIds), and where in the scene
    operator_dropped = Signal(object, str, object, object)
    #: why what was dropped can't be
    refused = Signal(str)
    #: NodeId of a node whose graphs inside are to be shown
    open_nested = Signal(int)
    #: place on the screen (QPoint), and what is there (`hits.Hit`); the selection includes it already
    context_menu = Signal(QPoint, object)
    #: NodeId or None; the tensor's name or ""
    hovered = Signal(object, str)
    #: the name of a hull
    layer_activated = Signal(str)
    layer_hovered = Signal(str)
    #: while `brush` is on: a stroke begins, has touched nodes (a tuple of NodeIds), ends (False: it was cancelled)
    stroke_begun = Signal()
    painted = Signal(object)
    stroke_ended = Signal(bool)
    #: Esc without a stroke
    brush_dropped = Signal()
    #: frozenset of scope paths
    collapsed_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._pictures = Pictures()
        super().__init__(self._pictures.empty(), parent)
        self.setWhatsThis(HELP)
        self.moved: dict[Key, tuple[float, float]] = {}
        self.selected_nodes: tuple[NodeId, ...] = ()
        self.selected_tensors: tuple[str, ...] = ()
        self._matches: frozenset[NodeId] = frozenset()
        self._views: dict[int, ViewState] = {}
        #: The left button paints nodes; with Ctrl or Shift it selects as ever.
        self.brush = False
        self._placing = False
        self._input = Input(self)

    # What is shown

    @property
    def graph(self) -> Graph:
        return self.picture.diagram.graph

    @property
    def collapsed(self) -> frozenset[Path]:
        return self.picture.diagram.collapsed

    @property
    def theme(self) -> Theme:
        return self.look.theme

    @property
    def state(self) -> ViewState:
        return ViewState(self.camera.zoom, self.camera.x, self.camera.y, self.collapsed, dict(self.moved))

    def set_graph(self, graph: Graph, change: Diff | None = None, state: ViewState | None = None,
                  picture: Picture | None = None) -> None:
        """Shows a revision. With `change`, what leads to it from the one shown: all else stays where it is.

        Without, it is another graph, shown as `state` says, as it was left, or from its beginning. `picture` is made
        beforehand by `draw(graph, state.collapsed, state.moved)`, in another thread.
        """
        if change is None:
            self._views[self.graph.revision] = self.state
            state = state or self._views.get(graph.revision) or ViewState()
            self.moved = dict(state.moved)
            self._pictures.clear()
            self._show(picture or self._pictures.drawn(graph, state.collapsed, self.moved))
            self.selected_nodes, self.selected_tensors, self._matches = (), (), frozenset()
            self._place(state)
        else:
            self._show(self._pictures.updated(self.picture, graph, change, self.moved))
            nodes = tuple(node for node in self.selected_nodes if node in graph.nodes)
            tensors = tuple(name for name in self.selected_tensors if graph.defines(name))
            self.select(nodes, tensors)
        self._mark()

    def take_picture(self, picture: Picture) -> None:
        """Takes the picture of a revision that will be shown, made by `redraw` of the one shown, in another thread."""
        self._pictures.keep(picture)

    def set_collapsed(self, paths: Iterable[Path]) -> None:
        """Collapses these scopes to a box each, and no others. What is in the middle stays in view."""
        paths = frozenset(paths)
        if paths == self.collapsed:
            return
        anchor = self._anchor()
        before = self.camera.to_view(*self._middle(self.picture.diagram.box(anchor))) if anchor is not None else None
        self._show(self._pictures.drawn(self.graph, paths, self.moved))
        if anchor is not None and before is not None:
            x, y = self._middle(self.picture.diagram.box(anchor))
            after = self.camera.to_view(x, y)
            self.set_camera(self.camera.moved(before[0] - after[0], before[1] - after[1]))
        self._mark()
        self.collapsed_changed.emit(paths)

    def toggle_collapsed(self, path: Path) -> None:
        self.set_collapsed(self.collapsed ^ {path})

    def set_theme(self, theme: Theme) -> None:
        self._set_look(replace(self.look, theme=theme))

    def set_overlay(self, overlay: Overlay) -> None:
        self._set_look(replace(self.look, overlay=overlay))

    def set_matches(self, nodes: Iterable[NodeId]) -> None:
        """Rings around what a search has found."""
        self._matches = frozenset(nodes)
        self._mark()

    def set_hovered_layer(self, name: str) -> None:
        """Lifts the hull of a layer that is pointed at elsewhere; "" for none."""
        self._set_marks(replace(self.look.marks, hovered_hull=name))

    # Selection

    def select(self, nodes: Iterable[NodeId], tensors: Iterable[str] = ()) -> None:
        """What is selected from now on; says so where that is a change."""
        chosen, names = tuple(dict.fromkeys(nodes)), tuple(dict.fromkeys(tensors))
        if (chosen, names) == (self.selected_nodes, self.selected_tensors):
            return
        self.selected_nodes, self.selected_tensors = chosen, names
        self._mark()
        self.selection_changed.emit(chosen, names)

    set_selection = select

    def select_upstream(self) -> None:
        self.select(sorted(upstream(self.graph, self.selected_nodes)))

    def select_downstream(self) -> None:
        self.select(sorted(downstream(self.graph, self.selected_nodes)))

    def select_path(self) -> bool:
        """Selects all ways between the two selected nodes; False where there are not two, or no way."""
        if len(self.selected_nodes) != 2:
            return False
        found = between(self.graph, *self.selected_nodes)
        if found:
            self.select(sorted(found))
        return bool(found)

    def nodes_in(self, frame: Frame) -> list[NodeId]:
        boxes = self.picture.boxes_in(frame).tolist()
        return [node for box in boxes for node in self.picture.diagram.nodes(box)]

    # Operators that come from the palette

    def place_operator(self, operator: Operator, at: QPoint) -> None:
        """An operator is dragged over the screen; one that is not over the canvas shows nothing here."""
        local = self.mapFromGlobal(at)
        if not self.rect().contains(local):
            self.cancel_operator()
            return
        if not self._placing:
            from graftwerk.widgets.canvas.place import Place

            self._placing = True
            self._input.place(Place(self, local.toPointF(), operator))
        self._input.move_to(local.toPointF())

    def drop_operator(self) -> bool:
        """Lets go of it; whether that was over the canvas."""
        placing, self._placing = self._placing, False
        if placing:
            self._input.drop()
        return placing

    def cancel_operator(self) -> None:
        if self._placing:
            self._placing = False
            self._input.cancel()

    # Boxes that the user puts elsewhere

    def shift(self, boxes: Iterable[int], dx: float, dy: float) -> None:
        moved = dict(self.moved)
        for box in boxes:
            corner = (float(self.picture.left[box]) + dx, float(self.picture.top[box]) + dy)
            moved[self.picture.diagram.key(box)] = corner
        self.set_moved(moved)

    def set_moved(self, moved: dict[Key, tuple[float, float]]) -> None:
        self.moved = moved
        self._show(Picture.of(self.picture.diagram, self.picture.placement, moved))

    def reset_moved(self) -> None:
        """Everything back to where the layout puts it."""
        self.set_moved({})

    # Opening what is inside

    def open_box(self, box: int) -> None:
        """Expands a collapsed scope, asks for the graphs inside a node."""
        diagram = self.picture.diagram
        if int(diagram.kind[box]) == Kind.SCOPE:
            self.toggle_collapsed(diagram.path(box))
        elif int(diagram.kind[box]) == Kind.NODE:
            self.open_nested.emit(int(diagram.ref[box]))

    # Files

    def render_image(self, whole: bool = False, scale: float = 1.0) -> QImage:
        return export.render_image(self, whole, scale)

    def export(self, path: FilePath, whole: bool = True) -> None:
        """Writes what is in view or the whole graph, as SVG or image by the name's ending. Raises Fault."""
        export.save(self, path, whole)

    # Inner workings

    def _show(self, picture: Picture) -> None:
        self.picture = picture
        self.painter.show(picture, self.look)
        self.update()

    def _set_look(self, look: Look) -> None:
        self.look = look
        self.painter.show(self.picture, look)
        self.update()

    def _set_marks(self, marks: Marks) -> None:
        if marks != self.look.marks:
            self._set_look(replace(self.look, marks=marks))

    def set_pointed(self, box: int, edge: int, hull: str) -> None:
        """What the mouse is over."""
        marks = self.look.marks
        if (box, edge, hull) == (marks.hovered, marks.hovered_edge, marks.hovered_hull):
            return
        if hull != marks.hovered_hull:
            self.layer_hovered.emit(hull)
        self._set_marks(replace(marks, hovered=box, hovered_edge=edge, hovered_hull=hull))
        nodes = self.picture.diagram.nodes(box) if box >= 0 else ()
        tensor = self.picture.diagram.tensor_name(edge) if edge >= 0 else ""
        self.hovered.emit(nodes[0] if nodes else None, tensor)

    def _mark(self) -> None:
        """Boxes and edges for the selected nodes and tensors of the picture as it is now."""
        edges = (self.picture.diagram.edges_of(name).tolist() for name in self.selected_tensors)
        self._set_marks(Marks(
            selected=frozenset(self._boxes(self.selected_nodes)),
            selected_edges=frozenset(edge for found in edges for edge in found),
            matches=frozenset(self._boxes(self._matches)),
            hovered_hull=self.look.marks.hovered_hull,  # until the mouse leaves it, which others are told then
        ))  # fmt: skip

    def _anchor(self) -> NodeId | None:
        """A node to hold on to while the picture changes: a selected one in view, else the one nearest the middle."""
        picture, frame = self.picture, self.camera.frame
        boxes = picture.boxes_in(frame)
        chosen = [box for box in boxes.tolist() if box in self.look.marks.selected]
        if not chosen and len(boxes):
            away = np.abs(picture.top[boxes] - self.camera.y) + np.abs(picture.left[boxes] - self.camera.x)
            chosen = boxes[np.argsort(away)].tolist()
        return next((nodes[0] for box in chosen if (nodes := picture.diagram.nodes(box))), None)
