"""Bytes of a model to a Graph: one pass over the wire format, which never holds a parsed message of the whole."""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.external import (
    external_location,
    external_path,
    external_span,
    function_tensors,
    node_tensors,
    sparse_tensors,
    training_tensors,
)
from graftwerk.backend.graph.graph import Graph, NodeId, Problem, bodies, holds_bodies, revisions
from graftwerk.backend.graph.index import Index
from graftwerk.backend.graph.tensors import Initializer, Source, Span
from graftwerk.backend.graph.wire import BYTES, Buffer, fields

#: Weights up to this size are kept in their record; larger ones stay in the file. One page.
INLINE_BYTES = 4096
#: Small node records are parsed together, up to this many bytes: they share memory, which is free when all are gone.
RUN_BYTES = 1 << 18
#: What the bytes of a node with bodies hold: an attribute's type (field 20), GRAPH or GRAPHS, however it is encoded.
#: Few other nodes hold it, and looking into the attributes of all would take longer than reading their texts.
_BODY_TYPE = re.compile(rb"\xa0(?:\x81|\x01[\x05\x0a\x85\x8a])")

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO = 1, 5, 11, 12, 13
_TENSOR_RAW_DATA = 9

_EXPORT_AGAIN = "The file was cut or changed; export it again"

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
        self.with_files: list[NodeId] = []
        self.holders: list[NodeId] = []
        self.not_ascii: list[ValueInfoProto] = []

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
        skeleton = _parsed(GraphProto, bytes(self.rest), "graph header")
        self._inner_external(model, skeleton)
        self._check_texts(chain([model, skeleton], self.functions, self.not_ascii))
        index = self._index()
        return Graph(
            nodes=self.nodes, inputs=tuple(self.inputs), outputs=tuple(self.outputs), initializers=self.initializers,
            value_infos=self.value_infos, functions=tuple(self.functions), model=model,
            skeleton=skeleton, sources=self.sources, producers=index.producers,
            users=index.users, names=index.names, holders=frozenset(index.holders), next_id=len(self.nodes),
            folder=self.folder, problems=tuple(self.problems), revision=next(revisions),
        )  # fmt: skip

    def _graph(self, start: int, stop: int) -> None:
        handlers: dict[int, Callable[[int, int, int], None]] = {
            _GRAPH_INITIALIZER: self._initializer,
            _GRAPH_INPUT: lambda tag, at, end: self.inputs.append(self._info(at, end)),
            _GRAPH_OUTPUT: lambda tag, at, end: self.outputs.append(self._info(at, end)),
            _GRAPH_VALUE_INFO: self._value_info,
        }
        first = last = start  # where the node records start and end that stand behind each other and wait to be parsed
        for number, kind, tag, at, end in fields(self.buffer, start, stop):
            if kind == BYTES and number == _GRAPH_NODE:
                if last != tag or end - first > RUN_BYTES:
                    self._nodes(first, last)
                    first = tag
                last = end
            elif kind == BYTES and number in handlers:
                handlers[number](tag, at, end)
            else:
                self.rest += self.buffer[tag:end]
        self._nodes(first, last)

    def _nodes(self, start: int, stop: int) -> None:
        """The node records between two places, parsed in one go."""
        data, first = bytes(self.buffer[start:stop]), len(self.nodes)
        try:
            records: Iterable[NodeProto] = GraphProto.FromString(data).node
        except DecodeError:  # one of them: say which
            records = [self._parse(NodeProto, at, end) for _, _, _, at, end in fields(self.buffer, start, stop)]
        self.nodes.update(enumerate(records, first))
        if b"location" in data or _BODY_TYPE.search(data):
            for node, (_, _, _, at, end) in enumerate(fields(data, 0, len(data)), first):
                record = data[at:end]
                if b"location" in record:  # the key of external data; looking into every attribute would take longer
                    self.with_files.append(node)
                if _BODY_TYPE.search(record) and holds_bodies(self.nodes[node]):
                    self.holders.append(node)

    def _parse(self, kind: MessageType[M], start: int, stop: int) -> M:
        return _parsed(kind, bytes(self.buffer[start:stop]), f"byte {start}")

    def _info(self, start: int, stop: int) -> ValueInfoProto:
        data = bytes(self.buffer[start:stop])
        info: ValueInfoProto = _parsed(ValueInfoProto, data, f"byte {start}")
        if not data.isascii():
            self.not_ascii.append(info)
        return info

    def _value_info(self, tag: int, start: int, stop: int) -> None:
        info = self._info(start, stop)
        if info.name in self.value_infos:
            self.rest += self.buffer[tag:stop]  # kept as it is, but of no effect here
            self.problems.append(Problem("A tensor's type is declared twice; the first counts", info.name))
        else:
            self.value_infos[info.name] = info

    def _initializer(self, tag: int, start: int, stop: int) -> None:
        proto, raw = self._tensor(start, stop)
        if proto.name in self.initializers:
            raise Fault("Two initializers have the same name", proto.name, "Every tensor has one value; rename one")
        location = external_location(proto)
        if location is not None:
            self._external_source(location, proto.name)
            raw = external_span(proto, self.sources)
        self.initializers[proto.name] = Initializer(proto, raw)

    def _tensor(self, start: int, stop: int) -> tuple[TensorProto, Span | None]:
        """A weight's record, and where its bytes lie if they are left in the file."""
        if self.source is None or stop - start <= INLINE_BYTES:
            return self._parse(TensorProto, start, stop), None
        head, raw = bytearray(), None
        for number, kind, tag, at, end in fields(self.buffer, start, stop):
            if number == _TENSOR_RAW_DATA and kind == BYTES and end - at > INLINE_BYTES:
                raw = Span(self.source, at, end - at)
            else:
                head += self.buffer[tag:end]
        return _parsed(TensorProto, bytes(head), f"byte {start}"), raw

    def _inner_external(self, model: ModelProto, skeleton: GraphProto) -> None:
        """Looks up the files of tensors that are no weights of the graph, as `_initializer` does for those."""
        tensors = chain(
            node_tensors(self.nodes[node] for node in self.with_files),
            chain.from_iterable(map(function_tensors, self.functions)),
            sparse_tensors(skeleton.sparse_initializer), training_tensors(model.training_info),
        )  # fmt: skip
        for name, proto in tensors:
            location = external_location(proto)
            if location is not None:
                self._external_source(location, name)
                external_span(proto, self.sources, name)

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
        index = Index.of(self.nodes, self.holders)
        self._check_names(index)
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


    @staticmethod
    def _check_texts(messages: Iterable[Message]) -> None:
        """As `_check_names`, for every text in records of which there are few, such as symbols and domains."""
        for message in messages:
            if any(isinstance(text, bytes) for text in _texts(message)):
                raise Fault("Damaged: a text in it is none", message.DESCRIPTOR.name, _EXPORT_AGAIN)

    def _check_names(self, index: Index) -> None:
        """Raises Fault where a name is not UTF-8: protobuf gives bytes then, and no tool could show or write it."""
        infos = [info.name for info in (*self.inputs, *self.outputs)]
        named: list[Iterable[str]] = [
            index.producers, index.users, index.names, self.initializers, self.value_infos, infos,
        ]  # fmt: skip
        named += [_inner_texts(self.nodes[node]) for node in index.holders]
        for names in named:
            if bytes in set(map(type, names)):
                raise Fault("Damaged: a name in it is no text", "", _EXPORT_AGAIN)


def _texts(message: Message) -> Iterator[str | bytes]:
    """Every text in a message and those in it; bytes where protobuf could not decode one."""
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        if field.message_type is not None:
            yield from chain.from_iterable(map(_texts, values))
        elif field.type == field.TYPE_STRING:
            yield from values


def _inner_texts(node: NodeProto) -> Iterator[str]:
    """The names of tensors, nodes and operators in the bodies of a node."""
    for _, body in bodies(node):
        yield from (info.name for info in (*body.input, *body.output))
        yield from (tensor.name for tensor in body.initializer)
        for inner in body.node:
            yield from (*inner.input, *inner.output, inner.name, inner.op_type, inner.domain)
            yield from _inner_texts(inner)


def _parsed(kind: MessageType[M], data: bytes, where: str) -> M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Fault("Not an ONNX model, or damaged", where, f"protobuf says: {error}") from error
