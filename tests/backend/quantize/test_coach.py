"""The coach: its forecast against engines that were built, its ranks against the clock, its fixes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graftwerk.backend.engines.report import Report
from graftwerk.backend.engines.trt_layers import read_layers
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.quantize.coach import RULES, coach, findings, in_float
from graftwerk.backend.quantize.forecast import forecast
from graftwerk.backend.quantize.merit import figures, multiplications
from graftwerk.backend.quantize.obstacles import obstacles
from tests.backend.quantize.placements import placed, plain

#: Milliseconds of ResNet-50 at batch 32 on an H200, TensorRT 8.6, sum of layers.
CLOCK = {"expert": 1.10, "before_relu": 1.15, "everywhere": 1.27, "residual_float": 1.44}
BAD = ("before_relu", "everywhere", "residual_float")


@pytest.fixture(scope="module")
def variants() -> dict[str, Graph]:
    return {way: placed(plain(), way) for way in CLOCK}


@pytest.mark.parametrize("way", CLOCK)
def test_the_forecast_is_what_tensorrt_built(shared: Path, variants: dict[str, Graph], way: str) -> None:
    """Kernels but for the conversions at the end of the network, and bytes to 3 %."""
    built = figures(read_layers(shared / f"trt86-h200/qdq-placement/b32_int8_{way}.layers.json"))
    foretold = figures(forecast(variants[way]))
    assert 0 <= built.kernels - foretold.kernels <= 3
    assert 0 <= built.conversions - foretold.conversions <= 3
    assert foretold.moved_bytes == pytest.approx(built.moved_bytes, rel=0.03)


def test_forecast_and_engines_rank_as_the_clock_did(shared: Path, variants: dict[str, Graph]) -> None:
    by_clock = sorted(CLOCK, key=CLOCK.__getitem__)
    assert sorted(CLOCK, key=lambda way: figures(forecast(variants[way])).cost) == by_clock
    built = {way: read_layers(shared / f"trt86-h200/qdq-placement/b32_int8_{way}.layers.json") for way in CLOCK}
    assert sorted(CLOCK, key=lambda way: figures(built[way]).cost) == by_clock


@pytest.mark.parametrize("way", BAD)
def test_from_each_bad_placement_it_reaches_the_figures_of_the_good_one(variants: dict[str, Graph], way: str) -> None:
    good, start = figures(forecast(variants["expert"]), variants["expert"]), variants[way]
    advice = coach(start)
    assert advice.steps
    assert all(step.kept for step in advice.steps)
    assert advice.foretold.kernels <= good.kernels
    assert advice.foretold.moved_bytes <= good.moved_bytes
    assert advice.foretold.quantized == good.quantized
    assert [one for one in advice.findings if one.fix is not None] == []
    assert {step.finding.rule for step in advice.steps} <= RULES.keys()


def test_a_model_without_pairs_is_left_alone() -> None:
    advice = coach(plain())
    assert not advice.steps
    assert advice.graph.nodes == plain().nodes


def small(models: Path) -> Graph:
    graph = typed(load(models / "digits.onnx"), symbolic=False)
    placed_there = apply(make("qdq.place", {}), graph)
    adds = (record for record in graph.nodes.values() if record.op_type == "Add")
    made = next(name for add in adds for name in add.input if graph.nodes[graph.producers[name]].op_type == "Conv")
    return typed(apply(make("qdq.insert", {"tensor": made}), placed_there), symbolic=False)


def compiled(graph: Graph, moved: int, precision: str = "INT8") -> Report:
    """A report of the forecast's layers, of which the first reads so many bytes more."""
    layers = list(forecast(graph))
    work = [at for at, layer in enumerate(layers) if layer.precision]
    layers[work[0]] = replace(layers[work[0]], precision=precision)
    tensor = replace(layers[0].inputs[0], name="more", dtype="INT8", shape=(moved,))
    layers[0] = replace(layers[0], inputs=(*layers[0].inputs, tensor))
    return Report("compiler", "1", (), 0.0, 0, tuple(layers), {})


def test_a_fix_that_the_compiler_makes_worse_is_taken_back(models: Path) -> None:
    graph = small(models)
    assert [one.kind for one in obstacles(graph)] == ["add"]
    told: list[str] = []
    worse = lambda one: compiled(one, 0 if len(obstacles(one)) == 1 else 10**9)  # noqa: E731
    advice = coach(graph, worse, on_step=lambda step: told.append(step.verdict))
    assert told[0].startswith("taken back: ")
    assert "more are moved" in told[0]
    assert len(obstacles(advice.graph)) == 1


def test_less_int8_is_never_sold_as_a_gain(models: Path) -> None:
    graph = small(models)
    seen: list[Graph] = []

    def compile(one: Graph) -> Report:
        seen.append(one)
        return compiled(one, 10**9 if len(seen) == 1 else 0, "INT8" if len(seen) == 1 else "FP16")

    advice = coach(graph, compile)
    assert not advice.steps[0].kept
    assert "less of the arithmetic" in advice.steps[0].verdict


def test_a_pair_before_an_activation_goes_behind_it(models: Path) -> None:
    graph = typed(load(models / "digits.onnx"), symbolic=False)
    conv = next(record for record in graph.nodes.values() if record.op_type == "Conv")
    graph = typed(apply(make("qdq.insert", {"tensor": conv.output[0]}), graph), symbolic=False)
    found = obstacles(graph)
    fixed = typed(apply(make("qdq.free_fusions", {}), graph), symbolic=False)
    assert not obstacles(fixed)
    assert len(fixed.nodes) <= len(graph.nodes)
    assert findings(fixed) == []
    assert graph.nodes[found[0].behind].op_type == "Relu"


def test_multiplications_are_counted() -> None:
    work = multiplications(plain())
    assert len(work) == 54
    assert sum(work.values()) / 32 == pytest.approx(4.09e9, rel=0.01)  # ResNet-50's, one with 224 x 224
    assert np.all(np.array(list(work.values())) > 0)


def test_without_pairs_the_figures_are_those_of_floats(variants: dict[str, Graph]) -> None:
    graph = in_float(variants["everywhere"])
    assert len(graph.nodes) == len(plain().nodes)
    assert figures(forecast(graph), graph) == figures(forecast(plain()), plain())
