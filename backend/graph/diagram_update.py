"""The diagram of the next revision, made of the one before: only the boxes and edges near an edit are made anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graftwerk.backend.graph.diagram import Diagram, Ints, Kind
from graftwerk.backend.graph.diagram_build import Box, Builder, Edge, columns, drawn_inputs, drawn_outputs
from graftwerk.backend.graph.diagram_roles import SPECIAL
from graftwerk.backend.graph.diff import Diff
from graftwerk.backend.graph.graph import Graph, NodeId, reads

#: A box that has to grow by more than this can't stay where it is: it might cover its neighbour.
MOST_GROWTH = 16.0


@dataclass(frozen=True)
class Update:
    """A diagram, and for each of its boxes and edges which one of the diagram before it is; -1 for new ones."""

    diagram: Diagram
    box_of: Ints
    edge_of: Ints


def update(before: Diagram, graph: Graph, change: Diff) -> Update:
    """`change` leads from the graph of `before` to `graph`."""
    return _Updater(before, graph, change).run()


class _Updater:
    """Works with the boxes of the diagram before under their numbers, and new boxes numbered behind them."""

    def __init__(self, before: Diagram, graph: Graph, change: Diff) -> None:
        self.before, self.graph, self.change = before, graph, change
        box_of = np.full(max(graph.next_id, len(before.box_of)), -1, np.int32)
        box_of[: len(before.box_of)] = before.box_of
        self.builder = Builder(graph, before.collapsed, before.table, box_of, before.boxes(Kind.INPUT))
        self.box_of = box_of
        self.boxes: list[Box] = []  # new ones
        self.changed: dict[int, Box] = {}  # old ones that stay, with another look
        self.gone: set[int] = set()
        self.stale: set[int] = set()  # boxes whose incoming edges may be others now
        self.outputs = before.boxes(Kind.OUTPUT)

    def run(self) -> Update:
        affected = self._affected()
        self._ends(Kind.INPUT, self.builder.inputs, drawn_inputs(self.graph))
        resettled = self._settle(affected)
        self._ends(Kind.OUTPUT, self.outputs, drawn_outputs(self.graph))
        self._find_stale(affected, resettled)
        return self._compressed(*self._edges())

    def _affected(self) -> set[NodeId]:
        """Touched nodes and their neighbours, in both revisions; and with a Q or DQ all that shares its pill."""
        graphs = (self.before.graph, self.graph)
        change = self.change
        found: set[NodeId] = set(change.added | change.removed | change.changed)
        for graph in graphs:
            for node in change.added | change.removed | change.changed:
                found.update(_neighbours(graph, node))
            for tensor in change.tensors:
                found.update(graph.consumers(tensor))
                found.update(made for made in [graph.producers.get(tensor)] if made is not None)
        for _ in range(2):  # a constant decides about its Q, that about its DQ
            for graph in graphs:
                for node in tuple(found):
                    if node in graph.nodes and graph.nodes[node].op_type in SPECIAL:
                        found.update(other for other in _neighbours(graph, node)
                                     if graph.nodes[other].op_type in SPECIAL)
        return found

    def _ends(self, kind: Kind, there: dict[str, int], wanted: list[str]) -> None:
        """Boxes of the graph's inputs or outputs; `there` are those that exist, by tensor."""
        for name in there.keys() - set(wanted):
            self.gone.add(there.pop(name))
        for name in wanted:
            if name not in there:
                there[name] = self._add(self.builder.end_box(kind, name))
            elif name in self.change.tensors:
                there[name] = self._keep(there[name], self.builder.end_box(kind, name))
        if kind == Kind.INPUT:
            return
        for name in wanted:
            if there[name] >= len(self.before.kind) or self._made_near(name):
                self.stale.add(there[name])

    def _made_near(self, tensor: str) -> bool:
        change = self.change
        makers = {graph.producers.get(tensor, -1) for graph in (self.before.graph, self.graph)}
        return tensor in change.tensors or bool(makers & (change.added | change.removed | change.changed))

    def _settle(self, affected: set[NodeId]) -> set[NodeId]:
        """Gives every affected node its box; says which nodes have another one now, or one of another size."""
        old_boxes = {node: int(self.box_of[node]) for node in affected}
        scopes = {self.before.path(box): box for box in self.before.boxes(Kind.SCOPE).values()}
        owners = {node: self.builder.owner(node, self.graph.nodes[node]) if node in self.graph.nodes else None
                  for node in sorted(affected)}
        for node, owner in owners.items():  # first who is folded: the size of boxes depends on it
            self.box_of[node] = -1 if owner is None else max(old_boxes[node], 0)
        made: dict[object, int] = {}
        for node, owner in owners.items():
            if owner is None:
                continue
            if owner not in made:
                old = scopes.get(owner, -1) if isinstance(owner, tuple) else self._own_box(owner)
                wanted = self.builder.box(owner)
                made[owner] = self._add(wanted) if old < 0 else self._keep(old, wanted)
            self.box_of[node] = made[owner]
        kept = set(made.values())
        left = {box for box in old_boxes.values() if box >= 0 and box not in kept}
        left = {box for box in left if not bool((self.box_of == box).any())}
        self.gone |= left
        return {node for node, old in old_boxes.items() if int(self.box_of[node]) != old or old in self.changed}

    def _own_box(self, node: NodeId) -> int:
        """The box that is named after a node in the diagram before; -1 where there is none."""
        box = int(self.before.box_of[node]) if node < len(self.before.box_of) else -1
        named = box >= 0 and int(self.before.ref[box]) == node and self.before.kind[box] in (Kind.NODE, Kind.PILL)
        return box if named else -1

    def _add(self, box: Box) -> int:
        self.boxes.append(box)
        return len(self.before.kind) + len(self.boxes) - 1

    def _keep(self, old: int, wanted: Box) -> int:
        """The box as it was, or with another look; a new one where it must move."""
        before = self.before
        was = Box(int(before.kind[old]), int(before.ref[old]), int(before.family[old]), float(before.width[old]),
                  float(before.height[old]))
        if was == wanted:
            return old
        growth = max(wanted.width - was.width, wanted.height - was.height)
        if was.kind != wanted.kind or growth > MOST_GROWTH:
            self.gone.add(old)
            return self._add(wanted)
        self.changed[old] = wanted
        return old

    def _find_stale(self, affected: set[NodeId], resettled: set[NodeId]) -> None:
        nodes = {node for node in affected if node in self.graph.nodes}
        for node in resettled:
            for graph in (self.before.graph, self.graph):
                record = graph.nodes.get(node)
                for tensor in record.output if record is not None else ():
                    nodes.update(user for user in self.graph.consumers(tensor))
                    if tensor in self.outputs:
                        self.stale.add(self.outputs[tensor])
        self.stale |= {int(self.box_of[node]) for node in nodes} - {-1}
        # the boxes that read what a box made that is gone now, whatever they are
        lost = np.flatnonzero(np.isin(self.before.source, list(self.gone))) if self.gone else np.empty(0, np.int64)
        self.stale |= set(self.before.target[lost].tolist()) - self.gone

    def _edges(self) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], list[Edge]]:
        """Which edges stay, and the new ones."""
        before = self.before
        keep = np.ones(len(before.source), np.bool_)
        touched = np.fromiter(self.stale | self.gone, np.int64)
        inner = np.flatnonzero(np.isin(before.target, touched) | np.isin(before.source, list(self.gone)))
        keep[inner] = False
        old: dict[Edge, int] = {}
        for edge in inner.tolist():
            old[_rounded(Edge(int(before.source[edge]), int(before.target[edge]), float(before.source_port[edge]),
                              float(before.target_port[edge]), int(before.tensor[edge])))] = edge
        added: list[Edge] = []
        for wanted in self._wanted(sorted(self.stale)):
            there = old.get(_rounded(wanted), -1)
            if there < 0:
                added.append(wanted)
            else:
                keep[there] = True
        return keep, added

    def _wanted(self, boxes: Iterable[int]) -> Iterable[Edge]:
        outputs = {box: name for name, box in self.outputs.items()}
        members = self._members(boxes)
        for box in boxes:
            if box in outputs:
                yield from self.builder.end_edges(box, outputs[box])
            elif box in members:
                yield from self.builder.node_edges(box, members[box], self._width(box))

    def _members(self, boxes: Iterable[int]) -> dict[int, list[NodeId]]:
        found: dict[int, list[NodeId]] = {}
        for node in np.flatnonzero(np.isin(self.box_of, list(boxes))).tolist():
            found.setdefault(int(self.box_of[node]), []).append(node)
        return found

    def _width(self, box: int) -> float:
        count = len(self.before.kind)
        if box >= count:
            return self.boxes[box - count].width
        return self.changed[box].width if box in self.changed else float(self.before.width[box])

    def _compressed(self, keep_edges: np.ndarray[tuple[int], np.dtype[np.bool_]], added: list[Edge]) -> Update:
        before, new = self.before, columns(self.boxes, added)
        keep = np.ones(len(before.kind), np.bool_)
        keep[list(self.gone)] = False
        number = np.concatenate((np.where(keep, np.cumsum(keep) - 1, -1),
                                 keep.sum() + np.arange(len(self.boxes)))).astype(np.int32)
        fields: dict[str, Any] = {}
        for name in ("kind", "ref", "family", "width", "height"):
            column = getattr(before, name)
            if self.changed:
                column = column.copy()
                for box, look in self.changed.items():
                    column[box] = getattr(look, name)
            fields[name] = np.concatenate((column[keep], new[name]))
        for name in ("source", "target", "source_port", "target_port", "tensor"):
            fields[name] = np.concatenate((getattr(before, name)[keep_edges], new[name]))
        fields["source"], fields["target"] = number[fields["source"]], number[fields["target"]]
        fields["box_of"] = np.where(self.box_of >= 0, number[self.box_of], -1).astype(np.int32)
        diagram = replace(before, graph=self.graph, **fields)
        return Update(diagram, _origins(keep, len(self.boxes)), _origins(keep_edges, len(added)))


def _origins(keep: np.ndarray[tuple[int], np.dtype[np.bool_]], added: int) -> Ints:
    return np.concatenate((np.flatnonzero(keep), np.full(added, -1))).astype(np.int32)


def _rounded(edge: Edge) -> Edge:
    return Edge(edge.source, edge.target, round(edge.source_port, 2), round(edge.target_port, 2), edge.tensor)


def _neighbours(graph: Graph, node: NodeId) -> Iterable[NodeId]:
    """Producers and consumers of a node's tensors."""
    record = graph.nodes.get(node)
    if record is None:
        return
    for tensor in reads(record):
        made = graph.producers.get(tensor)
        if made is not None:
            yield made
    for tensor in record.output:
        yield from graph.consumers(tensor)
