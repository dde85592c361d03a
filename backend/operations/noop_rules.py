"""Which nodes change nothing, operator by operator. The rules follow ONNX's operator reference (Operators.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from graftwerk.backend.graph.attributes import find_attribute
from graftwerk.backend.graph.constants import stored
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.types import Dim, TensorType

CASTS = ("Cast", "CastLike")
RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand")
TRANSPOSES = ("Transpose",)
IDENTITIES = ("Identity", "Dropout")
_SMALL = 64
_T = TensorProto
#: What every value of a datatype can be held in without change.
_HELD: dict[int, tuple[int, ...]] = {
    _T.FLOAT16: (_T.FLOAT, _T.DOUBLE), _T.BFLOAT16: (_T.FLOAT, _T.DOUBLE), _T.FLOAT: (_T.DOUBLE,),
    _T.INT8: (_T.INT16, _T.INT32, _T.INT64, _T.FLOAT16, _T.FLOAT, _T.DOUBLE),
    _T.UINT8: (_T.INT16, _T.UINT16, _T.INT32, _T.UINT32, _T.INT64, _T.UINT64, _T.FLOAT16, _T.FLOAT, _T.DOUBLE),
    _T.INT16: (_T.INT32, _T.INT64, _T.FLOAT, _T.DOUBLE),
    _T.UINT16: (_T.INT32, _T.UINT32, _T.INT64, _T.UINT64, _T.FLOAT, _T.DOUBLE),
    _T.INT32: (_T.INT64, _T.DOUBLE), _T.UINT32: (_T.INT64, _T.UINT64, _T.DOUBLE),
    _T.BOOL: (_T.INT8, _T.UINT8, _T.INT32, _T.INT64, _T.FLOAT16, _T.FLOAT, _T.DOUBLE),
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What becomes of a node: its readers read `source`; or, with an `op_type`, it stays and reads that instead."""

    source: str
    op_type: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


View = Graph | Edit


def change_of(view: View, node: NodeId) -> Change | None:
    """What can become of a node, None for one that does something."""
    record = view.nodes[node]
    rule = _RULES.get(record.op_type)
    if rule is None or record.domain not in ("", "ai.onnx") or not record.output or not record.output[0]:
        return None
    if not record.input or not record.input[0]:
        return None  # it is not connected yet
    if any(output and (view.consumers(output) or view.is_output(output)) for output in record.output[1:]):
        return None  # every rule is about the first output
    return rule(view, record)


def _first(view: View, record: NodeProto) -> Change | None:
    return Change(record.input[0])


def _only_input(view: View, record: NodeProto) -> Change | None:
    return Change(record.input[0]) if len(record.input) == 1 else None


def _cast(view: View, record: NodeProto) -> Change | None:
    source = record.input[0]
    before, after = view.type_of(source), view.type_of(record.output[0])
    to = find_attribute(record, "to")
    target = int(to.i) if to is not None else after.dtype if after is not None else 0
    if not target or before is None:
        return None
    if before.dtype == target:
        return Change(source)
    maker = _maker(view, source, "Cast")
    first = view.type_of(maker.input[0]) if maker is not None else None
    if maker is None or first is None or before.dtype not in _HELD.get(first.dtype, ()):
        return None
    if first.dtype == target:
        return Change(maker.input[0])
    # Twice rounded is not rounded once: only where the first cast loses nothing, one to the last datatype will do.
    return Change(maker.input[0], record.op_type) if record.op_type == "Cast" else None


def _reshaped(view: View, record: NodeProto) -> Change | None:
    source = record.input[0]
    before, after = _shape(view, source), _shape(view, record.output[0])
    if before is not None and after is not None and len(before) == len(after) and _same_sizes(before, after):
        return Change(source)
    return _reshaped_twice(view, record) if record.op_type == "Reshape" else None


def _reshaped_twice(view: View, record: NodeProto) -> Change | None:
    """A Reshape of something reshaped, where its own shape copies no size of what it reads."""
    if len(record.input) < 2:
        return None
    shape = _integers(view, record.input[1])
    maker = next(filter(None, (_maker(view, record.input[0], name) for name in RESHAPES[:4])), None)
    if maker is None or shape is None or (0 in shape and not _number(record, "allowzero", 0)):
        return None
    return Change(maker.input[0], record.op_type)


def _same_sizes(before: tuple[Dim, ...], after: tuple[Dim, ...]) -> bool:
    """Whether two shapes of a rank, with as many elements each, are the same: one size may be unknown."""
    differing = [(old, new) for old, new in zip(before, after, strict=True) if old is None or old != new]
    if not differing:
        return True
    known = [isinstance(old, int) and isinstance(new, int) for old, new in differing]
    return len(differing) == 1 and not any(known) and 0 not in before


def _expanded(view: View, record: NodeProto) -> Change | None:
    """An Expand to what is there already. It may broadcast, so all sizes have to be known or have one name."""
    before, after = _shape(view, record.input[0]), _shape(view, record.output[0])
    same = before is not None and before == after and None not in before
    return Change(record.input[0]) if same else None


def _transposed(view: View, record: NodeProto) -> Change | None:
    perm = _perm(view, record)
    if perm is None:
        return None
    if perm == tuple(range(len(perm))):
        return Change(record.input[0])
    maker = _maker(view, record.input[0], "Transpose")
    first = _perm(view, maker) if maker is not None else None
    if maker is None or first is None or len(first) != len(perm):
        return None
    both = tuple(first[axis] for axis in perm)
    if both == tuple(range(len(perm))):
        return Change(maker.input[0])
    return Change(maker.input[0], "Transpose", {"perm": list(both)})


