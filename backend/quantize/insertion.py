"""Putting a Q/DQ pair on a tensor: why it can't be done, and doing it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.constants import View, is_constant_node
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, reads
from graftwerk.backend.graph.schema import dtype_word
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE, QdqPair, pairs_on, quantized_dtype, scales
from graftwerk.backend.quantize.scales import DTYPES, common_axis, guessed_scale, weight, weight_scales

#: Inputs that are parameters of an operator, which TensorRT wants in float: biases, bounds, scales, statistics.
_PARAMETERS: dict[str, frozenset[int]] = {
    op: frozenset(positions)
    for op, positions in {
        "Conv": (2,), "ConvTranspose": (2,), "Gemm": (2,), "Resize": (1, 2, 3), "Upsample": (1,), "Clip": (1, 2),
        "Pad": (1, 2, 3), "BatchNormalization": (1, 2, 3, 4), "LayerNormalization": (1, 2),
        "InstanceNormalization": (1, 2), "GroupNormalization": (1, 2), "RMSNormalization": (1,), "Dropout": (1, 2),
        "OneHot": (1, 2), "Range": (0, 1, 2), QUANTIZE: (0, 1, 2), DEQUANTIZE: (0, 1, 2), "Shape": (0,), "Size": (0,),
    }.items()
}  # fmt: skip
#: The types that are quantized, with the smallest positive number that each holds.
_LEAST: dict[int, float] = {
    TensorProto.FLOAT: 2.0**-149, TensorProto.FLOAT16: 2.0**-24, TensorProto.BFLOAT16: 2.0**-133,
}  # fmt: skip
_FLOATS = tuple(_LEAST)


def readers(view: View, tensor: str) -> list[NodeId]:
    """The nodes that could read a tensor quantized: all consumers but those that take it as a parameter."""
    return [node for node in view.consumers(tensor) if _reads_data(view.nodes[node], tensor)]


def _reads_data(record: NodeProto, tensor: str) -> bool:
    parameters = _PARAMETERS.get(record.op_type, frozenset()) if record.domain in ("", "ai.onnx") else frozenset()
    positions = [at for at, name in enumerate(record.input) if name == tensor]
    return not positions or any(at not in parameters for at in positions)  # no position: a body of the node reads it


def why_not(graph: Graph, tensor: str, dtype: str) -> Reason | None:
    """Why no pair can stand on a tensor, whoever reads it."""
    if not graph.defines(tensor):
        return Reason(f"There is no tensor {tensor!r}", "Tensors are the edges of the graph")
    reason = _why_not_opset(graph, tensor, dtype)
    if reason is not None:
        return reason
    made = graph.producer(tensor)
    if made is not None and graph.nodes[made].op_type in (QUANTIZE, DEQUANTIZE):
        return Reason(f"{tensor} is quantized already: {graph.ref(made)} makes it", "Remove that pair first")
    known = graph.type_of(tensor)
    if known is not None and known.kind != "tensor":
        return Reason(f"{tensor} is a {known.kind}, not a tensor")
    if known is not None and known.dtype and known.dtype not in _FLOATS:
        return Reason(f"{tensor} is {dtype_word(known.dtype)}; only float tensors are quantized")
    return None


def _why_not_opset(graph: Graph, tensor: str, dtype: str) -> Reason | None:
    opset = graph.opset() or 0
    known = graph.type_of(tensor)
    needed, what = 10, "QuantizeLinear"
    if dtype == "fp8e4m3fn":
        needed, what = 19, "QuantizeLinear to FP8"
    elif known is not None and known.dtype in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
        needed, what = 19, f"QuantizeLinear of {dtype_word(known.dtype)}"
    if opset >= needed:
        return None
    return Reason(f"{what} needs opset {needed}; the model has {opset}", "Convert the model to a newer opset")


def existing(view: View, tensor: str) -> QdqPair | None:
    """The pair that stands on a tensor for some of its consumers."""
    return next(pairs_on(view, tensor), None)


def differs(view: View, pair: QdqPair, dtype: str, wanted: Sequence[float]) -> bool:
    """Whether a pair has another datatype or, where any are wanted, other scales."""
    if quantized_dtype(view, pair) != DTYPES[dtype]:
        return True
    found = scales(view, pair)
    return bool(wanted) and (found is None or not np.allclose(found, wanted, rtol=1e-6, atol=0))


def automatic(
    edit: Edit, tensor: str, targets: Iterable[NodeId], dtype: str, per_channel: bool | None, axis: int | None = None
) -> tuple[NDArray[np.float32], int | None, bool]:
    """Scales for a tensor: those of a weight's values, else a guess. Gives scales, axis (None: per tensor), guessed.

    `per_channel` None leaves it to the readers of a weight; an `axis` overrules theirs. Below opset 13 QuantizeLinear
    has no axis, so weights are then quantized per tensor. Raises Fault where the weight's values can't be read.
    """
    found = weight(edit, tensor)
    if found is None:
        return np.asarray(guessed_scale(edit, tensor, dtype), np.float32), None, True
    if per_channel is None and (edit.base.opset() or 0) < 13:
        per_channel = False
    if per_channel is False:
        axis = None
    elif axis is None:
        axis = common_axis(edit, tensor, targets)
    scale = weight_scales(found.array(), axis, dtype)
    known = edit.type_of(tensor)
    least = _LEAST.get(known.dtype if known else 0, 0.0)  # a dead channel's scale would be stored as 0
    return np.maximum(scale, np.float32(least)), axis, False


def why_not_scale(graph: Graph, tensor: str, scale: Sequence[float]) -> Reason | None:
    """Why given scales can't be stored for a tensor: as its datatype holds them they have to be finite and positive."""
    known = graph.type_of(tensor)
    dtype = known.dtype if known is not None and known.dtype in _FLOATS else TensorProto.FLOAT
    with np.errstate(over="ignore", under="ignore"):
        stored = np.asarray(scale, np.float64).astype(_scale_type(dtype)).astype(np.float64)
    bad = next((given for given, held in zip(scale, stored, strict=True) if not 0 < held < np.inf), None)
    if bad is None:
        return None
    return Reason(f"A scale of {bad:g} for {tensor} is not a positive number that {dtype_word(dtype)} can hold")


