"""JSON values to ONNX attributes, checked against what an operator's schema says."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import onnx
from onnx import AttributeProto, NodeProto, TensorProto
from onnx.defs import OpSchema

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.choices import DTYPE_ATTRIBUTES, FLAGS, LEAST, texts_of
from graftwerk.backend.graph.schema import TYPE_WORDS, attribute_rules, close_names
from graftwerk.backend.graph.types import DTYPE_NAMES

#: How the types that JSON can say are described where a value doesn't fit.
_WANTED: dict[int, str] = {
    AttributeProto.INT: "an integer", AttributeProto.FLOAT: "a number", AttributeProto.STRING: "a text",
    AttributeProto.INTS: "a list of integers", AttributeProto.FLOATS: "a list of numbers",
    AttributeProto.STRINGS: "a list of texts",
}
_BY_WORD = {TYPE_WORDS[kind]: kind for kind in _WANTED}
_ITEM: dict[int, int] = {
    AttributeProto.INTS: AttributeProto.INT, AttributeProto.FLOATS: AttributeProto.FLOAT,
    AttributeProto.STRINGS: AttributeProto.STRING,
}
_PYTHON: dict[int, type[int] | type[float] | type[str]] = {
    AttributeProto.INT: int, AttributeProto.FLOAT: float, AttributeProto.STRING: str,
}
_INT64 = 1 << 63
_FLOAT_MAX = (2 - 2.0**-23) * 2.0**127


def make_attribute(op_type: str, schema: OpSchema | None, name: str, value: Any, word: str = "auto") -> AttributeProto:
    """One attribute from a JSON value.

    `word` names its type (int, float, string, ints, floats, strings), or is auto: the schema's type, and without a
    schema that of the value. Raises Fault that says what the operator has, or which type it wants.
    """
    if not name:
        raise Fault("An attribute needs a name", "name")
    kind = _BY_WORD.get(word, 0)
    if schema is not None:
        kind = _scheduled(op_type, schema, name, kind)
    elif not kind:
        kind = _natural(name, value)
    if name in DTYPE_ATTRIBUTES and schema is not None and isinstance(value, str) and kind == AttributeProto.INT:
        value = _datatype(name, value)
    made = _converted(name, value, kind)
    if schema is not None and schema.domain == "":
        _check_choice(op_type, name, made)
    return onnx.helper.make_attribute(name, made, attr_type=kind)


def make_attributes(op_type: str, schema: OpSchema | None, values: Mapping[str, Any]) -> list[AttributeProto]:
    """All attributes of a new node. Raises Fault as `make_attribute` does, and where a required one is missing."""
    if schema is not None:
        missing = [name for name, rule in attribute_rules(schema).items() if rule.required and name not in values]
        if missing:
            raise Fault(f"{op_type} needs the attribute {missing[0]!r}", "attributes", f'Such as {{"{missing[0]}": …}}')
    return [make_attribute(op_type, schema, name, value) for name, value in values.items()]


def json_value(attribute: AttributeProto) -> Any:
    """The value of an attribute that JSON can hold; None for tensors, graphs and types."""
    if attribute.type not in _WANTED:
        return None
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if attribute.type == AttributeProto.STRINGS:
        return [text.decode("utf-8", "replace") for text in value]
    return list(value) if attribute.type in _ITEM else value


def find_attribute(record: NodeProto, name: str) -> AttributeProto | None:
    return next((attribute for attribute in record.attribute if attribute.name == name), None)


def _scheduled(op_type: str, schema: OpSchema, name: str, kind: int) -> int:
    rules = attribute_rules(schema)
    if name not in rules:
        hint = close_names(name, rules) or (f"It has: {', '.join(rules)}" if rules else "It has none")
        raise Fault(f"{op_type} has no attribute {name!r} in opset {schema.since_version}", "name", hint)
    wanted = rules[name].type
    if wanted not in _WANTED:
        raise Fault(f"{name} of {op_type} is a {TYPE_WORDS[wanted]}, which can't be typed in", "name")
    if kind and kind != wanted:
        raise Fault(f"{name} of {op_type} is of type {TYPE_WORDS[wanted]}", "type", "Leave the type at auto")
    return wanted


def _check_choice(op_type: str, name: str, value: Any) -> None:
    """Raises Fault where the specification lists the values that an attribute may have, and this is none of them."""
    known = texts_of(op_type, name)
    if isinstance(value, str) and known and value not in known:
        hint = close_names(value, known)
        raise Fault(f"{name} of {op_type} is one of {', '.join(known)}, not {value!r}", "value", hint)
    if isinstance(value, int) and name in FLAGS and value not in (0, 1):
        raise Fault(f"{name} of {op_type} is 0 or 1, not {value}", "value")
    if isinstance(value, int) and value < LEAST.get(name, value):
        raise Fault(f"{name} of {op_type} is at least {LEAST[name]}, not {value}", "value")


def _natural(name: str, value: Any) -> int:
    if isinstance(value, list) and not value:
        raise Fault(f"What an empty list for {name} holds can't be seen", "type", "Choose ints, floats or strings")
    for kind in (AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.STRING):
        if fits_type(value, kind):
            return kind
    for kind in (AttributeProto.INTS, AttributeProto.FLOATS, AttributeProto.STRINGS):
        if isinstance(value, list) and all(fits_type(item, _ITEM[kind]) for item in value):
            return kind
    raise Fault(f"{name} can be a number, a text, or a list of one of them", "value")


def fits_type(value: Any, kind: int) -> bool:
    """Whether an attribute of type INT, FLOAT or STRING can hold a JSON value."""
    if kind == AttributeProto.INT:
        return isinstance(value, int) and -_INT64 <= value < _INT64
    if kind == AttributeProto.FLOAT:
        # A larger number would become infinity, or not be taken at all; infinity itself may be meant.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (not abs(value) > _FLOAT_MAX or abs(value) == inf)
    return isinstance(value, str)


def _converted(name: str, value: Any, kind: int) -> Any:
    item = _ITEM.get(kind)
    values = value if item is not None else [value]
    if not isinstance(values, list | tuple) or not all(fits_type(one, item or kind) for one in values):
        raise Fault(f"{name} is {_WANTED[kind]}, not {value!r}", "value")
    to = _PYTHON[item or kind]
    made = [to(one) for one in values]
    return made if item is not None else made[0]


def _datatype(name: str, word: str) -> int:
    known = {short: number for number, short in DTYPE_NAMES.items()}
    known |= {str(key): int(number) for key, number in TensorProto.DataType.items()}
    if word.upper() not in known:
        raise Fault(f"{word!r} is not a datatype", "value", close_names(word.upper(), DTYPE_NAMES.values()))
    return known[word.upper()]
