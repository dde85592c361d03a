"""What there is to say of an operator: its ports, attributes with defaults and choices, and the specification's text.

One form for onnx's own schemas, those of ONNX Runtime (which onnx doesn't know), a model's functions, and TensorRT's
plugins, which are described as data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto

from graftwerk.backend.graph.attributes import json_value
from graftwerk.backend.graph.choices import DTYPE_ATTRIBUTES, FLAGS, LEAST, texts_of
from graftwerk.backend.graph.families import FAMILIES, op_family
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.schema import TYPE_WORDS, schema_of
from graftwerk.backend.graph.types import DTYPE_NAMES

STANDARD = ("", "ai.onnx")
_NUMBERS = {str(name): int(number) for name, number in onnx.TensorProto.DataType.items()}


@dataclass(frozen=True, slots=True)
class Port:
    """One formal input or output. `option` is single, optional or variadic; `types` the label of its constraint, such
    as T, or the types themselves."""

    name: str
    doc: str = ""
    option: str = "single"
    types: str = ""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `type` is a word such as int or floats; `default` a JSON value, None where there is none;
    `choices` are the values that it may have, where these are few; bounds are included."""

    name: str
    type: str
    required: bool = False
    default: Any = None
    doc: str = ""
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """`constraints` are labels of types with the datatypes that they stand for. `since` is the opset in which it came
    to be what it is. `source` says where the description comes from."""

    name: str
    domain: str = ""
    group: str = ""
    doc: str = ""
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    constraints: tuple[tuple[str, tuple[str, ...], str], ...] = ()
    since: int = 1
    deprecated: bool = False
    source: str = ""
    keywords: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        return f"{self.domain}::{self.name}" if self.domain not in STANDARD else self.name

    def input_at(self, index: int) -> Port | None:
        """The formal input at a place; the last one again where it is variadic."""
        return _at(self.inputs, index)

    def attribute(self, name: str) -> Attribute | None:
        return next((one for one in self.attributes if one.name == name), None)

    @property
    def least_outputs(self) -> int:
        return max(1, sum(port.option == "single" for port in self.outputs))


def _at(ports: Sequence[Port], index: int) -> Port | None:
    if index < len(ports):
        return ports[index]
    return ports[-1] if ports and ports[-1].option == "variadic" else None


def operators(graph: Graph) -> list[Operator]:
    """Every operator that onnx knows of the operator sets that the model imports, in their versions, and the model's
    local functions. Deprecated ones are among them, and say so."""
    found: list[Operator] = []
    for entry in graph.model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        found += _of_domain(domain, int(entry.version))
    found += [of_function(function) for function in graph.functions if not function.domain.startswith("graftwerk")]
    return found


@lru_cache(maxsize=16)
def _of_domain(domain: str, version: int) -> tuple[Operator, ...]:
    return tuple(of_schemas(onnx.defs.get_all_schemas_with_history(), domain, version, "onnx " + onnx.__version__))


def of_schemas(schemas: Iterable[Any], domain: str, version: int, source: str) -> Iterator[Operator]:
    """The operators of a domain as they are in a version, by name; from schemas of onnx or of ONNX Runtime."""
    newest: dict[str, Any] = {}
    for schema in schemas:
        if schema.domain == domain and schema.since_version <= version:
            known = newest.get(schema.name)
            if known is None or known.since_version < schema.since_version:
                newest[schema.name] = schema
    for name in sorted(newest):
        yield of_schema(newest[name], source)


def operator_of(graph: Graph, op_type: str, domain: str = "") -> Operator | None:
    """What onnx or the model itself says of an operator; None for one that both don't know."""
    for function in graph.functions:
        if (function.name, function.domain) == (op_type, domain):
            return of_function(function)
    schema = schema_of(graph, op_type, domain)
    return of_schema(schema, f"onnx {onnx.__version__}") if schema is not None else None


def of_schema(schema: Any, source: str) -> Operator:
    """From a schema of onnx or of ONNX Runtime, which name some of their fields differently."""
    domain = schema.domain
    group = FAMILIES[op_family(schema.name, domain)] if domain in STANDARD else domain
    return Operator(
        schema.name, domain, group, _plain(schema.doc), _ports(schema.inputs), _ports(schema.outputs),
        tuple(_attribute(schema, found) for found in schema.attributes.values()),
        tuple(
            (found.type_param_str, tuple(sorted(map(type_word, found.allowed_type_strs))), _plain(found.description))
            for found in schema.type_constraints
        ),
        int(schema.since_version), bool(schema.deprecated), source,
    )  # fmt: skip


def of_function(function: FunctionProto) -> Operator:
    """A function of the model, of which only names are known."""
    required = tuple(Attribute(name, "") for name in function.attribute)
    given = tuple(
        Attribute(found.name, TYPE_WORDS.get(found.type, ""), default=json_value(found))
        for found in function.attribute_proto
    )
    return Operator(
        function.name, function.domain, "Functions of this model", function.doc_string or f"{len(function.node)} nodes",
        tuple(Port(name, option="optional") for name in function.input),
        tuple(Port(name) for name in function.output), required + given, source="this model",
    )  # fmt: skip


def _ports(formals: Iterable[Any]) -> tuple[Port, ...]:
    found = []
    for formal in formals:
        option = str(formal.option).rpartition(".")[2].lower()
        label = formal.type_str if hasattr(formal, "type_str") else formal.typeStr
        found.append(Port(formal.name, _plain(formal.description), option, label))
    return tuple(found)


def _attribute(schema: Any, found: Any) -> Attribute:
    kind = AttributeProto.AttributeType.Value(str(found.type).removeprefix("AttrType."))
    name, standard = found.name, schema.domain in STANDARD
    choices: tuple[Any, ...] = texts_of(schema.name, name) if kind == AttributeProto.STRING else ()
    if kind == AttributeProto.INT and standard and name in FLAGS:
        choices = (0, 1)
    if kind == AttributeProto.INT and name in DTYPE_ATTRIBUTES:
        choices = tuple(DTYPE_NAMES.values())
    least = LEAST.get(name) if kind == AttributeProto.INT and standard and not choices else None
    return Attribute(
        name, TYPE_WORDS.get(kind, ""), bool(found.required), _default(found), _plain(found.description), choices, least
    )


def _default(found: Any) -> Any:
    if hasattr(found, "default_value"):
        return json_value(found.default_value)
    proto = AttributeProto()
    proto.ParseFromString(found._default_value)
    return json_value(proto)


def type_word(kind: str) -> str:
    """`tensor(float16)` as FP16; what is no tensor stays as it is."""
    if not kind.startswith("tensor("):
        return kind
    name = kind[7:-1].upper()
    return DTYPE_NAMES.get(_NUMBERS.get(name, 0), name)


def _plain(text: str | None) -> str:
    return (text or "").replace('\\"', '"').strip()
