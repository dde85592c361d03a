"""How one box of a diagram looks and which edges end in it."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from onnx import NodeProto

from graftwerk.backend.graph.diagram import FAMILY_NUMBERS, Ints, Kind, Table, family_number, port
from graftwerk.backend.graph.diagram_roles import SPECIAL, Owner, Path, owner_of, pill
from graftwerk.backend.graph.diagram_text import leaf_name
from graftwerk.backend.graph.graph import Graph, NodeId, reads
from graftwerk.backend.quantize.pairs import QUANTIZE

#: Widths that a box may have, and heights without and with a row of chips (scene units).
WIDTHS = (128.0, 160.0, 192.0, 224.0, 256.0)
HEIGHT, HEIGHT_WITH_CHIPS = 36.0, 58.0
PILL_SIZE = (116.0, 26.0)
SCOPE_HEIGHT, END_HEIGHT = 50.0, 44.0
#: Advance of a letter of a title (bold) and of a name, on the generous side: boxes are laid out before any font is
#: known.
TITLE_ADVANCE, NAME_ADVANCE = 9.8, 6.7


class Box(NamedTuple):
    kind: int
    ref: int
    family: int
    width: float
    height: float


class Edge(NamedTuple):
    source: int
    target: int
    source_port: float
    target_port: float
    tensor: int


@dataclass
class Builder:
    """Describes boxes and edges of one revision; knows by `box_of` and `inputs` which boxes there are.

    `box_of` has to say of every node whether it is folded (-1) before a box is described, and which its box is before
    an edge is.
    """

    graph: Graph
    collapsed: frozenset[Path]
    table: Table
    box_of: MutableSequence[int] | Ints
    inputs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.functions = frozenset((function.name, function.domain) for function in self.graph.functions)

    def owner(self, node: NodeId, record: NodeProto) -> Owner:
        if not self.collapsed and record.op_type not in SPECIAL:
            return node
        return owner_of(self.graph, node, record, self.collapsed)

    def box(self, owner: NodeId | Path) -> Box:
        """The box with this key."""
        if isinstance(owner, tuple):
            return self.scope_box(owner)
        record = self.graph.nodes[owner]
        if record.op_type == QUANTIZE and pill(self.graph, owner):
            return Box(Kind.PILL, owner, FAMILY_NUMBERS["quantize"], *PILL_SIZE)
        return self.node_box(owner, record)

    def node_box(self, node: NodeId, record: NodeProto) -> Box:
        initializers, producers, box_of, chips = self.graph.initializers, self.graph.producers, self.box_of, 0
        for tensor in record.input:
            if tensor in initializers or ((made := producers.get(tensor)) is not None and box_of[made] < 0):
                chips += 1
        op_type = record.op_type
        width = node_width(len(op_type), len(leaf_name(op_type, record.name)), chips)
        family = self.family(op_type, record.domain)
        return Box(Kind.NODE, node, family, width, HEIGHT_WITH_CHIPS if chips else HEIGHT)

    def family(self, op_type: str, domain: str) -> int:
        return family_number(op_type, domain, self.functions)

    def scope_box(self, path: Path) -> Box:
        number = self.table.number("\n".join(path))
        return Box(Kind.SCOPE, number, FAMILY_NUMBERS["control"], fitting(60.0 + TITLE_ADVANCE * len(path[-1])),
                   SCOPE_HEIGHT)

    def end_box(self, kind: Kind, tensor: str) -> Box:
        known = self.graph.type_of(tensor)
        longest = max(TITLE_ADVANCE * len(tensor), NAME_ADVANCE * len(str(known)) if known else 0.0)
        return Box(kind, self.table.number(tensor), FAMILY_NUMBERS["io"], fitting(28.0 + longest), END_HEIGHT)

    def node_edges(self, box: int, nodes: Iterable[NodeId], width: float) -> list[Edge]:
        """The edges into a box that shows some nodes; those among them are left out."""
        found: dict[str, tuple[int, float]] = {}
        for node in nodes:
            for tensor in self.reads(node):
                start = self.source(tensor)
                if start is not None and start[0] != box:
                    found[tensor] = start
        count, number = len(found), self.table.number
        return [Edge(start[0], box, start[1], port(index, count, width), number(tensor))
                for index, (tensor, start) in enumerate(found.items())]

    def reads(self, node: NodeId) -> Iterable[str]:
        record = self.graph.nodes[node]
        return reads(record) if node in self.graph.holders else record.input

    def end_edges(self, box: int, tensor: str) -> list[Edge]:
        start = self.source(tensor)
        return [] if start is None else [Edge(start[0], box, start[1], 0.0, self.table.number(tensor))]

    def source(self, tensor: str) -> tuple[int, float] | None:
        """The box and the port that a tensor comes from; None where nothing of it is drawn."""
        made = self.graph.producers.get(tensor)
        if made is None:
            box = self.inputs.get(tensor)
            return None if box is None else (box, 0.0)
        box = int(self.box_of[made])
        if box < 0:
            return None
        record = self.graph.nodes[made]
        if len(record.output) == 1 or self.collapsed:
            return box, 0.0
        outputs = [name for name in record.output if name]
        return box, port(outputs.index(tensor), len(outputs), self.node_box(made, record).width)


@lru_cache(maxsize=4096)
def node_width(title: int, name: int, chips: int) -> float:
    """The width for so many letters of op type and name, and so many chips."""
    least = (0.0, 130.0, 190.0, WIDTHS[-1])[min(chips, 3)]
    return fitting(max(40.0 + TITLE_ADVANCE * title + NAME_ADVANCE * name, least))


def fitting(needed: float) -> float:
    """The least of WIDTHS that is enough, so that boxes of a kind are equally wide."""
    return next((width for width in WIDTHS if width >= needed), WIDTHS[-1])


def drawn_inputs(graph: Graph) -> list[str]:
    """The inputs that have boxes: those that are no weights (in IR 3 weights are inputs too), each once."""
    return list(dict.fromkeys(info.name for info in graph.inputs if info.name not in graph.initializers))


def drawn_outputs(graph: Graph) -> list[str]:
    return list(dict.fromkeys(info.name for info in graph.outputs))


def columns(boxes: list[Box], edges: list[Edge]) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """Boxes and edges as the arrays of a Diagram, by field."""
    kind, ref, family, width, height = zip(*boxes, strict=True) if boxes else ((),) * 5
    source, target, start, end, tensor = zip(*edges, strict=True) if edges else ((),) * 5
    return {
        "kind": np.array(kind, np.uint8), "ref": np.array(ref, np.int64), "family": np.array(family, np.uint8),
        "width": np.array(width, np.float32), "height": np.array(height, np.float32),
        "source": np.array(source, np.int32), "target": np.array(target, np.int32),
        "source_port": np.array(start, np.float32), "target_port": np.array(end, np.float32),
        "tensor": np.array(tensor, np.int32),
    }  # fmt: skip
