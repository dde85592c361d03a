"""Figures of merit of a compiled model, read from its layers: what it launches, moves, converts, computes in INT8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from graftwerk.backend.engines.report import Layer, LayerTensor
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.quantize.scales import COMPUTE

#: Bits of one element, by TensorRT's names.
_BITS = {
    "FP64": 64, "INT64": 64, "FP32": 32, "INT32": 32, "FP16": 16, "BF16": 16, "INT8": 8, "UINT8": 8, "FP8": 8,
    "BOOL": 8, "INT4": 4, "FP4": 4,
}  # fmt: skip
QUANTIZED = frozenset(("INT8", "FP8", "INT4", "FP4"))
#: Kinds of layers that launch nothing, and those that only convert.
_FREE = frozenset(("NoOp", "Constant", "Shape"))
#: What launching one more kernel is worth, as bytes that could be moved meanwhile: 2 µs at 5 TB/s. Between 4 and 520 MB
#: it orders the placements that were measured on an H200 (TensorRT 8.6, ResNet-50, batch 32) as the clock did.
LAUNCH_BYTES = 10_000_000


@dataclass(frozen=True)
class Figures:
    """Of a compiled model: `kernels` that are launched, `moved_bytes` of all their activations, read and written,
    `conversions` among them (kernels that only change datatype or layout), and `quantized`, the share of
    multiplications that are done in 8 bits or fewer, 0 to 1; None where the graph doesn't tell.
    """

    kernels: int
    moved_bytes: int
    conversions: int
    quantized: float | None = None

    @property
    def cost(self) -> int:
        """Bytes moved, and bytes that could be moved while the kernels are launched: a rank, not a time."""
        return self.moved_bytes + LAUNCH_BYTES * self.kernels


def figures(layers: Sequence[Layer], graph: Graph | None = None) -> Figures:
    """The figures of an engine's layers. Dimensions that are known only at run time count as 1."""
    kept = [layer for layer in layers if layer.kind not in _FREE]
    moved = sum(_bytes(tensor) for layer in kept for tensor in (*layer.inputs, *layer.outputs))
    conversions = sum(is_conversion(layer) for layer in kept)
    return Figures(len(kept), moved, conversions, None if graph is None else _quantized(kept, graph))


def is_conversion(layer: Layer) -> bool:
    """Whether a layer does nothing but change a datatype or a layout."""
    return layer.kind.lower().startswith(("reformat", "quantize", "dequantize", "cast"))


def multiplications(graph: Graph) -> dict[NodeId, int]:
    """Multiplications and additions of each linear node, from its types; open dimensions count as 1."""
    found = {}
    for node, record in graph.nodes.items():
        if record.op_type in COMPUTE and record.domain in ("", "ai.onnx"):
            out, factor = graph.type_of(record.output[0]), graph.type_of(record.input[1])
            if out is None or factor is None or out.shape is None or factor.shape is None:
                continue
            sizes, weights = _sizes(out), _sizes(factor)
            if record.op_type in ("MatMul", "Gemm"):
                transposed = any(one.name == "transB" and one.i for one in record.attribute)
                found[node] = prod(sizes) * (weights[-1] if transposed or len(weights) < 2 else weights[-2])
            elif record.op_type == "Conv":
                found[node] = prod(sizes) * prod(weights[1:])
            else:  # ConvTranspose: every input element meets every weight of its channel
                known = graph.type_of(record.input[0])
                found[node] = prod(_sizes(known)) * prod(weights[1:]) if known is not None and known.shape else 0
    return found


def _quantized(layers: Iterable[Layer], graph: Graph) -> float | None:
    work = {graph.ref(node): count for node, count in multiplications(graph).items()}
    total = sum(work.values())
    if not total:
        return None
    chosen = [layer for layer in layers if layer.precision in QUANTIZED or _reads_quantized(layer)]
    done = {ref for layer in chosen for ref in layer.onnx_nodes}
    return sum(count for ref, count in work.items() if ref in done) / total


def _reads_quantized(layer: Layer) -> bool:
    """A layer that doesn't say in what it computes: by what it reads first."""
    return not layer.precision and bool(layer.inputs) and layer.inputs[0].dtype in QUANTIZED


def _bytes(tensor: LayerTensor) -> int:
    return prod(max(size, 1) for size in tensor.shape) * _BITS.get(tensor.dtype, 32) // 8


def _sizes(kind: TensorType) -> list[int]:
    return [size if isinstance(size, int) else 1 for size in kind.shape or ()]
