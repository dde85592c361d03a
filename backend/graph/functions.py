"""Local functions: which one a node calls, who calls one, and what a call makes of attribute references."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from onnx import AttributeProto, FunctionProto, NodeProto

from graftwerk.backend.graph.graph import bodies

Key = tuple[str, str, str]


def function_key(function: FunctionProto) -> Key:
    """Domain, name and overload, which tell a local function from others."""
    return function.domain, function.name, function.overload


def call_key(record: NodeProto) -> Key:
    """The key of the function that a node would call."""
    return record.domain, record.op_type, record.overload


def called_function(functions: Iterable[FunctionProto], record: NodeProto) -> FunctionProto | None:
    """Which of the functions a node calls, None for an operator."""
    key = call_key(record)
    return next((function for function in functions if function_key(function) == key), None)


def all_records(records: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and those in their bodies."""
    for record in records:
        yield record
        for _, body in bodies(record):
            yield from all_records(body.node)


def calls(records: Iterable[NodeProto], key: Key) -> bool:
    """Whether some of the nodes, or one in their bodies, calls a function."""
    return any(call_key(record) == key for record in all_records(records))


def arguments(function: FunctionProto, call: NodeProto) -> dict[str, AttributeProto]:
    """The attributes of a call by name, with the function's defaults for those that it leaves out."""
    given = {attribute.name: attribute for attribute in call.attribute}
    return {attribute.name: attribute for attribute in function.attribute_proto} | given


def bound(record: NodeProto, values: Mapping[str, AttributeProto]) -> NodeProto:
    """A copy of a node with values in place of its references to attributes of the function, in its bodies too. A
    reference to what has no value is left out: the operator's own default holds then."""
    copy = NodeProto()
    copy.CopyFrom(record)
    _bind(copy, values)
    return copy


def _bind(record: NodeProto, values: Mapping[str, AttributeProto]) -> None:
    for at in reversed(range(len(record.attribute))):
        attribute = record.attribute[at]
        if attribute.ref_attr_name:
            value = values.get(attribute.ref_attr_name)
            if value is None:
                del record.attribute[at]
            else:
                name = attribute.name
                attribute.CopyFrom(value)
                attribute.name = name
    for _, body in bodies(record):
        for inner in body.node:
            _bind(inner, values)
