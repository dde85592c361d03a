"""How panels word what compilers and runtimes report: times, sizes, names, header lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graftwerk.backend.engines.report import NodeTime, Profile, Report

#: Backends as they call themselves.
_BACKENDS = {"onnxruntime": "ONNX Runtime", "tensorrt-rtx": "TensorRT-RTX", "tensorrt": "TensorRT"}


def backend_name(backend: str) -> str:
    return _BACKENDS.get(backend, backend)


def time_text(milliseconds: float) -> str:
    """Three digits and a unit: "61 µs", "1.23 ms", "2.5 s"."""
    for factor, unit in ((1e-3, "s"), (1.0, "ms")):
        if milliseconds * factor >= 0.9995:
            return f"{_digits(milliseconds * factor)} {unit}"
    return f"{_digits(milliseconds * 1000)} µs"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def bytes_text(size: int) -> str:
    """"6.4 MB", in powers of 1000."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{_digits(size / factor)} {unit}"
    return f"{size} B"


def count_text(count: int, one: str) -> str:
    """"1 layer", "59 layers"."""
    return f"{count:,} {one}{'s' if count != 1 else ''}".replace(",", " ")


def median(times: Sequence[float]) -> float:
    """0 where there are none."""
    return float(np.median(times)) if times else 0.0


def medians(layers: Sequence[NodeTime]) -> list[float]:
    """The median of each node over the iterations, in milliseconds."""
    return [median(layer.milliseconds) for layer in layers]


def profile_line(profile: Profile) -> str:
    """What ran where, its latency without the profiler, and beside it the sum of the nodes: the two differ."""
    parts = [profile.device, f"{backend_name(profile.backend)} {profile.version}".strip()]
    if profile.latency_milliseconds:
        how = "no profiling" + (f", {profile.latency_of}" if profile.latency_of else "")
        parts.append(f"latency p50 {time_text(median(profile.latency_milliseconds))} ({how})")
    parts.append(f"sum of nodes {time_text(sum(medians(profile.layers)))}")
    if profile.layers_of:
        parts[-1] += f" ({profile.layers_of})"
    return " · ".join(part for part in parts if part)


def profile_details(profile: Profile) -> str:
    """The rest that a header line has no room for, a line each."""
    lines = [f"{len(profile.layers)} nodes timed over {count_text(profile.iterations, 'iteration')}"]
    if profile.layers_latency_milliseconds:
        latency = time_text(median(profile.layers_latency_milliseconds))
        lines.append(f"latency p50 of the graph whose nodes were timed, no profiling: {latency}")
    lines += [f"input {name}: {words}" for name, words in profile.inputs.items()]
    if profile.stand_ins:
        lines.append(f"measured as original subgraph: {', '.join(profile.stand_ins)}")
    return "\n".join([*lines, *profile.warnings])


def report_line(report: Report, timed: bool) -> str:
    """What compiled for what, in which time, to what; and that there are no times where no device ran it."""
    parts = [
        f"{backend_name(report.backend)} {report.version}".strip(),
        ", ".join(report.targets).upper(),
        count_text(len(report.layers), "layer"),
        f"built in {time_text(report.seconds * 1000)}" if report.seconds else "",
        f"engine {bytes_text(report.engine_bytes)}" if report.engine_bytes else "",
        "" if timed else "no times: no device has run this engine",
    ]
    return " · ".join(part for part in parts if part)


def layer_times(report: Report, profile: Profile | None) -> dict[int, float]:
    """Median milliseconds by a layer's place in the report: its own, or a profile's by the same compiler.

    Times that another runtime measured say nothing about these layers, so they are left out.
    """
    found = {at: layer.milliseconds for at, layer in enumerate(report.layers) if layer.milliseconds is not None}
    if found or profile is None or profile.backend != report.backend:
        return found
    by_name = dict(zip((layer.name for layer in profile.layers), medians(profile.layers), strict=True))
    return {at: by_name[layer.name] for at, layer in enumerate(report.layers) if layer.name in by_name}
