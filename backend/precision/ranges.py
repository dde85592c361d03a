"""The range check: which tensors of a model would not survive FP16, measured on data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from graftwerk.backend.graph.constants import constant_value, is_constant_node
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.standin import with_stand_ins
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.precision.ports import PRECISIONS, float_of

if TYPE_CHECKING:
    from graftwerk.backend.engines.ranges import MeasureRanges, TensorRange

#: Of the values that are not zero, the share that may become zero before a tensor counts as lost.
MOST_LOST = 0.5
#: Elements of a constant that is looked at before the run.
_SMALL = 65536


@dataclass(frozen=True)
class OutOfRange:
    """A tensor that FP16 can't hold, and why in words."""

    tensor: str
    why: str


def range_job(
    graph: Graph, folder: Path, samples: tuple[tuple[str, ...], ...] = (), shapes: Mapping[str, Any] | None = None,
    random: int = 1,
) -> MeasureRanges:  # fmt: skip
    """Writes a revision and makes the job that measures every FP32 tensor of its inputs and nodes.

    Small constants are held at FP16's limits, as a retype writes them: an attention mask that adds -3.4e38 adds -65504
    then, and what it is added to is no overflow by itself.
    """
    from graftwerk.backend.engines.ranges import MeasureRanges

    runnable, _ = with_stand_ins(_held(graph))
    return MeasureRanges(str(stage(runnable, folder)), measured(graph), samples, dict(shapes or {}), random)


def _held(graph: Graph) -> Graph:
    """The graph with its small FP32 constants within ±65504."""
    edit = Edit(graph)
    for name, weight in graph.initializers.items():
        held = _within(weight)
        if held is not None:
            edit.set_initializer(held, name)
    for node, record in graph.nodes.items():
        value = constant_value(record, graph.sources)
        if value is None and record.op_type == "ConstantOfShape":
            value = next((Initializer(each.t) for each in record.attribute if each.name == "value"), None)
        held = _within(value) if value is not None else None
        if held is not None:
            edit.replace_node(node, attributes={"value": numpy_helper.from_array(held)})
    return edit.commit()


def _within(weight: Initializer) -> NDArray[np.float32] | None:
    if weight.dtype != PRECISIONS["FP32"] or weight.size > _SMALL or weight.wrong() is not None or weight.missing:
        return None
    values = weight.array().astype(np.float32)
    far = np.isfinite(values) & (np.abs(values) > 65504)
    return np.where(far, np.copysign(np.float32(65504), values), values).astype(np.float32) if far.any() else None


def measured(graph: Graph) -> tuple[str, ...]:
    """The tensors that are looked at: the FP32 inputs, and what nodes make in FP32."""
    made = (name for record in graph.nodes.values() if not is_constant_node(record) for name in record.output)
    given = (info.name for info in graph.inputs if info.name not in graph.initializers)
    names = dict.fromkeys((*given, *made))
    return tuple(name for name in names if name and float_of(graph, name) == PRECISIONS["FP32"])


def read_ranges(result: Mapping[str, Any]) -> list[TensorRange]:
    """What the job measured."""
    from graftwerk.backend.engines.ranges import TensorRange

    return [TensorRange(**row) for row in json.loads(Path(result["ranges"]).read_text(encoding="utf-8"))]


def out_of_range(ranges: list[TensorRange]) -> list[OutOfRange]:
    """The tensors with values beyond ±65504, and those whose values are all subnormal or mostly lost in FP16."""
    from graftwerk.backend.engines.ranges import NORMAL

    found = []
    for each in ranges:
        there = each.elements - each.zeros - each.nans - each.infinite
        if each.overflow:
            found.append(OutOfRange(each.name, f"reaches {each.largest:.4g}; FP16 ends at 65504"))
        elif there and each.largest < NORMAL:
            found.append(OutOfRange(each.name, f"is at most {each.largest:.2g}; FP16 is coarse below 6.1e-05"))
        elif there and each.lost > MOST_LOST * there:
            found.append(OutOfRange(each.name, f"loses {each.lost / there:.0%} of its values to zero"))
    return found
