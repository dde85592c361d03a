"""The pieces of which the inspector's pages are made. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.registry import Selection

#: Rows of one section; a tensor such as a mask may be read by thousands of nodes.
MOST = 300
#: Weights up to so many elements are shown by their values.
FEW = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A key with its value. `target` is what a click selects, `attribute` names the attribute that it edits, `tone` is
    a precision whose colour it shows, or "warning"."""

    key: str
    value: str
    tip: str = ""
    target: Selection | None = None
    attribute: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a heading. Where there is a `weight`, its statistics go above them once they are known."""

    title: str
    rows: tuple[Row, ...] = ()
    weight: Initializer | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Everything about one selection. `named` says what `name` belongs to: a node, a tensor, or nothing that can be
    renamed."""

    title: str
    name: str = ""
    named: str = ""
    doc: str = ""
    sections: list[Section] = field(default_factory=list)


def trimmed(found: Page) -> Page:
    """A page without its empty sections."""
    kept = [section for section in found.sections if section.rows or section.weight is not None]
    return Page(found.title, found.name, found.named, found.doc, kept)


def bounded(rows: Sequence[Row], count: int = 0) -> tuple[Row, ...]:
    """At most `MOST` rows, and how many more there are; of `count` in all, where only the first were made."""
    count = max(count, len(rows))
    if count <= MOST:
        return tuple(rows)
    return (*rows[:MOST], Row(f"and {count - MOST} more", ""))


def tensor_row(graph: Graph, key: str, name: str) -> Row:
    """A tensor by its type, or by its values where it is a small weight; a click selects it."""
    kind = graph.type_of(name)
    stored = graph.initializers.get(name)
    value = few_values(stored) if stored is not None else ""
    shown = value or str(kind or "") or name
    tip = "\n".join(filter(None, [name, str(kind or "type not known"), "weight" if stored is not None else ""]))
    return Row(key, shown, tip, Selection((), (name,)))


def node_row(graph: Graph, node: NodeId) -> Row:
    """A node by its operator and name; a click selects it."""
    record = graph.nodes[node]
    ref = graph.ref(node)
    return Row(record.op_type, record.name or ref, f"{record.op_type}  {ref}", Selection((node,)))


def few_values(stored: Initializer) -> str:
    """The values of a small weight, empty for others and for such as can't be read."""
    if stored.size > FEW or stored.missing:
        return ""
    try:
        values = stored.array().reshape(-1)
    except Fault:
        return ""
    if values.dtype.kind in "iub":
        return ", ".join(str(value) for value in values.tolist())
    if values.dtype.kind in "fV":
        return ", ".join(f"{value:.5g}" for value in values.astype(np.float64).tolist())
    return ""


def size_text(count: int) -> str:
    """`1.5 MB`, decimal units, three figures."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"

