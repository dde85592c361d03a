"""Paint precisions: what the painter puts onto nodes, as one operation."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, operation, param
from graftwerk.backend.precision.painting import BRUSHES, why_not_painted, write_painting


@operation("precision.paint", title="Paint precisions", menu="Precision")
@dataclass(frozen=True)
class Paint(Operation):
    """Give single nodes a precision: FP32, FP16 or BF16 by Casts, INT8 or FP8 by Q/DQ on both factors.

    `nodes` says what each gets: `{"/conv1/Conv": "INT8", "/fc/Gemm": "FP16"}`; others keep theirs, and what only moves
    values is where it needs the fewest Casts. A tensor has one Cast and one Q/DQ pair however many nodes read it. A
    node that is painted in a float is taken off its Q/DQ pairs.

    Weights get scales from their values, per channel. Scales of activations come from `scales`, then from the table (a
    JSON file of scales by tensor, units per step); an activation that neither names gets a guess (the bound of the
    operator that makes it, else a range of ±6) and is marked as not calibrated.
    """

    nodes: dict[str, str] = param(label="Precisions", help="FP32, FP16, BF16, INT8, FP8", columns=("Node", "Precision"))
    scales: dict[str, float] = param({}, help='Scales of activations by tensor: {"x": 0.05}')
    table: FilePath = param(FilePath(""), label="Scale table", help="A JSON file of scales by tensor")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Paint | Reason:
        if not selection.nodes:
            return Reason("Select the nodes to paint, or open the painter")
        return cls({graph.ref(node): "FP16" for node in selection.nodes})

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.nodes:
            return Reason("Nothing is painted", "Choose a brush and click on nodes")
        for ref, precision in self.nodes.items():
            if precision not in BRUSHES:
                return Reason(f"{precision} is no precision to paint", f"There are {', '.join(BRUSHES)}")
            reason = why_not_painted(graph, graph.find(ref), precision)
            if reason is not None:
                return Reason(f"{ref} can't be {precision}: {reason.text}", reason.hint)
        bad = next((name for name, scale in self.scales.items() if not 0 < scale < float("inf")), None)
        return Reason(f"The scale of {bad} is not a positive number") if bad is not None else None

    def apply(self, edit: Edit) -> None:
        paint = {edit.base.find(ref): precision for ref, precision in self.nodes.items()}
        write_painting(edit, paint, {**self._table(), **self.scales})
        if not edit.touched and all(edit.initializers.get(n) is w for n, w in edit.base.initializers.items()):
            raise Fault("The nodes have these precisions already", self.info.title)

    def _table(self) -> dict[str, float]:
        if not self.table:
            return {}
        try:
            found = msgspec.json.decode(Path(self.table).read_bytes(), type=dict[str, float])
        except OSError as error:
            raise Fault(f"Can't read the scale table: {error.strerror}", self.table) from error
        except msgspec.DecodeError as error:
            raise Fault(f"This is no scale table: {error}", self.table, 'It is JSON: {"tensor": 0.05}') from error
        bad = next((name for name, scale in found.items() if not 0 < scale < float("inf")), None)
        if bad is not None:
            raise Fault(f"The scale of {bad} is not a positive number", self.table)
        return found

    def summary(self) -> str:
        counts = Counter(self.nodes.values())
        return "Paint " + ", ".join(f"{count} {'node' if count == 1 else 'nodes'} {p}" for p, count in counts.items())
