"""What to do about Q/DQ pairs that cost more than they bring: rules with their sources, fixes that are operations, and
the proof of each: TensorRT's fusion rules (`forecast`) and, where one runs, the compiler's report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from graftwerk.backend.engines.report import Report
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.qdq_remove import remove_pair
from graftwerk.backend.operations.registry import Operation, apply, make
from graftwerk.backend.quantize.audit import audit
from graftwerk.backend.quantize.forecast import forecast
from graftwerk.backend.quantize.merit import QUANTIZED, Figures, figures, is_conversion, multiplications
from graftwerk.backend.quantize.obstacles import obstacles
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE, find_pairs
from graftwerk.backend.quantize.policy import Policy, plan
from graftwerk.backend.quantize.scales import COMPUTE

#: Bytes that may be moved after a fix, of those before it: a conversion that the compiler puts elsewhere is no harm.
_MORE = 1.002
_GUIDE = "TensorRT developer guide, Working with Quantized Types: Q/DQ Layer-Placement Recommendations"
_MEASURED = "layers timed on an H200, TensorRT 8.6, ResNet-50 at batch 32"


@dataclass(frozen=True)
class Rule:
    """A rule of the coach: what it says, and where that is from."""

    id: str
    title: str
    source: str


RULES = {rule.id: rule for rule in (
    Rule("residual", "The other branch of a residual Add is in float", f"{_GUIDE}; {_MEASURED}: 1.44 ms, paired 1.10"),
    Rule("obstacle", "A pair keeps a layer from fusing with what is behind it", f"{_GUIDE}; {_MEASURED}: 1.27 and 1.15 "
         "ms, without 1.10"),
    Rule("junction", "Tensors that meet in a Concat have different scales", _GUIDE),
    Rule("standing", "Q/DQ that run as kernels of their own", "Seen in the compiler's report"),
    Rule("float_kernel", "Quantized factors in a kernel of floats", "Seen in the compiler's report"),
    Rule("float_out", "INT8 goes in and float comes out, and is quantized again", "Seen in the compiler's report"),
    Rule("conversions", "Kernels that only convert a datatype or a layout", "Seen in the compiler's report"),
    Rule("channels", "Channels that miss the tensor cores", "NVIDIA deep learning performance guide: in INT8 they want "
         "multiples of 16"),
)}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What a rule says of some nodes; `fix` is an operation, None where there is none to offer."""

    rule: str
    text: str
    nodes: tuple[str, ...]
    fix: Operation | None = None


@dataclass(frozen=True)
class Step:
    """A fix that was tried. Figures are (before, after) of the forecast, and of the compiler where one ran; `kept` and
    `verdict` say what came of it."""

    finding: Finding
    foretold: tuple[Figures, Figures]
    compiled: tuple[Figures, Figures] | None
    kept: bool
    verdict: str


@dataclass(frozen=True)
class Advice:
    """What the coach made of a graph: what it tried, what it found in the end and can't mend, and the figures then."""

    graph: Graph
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    foretold: Figures
    compiled: Figures | None


def findings(graph: Graph, report: Report | None = None, calibration: str = "") -> list[Finding]:
    """Everything that the rules say of a graph, and of what a compiler made of it; those with a fix first, of which
    only such that make the forecast cheaper: some pairs the compilers move by themselves.

    Scales that a fix needs come from `calibration`, or are guesses that are marked as such.
    """
    mended = [*_residual(graph, calibration), *_obstacles(graph)]
    found = [one for one in mended if one.fix is not None and _cheaper(graph, one.fix)]
    found += _junctions(graph)
    return found + (list(_of_report(graph, report)) if report is not None else [])


def coach(
    graph: Graph,
    compile: Callable[[Graph], Report] | None = None,
    calibration: str = "",
    on_step: Callable[[Step], None] = lambda step: None,
) -> Advice:
    """Does what the rules say, one fix at a time, and keeps what helps; a fix that doesn't is taken back.

    A fix helps if the forecast gets cheaper and the compiler's figures don't get worse: it moves no more bytes, and no
    less of the arithmetic is quantized.
    """
    graph = typed(graph, symbolic=False)
    report = compile(graph) if compile is not None else None
    steps: list[Step] = []
    refused: set[Operation] = set()
    while True:
        here = findings(graph, report, calibration)
        following = next((one for one in here if one.fix is not None and one.fix not in refused), None)
        if following is None or following.fix is None:
            foretold = figures(forecast(graph), graph)
            compiled = figures(report.layers, graph) if report is not None else None
            return Advice(graph, tuple(steps), tuple(here), foretold, compiled)
        after = typed(apply(following.fix, graph), symbolic=False)
        result = compile(after) if compile is not None else None
        step = _judged(following, graph, after, report, result)
        steps.append(step)
        on_step(step)
        if step.kept:
            graph, report = after, result
        else:
            refused.add(following.fix)


def _cheaper(graph: Graph, fix: Operation) -> bool:
    after = typed(apply(fix, graph), symbolic=False)
    return figures(forecast(after)).cost < figures(forecast(graph)).cost


def in_float(graph: Graph) -> Graph:
    """The graph without its pairs, to show FP16 beside INT8 on the same figures."""
    edit = Edit(graph)
    for pair in find_pairs(graph).values():
        remove_pair(edit, pair)
    return typed(edit.commit(), symbolic=False)


