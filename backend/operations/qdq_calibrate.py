"""Scales of Q/DQ pairs from a calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from onnx import TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.constants import constant, stored
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import FilePath, Operation, operation, param
from graftwerk.backend.quantize.calibration import Calibration, load
from graftwerk.backend.quantize.insertion import prune
from graftwerk.backend.quantize.methods import METHODS
from graftwerk.backend.quantize.pairs import UNCALIBRATED, QdqPair, calibrated, find_pairs, per_channel, quantized_dtype
from graftwerk.backend.quantize.scales import DTYPES, weight

_WORDS = {number: word for word, number in DTYPES.items()}
Chosen = Literal["as the file says", "max", "percentile", "entropy", "mse", "moving_average"]


@operation("qdq.calibrate", title="Calibrate Q/DQ", menu="Quantize")
@dataclass(frozen=True)
class CalibrateQdq(Operation):
    """Give the Q/DQ pairs on activations their scales from a calibration, or from a calibration cache of TensorRT's.

    A pair takes the range of the tensor that it quantizes. Pairs that share a scale get the largest of their ranges.
    Weights keep theirs. Pairs whose tensor the calibration doesn't know stay as they are, and are named.
    """

    file: FilePath = param(label="Calibration", help="As `graftwerk calibrate` writes it, or TensorRT's cache")
    method: Chosen = param("as the file says", help="Another method than the one that was chosen when it was made")
    only_guessed: bool = param(False, label="Only guessed ones", help="Pairs that were given a scale keep it")

    def blocked(self, graph: Graph) -> Reason | None:
        if not self._pairs(graph):
            return Reason("There is no Q/DQ pair on an activation", "Insert some first")
        return None

    def _pairs(self, graph: Graph) -> list[QdqPair]:
        return [
            pair for pair in find_pairs(graph).values()
            if pair.quantize is not None and not per_channel(graph, pair) and weight(graph, pair.source) is None
            and not (self.only_guessed and calibrated(graph, pair))
        ]  # fmt: skip

    def apply(self, edit: Edit) -> None:
        graph, calibration = edit.base, self._calibration()
        origins = _origins(graph)
        pairs = self._pairs(graph)
        known = [pair for pair in pairs if calibration.amax(origins(pair)) is not None]
        if not known:
            hint = "Was it made of this model?"
            raise Fault("The calibration knows none of the quantized tensors", origins(pairs[0]), hint)
        sharing: dict[str, list[QdqPair]] = {}
        for pair in known:
            sharing.setdefault(pair.scale, []).append(pair)
        for group in sharing.values():
            _set(edit, group, [origins(pair) for pair in group], calibration)

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        calibration, origins = self._calibration(), _origins(before)
        unknown = [name for pair in self._pairs(before) if calibration.amax(name := origins(pair)) is None]
        return tuple(f"{name} stays: the calibration doesn't know it" for name in unknown)

    def _calibration(self) -> Calibration:
        found = load(Path(self.file))
        chosen = next((method for method in METHODS if method == self.method), None)
        return replace(found, method=chosen, by_op={}, by_tensor={}) if chosen is not None else found

    def summary(self) -> str:
        return f"Calibrate Q/DQ from {Path(self.file).name}"


def _set(edit: Edit, pairs: list[QdqPair], tensors: list[str], calibration: Calibration) -> None:
    """Gives pairs that share a scale another one."""
    number = quantized_dtype(edit, pairs[0])
    zero = constant(edit, pairs[0].zero_point) if pairs[0].zero_point else None
    if number not in _WORDS or (zero is not None and np.any(zero.astype(np.float32))):
        kind = TensorProto.DataType.Name(number)
        message = f"The pair quantizes to {kind}{', with a zero point' if number in _WORDS else ''}"
        raise Fault(f"{message}; scales are for symmetric INT8 and FP8", pairs[0].source, "Make it symmetric first")
    scales = [calibration.scale(tensor, _WORDS[number]) or 0.0 for tensor in tensors]
    if max(scales) == 0:
        hint = "It was zero on all of the data: use other data, or remove the pair"
        raise Fault("A tensor that was all zero has no scale", tensors[0], hint)
    before = stored(edit, pairs[0].scale)
    kind_of = before.array().dtype if before is not None else np.dtype(np.float32)
    name = edit.set_initializer(np.array(max(scales), kind_of), edit.fresh_tensor(f"{tensors[0]}_scale"))
    for node in dict.fromkeys(node for pair in pairs for node in pair.nodes):
        record = edit.nodes[node]
        old = record.input[1]
        metadata = {one.key: one.value for one in record.metadata_props if one.key != UNCALIBRATED}
        edit.replace_node(node, inputs=[record.input[0], name, *record.input[2:]], metadata=metadata)
        prune(edit, old)


def _origins(graph: Graph) -> Callable[[QdqPair], str]:
    """Gives the float tensor that a pair quantizes, behind other pairs on the way, as it is called without them."""
    before = {one.output: one.source for one in find_pairs(graph).values()}

    def origin(pair: QdqPair) -> str:
        tensor = pair.source
        while tensor in before:
            tensor = before[tensor]
        return tensor

    return origin