def _scale_type(float_type: int) -> np.dtype[np.generic]:
    """A scale has the type of what it scales."""
    return onnx.helper.tensor_dtype_to_np_dtype(float_type) if float_type in _FLOATS else np.dtype(np.float32)


def insert_pair(
    edit: Edit, tensor: str, targets: Sequence[NodeId], scale: NDArray[np.float32], dtype: str, axis: int | None,
    metadata: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Puts a pair on a tensor for `targets`; with none of them before the graph output that the tensor is.

    `scale` is a scalar, or a vector along `axis`. The graph output keeps its name: the pair makes it then.
    """
    known = edit.type_of(tensor)
    source = tensor
    if not targets:
        source = _renamed_source(edit, tensor)
    scale_name, zero_name = parameters(edit, tensor, scale, dtype, known.dtype if known else 0)
    place_pair(edit, source, tensor, "" if targets else tensor, scale_name, zero_name, axis, metadata, targets)


def _renamed_source(edit: Edit, tensor: str) -> str:
    """Lets the producer of a graph output write another tensor, so that a pair can make the output."""
    made = edit.producer(tensor)
    if made is None:
        raise Reason(f"No node makes the graph output {tensor}").fault()
    source = edit.fresh_tensor(f"{tensor}_float")
    edit.replace_node(made, outputs=[source if name == tensor else name for name in edit.nodes[made].output])
    known = edit.type_of(tensor)
    if known is not None:
        edit.set_type(source, known)
    return source


def parameters(edit: Edit, base: str, scale: NDArray[np.float32], dtype: str, float_type: int) -> tuple[str, str]:
    """The initializers of a pair's scale and zero point, named after `base`.

    Raises Fault for scales that are not finite and positive, as those of a weight that holds NaN or infinity.
    """
    stored = scale.astype(_scale_type(float_type))
    held = stored.astype(np.float32)
    if not bool(np.all((held > 0) & np.isfinite(held))):
        raise Fault("Its values give a scale that is not finite: they hold NaN or infinity, or are too large", base)
    name = edit.fresh_tensor(f"{base}_scale")
    edit.set_initializer(stored, name)
    zero = edit.fresh_tensor(f"{base}_zero_point")
    proto = TensorProto(name=zero, data_type=DTYPES[dtype], dims=scale.shape, raw_data=bytes(scale.size))
    edit.set_initializer(Initializer(proto))
    return name, zero


def place_pair(
    edit: Edit, source: str, base: str, output: str, scale: str, zero_point: str, axis: int | None,
    metadata: dict[str, str] | None = None, targets: Iterable[NodeId] = (),
) -> QdqPair:  # fmt: skip
    """Adds the two nodes behind `source`, named after `base`, and lets `targets` read what they make.

    `output` is the tensor to make, or empty for a new one.
    """
    attributes = {} if axis is None else {"axis": axis}
    quantized = edit.fresh_tensor(f"{base}_{QUANTIZE}_Output")
    result = output or edit.fresh_tensor(f"{base}_{DEQUANTIZE}_Output")
    quantize = edit.add_node(
        QUANTIZE, [source, scale, *filter(None, [zero_point])], [quantized], attributes=attributes,
        name=edit.fresh_node(f"{base}_{QUANTIZE}"), metadata=metadata,
    )  # fmt: skip
    dequantize = edit.add_node(
        DEQUANTIZE, [quantized, scale, *filter(None, [zero_point])], [result], attributes=attributes,
        name=edit.fresh_node(f"{base}_{DEQUANTIZE}"),
    )  # fmt: skip
    set_types(edit, source, quantized, result, zero_point)
    for node in targets:
        edit.rewire(source, result, only=[node])
    return QdqPair(quantize, dequantize, source, quantized, result, scale, zero_point, 1 if axis is None else axis)


def set_types(edit: Edit, source: str, quantized: str, result: str, zero_point: str) -> None:
    known = edit.type_of(source)
    if known is None:
        return
    zero = edit.type_of(zero_point) if zero_point else TensorType(TensorProto.UINT8)
    edit.set_type(quantized, TensorType(zero.dtype if zero else 0, known.shape))
    edit.set_type(result, known)


def prune(edit: Edit, *tensors: str) -> None:
    """Removes initializers, and Constant nodes, that nothing reads any more."""
    for tensor in dict.fromkeys(tensors):
        if not tensor or edit.consumers(tensor) or edit.is_output(tensor):
            continue
        made = edit.producer(tensor)
        if tensor in edit.initializers and all(info.name != tensor for info in edit.inputs):
            edit.remove_initializer(tensor)
        elif made is not None and is_constant_node(edit.nodes[made]):
            edit.remove_node(made)


def consumers_in(graph: Graph, tensor: str, refs: Iterable[str]) -> list[NodeId]:
    """The nodes that references mean. Raises Fault for one that does not read the tensor."""
    found = []
    for ref in refs:
        node = graph.find(ref)
        if tensor not in reads(graph.nodes[node]):
            raise Reason(f"{ref} does not read {tensor}").fault()
        found.append(node)
    return found
