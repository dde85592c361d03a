"""What an edit of a node does to the types behind it; no operation of its own."""

from __future__ import annotations

from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import NodeId
from graftwerk.backend.graph.schema import output_types
from graftwerk.backend.graph.types import Dim, TensorType


def retype(edit: Edit, node: NodeId) -> None:
    """Infers a new or changed node's output types. Where they are not what was known, what is computed from them is
    forgotten until inference has run again, and a graph output made by the node is declared anew."""
    record = edit.nodes[node]
    found = output_types(edit, record)
    before = {output: edit.type_of(output) for output in record.output if output}
    changed = [output for output, known in before.items() if known is None or found.get(output) != known]
    if changed:
        edit.forget_types(changed)
    for output in before:
        if output in found:
            edit.set_type(output, found[output])
    if any(edit.is_output(output) for output in changed):
        edit.set_outputs(
            found[info.name].value_info(info.name) if _redeclared(changed, found, info.name) else info
            for info in edit.outputs
        )


def _redeclared(changed: list[str], found: dict[str, TensorType], name: str) -> bool:
    return name in changed and name in found and found[name].dtype != 0 and found[name].shape is not None


def fits(source: TensorType | None, target: TensorType | None) -> bool:
    """Whether one tensor may stand where another one stood: nothing that is known of them differs."""
    if source is None or target is None:
        return True
    if source.kind != target.kind or (source.dtype and target.dtype and source.dtype != target.dtype):
        return False
    if source.shape is None or target.shape is None:
        return True
    return len(source.shape) == len(target.shape) and all(map(_same, source.shape, target.shape))


def _same(one: Dim, other: Dim) -> bool:
    return one == other or not (isinstance(one, int) and isinstance(other, int))