def _judged(finding: Finding, before: Graph, after: Graph, report: Report | None, result: Report | None) -> Step:
    foretold = figures(forecast(before), before), figures(forecast(after), after)
    if report is None or result is None:
        kept = foretold[1].cost < foretold[0].cost
        return Step(finding, foretold, None, kept, "cheaper by the rules" if kept else "not cheaper by the rules")
    compiled = figures(report.layers, before), figures(result.layers, after)
    kept, verdict = judged(foretold, compiled, result)
    return Step(finding, foretold, compiled, kept, verdict)


def judged(
    foretold: tuple[Figures, Figures], compiled: tuple[Figures, Figures], report: Report
) -> tuple[bool, str]:
    """Whether a fix is kept, and the reason, by the figures before and after it; `report` is what came of it."""
    moved, old = compiled[1].moved_bytes, compiled[0].moved_bytes
    if (compiled[1].quantized or 0.0) < (compiled[0].quantized or 0.0) - 1e-6:
        return False, "taken back: less of the arithmetic is quantized"
    if moved > old * _MORE:
        return False, f"taken back: {(moved - old) / 1e6:.1f} MB more are moved"
    if compiled[1].cost < compiled[0].cost:
        return True, "confirmed by the compiler"
    if foretold[1].cost < foretold[0].cost:
        return True, f"kept for TensorRT 8.6: {report.backend} {report.version} makes the same of both"
    return False, "taken back: it changes nothing"


def _residual(graph: Graph, calibration: str) -> Iterator[Finding]:
    linear = [node for node, record in graph.nodes.items() if record.op_type in COMPUTE]
    paired = {pair.output for pair in find_pairs(graph).values()}
    floats = [node for node in linear if not {graph.nodes[node].input[at] for at in (0, 1)} <= paired]
    if len(floats) == len(linear):
        return
    made = plan(graph, Policy(share=False, above=False, keep=frozenset(floats)))
    gaps = [place for place in made.placements.values() if place.rule == "residual"]
    if not gaps or len(gaps) != len(made.placements):
        return
    values = {"share": False, "above": False, "keep": [graph.ref(node) for node in floats], "calibration": calibration}
    fix = make("qdq.place", values)
    nodes = tuple(dict.fromkeys(graph.ref(node) for place in gaps for node in place.readers))
    yield Finding("residual", f"{len(gaps)} residual Adds read their other branch in float", nodes, fix)


def _obstacles(graph: Graph) -> Iterator[Finding]:
    texts = {"activation": "between a layer and its activation", "add": "on the way into an Add that a convolution "
             "computes", "pool": "between the first convolution and its MaxPool"}  # fmt: skip
    found = obstacles(graph)
    for kind, text in texts.items():
        there = [one for one in found if one.kind == kind]
        if there:
            pairs = tuple(graph.ref(one.pair.dequantize) for one in there)
            yield Finding("obstacle", f"{len(there)} Q/DQ pairs stand {text}", pairs,
                          make("qdq.free_fusions", {"pairs": list(pairs)}))  # fmt: skip


def _junctions(graph: Graph) -> Iterator[Finding]:
    for one in audit(graph):
        if one.rule == "junction":
            yield Finding("junction", one.text, (one.where,))


def _of_report(graph: Graph, report: Report) -> Iterator[Finding]:
    halves = [graph.ref(node) for node, record in graph.nodes.items() if record.op_type in (QUANTIZE, DEQUANTIZE)]
    outcomes = {ref: report.nodes[ref] for ref in halves if ref in report.nodes}
    own = {layer.name for layer in report.layers if layer.onnx_nodes and set(layer.onnx_nodes) <= set(halves)}
    standing = tuple(ref for ref, outcome in outcomes.items() if outcome.layer in own)
    if standing:
        yield Finding("standing", f"{len(standing)} Q/DQ nodes run in {len(own)} kernels of their own{_truth(report)}",
                      standing)  # fmt: skip
    paired = {pair.output for pair in find_pairs(graph).values()}
    work = multiplications(graph)
    meant = [graph.ref(node) for node in work if set(graph.nodes[node].input[:2]) <= paired]
    floats = tuple(ref for ref in meant if ref in report.nodes and report.nodes[ref].precision not in QUANTIZED)
    if floats:
        yield Finding("float_kernel", f"{len(floats)} layers with quantized factors are computed in float", floats)
    again = [layer for layer in report.layers if layer.precision in QUANTIZED and layer.outputs
             and all(tensor.dtype not in QUANTIZED for tensor in layer.outputs)]  # fmt: skip
    if again:
        nodes = tuple(dict.fromkeys(ref for layer in again for ref in layer.onnx_nodes))
        yield Finding("float_out", f"{len(again)} kernels read INT8 and write float{_truth(report)}", nodes)
    converting = [layer for layer in report.layers if is_conversion(layer)]
    if converting:
        nodes = tuple(dict.fromkeys(ref for layer in converting for ref in layer.onnx_nodes))
        yield Finding("conversions", f"{len(converting)} kernels only convert", nodes)
    odd = [graph.ref(node) for node in work if _odd_channels(graph, node)]
    if odd:
        text = f"{len(odd)} layers have channels that are no multiple of 16"
        yield Finding("channels", text, tuple(odd))


def _truth(report: Report) -> str:
    if report.backend != "tensorrt-rtx":
        return ""
    return f" ({report.backend} {report.version} requantizes in kernels of their own, TensorRT 8.6 fuses that)"


def _odd_channels(graph: Graph, node: int) -> bool:
    kind = graph.type_of(graph.nodes[node].input[1])
    sizes = kind.shape[:2] if kind is not None and kind.shape is not None else ()
    return any(isinstance(size, int) and size % 16 for size in sizes)
