"""How panels word what compilers and runtimes report: times, sizes, names, header lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graftwerk.backend.graph.families import op_family

if TYPE_CHECKING:
    from graftwerk.backend.engines.report import NodeTime, Profile, Report

#: Backends as they call themselves.
_BACKENDS = {"onnxruntime": "ONNX Runtime", "tensorrt-rtx": "TensorRT-RTX", "tensorrt": "TensorRT"}


#: What a header says of figures that belong to another revision of the graph than the one that is shown.
EARLIER = "of an earlier revision"


def backend_name(backend: str) -> str:
    return _BACKENDS.get(backend, backend)


def time_text(milliseconds: float) -> str:
    """Three digits and a unit: "61 µs", "1.23 ms", "2.50 s"."""
    for factor, unit in ((1e-3, "s"), (1.0, "ms")):
        if milliseconds * factor >= 0.9995:
            return f"{_digits(milliseconds * factor)} {unit}"
    return f"{milliseconds * 1000:.3g} µs"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def share_text(share: float) -> str:
    """"9.4 %"; a share that is there but rounds to nothing is "< 0.1 %"."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{share * 100:.1f} %"


def bytes_text(size: int) -> str:
    """"6.4 MB", in powers of 1000."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{_digits(size / factor)} {unit}"
    return f"{size} B"


def number_text(count: int) -> str:
    """"50\u202f000": narrow no-break spaces between the thousands."""
    return f"{count:,}".replace(",", "\u202f")


def count_text(count: int, one: str) -> str:
    """"1 layer", "59 layers"."""
    return f"{number_text(count)} {one}{'s' if count != 1 else ''}"


def median(times: Sequence[float]) -> float:
    """0 where there are none."""
    return float(np.median(times)) if times else 0.0


def medians(layers: Sequence[NodeTime]) -> list[float]:
    """The median of each node over the iterations, in milliseconds."""
    return [median(layer.milliseconds) for layer in layers]


def timed_nodes(profile: Profile) -> dict[str, list[int]]:
    """Places in `profile.layers` by the ONNX node whose time they are, by their own name where no node is known.

    A kernel that does the work of several nodes counts for the first of them, as on the canvas.
    """
    found: dict[str, list[int]] = {}
    for place, layer in enumerate(profile.layers):
        found.setdefault(layer.onnx_nodes[0] if layer.onnx_nodes else layer.name, []).append(place)
    return found


def family_of(layer: NodeTime) -> str:
    """The family of a timed node. Its kind is an operator's name, maybe with the domain before it.

    ONNX Runtime tells no domains: what the standard doesn't define is one of its own fusions.
    """
    domain, _, op_type = layer.kind.rpartition(":")
    return op_family(op_type, domain or "com.microsoft")


def profile_lines(profile: Profile, stale: bool = False) -> tuple[str, str, str]:
    """What ran where, its latency without the profiler, and beside it the sum of the nodes: the two differ.

    Three forms, each shorter than the one before. Each says which plugins did not run themselves, and whether it was
    another revision of the graph that ran (`stale`).
    """
    runtime = f"{backend_name(profile.backend)} {profile.version}".strip()
    latency = f"latency p50 {time_text(median(profile.latency_milliseconds))}" if profile.latency_milliseconds else ""
    nodes = f"sum of nodes {time_text(sum(medians(profile.layers)))}"
    how = ", ".join(filter(None, ("no profiling", profile.latency_of)))
    marks = (EARLIER if stale else "", _stand_ins(profile.stand_ins))
    long = (profile.device, runtime, f"{latency} ({how})" if latency else "",
            f"{nodes} ({profile.layers_of})" if profile.layers_of else nodes, *marks)  # fmt: skip
    short = (profile.device.partition(",")[0], runtime, f"{latency} (no profiling)" if latency else "", nodes, *marks)
    shortest = (runtime, latency, nodes, *marks)
    return _line(long), _line(short), _line(shortest)


def _stand_ins(refs: Sequence[str]) -> str:
    """"stand-in for MHA", "3 stand-ins"."""
    return f"stand-in for {refs[0]}" if len(refs) == 1 else count_text(len(refs), "stand-in") if refs else ""


def _line(parts: Sequence[str]) -> str:
    return " · ".join(part for part in parts if part)


def profile_details(profile: Profile) -> str:
    """The rest that a header line has no room for, a line each."""
    nodes, layers = len(timed_nodes(profile)), len(profile.layers)
    timed = count_text(nodes, "node")
    kernels = f" in {count_text(layers, 'kernel')}" if nodes != layers else ""
    lines = [f"{timed} timed{kernels} over {count_text(profile.iterations, 'iteration')}"]
    if profile.layers_latency_milliseconds:
        latency = time_text(median(profile.layers_latency_milliseconds))
        lines.append(f"latency p50 of the graph whose nodes were timed, no profiling: {latency}")
    lines += [f"input {name}: {words}" for name, words in profile.inputs.items()]
    if profile.stand_ins:
        lines.append(f"measured as original subgraph: {', '.join(profile.stand_ins)}")
    return "\n".join([*lines, *profile.warnings])


def report_lines(report: Report, timed: bool, stale: bool = False) -> tuple[str, str]:
    """What compiled for what, in which time, to what; and that there are no times where no device ran it.

    The second form is shorter. `stale`: it was another revision of the graph that was compiled.
    """
    earlier = EARLIER if stale else ""
    start = (f"{backend_name(report.backend)} {report.version}".strip(), ", ".join(report.targets).upper())
    layers = count_text(len(report.layers), "layer")
    seconds = f"built in {time_text(report.seconds * 1000)}" if report.seconds else ""
    size = f"engine {bytes_text(report.engine_bytes)}" if report.engine_bytes else ""
    long = (*start, earlier, layers, seconds, size, "" if timed else "no times: no device has run this engine")
    return _line(long), _line((*start, earlier, layers, "" if timed else "not run: no times"))


def layer_times(report: Report, profile: Profile | None) -> dict[int, float]:
    """Median milliseconds by a layer's place in the report: its own, or a profile's by the same compiler.

    Times that another runtime measured say nothing about these layers, so they are left out.
    """
    found = {at: layer.milliseconds for at, layer in enumerate(report.layers) if layer.milliseconds is not None}
    if found or profile is None or profile.backend != report.backend:
        return found
    by_name = dict(zip((layer.name for layer in profile.layers), medians(profile.layers), strict=True))
    return {at: by_name[layer.name] for at, layer in enumerate(report.layers) if layer.name in by_name}
