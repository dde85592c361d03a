"""Bytes of a model to a Graph: one pass over the wire format, every record parsed on its own."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId, Problem, bodies, revisions
from graftwerk.backend.graph.index import Index
from graftwerk.backend.graph.tensors import Initializer, Source, Span
from graftwerk.backend.graph.wire import BYTES, Buffer, fields

#: Weights up to this size are kept in their record; larger ones stay in the file. One page.
INLINE_BYTES = 4096

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO = 1, 5, 11, 12, 13
_TENSOR_RAW_DATA = 9

M_co = TypeVar("M_co", covariant=True)
M = TypeVar("M")


class MessageType(Protocol[M_co]):
    """A protobuf message class."""

    def FromString(self, data: bytes, /) -> M_co: ...


def decode(buffer: Buffer, source: Source | None, folder: Path | None) -> Graph:
    """The graph in the bytes of a ModelProto. Weights larger than a page become spans of `source`, if given.

    `folder` is where external data lies. Raises Fault where the bytes are not a whole ONNX model, where a tensor has
    two producers or initializers, or where external data lies outside the folder or past its file.
    """
    with uncollected():
        return _Decoder(buffer, source, folder).graph()


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection: 50,000 records are made, none is garbage, and it would walk them again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class _Decoder:
    def __init__(self, buffer: Buffer, source: Source | None, folder: Path | None) -> None:
        self.buffer, self.source, self.folder = buffer, source, folder
        self.nodes: dict[NodeId, NodeProto] = {}
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self.initializers: dict[str, Initializer] = {}
        self.value_infos: dict[str, ValueInfoProto] = {}
        self.functions: list[FunctionProto] = []
        self.problems: list[Problem] = []
        self.rest = bytearray()
        self.sources: dict[str, Source | None] = {}

    def graph(self) -> Graph:
        rest, found = bytearray(), False
        for number, kind, tag, start, stop in fields(self.buffer, 0, len(self.buffer)):
            if number == _MODEL_GRAPH and kind == BYTES:
                self._graph(start, stop)
                found = True
            elif number == _MODEL_FUNCTION and kind == BYTES:
                self.functions.append(self._parse(FunctionProto, start, stop))
            else:
                rest += self.buffer[tag:stop]
        model = _parsed(ModelProto, bytes(rest), "model header")
        if not found or not (model.ir_version or model.opset_import):
            raise Fault("Not an ONNX model: it holds no graph", "", "Export the model to ONNX first")
        index = self._index()
        return Graph(
            nodes=self.nodes, inputs=tuple(self.inputs), outputs=tuple(self.outputs), initializers=self.initializers,
            value_infos=self.value_infos, functions=tuple(self.functions), model=model,
            skeleton=_parsed(GraphProto, bytes(self.rest), "graph header"), producers=index.producers,
            users=index.users, names=index.names, holders=frozenset(index.holders), next_id=len(self.nodes),
            folder=self.folder, problems=tuple(self.problems), revision=next(revisions),
        )  # fmt: skip

    def _graph(self, start: int, stop: int) -> None:
        handlers: dict[int, Callable[[int, int, int], None]] = {
            _GRAPH_INITIALIZER: self._initializer,
            _GRAPH_INPUT: lambda tag, at, end: self.inputs.append(self._parse(ValueInfoProto, at, end)),
            _GRAPH_OUTPUT: lambda tag, at, end: self.outputs.append(self._parse(ValueInfoProto, at, end)),
            _GRAPH_VALUE_INFO: self._value_info,
        }
        for number, kind, tag, at, end in fields(self.buffer, start, stop):
            if kind == BYTES and number == _GRAPH_NODE:
                self.nodes[len(self.nodes)] = self._parse(NodeProto, at, end)
            elif kind == BYTES and number in handlers:
                handlers[number](tag, at, end)
            else:
                self.rest += self.buffer[tag:end]

    def _parse(self, kind: MessageType[M], start: int, stop: int) -> M:
        return _parsed(kind, bytes(self.buffer[start:stop]), f"byte {start}")

    def _value_info(self, tag: int, start: int, stop: int) -> None:
        info = self._parse(ValueInfoProto, start, stop)
        if info.name in self.value_infos:
            self.rest += self.buffer[tag:stop]  # kept as it is, but of no effect here
            self.problems.append(Problem("A tensor's type is declared twice; the first counts", info.name))
        else:
            self.value_infos[info.name] = info

    def _initializer(self, tag: int, start: int, stop: int) -> None:
        head, raw = bytearray(), None
        for number, kind, field_tag, at, end in fields(self.buffer, start, stop):
            if number == _TENSOR_RAW_DATA and kind == BYTES and end - at > INLINE_BYTES and self.source is not None:
                raw = Span(self.source, at, end - at)
            else:
                head += self.buffer[field_tag:end]
        proto = _parsed(TensorProto, bytes(head), f"byte {start}")
        if proto.name in self.initializers:
            raise Fault("Two initializers have the same name", proto.name, "Every tensor has one value; rename one")
        if proto.data_location == TensorProto.EXTERNAL:
            raw = self._external(proto)
        self.initializers[proto.name] = Initializer(proto, raw)

    def _external(self, proto: TensorProto) -> Span:
        entries = {entry.key: entry.value for entry in proto.external_data}
        location = entries.get("location", "")
        source = self._external_source(location, proto.name)
        try:
            offset = int(entries.get("offset") or 0)
            length = int(entries.get("length") or (source.size - offset if source else 0))
        except ValueError:
            raise Fault("Offset or length of the external data is not a number", proto.name) from None
        if source is not None and not 0 <= offset <= offset + length <= source.size:
            raise Fault(
                f"The external data of {proto.name} lies past the end of its file ({source.size} bytes)",
                str(source.path),
                "The file is cut short, or belongs to another export: copy it again",
            )
        return Span(source, offset, length, location)

    def _external_source(self, location: str, tensor: str) -> Source | None:
        if location in self.sources:
            return self.sources[location]
        path = external_path(location, tensor, self.folder)
        source = Source.of(path) if path is not None and path.is_file() else None
        if source is None:
            hint = f"Put {location} beside the model; until then the weights in it can't be read or compiled"
            self.problems.append(Problem(f"The external data file {location} is missing", tensor, hint, "error"))
        self.sources[location] = source
        return source

    def _index(self) -> Index:
        index = Index.of(self.nodes)
        self._check_texts(index)
        for what, infos in (("inputs", self.inputs), ("outputs", self.outputs)):
            twice = next((name for name, times in Counter(info.name for info in infos).items() if times > 1), None)
            if twice is not None:
                raise Fault(f"Two graph {what} have the same name", twice, "Every one needs a name of its own")
        made = next((info.name for info in self.inputs if info.name in index.producers), None)
        if made is not None:
            raise Fault("A node makes a tensor that is a graph input as well", made, "Rename one of the two")
        both = next((name for name in self.initializers if name in index.producers), None)
        if both is not None:
            raise Fault("A node makes a tensor that is an initializer as well", both, "Rename one of the two")
        return index


    def _check_texts(self, index: Index) -> None:
        """Raises Fault where a name is not UTF-8: protobuf gives bytes then, and no tool could show or write it."""
        infos = [info.name for info in (*self.inputs, *self.outputs)]
        named: list[Iterable[str]] = [
            index.producers, index.users, index.names, self.initializers, self.value_infos, infos,
        ]  # fmt: skip
        named += [_inner_texts(self.nodes[node]) for node in index.holders]
        for names in named:
            if bytes in set(map(type, names)):
                raise Fault("Damaged: a name in it is no text", "", "The file was cut or changed; export it again")


def _inner_texts(node: NodeProto) -> Iterator[str]:
    """The names of tensors, nodes and operators in the bodies of a node."""
    for _, body in bodies(node):
        yield from (info.name for info in (*body.input, *body.output))
        yield from (tensor.name for tensor in body.initializer)
        for inner in body.node:
            yield from (*inner.input, *inner.output, inner.name, inner.op_type, inner.domain)
            yield from _inner_texts(inner)


def external_path(location: str, tensor: str, folder: Path | None) -> Path | None:
    """Where a file of external data lies. Raises Fault where that is not under the model's folder: a model must not
    be able to name any file of the machine (onnx's rule for external data: a relative path without `..`). A link that
    lies in the folder is followed: a model can't have made it."""
    parts = PurePosixPath(location.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
        raise Fault(
            f"The external data of {tensor} points outside the model's folder: {location!r}",
            tensor,
            "External data must lie beside the model or below; export it again",
        )
    return folder / location if folder is not None else None


def _parsed(kind: MessageType[M], data: bytes, where: str) -> M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Fault("Not an ONNX model, or damaged", where, f"protobuf says: {error}") from error
