"""Target shapes that are known but for sizes of the tensor that is reshaped: Shape → Gather → Concat → Reshape."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from onnx import NodeProto

from graftwerk.backend.graph.attributes import find_attribute
from graftwerk.backend.graph.constants import stored
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.operations.delete import drop_constant
from graftwerk.backend.operations.unused import remove_idle

#: A size: a number, the name of a dimension, or an axis of a tensor, or an element of one, that nothing is known of.
Size = int | str | tuple[str, int]
#: Elements of a shape, and nodes in a row that make one.
_SMALL, _DEEP = 32, 32
_PASSING = ("Identity", "Unsqueeze", "Squeeze", "Reshape", "Flatten")
_WHOLE = (6, 7)  # int32, int64


def reshapes(graph: Graph | Edit) -> Iterator[NodeId]:
    """The nodes for which `target` may know something."""
    for node, record in graph.nodes.items():
        if record.op_type == "Reshape" and len(record.input) > 1 and graph.producer(record.input[1]) is not None:
            yield node


def target(graph: Graph | Edit, node: NodeId) -> list[int] | None:
    """The shape that a Reshape could be given as a constant: 0 copies a size of what it reshapes, and -1 stands for one
    that follows from the others (ONNX, Reshape). None where it has one, or more than that is not known."""
    record = graph.nodes[node]
    constant = stored(graph, record.input[1]) is not None
    if constant or record.domain not in ("", "ai.onnx") or _attribute(record, "allowzero"):
        return None
    sizes = elements(graph, record.input[1])
    if sizes is None:
        return None
    source = _dims(graph, record.input[0]) or []
    found = [0 if not isinstance(e, int) and at < len(source) and source[at] == e else e for at, e in enumerate(sizes)]
    numbers = [each for each in found if isinstance(each, int)]
    missing = len(found) - len(numbers)
    if missing > 1 or (missing and not all(number > 0 for number in numbers)):
        return None  # a size can't follow from the others where one of them may be 0
    return [each if isinstance(each, int) else -1 for each in found]


def fold_targets(edit: Edit) -> None:
    """Gives every Reshape its target as a constant where that is known, and removes what computed it."""
    read = [name for name in edit.initializers if edit.consumers(name)]
    for node in list(reshapes(edit)):
        shape = target(edit, node)
        if shape is None:
            continue
        record = edit.nodes[node]
        name = edit.set_initializer(np.array(shape, np.int64), edit.fresh_tensor(f"{record.output[0]}.shape"))
        made = edit.producer(record.input[1])
        edit.replace_node(node, inputs=[record.input[0], name])
        if made is not None:
            remove_idle(edit, [made])
    for name in read:
        drop_constant(edit, name)


def elements(graph: Graph | Edit, tensor: str, depth: int = 0) -> list[Size] | None:
    """The elements of a small tensor of integers, as far as they are known; None where their number is not."""
    weight = stored(graph, tensor)
    if weight is not None and not graph.is_input(tensor):
        small = weight.dtype in _WHOLE and weight.size <= _SMALL and not weight.missing and weight.stripped is None
        return [int(value) for value in weight.array().ravel()] if small else None
    made = graph.producer(tensor)
    record = graph.nodes[made] if made is not None else None
    if record is not None and depth < _DEEP and record.domain in ("", "ai.onnx"):
        found = _made(graph, record, depth + 1)
        if found is not None:
            return found
    known = graph.type_of(tensor)
    if known is None or known.dtype not in _WHOLE or known.shape is None or len(known.shape) > 1:
        return None
    count = prod(size for size in known.shape if isinstance(size, int)) if known.shape else 1
    whole = all(isinstance(size, int) for size in known.shape) and count <= _SMALL
    return [(tensor, at) for at in range(count)] if whole else None


def _made(graph: Graph | Edit, record: NodeProto, depth: int) -> list[Size] | None:
    """What an operator makes of sizes."""
    if record.op_type == "Shape":
        dims = _dims(graph, record.input[0])
        start, end = _attribute(record, "start"), find_attribute(record, "end")
        return None if dims is None else dims[start : end.i if end is not None else None]
    if record.op_type in _PASSING or (record.op_type == "Cast" and _attribute(record, "to") in _WHOLE):
        return elements(graph, record.input[0], depth)
    if record.op_type == "Concat":
        parts = [elements(graph, name, depth) for name in record.input]
        return [each for part in parts if part is not None for each in part] if None not in parts else None
    if record.op_type == "Gather":
        sizes, chosen = elements(graph, record.input[0], depth), elements(graph, record.input[1], depth)
        if sizes is None or chosen is None:
            return None
        places = [at for at in chosen if isinstance(at, int) and -len(sizes) <= at < len(sizes)]
        return [sizes[at] for at in places] if len(places) == len(chosen) else None
    return _sliced(graph, record, depth) if record.op_type == "Slice" and len(record.input) > 2 else None


def _sliced(graph: Graph | Edit, record: NodeProto, depth: int) -> list[Size] | None:
    sizes = elements(graph, record.input[0], depth)
    given = [elements(graph, name, depth) if name else [] for name in record.input[1:]]
    bounds: list[Any] = [one[0] if one else None for one in given]
    step = bounds[3] if len(bounds) > 3 else 1
    if sizes is None or not all(isinstance(one, int) for one in (*bounds[:2], step)) or step == 0:
        return None
    return sizes[bounds[0] : bounds[1] : step]


def _dims(graph: Graph | Edit, tensor: str) -> list[Size] | None:
    known = graph.type_of(tensor)
    if known is None or known.kind != "tensor" or known.shape is None:
        return None
    return [(tensor, axis) if size is None else size for axis, size in enumerate(known.shape)]


def _attribute(record: NodeProto, name: str) -> int:
    found = find_attribute(record, name)
    return int(found.i) if found is not None else 0
