"""What is written on the boxes of a diagram: computed for the few boxes in view, never for a whole graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, defs

from graftwerk.backend.graph.constants import stored
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES

#: Constants of up to this many elements are written out, larger ones by their shape.
WRITTEN_OUT = 4


@dataclass(frozen=True, slots=True)
class Chip:
    """A constant input as it stands in a box: the input's letter or name, its shape or value, and its tensor.

    `quantized`: a DequantizeLinear lies between the weight and the node.
    """

    name: str
    text: str
    tensor: str
    quantized: bool = False


def leaf_name(op_type: str, name: str) -> str:
    """What tells a node from its neighbours: `/layer1/conv2/Conv` is conv2, `mlp.fc1` fc1, `Relu_17` nothing."""
    rest, slash, last = name.rpartition("/")
    if not slash:
        rest, _, last = name.rpartition(".")
    if last.startswith(op_type) and (last == op_type or last[len(op_type):].lstrip("_").isdigit()):
        return rest.rpartition("/" if slash else ".")[2]
    return last


@lru_cache(maxsize=4096)
def input_name(op_type: str, domain: str, index: int) -> str:
    """The letter or name that the operator's schema gives an input; its number where there is no schema.

    A bias (`B` beside a `W`) is a lower-case b, as in the field's drawings.
    """
    try:
        inputs = defs.get_schema(op_type, domain=domain).inputs
    except defs.SchemaError:
        return str(index)
    if not inputs:
        return str(index)
    name = str(inputs[min(index, len(inputs) - 1)].name)
    return "b" if name == "B" and any(other.name == "W" for other in inputs) else name


def shape_text(dims: tuple[int, ...]) -> str:
    return "×".join(map(str, dims)) or "scalar"


def value_text(weight: Initializer) -> str:
    """A small constant's value (`-1`, `[0, 2, 1]`, `0.125`), a larger one's shape.

    External data is not read to draw a graph: it is shown by its shape, as what was stripped is.
    """
    unread = weight.external or weight.stripped is not None or weight.dtype in (0, TensorProto.STRING)
    if weight.size > WRITTEN_OUT or unread:
        return shape_text(weight.dims)
    return _values(weight.array())


def _values(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    texts = [_number(value) for value in values.ravel().tolist()]
    return texts[0] if values.ndim == 0 or len(texts) == 1 else f"[{', '.join(texts)}]"


def _number(value: object) -> str:
    """A float in four digits; `max` and `min` for what stands for "to the end" in a Slice."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and abs(value) >= 2**31 - 1:
        return "max" if value > 0 else "min"
    return str(value)


def constant_text(record: NodeProto) -> str:
    """The value or shape that a Constant node holds."""
    for attribute in record.attribute:
        match attribute.type:
            case AttributeProto.TENSOR:
                return value_text(Initializer(attribute.t))
            case AttributeProto.FLOAT:
                return _number(attribute.f)
            case AttributeProto.INT:
                return str(attribute.i)
            case AttributeProto.STRING:
                return str(attribute.s.decode(errors="replace"))
            case AttributeProto.INTS | AttributeProto.FLOATS:
                values = attribute.ints if attribute.type == AttributeProto.INTS else attribute.floats
                if len(values) > WRITTEN_OUT:
                    return shape_text((len(values),))
                return f"[{', '.join(_number(value) for value in values)}]"
    return ""


def chips(graph: Graph, record: NodeProto) -> list[Chip]:
    """The constant inputs of a node, in order: weights, Constant nodes, and weights that are dequantized on the way."""
    found = []
    for index, tensor in enumerate(record.input):
        text, quantized = _constant(graph, tensor)
        if text:
            name = input_name(record.op_type, record.domain, index)
            found.append(Chip(name, text, tensor, quantized))
    return found


def _constant(graph: Graph, tensor: str) -> tuple[str, bool]:
    weight = graph.initializers.get(tensor)
    if weight is not None:
        return value_text(weight), False
    made = graph.producers.get(tensor)
    record = graph.nodes[made] if made is not None else None
    if record is None:
        return "", False
    if record.op_type == "Constant":
        return constant_text(record), False
    if record.op_type == "DequantizeLinear" and record.input:
        return _quantized(graph, record.input[0])
    return "", False


def _quantized(graph: Graph, tensor: str) -> tuple[str, bool]:
    """The text of a weight behind its DequantizeLinear: its shape, and the datatype that it is quantized to."""
    made = graph.producers.get(tensor)
    kind = ""
    if made is not None and graph.nodes[made].op_type == "QuantizeLinear":
        record = graph.nodes[made]
        zero = stored(graph, record.input[2]) if len(record.input) > 2 else None
        tensor, kind = record.input[0], DTYPE_NAMES.get(zero.dtype, "") if zero is not None else "UINT8"
    weight = stored(graph, tensor)
    if weight is None:
        return "", False
    return f"{shape_text(weight.dims)} {kind or DTYPE_NAMES.get(weight.dtype, '')}".strip(), True


def scale_text(graph: Graph, tensor: str) -> str:
    """A Q/DQ scale: its value, how many where there are several, nothing where it is computed or can't be read."""
    weight = stored(graph, tensor)
    if weight is None or weight.missing:
        return ""
    if weight.size != 1:
        return f"{weight.size} scales"
    return f"{float(np.asarray(weight.array(), np.float64).reshape(-1)[0]):.3g}"
