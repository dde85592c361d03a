"""Constants: the values behind a tensor that is an initializer or comes from a Constant node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper

from graftwerk.backend.graph.external import external_span
from graftwerk.backend.graph.graph import NodeId
from graftwerk.backend.graph.tensors import Initializer, Source


class View(Protocol):
    """What a Graph and an Edit have in common: the nodes and weights as they are so far."""

    @property
    def nodes(self) -> Mapping[NodeId, NodeProto]: ...
    @property
    def initializers(self) -> Mapping[str, Initializer]: ...
    @property
    def sources(self) -> Mapping[str, Source | None]: ...
    def producer(self, tensor: str) -> NodeId | None: ...
    def consumers(self, tensor: str) -> tuple[NodeId, ...]: ...
    def is_output(self, tensor: str) -> bool: ...


def constant(view: View, tensor: str) -> NDArray[np.generic] | None:
    """The values of a constant; None for what is computed. Raises Fault where a weight's bytes can't be read."""
    weight = stored(view, tensor)
    return weight.array() if weight is not None else None


def stored(view: View, tensor: str) -> Initializer | None:
    """The weight behind a name: an initializer, or the tensor in a Constant node; nothing is read yet."""
    weight = view.initializers.get(tensor)
    if weight is not None:
        return weight
    made = view.producer(tensor)
    return None if made is None else constant_value(view.nodes[made], view.sources)


def is_constant_node(record: NodeProto) -> bool:
    """Whether a node is the standard Constant, not an operator of that name in another domain."""
    return record.op_type == "Constant" and record.domain in ("", "ai.onnx")


def constant_value(record: NodeProto, sources: Mapping[str, Source | None]) -> Initializer | None:
    """The tensor in a Constant node; None for any other node, and for one of strings or of a sparse tensor.

    `sources` are the model's files of external data, in one of which its values may lie.
    """
    if not is_constant_node(record):
        return None
    for attribute in record.attribute:
        match attribute.name:
            case "value":
                return Initializer(attribute.t, external_span(attribute.t, sources, record.output[0]))
            case "value_float":
                return _of(attribute.f, np.float32)
            case "value_floats":
                return _of(attribute.floats, np.float32)
            case "value_int":
                return _of(attribute.i, np.int64)
            case "value_ints":
                return _of(attribute.ints, np.int64)
    return None


def _of(values: Any, kind: type[np.generic]) -> Initializer:
    return Initializer(numpy_helper.from_array(np.asarray(values, kind)))
