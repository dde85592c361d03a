"""What onnx's operator schemas say: which attributes an operator has, what it takes, and what types come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Protocol

import onnx
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto
from onnx.defs import OpSchema
from rapidfuzz import process

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES, TensorType

#: Values up to this many elements are shown to shape inference: enough for every shape, axes or pads input.
_SHAPE_VALUES = 64

#: In words, the attribute types that can be typed in; the others hold tensors or graphs.
TYPE_WORDS: dict[int, str] = {
    AttributeProto.INT: "int", AttributeProto.FLOAT: "float", AttributeProto.STRING: "string",
    AttributeProto.INTS: "ints", AttributeProto.FLOATS: "floats", AttributeProto.STRINGS: "strings",
    AttributeProto.TENSOR: "tensor", AttributeProto.GRAPH: "graph", AttributeProto.TENSORS: "tensors",
    AttributeProto.GRAPHS: "graphs", AttributeProto.SPARSE_TENSOR: "sparse tensor",
    AttributeProto.SPARSE_TENSORS: "sparse tensors", AttributeProto.TYPE_PROTO: "type",
    AttributeProto.TYPE_PROTOS: "types",
}


class Opsets(Protocol):
    """A graph, or an edit of one."""

    def opset(self, domain: str = "") -> int | None: ...


class Tensors(Opsets, Protocol):
    """A graph or an edit, asked for its tensors."""

    def type_of(self, tensor: str) -> TensorType | None: ...
    @property
    def initializers(self) -> Mapping[str, Initializer]: ...


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """What a schema says of one attribute; `type` is an AttributeProto.AttributeType."""

    type: int
    required: bool


def schema_of(opsets: Opsets, op_type: str, domain: str = "") -> OpSchema | None:
    """The schema in the version that the model imports (1 where it imports none); None for operators that onnx
    doesn't know: plugins, contrib operators, local functions."""
    try:
        return onnx.defs.get_schema(op_type, opsets.opset(domain) or 1, "" if domain == "ai.onnx" else domain)
    except onnx.defs.SchemaError:
        return None


def attribute_rules(schema: OpSchema) -> dict[str, AttributeRule]:
    number = AttributeProto.AttributeType.Value
    return {
        name: AttributeRule(number(str(found.type).removeprefix("AttrType.")), found.required)
        for name, found in schema.attributes.items()
    }


def close_names(name: str, known: Iterable[str]) -> str:
    """Names like a mistyped one as a hint, an empty text where there is none."""
    found = [match for match, _, _ in process.extract(name, list(known), limit=3, score_cutoff=60)]
    return f"Did you mean {' or '.join(found)}?" if found else ""


def no_operator(opsets: Opsets, op_type: str) -> Reason:
    """Why the standard set has no such operator in the version that a model imports: it is newer, or mistyped."""
    version = opsets.opset() or 1
    history = onnx.defs.get_all_schemas_with_history()
    since = min((s.since_version for s in history if s.domain == "" and s.name == op_type), default=0)
    if since > version:
        hint = f"Convert the model first: Clean up › Convert opset (cleanup.convert_opset --version {since})"
        return Reason(f"{op_type} came with opset {since}, and the model imports {version}", hint)
    hint = close_names(op_type, operator_names(version)) or "Give the domain of a plugin"
    return Reason(f"Opset {version} has no operator {op_type!r}", hint)


def operator_names(opset: int) -> list[str]:
    """All operators of the standard set that exist in a version."""
    schemas = onnx.defs.get_all_schemas_with_history()
    return sorted({s.name for s in schemas if s.domain == "" and s.since_version <= opset and not s.deprecated})


def accepts(schema: OpSchema, index: int, dtype: int) -> bool:
    """Whether an operator takes a datatype at an input; True where the datatype is unknown."""
    if not schema.inputs or not dtype:
        return True
    formal = schema.inputs[min(index, len(schema.inputs) - 1)]
    word = onnx.TensorProto.DataType.Name(dtype).lower()
    return f"tensor({word})" in formal.types or not any(kind.startswith("tensor(") for kind in formal.types)


def dtype_word(dtype: int) -> str:
    return DTYPE_NAMES.get(dtype, f"datatype {dtype}")


def output_types(tensors: Tensors, record: NodeProto) -> dict[str, TensorType]:
    """The types of what a node makes, as onnx infers them from its inputs' types; empty where it can't."""
    schema = schema_of(tensors, record.op_type, record.domain)
    found = node_types(tensors, schema, record) if schema is not None else {}
    return {} if isinstance(found, str) else found


def node_types(tensors: Tensors, schema: OpSchema, record: NodeProto) -> dict[str, TensorType] | str:
    """As `output_types`, or what onnx says where the types of the inputs contradict the operator."""
    inputs: dict[str, TypeProto] = {}
    values: dict[str, TensorProto] = {}
    for name in record.input:
        known = tensors.type_of(name) if name else None
        if known is None or known.kind != "tensor":
            if name:
                return {}
            continue
        inputs[name] = known.value_info(name).type
        weight = tensors.initializers.get(name)
        if weight is not None and weight.span is None and prod(weight.dims) <= _SHAPE_VALUES:
            values[name] = weight.proto
    opsets = [onnx.helper.make_opsetid(record.domain, tensors.opset(record.domain) or 1)]
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, record, inputs, values, opset_imports=opsets)
    except onnx.shape_inference.InferenceError as error:
        return str(error)
    except (onnx.checker.ValidationError, RuntimeError, KeyError):
        return {}
    return {name: TensorType.of(kind) for name, kind in found.items() if kind.WhichOneof("value")}
