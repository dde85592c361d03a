"""Weights that a save is to put into files of external data: which bytes go where, and writing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from onnx import TensorProto

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.external import external_path
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Initializer, Span

#: Weights of at least a page start at one, so that a runtime can map them (onnx's advice for external data).
PAGE = 4096
#: Weights smaller than this stay in the model where a save has to move the others out of it.
SMALL = 1024
_CHUNK = 1 << 22
_HINT = "Move the weights to a file of another name, or save the model into a folder of its own"


@dataclass(frozen=True, slots=True)
class Placed:
    """A graph whose moved weights refer to their files, and for each file the weights with their offsets."""

    graph: Graph
    files: dict[str, list[tuple[int, Initializer]]]


def placed(graph: Graph) -> Placed:
    """Gives every weight that has a `file` its place there; nothing is read or written."""
    files: dict[str, list[tuple[int, Initializer]]] = {}
    ends: dict[str, int] = {}
    weights = dict(graph.initializers)
    for name, weight in graph.initializers.items():
        if not weight.file:
            continue
        step = PAGE if weight.nbytes >= PAGE else 64
        offset = -(-ends.get(weight.file, 0) // step) * step
        files.setdefault(weight.file, []).append((offset, weight))
        ends[weight.file] = offset + weight.nbytes
        weights[name] = _referring(weight, offset)
    return Placed(replace(graph, initializers=weights) if files else graph, files)


def _referring(weight: Initializer, offset: int) -> Initializer:
    proto = TensorProto(name=weight.name, data_type=weight.dtype, dims=weight.dims, doc_string=weight.proto.doc_string)
    proto.metadata_props.extend(weight.proto.metadata_props)
    proto.data_location = TensorProto.EXTERNAL
    for key, value in (("location", weight.file), ("offset", str(offset)), ("length", str(weight.nbytes))):
        proto.external_data.add(key=key, value=value)
    return Initializer(proto, Span(None, offset, weight.nbytes, weight.file))


def plain(weight: Initializer, file: str = "") -> Initializer:
    """A weight whose values a save puts into the model, or into a `file` beside it, wherever they lie now."""
    if not weight.external:
        return Initializer(weight.proto, weight.span, file)
    assert weight.span is not None
    proto = TensorProto()
    proto.CopyFrom(weight.proto)
    proto.ClearField("external_data")
    proto.ClearField("data_location")
    return Initializer(proto, Span(weight.span.source, weight.span.offset, weight.span.length), file)


def moved_out(graph: Graph, location: str) -> Graph:
    """The graph with all larger weights that are in the model to be put into a file of external data."""
    weights = {
        name: Initializer(weight.proto, weight.span, weight.file or location) if _movable(weight) else weight
        for name, weight in graph.initializers.items()
    }
    return replace(graph, initializers=weights)


def _movable(weight: Initializer) -> bool:
    text = weight.dtype == TensorProto.STRING
    return not weight.external and not text and weight.stripped is None and weight.nbytes >= SMALL


def write_files(files: dict[str, list[tuple[int, Initializer]]], folder: Path, own: frozenset[str]) -> None:
    """Writes the files, each whole or not at all. One that lies there already is left if it holds the same bytes, and
    replaced if it is among `own`: the model that is saved over refers to it. Raises Fault where it is of another."""
    for location, weights in files.items():
        path = external_path(location, weights[0][1].name, folder)
        assert path is not None
        _check_read(path, weights)
        if path.exists():
            if _holds(path, weights):
                continue
            if location not in own:
                raise Fault(f"{location} lies there already, and is not of this model", str(folder), _HINT)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            for piece in _pieces(weights):
                file.write(piece)


def _check_read(path: Path, weights: list[tuple[int, Initializer]]) -> None:
    """Raises Fault where the weights would be read from the very file that they are to be written to."""
    for _, weight in weights:
        source = weight.span.source if weight.span is not None else None
        if source is not None and source.handle is None and source.path.resolve() == path.resolve():
            raise Fault(f"{path.name} is read from for {weight.name}", str(path), _HINT)


def _pieces(weights: list[tuple[int, Initializer]]) -> Iterator[memoryview]:
    """The contents of a file: the weights at their offsets, zeros between them."""
    at = 0
    for offset, weight in weights:
        if offset > at:
            yield memoryview(bytes(offset - at))
        data = weight.raw().data
        for start in range(0, len(data), _CHUNK):
            yield data[start : start + _CHUNK]
        at = offset + len(data)


def _holds(path: Path, weights: list[tuple[int, Initializer]]) -> bool:
    offset, last = weights[-1]
    if path.stat().st_size != offset + last.nbytes:
        return False
    with path.open("rb") as file:
        return all(_next_is(file, piece) for piece in _pieces(weights))


def _next_is(file: BinaryIO, piece: memoryview) -> bool:
    return file.read(len(piece)) == piece
