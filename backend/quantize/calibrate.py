"""A calibration from a graph and data: what is measured, staged for the jobs, and put together from what they found."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnx import TensorProto

from graftwerk.backend import assets
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import stage
from graftwerk.backend.graph.graph import Graph, NodeRef, reads
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.graph.standin import with_stand_ins
from graftwerk.backend.operations.qdq_remove import RemoveQdq
from graftwerk.backend.operations.registry import apply
from graftwerk.backend.quantize.calibration import DEFAULT, Calibration
from graftwerk.backend.quantize.collect import Plan, collected, digest
from graftwerk.backend.quantize.data import DataOptions
from graftwerk.backend.quantize.methods import PERCENTILE, Method
from graftwerk.backend.quantize.pairs import find_pairs

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def without_pairs(graph: Graph) -> Graph:
    """The graph in float: without the Q/DQ pairs on activations, whose rounding is not to be measured.

    Tensors keep their names but for those between and behind the pairs.
    """
    while True:
        pair = next((one for one in find_pairs(graph).values() if one.quantize is not None), None)
        if pair is None:
            return graph
        graph = apply(RemoveQdq(NodeRef(graph.ref(pair.dequantize))), graph)


def measured(graph: Graph) -> dict[str, str]:
    """The float tensors that data flows through, in the graph's order, with the operators that make them; "" for
    inputs. Weights and what is computed of them alone are left out."""
    data = {info.name for info in graph.inputs if info.name not in graph.initializers}
    found = {name: "" for name in data if _float(graph, name)}
    for record in graph.nodes.values():
        if any(name in data for name in reads(record)):
            data.update(name for name in record.output if name)
            found.update((name, record.op_type) for name in record.output if name and _float(graph, name))
    return found


def _float(graph: Graph, tensor: str) -> bool:
    known = graph.type_of(tensor)
    return known is not None and known.kind == "tensor" and known.dtype in _FLOATS


def plan(graph: Graph, options: DataOptions, batch: int, folder: Path) -> Plan:
    """Stages the float model into a folder. What the jobs find is kept by what it was found of, until it is put
    together: so a run that ended early goes on. Raises Fault where there is nothing to measure."""
    floats = typed(without_pairs(graph))
    runnable, _ = with_stand_ins(floats)
    tensors = measured(floats)
    if not tensors:
        raise Fault("The model has no float tensors to calibrate", "", "Are its shapes and types known?")
    path = stage(runnable, folder, outside=True)
    key = digest(path, tuple(tensors), options, batch)
    kept = assets.folder().parent / "calibrating" / key
    kept.mkdir(parents=True, exist_ok=True)
    return Plan(path, tuple(tensors), options, batch, kept, tensors)


def together(made: Plan, result: Mapping[str, Any], model: str, method: Method = DEFAULT,
             percentile: float = PERCENTILE) -> Calibration:  # fmt: skip
    """The calibration of a plan all of whose jobs are done; what they kept is removed."""
    histograms = collected(made.folder, made.tensors, result["batches"])
    shutil.rmtree(made.folder, ignore_errors=True)
    return Calibration(
        histograms, method=method, percentile=percentile, ops=dict(made.ops), model=model, data=result["words"],
        tool=result["tool"], samples=result["samples"],
    )  # fmt: skip