def _perm(view: View, record: NodeProto) -> tuple[int, ...] | None:
    found = find_attribute(record, "perm")
    if found is not None:
        return tuple(int(axis) for axis in found.ints)
    shape = _shape(view, record.input[0])
    return tuple(reversed(range(len(shape)))) if shape is not None else None


def _dropped(view: View, record: NodeProto) -> Change | None:
    opset = view.opset() or 1
    if opset < 7:
        return Change(record.input[0]) if _number(record, "is_test", 0) else None
    if opset >= 12 and len(record.input) > 2 and record.input[2]:
        training = stored(view, record.input[2])
        if training is None or view.is_input(record.input[2]) or training.array().item():
            return None
    return Change(record.input[0])


def _sliced(view: View, record: NodeProto) -> Change | None:
    """A Slice that takes everything: by its bounds, since the shape alone would not show a reversal."""
    shape = _shape(view, record.input[0])
    if shape is None:
        return None
    if len(record.input) > 1:
        given = [_integers(view, name) if name else [] for name in record.input[1:]]
    else:
        found = [find_attribute(record, key) for key in ("starts", "ends", "axes")]
        given = [list(one.ints) if one is not None else [] for one in found]
    if any(one is None for one in given) or len(given) < 2:
        return None
    starts, ends, axes, steps = [one or [] for one in (*given, [], [])[:4]]
    axes = axes or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = shape[axis]
        low = start == 0 or (isinstance(size, int) and -size >= start)
        high = end >= (size if isinstance(size, int) else (1 << 31) - 1)
        if step != 1 or not low or not high:
            return None
    return Change(record.input[0])


def _joined(view: View, record: NodeProto) -> Change | None:
    """A Concat of one tensor, or of all parts of a Split in their order, along its axis."""
    if len(record.input) == 1:
        return Change(record.input[0])
    made = view.producer(record.input[0])
    split = view.nodes[made] if made is not None else None
    if split is None or split.op_type != "Split" or split.domain not in ("", "ai.onnx"):
        return None
    shape = _shape(view, split.input[0])
    rank = len(shape) if shape is not None else 0
    axes = [axis + rank if axis < 0 else axis for axis in (_number(split, "axis", 0), _number(record, "axis", 1))]
    alike = list(split.output) == list(record.input) and axes[0] == axes[1] and min(axes) >= 0
    return Change(split.input[0]) if alike else None


def _split(view: View, record: NodeProto) -> Change | None:
    return Change(record.input[0]) if len(record.output) == 1 else None


def _padded(view: View, record: NodeProto) -> Change | None:
    found = find_attribute(record, "pads")
    if found is not None:
        pads: list[int] | None = list(found.ints)
    else:
        pads = _integers(view, record.input[1]) if len(record.input) > 1 else None
    return Change(record.input[0]) if pads is not None and not any(pads) else None


def _tiled(view: View, record: NodeProto) -> Change | None:
    repeats = _integers(view, record.input[1]) if len(record.input) == 2 else None
    return Change(record.input[0]) if repeats is not None and all(one == 1 for one in repeats) else None


def _neutral(value: int, sides: tuple[int, ...]) -> Callable[[View, NodeProto], Change | None]:
    """Arithmetic with a constant that changes nothing, of no more elements or dimensions than the other side."""

    def rule(view: View, record: NodeProto) -> Change | None:
        kind = view.type_of(record.output[0])
        for side in sides:
            constant = stored(view, record.input[side])
            source = record.input[1 - side]
            before = view.type_of(source)
            if constant is None or constant.span is not None or constant.size > _SMALL:
                continue
            if view.is_input(record.input[side]):
                continue
            if before is None or kind is None or not _holds(before, kind, constant.dims):
                continue
            if constant.wrong() is None and bool(np.all(_plain(constant.array()) == value)):
                return Change(source)
        return None

    return rule


def _holds(before: TensorType, after: TensorType, dims: tuple[int, ...]) -> bool:
    """Whether broadcasting with a constant of these sizes leaves a shape as it is."""
    shape = before.shape
    if shape is None or before.dtype != after.dtype or len(dims) > len(shape):
        return False
    return all(size in (1, own) for size, own in zip(reversed(dims), reversed(shape), strict=False))


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float64) if array.dtype.kind not in "iub" else array


def _maker(view: View, tensor: str, op_type: str) -> NodeProto | None:
    made = view.producer(tensor)
    if made is None:
        return None
    record = view.nodes[made]
    return record if record.op_type == op_type and record.domain in ("", "ai.onnx") else None


def _shape(view: View, tensor: str) -> tuple[Dim, ...] | None:
    known = view.type_of(tensor)
    return known.shape if known is not None and known.kind == "tensor" else None


def _integers(view: View, tensor: str) -> list[int] | None:
    weight = stored(view, tensor)
    if weight is None or weight.span is not None or weight.size > _SMALL or view.is_input(tensor) or weight.wrong():
        return None
    return [int(value) for value in weight.array().ravel()]


def _number(record: NodeProto, name: str, default: int) -> int:
    found = find_attribute(record, name)
    return int(found.i) if found is not None else default


_RULES: dict[str, Callable[[View, NodeProto], Change | None]] = {
    "Identity": _first, "Dropout": _dropped, "Cast": _cast, "CastLike": _cast, "Reshape": _reshaped,
    "Flatten": _reshaped, "Squeeze": _reshaped, "Unsqueeze": _reshaped, "Expand": _expanded,
    "Transpose": _transposed, "Slice": _sliced, "Concat": _joined, "Split": _split, "Pad": _padded, "Tile": _tiled,
    "Sum": _only_input, "Max": _only_input, "Min": _only_input, "Mean": _only_input,
    "Sub": _neutral(0, (1,)), "Mul": _neutral(1, (0, 1)), "Div": _neutral(1, (1,)), "Pow": _neutral(1, (1,)),
}  # fmt: skip
