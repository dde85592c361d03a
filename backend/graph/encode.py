"""A Graph to the bytes of a model, piece by piece: weights go from file to file and never stand in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal

from onnx import ModelProto, TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Initializer, Span
from graftwerk.backend.graph.wire import prefix

#: What protobuf can read back: one message is at most 2 GiB.
MESSAGE_LIMIT = (1 << 31) - 1
_CHUNK = 1 << 22

Piece = bytes | Span


def pieces(graph: Graph) -> Iterator[Piece]:
    """The model as bytes and spans of files, in the order in which they are written."""
    inner = list(_graph_pieces(graph))
    yield graph.model.SerializeToString()
    yield prefix(7, total(inner))
    yield from inner
    for function in graph.functions:
        yield from _field(25, [function.SerializeToString()])


def _graph_pieces(graph: Graph) -> Iterator[Piece]:
    for record in graph.nodes.values():
        yield from _field(1, [record.SerializeToString()])
    yield graph.skeleton.SerializeToString()
    for weight in graph.initializers.values():
        yield from _field(5, list(_tensor(weight)))
    for number, infos in ((11, graph.inputs), (12, graph.outputs), (13, graph.value_infos.values())):
        for info in infos:
            yield from _field(number, [info.SerializeToString()])


def _tensor(weight: Initializer) -> Iterator[Piece]:
    yield weight.proto.SerializeToString()
    if weight.span is not None and not weight.external:
        yield prefix(9, weight.span.length)
        yield weight.span


def _field(number: int, value: list[Piece]) -> Iterator[Piece]:
    yield prefix(number, total(value))
    yield from value


def total(parts: Iterable[Piece]) -> int:
    """Their length in bytes."""
    return sum(part.length if isinstance(part, Span) else len(part) for part in parts)


def write(graph: Graph, file: BinaryIO) -> None:
    """Writes the model. Raises Fault where it is larger than protobuf can read back, or a weight can't be read."""
    parts = list(pieces(graph))
    size = total(parts)
    if size > MESSAGE_LIMIT:
        hint = "Save it with its weights as external data"
        raise Fault(f"The model is {size / 1e9:.1f} GB; an ONNX file can hold 2 GiB", "", hint)
    for part in parts:
        if isinstance(part, Span):
            data = part.read().data
            for start in range(0, len(data), _CHUNK):
                file.write(data[start : start + _CHUNK])
        else:
            file.write(part)


def to_model(graph: Graph, weights: Literal["all", "own", "none"] = "all") -> ModelProto:
    """The graph as one ModelProto, for libraries that want one; every record is a copy.

    `weights`: "all" has every value in it; "own" leaves external data as references to its files; "none" gives no
    tensor larger than a page its values and marks it as external, so that shapes can be inferred but nothing can run.
    """
    model = ModelProto()
    model.CopyFrom(graph.model)
    model.functions.extend(graph.functions)
    model.graph.CopyFrom(graph.skeleton)
    model.graph.node.extend(graph.nodes.values())
    model.graph.input.extend(graph.inputs)
    model.graph.output.extend(graph.outputs)
    model.graph.value_info.extend(graph.value_infos.values())
    for weight in graph.initializers.values():
        if weight.span is None or (weights == "own" and weight.external):
            model.graph.initializer.append(weight.proto)
        elif weights == "none":
            added = model.graph.initializer.add()
            added.CopyFrom(weight.proto)
            added.data_location = TensorProto.EXTERNAL
            if not weight.external:
                added.external_data.add(key="location", value="not-loaded")
        else:
            model.graph.initializer.append(weight.complete())
    return model
