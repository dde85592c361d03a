"""What an operation does to a model, in figures: nodes by operator, weights, and the size of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.encode import pieces, total
from graftwerk.backend.graph.graph import Graph, NodeId


@dataclass(frozen=True)
class Effect:
    """What differs between two revisions.

    Nodes are counted by operator; a node that became another operator counts as changed, under its new one. Bytes of
    weights are those of their values wherever they lie; `file_bytes` are the model's file alone, before and after.
    `remarks` say what was left alone, and why.
    """

    added: dict[str, int]
    removed: dict[str, int]
    changed: dict[str, int]
    nodes: tuple[int, int]
    weights: tuple[int, int]
    weight_bytes: tuple[int, int]
    file_bytes: tuple[int, int]
    remarks: tuple[str, ...] = field(default=())

    def facts(self) -> list[tuple[str, str]]:
        """The figures for people: what each is of, and the figure."""
        found = [("Nodes", _change(*self.nodes))]
        for word, counts in (("Added", self.added), ("Removed", self.removed), ("Changed", self.changed)):
            if counts:
                found.append((word, ", ".join(f"{name} ×{count}" for name, count in counts.items())))
        found.append(("Weights", f"{_change(*self.weights)}; values {_change(*self.weight_bytes)} bytes"))
        return [*found, ("File", f"{_change(*self.file_bytes)} bytes")]

    def lines(self) -> list[str]:
        """For people: the figures, then the remarks."""
        return [*(f"{name}: {figure}" for name, figure in self.facts()), *self.remarks]


def effect(before: Graph, after: Graph, remarks: tuple[str, ...] = ()) -> Effect:
    """What leads from one revision to another of the same model. Reads no weights."""
    found = diff(before, after)
    pairs = list(zip(_sizes(before), _sizes(after), strict=True))
    return Effect(
        added=_counted(after, found.added), removed=_counted(before, found.removed),
        changed=_counted(after, found.changed), nodes=pairs[0], weights=pairs[1], weight_bytes=pairs[2],
        file_bytes=pairs[3], remarks=remarks,
    )  # fmt: skip


def _counted(graph: Graph, nodes: Iterable[NodeId]) -> dict[str, int]:
    records = (graph.nodes[node] for node in nodes)
    names = (f"{record.domain}::{record.op_type}" if record.domain else record.op_type for record in records)
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))


def _sizes(graph: Graph) -> tuple[int, int, int, int]:
    values = sum(weight.nbytes for weight in graph.initializers.values())
    return len(graph.nodes), len(graph.initializers), values, total(pieces(graph))


def _change(before: int, after: int) -> str:
    return f"{before:,}" if before == after else f"{before:,} → {after:,} ({after - before:+,})"
