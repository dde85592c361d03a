"""Foreign Q/DQ as TensorRT takes it: symmetric, signed, and the bias in float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.constants import View, constant
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.qdq_remove import RemoveQdq
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.quantize.audit import asymmetric
from graftwerk.backend.quantize.insertion import parameters, prune
from graftwerk.backend.quantize.pairs import QdqPair, find_pairs, pair_of, per_channel, quantized_dtype
from graftwerk.backend.quantize.scales import LARGEST, weight

_LARGEST = LARGEST["int8"]
_NEVER_NEGATIVE = ("Relu", "Sigmoid", "Softmax", "HardSigmoid", "Abs", "Exp", "Sqrt")


@operation("qdq.make_symmetric", title="Make Q/DQ symmetric", menu="Quantize")
@dataclass(frozen=True)
class MakeSymmetric(Operation):
    """Turn Q/DQ pairs that TensorRT refuses into symmetric INT8: unsigned ones, and those with a zero point.

    The new range covers the old one, so nothing is clipped that was not, and steps become up to twice as coarse. A
    range that began at zero was a Relu too, which some quantizers leave out: it is put before the pair where what makes
    the tensor may be negative. Weights that are stored quantized are rounded anew, and biases stored in INT32 become
    float, exactly. The errors are told.
    """

    nodes: tuple[NodeRef, ...] = param((), label="Only these", help="Q or DQ nodes; empty: all that need it")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self:
        kinds = ("QuantizeLinear", "DequantizeLinear")
        return cls(tuple(graph.ref(node) for node in selection.nodes if graph.nodes[node].op_type in kinds))

    def _pairs(self, graph: Graph) -> list[QdqPair]:
        if self.nodes:
            chosen = {pair_of(graph, graph.find(ref)).dequantize: ref for ref in self.nodes}
            return [pair for node, pair in find_pairs(graph).items() if node in chosen and asymmetric(graph, pair)]
        return [pair for pair in find_pairs(graph).values() if asymmetric(graph, pair)]

    def blocked(self, graph: Graph) -> Reason | None:
        if not self._pairs(graph):
            text = "These pairs are symmetric" if self.nodes else "Every Q/DQ pair is symmetric"
            return Reason(text, settled=True)
        return None

    def apply(self, edit: Edit) -> None:
        pairs = self._pairs(edit.base)
        for pair in pairs:
            if pair.quantize is not None:
                _change(edit, pair)
            elif quantized_dtype(edit.base, pair) == TensorProto.INT32:
                RemoveQdq(NodeRef(edit.base.ref(pair.dequantize))).apply(edit)
            else:
                _store_anew(edit, pair)

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        told = []
        for pair in self._pairs(before):
            scale, zero = _numbers(before, pair)
            if pair.quantize is not None:
                coarser = float(np.max(_covering(before, pair, scale, zero) / scale))
                told.append(f"{pair.source}: steps {coarser:.2f} times as large")
            elif quantized_dtype(before, pair) != TensorProto.INT32:
                values, rounded = _weights(before, pair)[:2]
                size = float(np.linalg.norm(values))
                error = float(np.linalg.norm(rounded - values)) / size if size else 0.0
                told.append(f"{pair.source}: rounded anew, relative error {error:.2g}")
        return tuple(told)


def _numbers(view: View, pair: QdqPair) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and zero point as vectors. Raises Fault where they are computed."""
    scale = constant(view, pair.scale)
    zero = constant(view, pair.zero_point) if pair.zero_point else np.zeros(1)
    if scale is None or zero is None:
        raise Fault("The scale or the zero point of this pair is computed", pair.source, "Fold constants first")
    return scale.astype(np.float64).reshape(-1), zero.astype(np.float64).reshape(-1)


