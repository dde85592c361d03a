"""The inputs and outputs of a node as places to connect: which there are, and what fits there and why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import NodeProto
from onnx.defs import OpSchema

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.schema import Tensors, accepts, dtype_word, node_types, schema_of

#: What an inference error begins with, for people of no use.
_PREFIX = re.compile(r"^(\[\w+\]\s*)?(\(op_type:[^)]*\):?\s*)?(\[\w+\]\s*)?")


@dataclass(frozen=True, slots=True)
class Socket:
    """One input of a node: the tensor that it reads, "" where it is open. `required` ones must be connected."""

    index: int
    name: str
    tensor: str
    required: bool


def sockets(graph: Graph, record: NodeProto) -> tuple[Socket, ...]:
    """All inputs that a node has or could have: open optional ones too, and one more of a variadic input."""
    return tuple(_sockets(graph, record))


def _sockets(graph: Graph, record: NodeProto) -> Iterator[Socket]:
    there = list(record.input)
    function = graph.function(record)
    if function is not None:
        for index in range(max(len(function.input), len(there))):
            name = function.input[index] if index < len(function.input) else str(index)
            yield Socket(index, name, there[index] if index < len(there) else "", False)
        return
    schema = schema_of(graph, record.op_type, record.domain)
    if schema is None:  # nobody knows how many it takes
        for index in range(len(there) + 1):
            yield Socket(index, str(index), there[index] if index < len(there) else "", False)
        return
    count = len(there) + 1 if variadic(schema) else max(len(schema.inputs), len(there))
    for index in range(min(count, schema.max_input)):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]
        name = f"{formal.name} {index}" if variadic(schema) and index >= len(schema.inputs) - 1 else formal.name
        yield Socket(index, name, there[index] if index < len(there) else "", required(schema, index))


def variadic(schema: OpSchema) -> bool:
    return bool(schema.inputs) and _option(schema, len(schema.inputs) - 1) == "Variadic"


def required(schema: OpSchema, index: int) -> bool:
    """Whether an operator can't do without its input at a place."""
    if index >= len(schema.inputs):
        return index < schema.min_input
    option = _option(schema, index)
    return option == "Single" or (option == "Variadic" and index < schema.min_input)


def _option(schema: OpSchema, index: int) -> str:
    return str(schema.inputs[index].option).rpartition(".")[2]


def open_inputs(opsets: Tensors, record: NodeProto) -> list[str]:
    """The names of required inputs that read nothing."""
    schema = schema_of(opsets, record.op_type, record.domain)
    if schema is None:
        return []
    there = list(record.input)
    return [
        schema.inputs[min(index, len(schema.inputs) - 1)].name
        for index in range(max(schema.min_input, min(len(there), len(schema.inputs))))
        if required(schema, index) and (index >= len(there) or not there[index])
    ]


def why_unfit(tensors: Tensors, record: NodeProto, index: int, tensor: str) -> Reason | None:
    """Why a node can't read a tensor at one of its inputs: its datatype, one that differs from that of the others
    where they must agree, or a shape that onnx's inference refuses. None where it can, or nothing is known."""
    schema = schema_of(tensors, record.op_type, record.domain)
    if schema is None:
        return None
    name = record.op_type
    if index >= schema.max_input:
        return Reason(f"{name} takes at most {schema.max_input} inputs")
    known = tensors.type_of(tensor)
    if known is None:
        return None
    if not accepts(schema, index, known.dtype):
        allowed = ", ".join(_allowed(schema, index))
        return Reason(f"{name} doesn't take {dtype_word(known.dtype)} as input {index}", f"It takes {allowed}")
    return _other_types(tensors, schema, record, index, known.dtype) or _shapes(tensors, schema, record, index, tensor)


def _allowed(schema: OpSchema, index: int) -> list[str]:
    formal = schema.inputs[min(index, len(schema.inputs) - 1)]
    numbers = {str(key).lower(): int(value) for key, value in onnx.TensorProto.DataType.items()}
    words = [dtype_word(numbers[kind[7:-1]]) for kind in formal.types if kind.startswith("tensor(")]
    return sorted(words)


def _label(schema: OpSchema, index: int) -> str:
    """The type that an input shares with others; "" for one of its own."""
    formal = schema.inputs[min(index, len(schema.inputs) - 1)]
    if index >= len(schema.inputs) - 1 and variadic(schema) and not formal.is_homogeneous:
        return ""
    return str(formal.type_str)


def _other_types(tensors: Tensors, schema: OpSchema, record: NodeProto, index: int, dtype: int) -> Reason | None:
    label = _label(schema, index)
    for other, tensor in enumerate(record.input):
        if other == index or not tensor or not label or _label(schema, other) != label:
            continue
        known = tensors.type_of(tensor)
        if known is not None and known.dtype and dtype and known.dtype != dtype:
            text = f"{record.op_type} takes one datatype: {tensor} is {dtype_word(known.dtype)}, this is"
            return Reason(f"{text} {dtype_word(dtype)}", "Put a Cast in between")
    return None


def _shapes(tensors: Tensors, schema: OpSchema, record: NodeProto, index: int, tensor: str) -> Reason | None:
    changed = NodeProto()
    changed.CopyFrom(record)
    changed.input.extend([""] * (index + 1 - len(changed.input)))
    changed.input[index] = tensor
    if not changed.output:
        changed.output.extend(f"output {at}" for at in range(schema.min_output))
    if open_inputs(tensors, changed):
        return None  # inference needs all of them
    error = node_types(tensors, schema, changed)
    if not isinstance(error, str):
        return None
    first = _PREFIX.sub("", error.strip().splitlines()[0]) if error.strip() else "onnx's shape inference refuses it"
    return Reason(f"The shapes don't fit: {first}", "Put a Reshape, Transpose or Unsqueeze in between")
