"""From a report or a profile to what the canvas paints over the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from graftwerk.backend.engines.report import Layer, Profile, Report
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.quantize.requested import disagreements, precision_requested
from graftwerk.widgets.canvas.overlay import NONE, Hull, LegendLine, Overlay
from graftwerk.widgets.panels.readout import backend_name, count_text, time_text
from graftwerk.widgets.theme import PRECISION_COLORS, Theme, precision_color


def overlay_for(
    key: str, graph: Graph, report: Report | None, profile: Profile | None, theme: Theme, stale: str = ""
) -> Overlay:
    """The overlay of a key (none, fusion, precision, time), the plain one where there is nothing to show.

    `stale` is added to the title where report or profile are of another revision than the graph.
    """
    if key == "fusion" and report is not None:
        return _fusion(graph, report, f"Fusion · {compiler_of(report)}{stale}")
    if key == "precision" and report is not None:
        return _precision(graph, report, f"Precision · {compiler_of(report)}{stale}")
    if key == "time" and profile is not None:
        name = backend_name(profile.backend)
        return _time(graph, profile, theme, f"Time · {name} {profile.version} · {profile.device}{stale}")
    return NONE


def compiler_of(report: Report) -> str:
    """Compiler, version and targets: what every overlay names."""
    name = backend_name(report.backend)
    return f"{name} {report.version} · {', '.join(report.targets).upper()}"


def _fusion(graph: Graph, report: Report, title: str) -> Overlay:
    hulls, colors = [], {}
    counts: Counter[str] = Counter()
    for number, layer in enumerate(report.layers):
        nodes = _members(graph, report, layer)
        counts[layer.precision or "no arithmetic"] += 1
        if nodes:
            color = precision_color(layer.precision)
            colors.update(dict.fromkeys(nodes, color))
            time = time_text(layer.milliseconds) if layer.milliseconds is not None else ""
            parts = [f"layer {number}", layer.precision, time]
            hulls.append(Hull(layer.name, " · ".join(filter(None, parts)), color, nodes))
    legend = [LegendLine(precision_color(name), name, count_text(count, "layer")) for name, count in _in_order(counts)]
    legend += _states(report)
    return Overlay(title, colors, {}, tuple(legend), tuple(hulls), tinted=False)


def _members(graph: Graph, report: Report, layer: Layer) -> tuple[NodeId, ...]:
    """The nodes that a layer is drawn around: those whose work it does, and those that it swallowed without a trace."""
    found = []
    for ref in layer.onnx_nodes:
        outcome = report.nodes.get(ref)
        node = _find(graph, ref)
        if node is not None and outcome is not None and outcome.layer in ("", layer.name):
            found.append(node)
    return tuple(dict.fromkeys(found))


def _precision(graph: Graph, report: Report, title: str) -> Overlay:
    missed = disagreements(graph, report.nodes)
    colors, labels = {}, {}
    achieved: Counter[str] = Counter()
    for ref, outcome in report.nodes.items():
        node = _find(graph, ref)
        if node is None or not outcome.precision:
            continue
        if precision_requested(graph, node):
            achieved[outcome.precision] += 1
        colors[node] = precision_color(outcome.precision)
        labels[node] = " → ".join(missed[ref]) if ref in missed else outcome.precision
    legend = [LegendLine(precision_color(name), name, count_text(count, "node")) for name, count in _in_order(achieved)]
    if missed:
        text = f"{count_text(len(missed), 'node')} did not get what was asked for"
        legend.append(LegendLine("", text, "asked → got"))
    return Overlay(title, colors, labels, (*legend, *_states(report)))


def _time(graph: Graph, profile: Profile, theme: Theme, title: str) -> Overlay:
    times: dict[NodeId, float] = {}
    for one in profile.layers:
        nodes = [node for ref in one.onnx_nodes if (node := _find(graph, ref)) is not None]
        for node in nodes[:1]:  # a fused kernel's time stands at its first node, not at each of them again
            times[node] = times.get(node, 0.0) + median(one.milliseconds)
    if not times:
        return Overlay(title)
    most, total = max(times.values()), sum(times.values())
    colors = {node: theme.heat_color(time / most if most else 0.0) for node, time in times.items()}
    labels = {node: time_text(time) for node, time in times.items()}
    legend = (
        LegendLine(theme.heat_color(1.0), time_text(most), f"{most / total:.0%} of the nodes' sum" if total else ""),
        LegendLine(theme.heat_color(0.5), time_text(most / 2)),
        LegendLine(theme.heat_color(0.0), "0"),
        LegendLine("", f"latency p50 {median(profile.latency_milliseconds):.3f} ms", "without profiling"),
        LegendLine("", f"sum of nodes {total:.3f} ms", "while profiling"),
        *_stand_ins(profile.stand_ins, "run"),
    )
    return Overlay(title, colors, labels, legend)


def _states(report: Report) -> Iterable[LegendLine]:
    states = Counter(outcome.state for outcome in report.nodes.values())
    if states["folded"]:
        yield LegendLine("", f"{states['folded']} folded", "computed at build time")
    if states["free"]:
        yield LegendLine("", f"{states['free']} free", "no kernel of their own")
    yield from _stand_ins(report.stand_ins, "compiled")


def _stand_ins(refs: Sequence[str], what: str) -> Iterable[LegendLine]:
    if refs:
        which = "a plugin" if len(refs) == 1 else "plugins"
        yield LegendLine("", count_text(len(refs), "stand-in"), f"{which} {what} as the original subgraph")


def _in_order(counts: Counter[str]) -> list[tuple[str, int]]:
    order = list(PRECISION_COLORS)
    return sorted(counts.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _find(graph: Graph, ref: str) -> NodeId | None:
    try:
        return graph.find(ref)
    except Fault:
        return None  # removed by an edit since
