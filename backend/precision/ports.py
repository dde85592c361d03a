"""Which inputs and outputs of a node follow the precision that it is computed in, and why some nodes have no choice.

All of it comes from the operator's schema in the model's opset: an input or output follows where its type is one of the
schema's type variables and the variable allows the datatype. What the schema fixes (the scales of Resize, the scale of
a DequantizeLinear before opset 19) stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from onnx import NodeProto, TensorProto
from onnx.defs import OpSchema

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.constants import View
from graftwerk.backend.graph.graph import Graph, NodeId, holds_bodies
from graftwerk.backend.graph.schema import dtype_word, schema_of
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType

#: The floats among which a node's precision is chosen, by the short names that the program shows.
PRECISIONS: dict[str, int] = {
    "FP32": TensorProto.FLOAT, "FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16,
}  # fmt: skip
FLOATS = frozenset(PRECISIONS.values())
#: Operators that make floats of nothing or of other types, and the attribute that says which.
ATTRIBUTES: dict[str, str] = {
    "Cast": "to", "ConstantOfShape": "value", "RandomNormal": "dtype", "RandomUniform": "dtype", "EyeLike": "dtype",
    "RandomNormalLike": "dtype", "RandomUniformLike": "dtype", "Bernoulli": "dtype",
    "HannWindow": "output_datatype", "HammingWindow": "output_datatype", "BlackmanWindow": "output_datatype",
    "MelWeightMatrix": "output_datatype", "DequantizeLinear": "output_dtype",
}  # fmt: skip
#: They move values and compute nothing: their precision is whatever costs no cast.
MOVING = frozenset({
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "GatherND",
    "GatherElements", "Split", "Concat", "Expand", "Tile", "Pad", "Dropout", "DepthToSpace", "SpaceToDepth", "Shape",
    "Size", "ReverseSequence", "Compress", "Cast", "ConstantOfShape", "EyeLike",
})  # fmt: skip
#: Operators that read floats of any kind, and make none of them.
_ANY = frozenset({"Cast", "Shape", "Size"})
#: Inputs by position that are sizes, not data.
_SIZES: Mapping[str, tuple[int, ...]] = {"Resize": (1, 2, 3), "Upsample": (1,), "Range": (0, 1, 2)}


class Typed(View, Protocol):
    """A graph or an edit."""

    def type_of(self, tensor: str) -> TensorType | None: ...
    def opset(self, domain: str = "") -> int | None: ...
    @property
    def initializers(self) -> Mapping[str, Initializer]: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Positions of the inputs and outputs that follow, and the attribute that has to say so ("" for none)."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attribute: str = ""


def float_of(view: Typed, tensor: str) -> int:
    """FP32, FP16 or BF16 as a TensorProto.DataType; 0 for a tensor of any other type, or of none that is known."""
    known = view.type_of(tensor) if tensor else None
    return known.dtype if known is not None and known.kind == "tensor" and known.dtype in FLOATS else 0


def is_float_cast(view: Typed, record: NodeProto) -> bool:
    """Whether a node only turns one of the floats into another."""
    return (
        record.op_type == "Cast" and record.domain in ("", "ai.onnx")
        and bool(float_of(view, record.input[0]) and float_of(view, record.output[0]))
    )  # fmt: skip


def ports(graph: Graph, node: NodeId, dtype: int) -> Ports | Reason | None:
    """What follows when a node is computed in a datatype; the reason where it can't be, None where it has no floats
    whose datatype could be chosen."""
    record = graph.nodes[node]
    floats = any(float_of(graph, name) for name in (*record.input, *record.output))
    if not floats or (record.op_type == "Constant" and record.domain in ("", "ai.onnx")):
        return None
    if holds_bodies(record):
        return Reason(f"{record.op_type} has graphs inside, which keep their types", "Retype inside them")
    if graph.function(record) is not None:
        return Reason(f"{record.op_type} is a local function, whose body keeps its types", "Inline the function first")
    schema = schema_of(graph, record.op_type, record.domain)
    if schema is None:
        return Reason(f"Which datatypes {record.domain}.{record.op_type} takes is not known")
    return _by_schema(graph, record, schema, dtype)


def _by_schema(graph: Graph, record: NodeProto, schema: OpSchema, dtype: int) -> Ports | Reason | None:
    variables = {constraint.type_param_str for constraint in schema.type_constraints}
    word = f"tensor({TensorProto.DataType.Name(dtype).lower()})"
    inputs, bound, refused = [], set[str](), set[str]()
    for at, name in enumerate(record.input):
        formal = schema.inputs[min(at, len(schema.inputs) - 1)]
        if formal.type_str not in variables or not float_of(graph, name) or record.op_type in _ANY:
            continue
        if at in _SIZES.get(record.op_type, ()):
            refused.add(formal.type_str)
            continue
        if word in formal.types:
            inputs.append(at)
            bound.add(formal.type_str)
        else:
            refused.add(formal.type_str)
    outputs, attribute = [], ""
    for at, name in enumerate(record.output):
        formal = schema.outputs[min(at, len(schema.outputs) - 1)]
        if not float_of(graph, name) or formal.type_str not in variables or formal.type_str in refused - bound:
            continue
        if formal.type_str not in bound:
            if record.op_type not in ATTRIBUTES:
                continue  # the mean of LayerNormalization, which its attribute stash_type decides
            attribute = ATTRIBUTES[record.op_type]
            if word not in formal.types:
                refused.add(formal.type_str)
                continue
        outputs.append(at)
    if not inputs and not outputs:
        why = Reason(f"{record.op_type} takes no {dtype_word(dtype)} in opset {graph.opset(record.domain)}")
        return why if refused else None
    return Ports(tuple(inputs), tuple(outputs), attribute)


def precision_of(graph: Graph, node: NodeId) -> int:
    """The float that a node is computed in now: that of its first output that is one, else of its first input."""
    record = graph.nodes[node]
    found = (float_of(graph, name) for name in (*record.output, *record.input))
    return next((dtype for dtype in found if dtype), 0)


def index_nodes(graph: Graph) -> set[NodeId]:
    """Nodes with floats of which nothing comes but integers and sizes: FP16 counts by ones up to 2048 only."""
    found: set[NodeId] = set()
    for node in reversed(list(graph.nodes)):
        record = graph.nodes[node]
        made = [name for name in record.output if float_of(graph, name)]
        if made and all(graph.consumers(name) and not graph.is_output(name) for name in made):
            uses = [(user, name) for name in made for user in graph.consumers(name)]
            if all(user in found or _is_size(graph, graph.nodes[user], name) for user, name in uses):
                found.add(node)
    return found


def _is_size(graph: Graph, record: NodeProto, tensor: str) -> bool:
    if record.op_type == "Cast":
        return not float_of(graph, record.output[0]) and _whole(graph, record.output[0])
    positions = [at for at, name in enumerate(record.input) if name == tensor]
    return bool(positions) and all(at in _SIZES.get(record.op_type, ()) for at in positions)


def _whole(graph: Graph, tensor: str) -> bool:
    known = graph.type_of(tensor)
    return known is not None and known.dtype in (TensorProto.INT32, TensorProto.INT64)
