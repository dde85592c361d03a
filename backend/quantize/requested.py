"""The precision that a graph asks for, node by node: what an engine's achieved precision is held against.

Strongly typed compilers (TensorRT-RTX, TensorRT 11) take it from the graph: a tensor's datatype, and Q/DQ.

- What contracts (Conv, MatMul, Gemm …) asks for the quantized datatype when both factors come out of a
  DequantizeLinear of that datatype, however many views lie between; else for its data's float.
- A MaxPool behind a DequantizeLinear, or whose output is read by QuantizeLinear only, asks for the quantized datatype:
  a maximum is the same before and after, so that compilers move the Q/DQ across it.
- Any other operator asks for the float it reads, or makes where it reads none. Q/DQ around it don't change that: an Add
  between two DequantizeLinear is computed in float.
- What does no arithmetic on floats (shapes, indices, views, constants, Q/DQ themselves) asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import NodeProto

from graftwerk.backend.engines.report import NodeOutcome
from graftwerk.backend.engines.rtx_attribution import MOVERS
from graftwerk.backend.engines.rtx_kernels import CONTRACTIONS
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.types import DTYPE_NAMES
from graftwerk.backend.quantize.pairs import pair_at, pairs_on, quantized_dtype

_FLOATS = frozenset({"FP64", "FP32", "FP16", "BF16"})
_VIEWS = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"})


def precision_requested(graph: Graph, node: NodeId) -> str:
    """The datatype a node asks to be computed in, "" where it asks for none or the types are not known."""
    record = graph.nodes[node]
    if record.op_type in MOVERS:
        return ""
    plain = _float(graph, record)
    if record.op_type in CONTRACTIONS:
        factors = {_quantized(graph, tensor) for tensor in record.input[:2]}
        quantized = factors.pop() if len(factors) == 1 else ""
        return quantized or plain
    if record.op_type == "MaxPool":
        return _quantized(graph, record.input[0]) or _quantized_next(graph, record.output[0]) or plain
    return plain


def disagreements(graph: Graph, nodes: Mapping[str, NodeOutcome]) -> dict[str, tuple[str, str]]:
    """By reference, the nodes that run at another precision than they ask for: (requested, achieved)."""
    found: dict[str, tuple[str, str]] = {}
    for node in graph.nodes:
        ref = graph.ref(node)
        achieved = nodes[ref].precision if ref in nodes else ""
        requested = precision_requested(graph, node)
        if achieved and requested and achieved != requested:
            found[ref] = (requested, achieved)
    return found


def _float(graph: Graph, record: NodeProto) -> str:
    for tensor in (*record.input, *record.output):
        known = graph.type_of(tensor) if tensor else None
        name = DTYPE_NAMES.get(known.dtype, "") if known is not None else ""
        if name in _FLOATS:
            return name
    return ""


def _quantized(graph: Graph, tensor: str) -> str:
    """The datatype that a tensor was dequantized from, "" where it does not come from a DequantizeLinear."""
    made = graph.producer(tensor)
    while made is not None and graph.nodes[made].op_type in _VIEWS:
        made = graph.producer(graph.nodes[made].input[0])
    pair = pair_at(graph, made) if made is not None else None
    return DTYPE_NAMES.get(quantized_dtype(graph, pair), "") if pair is not None else ""


def _quantized_next(graph: Graph, tensor: str) -> str:
    """The datatype that all readers of a tensor quantize it to, "" where one does not."""
    readers = graph.consumers(tensor)
    pairs = list(pairs_on(graph, tensor))
    if graph.is_output(tensor) or not pairs or {pair.quantize for pair in pairs} != set(readers):
        return ""
    dtypes = {quantized_dtype(graph, pair) for pair in pairs}
    return DTYPE_NAMES.get(dtypes.pop(), "") if len(dtypes) == 1 else ""
