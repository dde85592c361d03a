"""Which operators commute with quantization: op(DQ(Q(x))) == DQ(Q(op(x))), bit for bit.

True of what only moves values about, and of what picks among them by order, since quantization keeps order. Rounding
is monotone and a zero is held exactly, so Relu and padding with zeros commute too, whatever the zero point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import AttributeProto, NodeProto, helper

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.constants import View, constant

Check = Callable[[View, NodeProto], "Reason | None"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a pair passes an operator.

    `inputs` are the positions of its data inputs, None for all of them. `check` says what about this node forbids it.
    `keeps_axes`: channels stay on the axis where they are, so a pair with a scale per channel passes as well
    (Transpose, which permutes them, is known to `axis_behind`).
    """

    inputs: tuple[int, ...] | None = (0,)
    check: Check | None = None
    keeps_axes: bool = False


def _max_pool(view: View, record: NodeProto) -> Reason | None:
    if len(record.output) > 1 and record.output[1]:
        return Reason("MaxPool gives indices too: of values that round to the same step it would pick another one")
    return None


def _pad(view: View, record: NodeProto) -> Reason | None:
    mode = _text(record, "mode", "constant")
    if mode != "constant":
        return None
    value = next((attribute.f for attribute in record.attribute if attribute.name == "value"), 0.0)
    if len(record.input) > 2 and record.input[2]:
        known = constant(view, record.input[2])
        if known is None:
            return Reason("It pads with a value that is computed; only zeros are sure to be held exactly")
        value = float(known.reshape(-1)[0])
    return None if value == 0 else Reason(f"It pads with {value:g}, which need not lie on a step of the scale")


def _resize(view: View, record: NodeProto) -> Reason | None:
    mode = _text(record, "mode", "nearest")
    if mode != "nearest":
        return Reason(f"Resize with mode {mode} makes values between the quantized steps", "Mode nearest commutes")
    if _text(record, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return Reason("tf_crop_and_resize fills in a value of its own, which need not lie on a step of the scale")
    return None


def _text(record: NodeProto, name: str, default: str) -> str:
    found = (str(helper.get_attribute_value(a).decode()) for a in record.attribute
             if a.name == name and a.type == AttributeProto.STRING)  # fmt: skip
    return next(found, default)


MOVES = Rule()
RULES: dict[str, Rule] = {
    "Identity": Rule(keeps_axes=True), "Relu": Rule(keeps_axes=True), "Transpose": Rule(keeps_axes=True),
    "MaxPool": Rule(check=_max_pool, keeps_axes=True), "GlobalMaxPool": Rule(keeps_axes=True), "ReduceMax": MOVES,
    "ReduceMin": MOVES, "Max": Rule(inputs=None), "Min": Rule(inputs=None), "Where": Rule(inputs=(1, 2)),
    "Reshape": MOVES, "Flatten": MOVES, "Squeeze": MOVES, "Unsqueeze": MOVES, "Slice": MOVES, "Gather": MOVES,
    "GatherElements": MOVES, "GatherND": MOVES, "Split": MOVES, "Expand": MOVES, "Tile": MOVES, "Concat": Rule(None),
    "DepthToSpace": MOVES, "SpaceToDepth": MOVES, "Pad": Rule(check=_pad), "Resize": Rule(check=_resize),
    "Upsample": Rule(check=_resize),
}  # fmt: skip

_AVERAGES = "An average lies between the quantized steps, so its output needs a scale of its own"
_SUMS = "Sums and products of quantized values lie between the steps, so its output needs a scale of its own"
_SATURATES = "The lowest quantized value has no counterpart of the other sign"
_WHY_NOT: dict[str, str] = {
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean", "LpPool"), _AVERAGES),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Sum", "Mean", "ReduceSum", "Pow", "Sqrt"), _SUMS),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum"), _SUMS), "Abs": _SATURATES, "Neg": _SATURATES,
    "Constant": "Nothing is above a constant",
    "Clip": "The bounds of Clip need not lie on steps of the scale",
    "LeakyRelu": "The slope of its negative half makes values between the quantized steps",
    "QuantizeLinear": "Another Q/DQ pair stands there", "DequantizeLinear": "Another Q/DQ pair stands there",
}  # fmt: skip


def why_not_across(view: View, record: NodeProto) -> Reason | None:
    """Why no pair can pass a node, whatever the pair."""
    if record.domain not in ("", "ai.onnx"):
        return Reason(f"What {record.domain}.{record.op_type} does to quantized values is not known")
    rule = RULES.get(record.op_type)
    if rule is None:
        why = _WHY_NOT.get(record.op_type, "It changes values, so its output needs a scale of its own")
        return Reason(f"A Q/DQ pair can't pass {record.op_type}. {why}")
    return rule.check(view, record) if rule.check is not None else None


def data_inputs(record: NodeProto) -> list[str]:
    """The tensors that carry a commuting node's data, each once; the others are shapes, indices and conditions."""
    positions = RULES[record.op_type].inputs
    chosen = record.input if positions is None else [record.input[at] for at in positions if at < len(record.input)]
    return list(dict.fromkeys(name for name in chosen if name))


def axis_behind(record: NodeProto, axis: int, rank: int | None, down: bool) -> int | Reason:
    """The axis on which a pair's channels lie on the other side of a node; `down` with the data, else against it.

    `rank` is that of the data, for axes and permutations that count from the end or are left out.
    """
    if not RULES[record.op_type].keeps_axes:
        return Reason(f"The pair has a scale per channel, and {record.op_type} moves channels about")
    if record.op_type in ("MaxPool", "GlobalMaxPool") and axis not in (0, 1):
        return Reason(f"{record.op_type} pools along the axis of the channels")
    if record.op_type != "Transpose":
        return axis
    order = next((list(attribute.ints) for attribute in record.attribute if attribute.name == "perm"), None)
    if order is None and rank is None:
        return Reason("The rank of the tensor is not known, and Transpose turns all axes round")
    order = order or list(reversed(range(rank or 0)))
    return int(np.argsort(order)[axis]) if down else order[axis]
