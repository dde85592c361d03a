"""What folding may make of a file: results that are too large to be kept in it, and how much it grows by in all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.tensors import BITS
from graftwerk.backend.graph.types import TensorType

_MIB = 1 << 20
#: Tensors that a refusal names.
_NAMED = 3


def refuse_growth(edit: Edit, limit: float) -> None:
    """Raises Fault where the file would be more than `limit` MiB larger than it was; it names what makes it so."""
    base = edit.base
    grown, most = _bytes(edit) - _bytes(base), int(limit * _MIB)
    if grown <= most:
        return
    fresh = [weight for name, weight in edit.initializers.items() if name not in base.initializers]
    largest = sorted(fresh, key=lambda weight: weight.nbytes, reverse=True)
    named = ", ".join(f"{weight.name} ({_text(weight.nbytes)})" for weight in largest[:_NAMED])
    more = f" and {len(largest) - _NAMED} more" if len(largest) > _NAMED else ""
    raise Fault(
        f"Folding would make the file {_text(grown)} larger, more than {_text(most)}, by {named}{more}",
        largest[0].name if largest else "",
        "Lower the largest result, so that these stay as they are, or let the file grow",
    )


def too_large(
    graph: Graph | Edit, region: Iterable[NodeId], types: Mapping[str, TensorType], limit: int
) -> dict[str, str]:
    """The results in a region that are larger than `limit` bytes, or may be, by name, with a sentence each."""
    found = {}
    for node in region:
        for output in graph.nodes[node].output:
            size = size_of(types.get(output))
            if size is not None and size > limit:
                found[output] = f"{output} is not folded: it would take {_text(size)}, more than {_text(limit)}"
    return found


def size_of(kind: TensorType | None) -> int | None:
    """Bytes of a tensor whose type is known; None where they can't be told."""
    if kind is None or kind.shape is None or kind.dtype not in BITS:
        return None
    sizes = [size for size in kind.shape if isinstance(size, int)]
    return prod(sizes) * BITS[kind.dtype] // 8 if len(sizes) == len(kind.shape) else None


def _bytes(graph: Graph | Edit) -> int:
    nodes: int = sum(record.ByteSize() for record in graph.nodes.values())
    return nodes + sum(weight.nbytes for weight in graph.initializers.values())


def _text(size: int) -> str:
    return f"{size / _MIB:.1f} MiB" if size >= _MIB / 10 else f"{size:,} bytes"
