"""Shapes that are known without running the model, as values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from graftwerk.backend.graph.attributes import find_attribute
from graftwerk.backend.graph.constants import stored
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.types import Dim

_SMALL = 64  # elements
_OPERATORS = ("Shape", "Size", "Gather", "Slice")


def shape_nodes(graph: Graph | Edit) -> Iterator[NodeId]:
    """The nodes for which `known_value` may know something."""
    return (node for node, record in graph.nodes.items() if record.op_type in _OPERATORS)


def known_value(graph: Graph | Edit, node: NodeId) -> NDArray[np.int64] | None:
    """The value of a Shape or Size, or of a Gather or Slice of a Shape, where all dimensions in it are known."""
    record = graph.nodes[node]
    if record.op_type not in _OPERATORS or record.domain not in ("", "ai.onnx"):
        return None
    if record.op_type in ("Shape", "Size"):
        dims = _shape_dims(graph, record)
        if record.op_type == "Size":
            sizes = _sizes(dims)
            return None if sizes is None else np.asarray(np.prod(sizes, dtype=np.int64), np.int64)
        return None if dims is None else _array(dims)
    made = graph.producer(record.input[0])
    if made is None or graph.nodes[made].op_type != "Shape" or graph.nodes[made].domain not in ("", "ai.onnx"):
        return None
    dims = _shape_dims(graph, graph.nodes[made])
    if dims is None:
        return None
    return _gathered(graph, record, dims) if record.op_type == "Gather" else _sliced(graph, record, dims)


def _shape_dims(graph: Graph | Edit, record: NodeProto) -> tuple[Dim, ...] | None:
    """The dimensions that a Shape gives, or that a Size multiplies; its `start` and `end` (opset 15) kept."""
    known = graph.type_of(record.input[0])
    if known is None or known.shape is None or known.kind != "tensor":
        return None
    start, end = (_integer(record, name, default) for name, default in (("start", 0), ("end", len(known.shape))))
    return known.shape[start:end]


def _integer(record: NodeProto, name: str, default: int) -> int:
    found = find_attribute(record, name)
    return int(found.i) if found is not None else default


def _gathered(graph: Graph | Edit, record: NodeProto, dims: tuple[Dim, ...]) -> NDArray[np.int64] | None:
    indices = _constant_value(graph, record.input[1])
    if indices is None or not np.all((indices >= -len(dims)) & (indices < len(dims))):
        return None
    found = _array([dims[int(index)] for index in indices.ravel()])
    return None if found is None else found.reshape(indices.shape)


def _sliced(graph: Graph | Edit, record: NodeProto, dims: tuple[Dim, ...]) -> NDArray[np.int64] | None:
    """A Slice of a shape has one axis, the first; opset 10 and later give its bounds as inputs."""
    if len(record.input) > 1:
        given = [_constant_value(graph, name) if name else np.array([], np.int64) for name in record.input[1:]]
    else:
        found = [find_attribute(record, name) for name in ("starts", "ends")]
        given = [np.array(one.ints, np.int64) for one in found if one is not None]
    bounds = [int(one[0]) if one is not None and one.size == 1 else None for one in given]
    if len(bounds) < 2 or bounds[0] is None or bounds[1] is None:
        return None
    step = bounds[3] if len(bounds) > 3 and given[3] is not None and given[3].size else 1
    return None if step is None else _array(dims[bounds[0] : bounds[1] : step])


def _constant_value(graph: Graph | Edit, tensor: str) -> NDArray[np.int64] | None:
    """An integer constant's value, where it is small, as axes and indices are."""
    weight = stored(graph, tensor)
    if weight is None or weight.span is not None or weight.size > _SMALL or graph.is_input(tensor):
        return None
    values = weight.array()
    return values.astype(np.int64) if values.dtype.kind == "i" else None


def _sizes(dims: tuple[Dim, ...] | None) -> list[int] | None:
    found = [size for size in dims or () if isinstance(size, int)]
    return found if dims is not None and len(found) == len(dims) else None


def _array(dims: tuple[Dim, ...] | list[Dim]) -> NDArray[np.int64] | None:
    sizes = _sizes(tuple(dims))
    return None if sizes is None else np.array(sizes, np.int64)
