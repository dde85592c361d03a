"""What is drawn of a graph: boxes and the edges between them, as parallel arrays. No coordinates, no Qt.

Constants stand in the boxes that read them, a Q/DQ pair is one pill on its edge, a collapsed scope is one box.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.diagram_roles import Path
from graftwerk.backend.graph.families import FAMILIES, op_family
from graftwerk.backend.graph.graph import Graph, NodeId

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Number = TypeVar("Number", float, NDArray[np.float64])
#: What a box shows, in words that outlive the diagram: its kind, and a NodeId, a tensor or a scope.
Key = tuple[int, int | str]

FAMILY_NAMES = tuple(FAMILIES)
FAMILY_NUMBERS = {name: number for number, name in enumerate(FAMILY_NAMES)}


class Kind(IntEnum):
    NODE = 0
    INPUT = 1
    OUTPUT = 2
    PILL = 3
    SCOPE = 4


@dataclass(slots=True)
class Table:
    """Texts by number; only ever grows, so all diagrams of a model share one."""

    texts: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        found = self.numbers.setdefault(text, len(self.texts))
        if found == len(self.texts):
            self.texts.append(text)
        return found

    def number_all(self, texts: list[str]) -> list[int]:
        """The number of each."""
        new = [text for text in dict.fromkeys(texts) if text not in self.numbers]
        self.numbers.update(zip(new, range(len(self.texts), len(self.texts) + len(new)), strict=True))
        self.texts += new
        return [self.numbers[text] for text in texts]


@dataclass(frozen=True, eq=False)
class Diagram:
    """B boxes and E edges of one revision.

    `ref` says what a box shows: the NodeId of a NODE, of the QuantizeLinear of a PILL, or the number in `table` of the
    tensor of an INPUT or OUTPUT and of the path (joined by a newline) of a SCOPE. Ports are measured from the box's
    centre. `box_of` maps a NodeId to its box; -1 for nodes that are folded into the boxes of their consumers.
    """

    graph: Graph
    collapsed: frozenset[Path]
    table: Table
    kind: NDArray[np.uint8]  # (B,)
    ref: NDArray[np.int64]  # (B,)
    family: NDArray[np.uint8]  # (B,) an index of FAMILY_NAMES
    width: Floats  # (B,) scene units, one pixel at 100 %
    height: Floats  # (B,)
    source: Ints  # (E,) boxes
    target: Ints  # (E,)
    source_port: Floats  # (E,)
    target_port: Floats  # (E,)
    tensor: Ints  # (E,) numbers of names in `table`
    box_of: Ints  # (graph.next_id,) or more

    def box(self, node: NodeId) -> int | None:
        """The box that shows a node; that of a consumer where it is folded; None where there is none."""
        for _ in range(8):  # a constant, its Q, its DQ: chains are short
            if node >= len(self.box_of) or node not in self.graph.nodes:
                return None
            found = int(self.box_of[node])
            if found >= 0:
                return found
            users = [user for output in self.graph.nodes[node].output for user in self.graph.consumers(output)]
            if not users:
                return None
            node = users[0]
        return None

    def nodes(self, box: int) -> tuple[NodeId, ...]:
        """The nodes that a box shows, those folded into it left out; none for a graph's inputs and outputs."""
        match int(self.kind[box]):
            case Kind.NODE:
                return (int(self.ref[box]),)
            case Kind.PILL:
                quantize = int(self.ref[box])
                return (quantize, *self.graph.consumers(self.graph.nodes[quantize].output[0]))
            case Kind.SCOPE:
                return tuple(np.flatnonzero(self.box_of == box).tolist())
        return ()

    def path(self, box: int) -> Path:
        """The scope that a SCOPE shows."""
        return tuple(self.table.texts[int(self.ref[box])].split("\n"))

    def name(self, box: int) -> str:
        """The tensor of an INPUT or OUTPUT."""
        return self.table.texts[int(self.ref[box])]

    def key(self, box: int) -> Key:
        kind, ref = int(self.kind[box]), int(self.ref[box])
        return kind, ref if kind in (Kind.NODE, Kind.PILL) else self.table.texts[ref]

    def find(self, key: Key) -> int | None:
        """The box of a key, None where this diagram has none."""
        kind, ref = key
        number = self.table.numbers.get(ref, -1) if isinstance(ref, str) else ref
        found = np.flatnonzero((self.kind == kind) & (self.ref == number))
        return int(found[0]) if len(found) else None

    def edges_of(self, tensor: str) -> NDArray[np.int64]:
        """The edges that a tensor is drawn as, none where it is folded, internal to a box, or not read."""
        number = self.table.numbers.get(tensor, -1)
        return np.flatnonzero(self.tensor == number)

    def tensor_name(self, edge: int) -> str:
        return self.table.texts[int(self.tensor[edge])]

    def boxes(self, kind: Kind) -> dict[str, int]:
        """The boxes of a kind that is known by a text (INPUT, OUTPUT, SCOPE), by it."""
        found = np.flatnonzero(self.kind == kind)
        texts = self.table.texts
        return {texts[ref]: box for ref, box in zip(self.ref[found].tolist(), found.tolist(), strict=True)}


def port(index: Number, count: Number, width: Number) -> Number:
    """Where the index-th of `count` edges meets a box, from its centre: a single one in the middle."""
    return ((index + 1) / (count + 1) - 0.5) * width * 0.86


def family_number(op_type: str, domain: str, functions: frozenset[tuple[str, str]]) -> int:
    """The family of an operator, `control` where the model itself defines it."""
    if (op_type, domain) in functions:
        return FAMILY_NUMBERS["control"]
    return FAMILY_NUMBERS[op_family(op_type, domain)]