def _covering(view: View, pair: QdqPair, scale: NDArray[np.float64], zero: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric scale whose range holds everything that the old one did."""
    info = np.iinfo(helper.tensor_dtype_to_np_dtype(quantized_dtype(view, pair)))
    largest = np.maximum(np.abs(info.min - zero), np.abs(info.max - zero)) * scale
    found: NDArray[np.float64] = np.asarray(largest / _LARGEST)
    return found


def _change(edit: Edit, pair: QdqPair) -> None:
    """Gives both nodes of a pair another scale and a zero point of 0."""
    assert pair.quantize is not None
    scale, zero = _numbers(edit, pair)
    if _clips_at_zero(edit, pair, zero):
        _put_relu(edit, pair)
    wanted = _covering(edit, pair, scale, zero).astype(np.float32)
    known = edit.type_of(pair.source)
    shaped = wanted if per_channel(edit, pair) else wanted.reshape(())
    names = parameters(edit, pair.source, shaped, "int8", known.dtype if known else 0)
    for node in pair.nodes:
        record = edit.nodes[node]
        old = list(record.input[1:3])
        kept = [one for one in record.attribute if one.name != "output_dtype"]
        edit.replace_node(node, inputs=[record.input[0], *names], attributes=kept)
        prune(edit, *old)
    edit.value_infos.pop(pair.quantized, None)


def _clips_at_zero(view: View, pair: QdqPair, zero: NDArray[np.float64]) -> bool:
    """Whether the pair takes away negative values that are there."""
    made = view.producer(pair.source)
    if made is not None and view.nodes[made].op_type in _NEVER_NEGATIVE:
        return False
    lowest = np.iinfo(helper.tensor_dtype_to_np_dtype(quantized_dtype(view, pair))).min
    return bool(np.all(zero == lowest)) and weight(view, pair.source) is None


def _put_relu(edit: Edit, pair: QdqPair) -> None:
    """A Relu between a tensor and its pair; one that stands there for another pair serves both."""
    assert pair.quantize is not None
    there = next((edit.nodes[node] for node in edit.consumers(pair.source) if edit.nodes[node].op_type == "Relu"), None)
    name = there.output[0] if there is not None else edit.fresh_tensor(f"{pair.source}_Relu")
    if there is None:
        edit.add_node("Relu", [pair.source], [name], name=edit.fresh_node(f"{pair.source}_Relu"))
        known = edit.type_of(pair.source)
        if known is not None:
            edit.set_type(name, known)
    record = edit.nodes[pair.quantize]
    edit.replace_node(pair.quantize, inputs=[name, *record.input[1:]])


def _weights(view: View, pair: QdqPair) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A stored weight's values in float, rounded to symmetric INT8, and the new scales."""
    stored = constant(view, pair.source)
    if stored is None:
        raise Fault("The weight's values are not known", pair.source)
    scale, zero = _numbers(view, pair)
    shape = [1] * stored.ndim
    if per_channel(view, pair):
        shape[pair.axis] = -1
    offset = zero.reshape(shape if zero.size > 1 else [1] * stored.ndim)
    values = (stored.astype(np.float64) - offset) * scale.reshape(shape)
    others = tuple(at for at in range(stored.ndim) if shape[at] == 1)
    largest = np.abs(values).max(axis=others, keepdims=True, initial=0.0)
    wanted = np.where(largest > 0, largest / _LARGEST, 1.0)
    rounded = np.clip(np.rint(values / wanted), -_LARGEST, _LARGEST) * wanted
    return values, rounded, wanted


def _store_anew(edit: Edit, pair: QdqPair) -> None:
    _, rounded, wanted = _weights(edit, pair)
    vector = wanted.reshape(-1).astype(np.float32)
    known = edit.type_of(pair.output)
    shaped = vector if per_channel(edit, pair) else vector.reshape(())
    scale, zero = parameters(edit, pair.source, shaped, "int8", known.dtype if known else 0)
    name = edit.fresh_tensor(f"{pair.source}_int8")
    edit.set_initializer(Initializer.from_array(np.rint(rounded / wanted).astype(np.int8), name))
    old = list(edit.nodes[pair.dequantize].input)
    edit.replace_node(pair.dequantize, inputs=[name, scale, zero])
    prune(edit, *old)
