"""ONNX Runtime's trace of a profiled run, and which nodes of the model each executed node stands for.

Runs on Python 3.9 with onnx beside.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from graftwerk.backend.engines.report import NodeTime
from graftwerk.backend.engines.source import SourceGraph

_SUFFIX = "_kernel_time"
_DTYPES = {
    "float": "FP32", "float16": "FP16", "bfloat16": "BF16", "double": "FP64", "int8": "INT8", "uint8": "UINT8",
    "int16": "INT16", "uint16": "UINT16", "int32": "INT32", "uint32": "UINT32", "int64": "INT64", "uint64": "UINT64",
    "bool": "BOOL", "string": "STRING", "float8e4m3fn": "FP8", "float8e5m2": "FP8E5M2", "int4": "INT4",
    "uint4": "UINT4",
}  # fmt: skip


def read_trace(path: Path, runs: int, sources: Mapping[str, tuple[str, ...]]) -> tuple[NodeTime, ...]:
    """The nodes named in `sources` (executed node: the model's nodes behind it), timed over the last `runs` runs.

    Start times count from the start of their run. A node of an If's, Loop's or Scan's body has no entry: its time is
    part of that node's.
    """
    starts = [event["ts"] for event in _events(path, b'"name" :"model_run"')][-runs:]
    kinds: dict[str, tuple[str, str]] = {}
    durations: dict[str, list[float]] = {}
    begins: dict[str, list[float]] = {}
    for event in _events(path, b'{"cat" : "Node"'):
        name = event["name"][: -len(_SUFFIX)]
        run = bisect_right(starts, event["ts"]) - 1
        if run < 0 or name not in sources or not event["name"].endswith(_SUFFIX):
            continue  # warming up, or inside a body
        kinds.setdefault(name, (event["args"]["op_name"], _dtype(event["args"].get("output_type_shape", []))))
        durations.setdefault(name, []).append(event["dur"] / 1000)
        begins.setdefault(name, []).append((event["ts"] - starts[run]) / 1000)
    return tuple(
        NodeTime(name, kind, tuple(durations[name]), tuple(begins[name]), sources[name], dtype)
        for name, (kind, dtype) in kinds.items()
    )


def _events(path: Path, mark: bytes) -> Iterator[dict[str, Any]]:
    """The events whose line contains `mark`. ONNX Runtime writes each on a line of its own, 850 bytes a node; the file
    as one document takes five times as long to read, and gigabytes."""
    with path.open("rb") as lines:
        for line in lines:
            if mark in line:
                yield json.loads(line.rstrip(b",\n"))


def _dtype(outputs: list[dict[str, list[int]]]) -> str:
    return next((_DTYPES.get(dtype, dtype.upper()) for output in outputs for dtype in output), "")


def behind(model: SourceGraph, executed: SourceGraph) -> dict[str, tuple[str, ...]]:
    """The model's nodes (references) that each executed node stands for, both by their references.

    A runtime folds, fuses and inlines nodes, but what it does not touch keeps its tensors. So the tensors that both
    graphs make cut them into regions, and the executed nodes of a region do the work of the model's nodes in the same
    region. A node of the model that is in none was computed when the model was loaded, or is needed by no output.
    """
    ours, theirs = _makers(model), _makers(executed)
    shared = ours.keys() & theirs.keys()
    ends = {*shared, *executed.constants, *_constant(model)}
    found: dict[str, dict[str, None]] = {node.ref: {} for node in executed.nodes}
    for tensor in shared:
        region = [model.nodes[number].ref for number in _region(tensor, model, ours, ends)]
        for number in _region(tensor, executed, theirs, shared):
            found[executed.nodes[number].ref].update(dict.fromkeys(region))
    order = {node.ref: number for number, node in enumerate(model.nodes)}
    return {name: tuple(sorted(refs, key=order.__getitem__)) for name, refs in found.items()}


def _makers(graph: SourceGraph) -> dict[str, int]:
    return {output: number for number, node in enumerate(graph.nodes) for output in node.outputs if output}


def _constant(graph: SourceGraph) -> set[str]:
    """The tensors that nodes make out of nothing but constants; the nodes stand in an order in which they can run."""
    known = set(graph.constants)
    for node in graph.nodes:
        inputs = [name for name in node.inputs if name]
        if node.op_type == "Constant" or (inputs and known.issuperset(inputs)):
            known.update(node.outputs)
    return known


def _region(tensor: str, graph: SourceGraph, makers: Mapping[str, int], ends: Container[str]) -> list[int]:
    """The nodes that make a tensor out of those in `ends`, and out of inputs and constants."""
    region: dict[int, None] = {}
    waiting = [makers[tensor]]
    while waiting:
        number = waiting.pop()
        if number not in region:
            region[number] = None
            inputs = (name for name in graph.nodes[number].inputs if name in makers and name not in ends)
            waiting.extend(makers[name] for name in inputs)
    return list(region)
