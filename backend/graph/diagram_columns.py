"""All boxes and edges that show the nodes of a graph, made column by column: what `Builder` says of one box, for all.

A box or an edge at a time takes ten microseconds of Python, half a second at 50,000 nodes. Here only what has to look
into a record is done node by node.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.decode import uncollected
from graftwerk.backend.graph.diagram import Diagram, Kind, Table, port
from graftwerk.backend.graph.diagram_build import (
    HEIGHT,
    HEIGHT_WITH_CHIPS,
    Box,
    Builder,
    Edge,
    columns,
    drawn_inputs,
    drawn_outputs,
    node_width,
)
from graftwerk.backend.graph.diagram_roles import SPECIAL, Path
from graftwerk.backend.graph.diagram_text import leaf_name
from graftwerk.backend.graph.graph import Graph, NodeId

Ints = NDArray[np.int64]
Columns = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]


@dataclass(frozen=True)
class Reading:
    """The nodes in the order of the file, N of them, and what they read, R tensors in the order of the nodes."""

    owners: dict[NodeId | Path, int]  # the keys of boxes and their numbers, in the order of the boxes
    box: Ints  # (N,) the box that shows a node, -1 where it is folded
    titles: list[int]  # (N,) letters of the op type
    names: list[int]  # (N,) letters of the name as it is written
    families: list[int]  # (N,)
    tensors: list[str]  # (R,)
    reader: Ints  # (R,) which of the nodes reads it
    made: Ints  # (R,) the node that makes it, -1 for none
    source: Ints  # (R,) the box that it comes from, -1 for none
    chip: NDArray[np.bool_]  # (R,) whether it stands in the box of its reader


def build(graph: Graph, collapsed: frozenset[Path] = frozenset(), table: Table | None = None) -> Diagram:
    """The diagram of a graph with some scopes collapsed. Boxes come in the order of the file, inputs first."""
    with uncollected():
        return _built(Builder(graph, collapsed, table or Table(), [-1] * graph.next_id))


def _built(builder: Builder) -> Diagram:
    inputs, outputs = drawn_inputs(builder.graph), drawn_outputs(builder.graph)
    builder.inputs.update((name, box) for box, name in enumerate(inputs))
    reading = read(builder)
    before = columns([builder.end_box(Kind.INPUT, name) for name in inputs], [])
    middle = node_boxes(builder, reading)
    first = len(inputs) + len(reading.owners)
    ends = [edge for box, name in enumerate(outputs, first) for edge in builder.end_edges(box, name)]
    after = columns([builder.end_box(Kind.OUTPUT, name) for name in outputs], ends)
    made = {name: np.concatenate((before[name], middle[name], after[name])) for name in Box._fields}
    edges = node_edges(builder, reading, made["width"])
    made.update((name, np.concatenate((edges[name], after[name]))) for name in Edge._fields)
    box_of = np.array(builder.box_of, np.int32)
    return Diagram(builder.graph, builder.collapsed, builder.table, box_of=box_of, **made)


def read(builder: Builder) -> Reading:
    """Looks into every node once. Fills the builder's `box_of`; its `inputs` have to be there."""
    graph, box_of, inputs, holders = builder.graph, builder.box_of, builder.inputs, builder.graph.holders
    owners: dict[NodeId | Path, int] = {}
    titles, names, families, tensors, ends = list[int](), list[int](), list[int](), list[str](), [0]
    plain, known = not builder.collapsed, dict[tuple[str, str], int]()
    for node, record in graph.nodes.items():
        op_type = record.op_type
        owner = node if plain and op_type not in SPECIAL else builder.owner(node, record)
        if owner is not None:
            box_of[node] = owners.setdefault(owner, len(inputs) + len(owners))
        kind = op_type, record.domain
        if kind not in known:
            known[kind] = builder.family(*kind)
        families.append(known[kind])
        titles.append(len(op_type))
        names.append(len(leaf_name(op_type, record.name)))
        tensors += builder.reads(node) if node in holders else record.input[:]
        ends.append(len(tensors))
    boxes = np.append(np.array(box_of, np.int64), -1)  # what nothing makes, -1, has no box
    made = np.fromiter(map(graph.producers.get, tensors, repeat(-1)), np.int64, len(tensors))
    source, chip = boxes[made], np.zeros(len(tensors), np.bool_)
    chip[(made >= 0) & (source < 0)] = True
    for at in np.flatnonzero(made < 0).tolist():
        source[at] = inputs.get(tensors[at], -1)
        chip[at] = tensors[at] in graph.initializers
    box = boxes[np.fromiter(graph.nodes, np.int64, len(graph.nodes))]
    reader = np.repeat(np.arange(len(box)), np.diff(ends))
    return Reading(owners, box, titles, names, families, tensors, reader, made, source, chip)


