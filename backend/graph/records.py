"""Copies of records with other names in them: a record itself is never changed."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import NodeProto, ValueInfoProto

from graftwerk.backend.graph.graph import bodies


def declared_as(info: ValueInfoProto, name: str) -> ValueInfoProto:
    """A copy of a declaration for a tensor of another name."""
    copy = ValueInfoProto()
    copy.CopyFrom(info)
    copy.name = name
    return copy


def renamed(record: NodeProto, names: Mapping[str, str], outputs: bool) -> NodeProto:
    """A copy of a record that reads (and with `outputs` makes) tensors under other names, in its bodies too."""
    copy = NodeProto()
    copy.CopyFrom(record)
    for at, name in enumerate(copy.input):
        copy.input[at] = names.get(name, name)
    if outputs:
        for at, name in enumerate(copy.output):
            copy.output[at] = names.get(name, name)
    for _, body in bodies(copy):
        inner = {name for node in body.node for name in node.output} | {info.name for info in body.input}
        inner |= {tensor.name for tensor in body.initializer}
        visible = {old: new for old, new in names.items() if old not in inner}
        for node in body.node:
            node.CopyFrom(renamed(node, visible, outputs=False))
        for info in body.output:
            info.name = visible.get(info.name, info.name)
    return copy
