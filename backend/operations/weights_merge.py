"""One weight for all that hold the same values."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from onnx import TensorProto

from graftwerk.backend.fault import Reason, Settled
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.registry import Operation, operation, param

_PIECE = 1 << 22


def content_hash(weight: Initializer) -> str:
    """SHA-256 of a weight's raw bytes, read in pieces. Raises Fault where they can't be read."""
    found, data = hashlib.sha256(), weight.raw().data
    for start in range(0, len(data), _PIECE):
        found.update(data[start : start + _PIECE])
    return found.hexdigest()


@operation("weights.deduplicate", title="Merge equal weights", menu="Weights", preserves=True, slow=True)
@dataclass(frozen=True)
class Deduplicate(Operation):
    """Keep the first of all weights that have the same datatype, shape and bytes; readers of the others read it.

    Weights are compared by the SHA-256 of their bytes, read from their files in pieces; only those are read that
    another one might equal. Weights that are graph inputs or outputs stay.
    """

    smallest: int = param(0, label="Smallest size", minimum=0, help="Bytes; smaller weights are left alone")

    def blocked(self, graph: Graph) -> Reason | None:
        if not self._groups(graph.initializers.values(), graph):
            return Reason("No two weights have the same datatype and shape", settled=True)
        return None

    def _groups(self, weights: Iterable[Initializer], view: Graph | Edit) -> list[list[Initializer]]:
        """Weights that may be equal, by what is known without reading them."""
        found: dict[object, list[Initializer]] = defaultdict(list)
        for weight in weights:
            shared = view.is_input(weight.name) or view.is_output(weight.name)
            readable = weight.dtype != TensorProto.STRING and not weight.missing and weight.wrong() is None
            if readable and not shared and weight.nbytes >= self.smallest:
                found[weight.dtype, weight.dims].append(weight)
        return [group for group in found.values() if len(group) > 1]

    def apply(self, edit: Edit) -> None:
        merged = 0
        for group in self._groups(edit.initializers.values(), edit):
            first: dict[str, str] = {}
            for weight in group:
                kept = first.setdefault(content_hash(weight), weight.name)
                if kept != weight.name:
                    edit.rewire(weight.name, kept)
                    edit.remove_initializer(weight.name)
                    merged += 1
        if not merged:
            raise Settled("No two weights hold the same values", hint="There is nothing to merge")
