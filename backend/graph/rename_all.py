"""Renaming all tensors of records that go from one graph into another, so that none meets a name there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from onnx import GraphProto, NodeProto

from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import bodies, inner_names


class Names:
    """The names of tensors that an edit has in use, in bodies too, and those that were handed out."""

    def __init__(self, edit: Edit) -> None:
        self._taken = {info.name for info in (*edit.inputs, *edit.outputs)} | edit.initializers.keys()
        self._taken |= edit.base.reserved
        for record in edit.nodes.values():
            self._taken.update(record.input, record.output)
            self._taken |= inner_names(record)

    def fresh(self, base: str) -> str:
        """`base`, or `base_1`, `base_2` … where it is taken; it is from now on."""
        name, number = base, 0
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name


def every_name(records: Iterable[NodeProto]) -> Iterator[str]:
    """The names of all tensors in records, in their bodies too, some of them several times."""
    for record in records:
        yield from filter(None, (*record.input, *record.output))
        for _, body in bodies(record):
            yield from _body_names(body)


def _body_names(body: GraphProto) -> Iterator[str]:
    yield from (info.name for info in (*body.input, *body.output, *body.value_info))
    yield from (tensor.name for tensor in body.initializer)
    yield from (sparse.values.name for sparse in body.sparse_initializer)
    yield from every_name(body.node)


def renamed_all(record: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A copy of a record with other names for its tensors, and for those that its bodies read and define."""
    copy = NodeProto()
    copy.CopyFrom(record)
    _rename(copy, names)
    return copy


def _rename(record: NodeProto, names: Mapping[str, str]) -> None:
    for ports in (record.input, record.output):
        for at, name in enumerate(ports):
            ports[at] = names.get(name, name)
    for _, body in bodies(record):
        for info in (*body.input, *body.output, *body.value_info):
            info.name = names.get(info.name, info.name)
        for tensor in body.initializer:
            tensor.name = names.get(tensor.name, tensor.name)
        for sparse in body.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, sparse.values.name)
        for inner in body.node:
            _rename(inner, names)
