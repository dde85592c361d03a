"""What a compiler or a runtime made of nodes, as keys and values of the inspector. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np

from graftwerk.backend.engines.report import Layer, NodeOutcome, NodeTime, Profile, Report
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.operations.registry import Selection
from graftwerk.backend.quantize.requested import precision_requested

#: Key, value, tip, what a click selects, attribute, tone: see `inspector_page.Row`.
Values = tuple[Any, ...]
_STATES = {
    "folded": "Nothing: computed when the engine was built",
    "free": "Nothing of its own: it costs no time",
}
_SHORT = {"QuantizeLinear": "Q", "DequantizeLinear": "DQ"}
_NAMES = {"tensorrt_rtx": "TensorRT-RTX", "tensorrt": "TensorRT", "onnxruntime": "ONNX Runtime"}


class Compiled:
    """A report with its layers numbered, as the layer table and the canvas number them."""

    def __init__(self, report: Report) -> None:
        self.report = report

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {layer.name: number for number, layer in enumerate(self.report.layers)}

    def layer(self, name: str) -> tuple[int, Layer | None]:
        number = self._numbers.get(name, -1)
        return number, self.report.layers[number] if number >= 0 else None

    def numbered(self, name: str) -> str:
        number, layer = self.layer(name)
        return f"{number} {layer.kind}" if layer is not None else name


class Timed:
    """A profile with its layers by node, and the sum of their medians, milliseconds."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    @cached_property
    def layers(self) -> dict[str, list[NodeTime]]:
        found: dict[str, list[NodeTime]] = {}
        for layer in self.profile.layers:
            if layer.milliseconds:
                for ref in layer.onnx_nodes:
                    found.setdefault(ref, []).append(layer)
        return found

    @cached_property
    def total(self) -> float:
        by_count: dict[int, list[tuple[float, ...]]] = {}
        for layer in self.profile.layers:
            by_count.setdefault(len(layer.milliseconds), []).append(layer.milliseconds)
        return sum(float(np.median(times, axis=1).sum()) for count, times in by_count.items() if count)


def compiler(report: Report) -> str:
    """`TensorRT-RTX 1.7.1 · SM89, SM120`."""
    name = _NAMES.get(report.backend.replace("-", "_"), report.backend)
    targets = ", ".join(target.upper() for target in report.targets)
    return " · ".join(filter(None, [f"{name} {report.version}", targets]))


def compiled(graph: Graph, node: NodeId, ref: str, known: Compiled) -> tuple[str, list[Values]]:
    """Heading and rows about the engine layer that does a node's work."""
    report = known.report
    outcome = report.nodes.get(ref)
    rows: list[Values] = []
    if outcome is None:
        rows.append(("", "This node was not in the model that was compiled"))
    elif outcome.state in _STATES:
        rows.append(("", _STATES[outcome.state]))
    else:
        rows += _layer_rows(graph, node, ref, known, outcome)
    if outcome is not None and outcome.helpers:
        others = [known.numbered(name) for name in outcome.helpers]
        rows.append(("also in", ", ".join(others), "\n".join(outcome.helpers)))
    if ref in report.stand_ins:
        rows.append(("stand-in", "original subgraph", "The plugin was compiled as the subgraph that it replaces"))
    rows.append(("by", compiler(report)))
    return "Compiled as", rows


def _layer_rows(graph: Graph, node: NodeId, ref: str, known: Compiled, outcome: NodeOutcome) -> list[Values]:
    number, layer = known.layer(outcome.layer)
    if layer is None:
        return [("layer", outcome.layer or "none")]
    rows: list[Values] = [("layer", f"{number} {layer.kind}", layer.name)]
    others = [other for other in layer.onnx_nodes if other != ref]
    if others:
        kinds = Counter(_op_type(graph, other) for other in others)
        shown = ", ".join(f"{kind} ×{count}" if count > 1 else kind for kind, count in kinds.items())
        members = tuple(found for other in layer.onnx_nodes if (found := _node(graph, other)) is not None)
        rows.append(("fused with", shown, "\n".join(others), Selection(members)))
    wanted = precision_requested(graph, node)
    if wanted and outcome.precision:
        tone = outcome.precision if wanted == outcome.precision else "warning"
        tip = "" if wanted == outcome.precision else "It runs at another precision than the graph asks for"
        rows.append(("requested / achieved", f"{wanted} / {outcome.precision}", tip, None, "", tone))
    elif outcome.precision:
        rows.append(("achieved", outcome.precision, "", None, "", outcome.precision))
    if layer.tactic:
        rows.append(("tactic", layer.tactic))
    if layer.milliseconds is not None:
        rows.append(("layer time", milliseconds(layer.milliseconds)))
    return rows


