"""What a Concat joins to every element of a batch; no operation of its own."""

from __future__ import annotations

import numpy as np

from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.reinfer import Verdict, sizes


def expand_constants(edit: Edit, node: NodeId, source: str, graph: Graph, after: Verdict, trial: int) -> bool:
    """Repeats what a Concat joins to the batch, such as a class token, for every element of it: an Expand to the first
    size of the input `source`. Only for a batch of 1, where nothing says which element is which."""
    record = edit.nodes[node]
    shapes = [sizes(after.type_of(graph, name)) for name in record.input]
    if not any(shape and shape[0] == trial for shape in shapes):
        return False
    inputs = list(record.input)
    for at, (name, shape) in enumerate(zip(record.input, shapes, strict=True)):
        if shape and shape[0] == 1 and len(shape) > 1:
            inputs[at] = _repeated(edit, name, shape, source)
    if inputs == list(record.input):
        return False
    edit.replace_node(node, inputs=inputs)
    return True


def _repeated(edit: Edit, name: str, shape: tuple[int, ...], source: str) -> str:
    """A tensor whose first dimension is 1, repeated as often as the first dimension of another says."""
    whole, first, dims, made = (edit.fresh_tensor(f"{name}_{part}") for part in ("shape", "batch", "dims", "repeated"))
    index = edit.set_initializer(np.array([0], np.int64), edit.fresh_tensor(f"{name}_first"))
    rest = edit.set_initializer(np.array(shape[1:], np.int64), edit.fresh_tensor(f"{name}_rest"))
    for op_type, inputs, output, attributes in (
        ("Shape", [source], whole, {}), ("Gather", [whole, index], first, {"axis": 0}),
        ("Concat", [first, rest], dims, {"axis": 0}), ("Expand", [name, dims], made, {}),
    ):  # fmt: skip
        edit.add_node(op_type, inputs, [output], name=edit.fresh_node(f"{name}/{op_type}"), attributes=attributes)
    return made