def node_boxes(builder: Builder, reading: Reading) -> Columns:
    """The boxes of all nodes and collapsed scopes, in their order: all fields of a Box."""
    graph, count = builder.graph, len(reading.owners)
    chips = np.bincount(reading.reader[reading.chip], minlength=len(reading.box))
    width = list(map(node_width, reading.titles, reading.names, chips.tolist()))
    drawn = np.flatnonzero(reading.box >= 0)[::-1]
    node = np.empty(count, np.int64)  # of every box, the first node that it shows
    node[reading.box[drawn] - len(builder.inputs)] = drawn
    made: Columns = {
        "kind": np.full(count, Kind.NODE, np.uint8),
        "ref": np.fromiter(graph.nodes, np.int64, len(graph.nodes))[node],
        "family": np.array(reading.families, np.uint8)[node],
        "width": np.array(width, np.float32)[node],
        "height": np.where(chips[node] > 0, HEIGHT_WITH_CHIPS, HEIGHT).astype(np.float32),
    }
    for at, owner in enumerate(reading.owners):
        if isinstance(owner, tuple) or owner in graph.holders or graph.nodes[owner].op_type in SPECIAL:
            for name, value in zip(Box._fields, builder.box(owner), strict=True):
                made[name][at] = value
    return made


def node_edges(builder: Builder, reading: Reading, width: NDArray[np.float32]) -> Columns:
    """The edges into all boxes of nodes, box by box: all fields of an Edge. `width` is that of every box."""
    target = reading.box[reading.reader]
    at = np.flatnonzero((target >= 0) & (reading.source >= 0) & (reading.source != target))
    at = at[np.argsort(target[at], kind="stable")]
    tensor = np.array(builder.table.number_all([reading.tensors[one] for one in at.tolist()]), np.int64)
    by_tensor = np.lexsort((tensor, target[at]))  # a box reads a tensor once, however many of its inputs it is
    again = (np.diff(target[at][by_tensor], prepend=-1) == 0) & (np.diff(tensor[by_tensor], prepend=-1) == 0)
    once = np.sort(by_tensor[~again])
    at, tensor = at[once], tensor[once]
    source, target = reading.source[at], target[at]
    size = np.bincount(target, minlength=len(width))
    index = np.arange(len(at)) - (np.cumsum(size) - size)[target]
    wide = width.astype(np.float64)
    return {
        "source": source.astype(np.int32), "target": target.astype(np.int32),
        "source_port": _source_ports(builder, reading, at, wide),
        "target_port": port(index, size[target], wide[target]).astype(np.float32),
        "tensor": tensor.astype(np.int32),
    }  # fmt: skip


def _source_ports(builder: Builder, reading: Reading, at: Ints, width: NDArray[np.float64]) -> NDArray[np.float32]:
    """Where edges leave their boxes: in the middle, but for those of nodes that make several tensors."""
    found, graph = np.zeros(len(at), np.float32), builder.graph
    if builder.collapsed:
        return found
    several = np.bincount(np.fromiter(graph.producers.values(), np.int64), minlength=graph.next_id + 1) > 1
    edges = np.flatnonzero(several[reading.made[at]])
    ports: dict[str, float] = {}
    for node in np.flatnonzero(np.bincount(reading.made[at[edges]])).tolist():
        outputs, wide = [name for name in graph.nodes[node].output if name], float(width[builder.box_of[node]])
        ports.update((name, port(index, len(outputs), wide)) for index, name in enumerate(outputs))
    found[edges] = [ports[reading.tensors[one]] for one in at[edges].tolist()]
    return found