def timed(ref: str, known: Timed) -> tuple[str, list[Values]]:
    """Heading and rows about the time that a node took; whose time it is stands beside it."""
    rows: list[Values] = []
    profile, total = known.profile, known.total
    layers = sorted(known.layers.get(ref, ()), key=lambda layer: -median(layer.milliseconds))
    if ref in profile.stand_ins:
        rows.append(("stand-in", "original subgraph", "The subgraph that the plugin replaces was timed in its place"))
    if layers:
        rows += _time_rows(layers, total)
    else:
        skipped = ref in profile.not_run
        rows.append(("", "It cost nothing in the run" if skipped else "This node was not in the model that was timed"))
    name = _NAMES.get(profile.backend, profile.backend)
    rows.append(("by", f"{name} {profile.version}", profile.device))
    rows.append(("on", profile.device))
    return "Time", rows


def _time_rows(layers: Sequence[NodeTime], total: float) -> list[Values]:
    """One time for all of a node's kernels, the slowest first; each of them is in the tip."""
    typical = sum(median(layer.milliseconds) for layer in layers)
    runs = f"{len(layers[0].milliseconds)} runs"
    if len(layers) == 1:
        others = len(layers[0].onnx_nodes) - 1
        key = f"median with {others} more" if others else "median"
        low, high = min(layers[0].milliseconds), max(layers[0].milliseconds)
        tip = f"Median of {runs}, {milliseconds(low)} to {milliseconds(high)}"
    else:
        key = f"median, {len(layers)} kernels"
        parts = [f"{layer.kind}  {milliseconds(median(layer.milliseconds))}" for layer in layers]
        tip = "\n".join([f"The sum of each kernel's median of {runs}:", *parts])
    rows: list[Values] = [(key, milliseconds(typical), tip)]
    if total:
        rows.append(("of all layers", f"{typical / total:.1%}", f"The layers' sum is {milliseconds(total)}"))
    dtypes = list(dict.fromkeys(layer.dtype for layer in layers if layer.dtype))
    if dtypes:
        parts = [f"{layer.kind}  {layer.dtype}" for layer in layers] if len(dtypes) > 1 else []
        tone = dtypes[0] if len(dtypes) == 1 else ""
        rows.append(("computed in", ", ".join(dtypes), "\n".join(parts), None, "", tone))
    return rows


def selected_layers(refs: Sequence[str], report: Report) -> tuple[str, list[Values]]:
    """Heading and rows about the layers that several nodes became."""
    outcomes = [report.nodes[ref] for ref in refs if ref in report.nodes]
    names = dict.fromkeys(outcome.layer for outcome in outcomes if outcome.layer)
    by_precision = Counter(layer.precision for layer in report.layers if layer.name in names and layer.precision)
    rows: list[Values] = [("layers", str(len(names)))]
    rows += [(name, str(count), "", None, "", name) for name, count in by_precision.most_common()]
    states = Counter(outcome.state for outcome in outcomes)
    rows += [(word, str(states[word])) for word in ("folded", "free") if states[word]]
    rows.append(("by", compiler(report)))
    return "Compiled as", rows


def milliseconds(value: float) -> str:
    """A time with its unit: `61.0 µs`, `1.23 ms`."""
    return f"{value * 1000:.3g} µs" if value < 1 else f"{value:.3g} ms"


def _node(graph: Graph, ref: str) -> NodeId | None:
    try:
        return graph.find(ref)
    except Fault:  # edited since it was compiled
        return None


def _op_type(graph: Graph, ref: str) -> str:
    node = _node(graph, ref)
    op_type = graph.nodes[node].op_type if node is not None else ref
    return _SHORT.get(op_type, op_type)
