"""Times, sizes and header lines in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graftwerk.backend.engines.report import Layer, NodeTime, Profile, Report
from graftwerk.widgets.panels.readout import (
    EARLIER,
    bytes_text,
    count_text,
    family_of,
    layer_times,
    profile_details,
    profile_lines,
    report_lines,
    share_text,
    time_text,
    timed_nodes,
)
from tests.widgets.panels.measured import digits_profile, digits_report

PROFILE = Profile(
    "onnxruntime", "1.31", "CPU (X), 4 threads", 2,
    (NodeTime("a", "Conv", (0.1, 0.3)), NodeTime("b", "Relu", (0.02, 0.02))), (1.0, 1.2, 1.4),
    warnings=("mind this",), stand_ins=("p",), inputs={"x": "random"}, layers_of="level off", latency_of="level full",
    layers_latency_milliseconds=(2.0,),
)  # fmt: skip
REPORT = Report("tensorrt-rtx", "1.7", ("sm89",), 0.5, 2_130_000, (Layer("one", "gemm"), Layer("two", "kgen")), {})


@pytest.mark.parametrize(("milliseconds", "text"), [
    (0.0, "0 µs"), (0.0055, "5.5 µs"), (0.061, "61 µs"), (0.9994, "999 µs"), (0.9996, "1.00 ms"), (1.234, "1.23 ms"),
    (12.34, "12.3 ms"), (99.96, "100 ms"), (999.4, "999 ms"), (2500.0, "2.50 s"),
])  # fmt: skip
def test_times_have_three_digits(milliseconds: float, text: str) -> None:
    assert time_text(milliseconds) == text


def test_shares_sizes_and_counts() -> None:
    assert [share_text(share) for share in (0.0, 0.0001, 0.094, 1.0)] == ["0.0 %", "< 0.1 %", "9.4 %", "100.0 %"]
    assert [bytes_text(size) for size in (12, 2500, 2_130_000)] == ["12 B", "2.50 kB", "2.13 MB"]
    assert [count_text(count, "layer") for count in (0, 1, 50_000)] == ["0 layers", "1 layer", "50\u202f000 layers"]


def test_a_profile_names_both_figures_and_the_form_each_was_measured_in() -> None:
    long, short, shortest = profile_lines(PROFILE)
    assert long == (
        "CPU (X), 4 threads · ONNX Runtime 1.31 · latency p50 1.20 ms (no profiling, level full)"
        " · sum of nodes 220 µs (level off) · stand-in for p"
    )
    assert short == (
        "CPU (X) · ONNX Runtime 1.31 · latency p50 1.20 ms (no profiling) · sum of nodes 220 µs · stand-in for p"
    )
    assert shortest == "ONNX Runtime 1.31 · latency p50 1.20 ms · sum of nodes 220 µs · stand-in for p"
    assert all(line.endswith(" · 2 stand-ins") for line in profile_lines(replace(PROFILE, stand_ins=("p", "q"))))
    assert "latency" not in profile_lines(replace(PROFILE, latency_milliseconds=()))[0]


def test_headers_say_that_another_revision_was_measured() -> None:
    assert all(EARLIER in line for line in profile_lines(PROFILE, stale=True))
    assert all(EARLIER in line for line in report_lines(REPORT, timed=False, stale=True))
    assert not any(EARLIER in line for line in (*profile_lines(PROFILE), *report_lines(REPORT, timed=False)))


def test_kernels_count_for_the_first_node_behind_them() -> None:
    layers = (NodeTime("k 1", "Mul", (1.0,), (), ("p",)), NodeTime("n", "Add", (1.0,), (), ("n", "m")),
              NodeTime("k 2", "Add", (1.0,), (), ("p",)), NodeTime("copy", "Memcpy", (1.0,)))  # fmt: skip
    profile = replace(PROFILE, layers=layers)
    assert timed_nodes(profile) == {"p": [0, 2], "n": [1], "copy": [3]}
    assert profile_details(profile).splitlines()[0] == "3 nodes timed in 4 kernels over 2 iterations"


def test_the_rest_is_in_the_details() -> None:
    details = profile_details(PROFILE).splitlines()
    assert details[0] == "2 nodes timed over 2 iterations"
    assert "2.00 ms" in details[1]
    assert details[2:] == ["input x: random", "measured as original subgraph: p", "mind this"]


def test_a_report_says_what_no_device_measured() -> None:
    assert report_lines(REPORT, timed=False)[0] == (
        "TensorRT-RTX 1.7 · SM89 · 2 layers · built in 500 ms · engine 2.13 MB"
        " · no times: no device has run this engine"
    )
    assert "no times" not in report_lines(REPORT, timed=True)[0]


def test_layers_get_times_of_their_own_compiler_only() -> None:
    timed = replace(REPORT, layers=(Layer("one", "gemm", milliseconds=0.4), Layer("two", "kgen")))
    assert layer_times(timed, None) == {0: 0.4}
    same = Profile("tensorrt-rtx", "1.7", "GPU", 1, (NodeTime("two", "kgen", (0.2, 0.3, 0.9)),), ())
    assert layer_times(REPORT, same) == {1: 0.3}
    other = replace(same, backend="onnxruntime")
    assert layer_times(REPORT, other) == {}
    assert layer_times(digits_report(), digits_profile()) == {}


def test_families_of_what_a_runtime_calls_its_nodes() -> None:
    assert family_of(NodeTime("a", "Conv", ())) == "compute"
    assert family_of(NodeTime("a", "com.microsoft:Gelu", ())) == "activation"
    assert family_of(NodeTime("a", "FusedConv", ())) == "compute"
    assert family_of(NodeTime("a", "my.plugins:Thing", ())) == "plugin"
    assert {family_of(layer) for layer in digits_profile().layers} <= {
        "compute", "activation", "elementwise", "reduction", "shape", "normalization",
    }  # fmt: skip
