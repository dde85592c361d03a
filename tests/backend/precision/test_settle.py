"""The minimum cut finds as few casts as any other choice, and control flow survives a verified retype."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import onnx
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.rounding import outcome
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.precision.painting import BRUSHES, why_not_painted
from graftwerk.backend.precision.rounded import rounded_job
from graftwerk.backend.precision.settle import Wire, settle
from tests.backend.operations import law_models as models

FP32, FP16, BF16 = 1, 10, 16


def casts(wires: list[Wire], labels: Mapping[int, int]) -> int:
    """Casts that a choice costs: for each tensor, the datatypes that readers want and it does not come in."""
    total = 0
    for wire in wires:
        made = wire.given if wire.maker is None else labels[wire.maker]
        total += len(({labels[node] for node in wire.readers} | set(wire.needed)) - {made})
    return total


@pytest.mark.parametrize("seed", range(60))
def test_no_choice_needs_fewer_casts(seed: int) -> None:
    chance = random.Random(seed)
    nodes = range(9)
    fixed = {node: chance.choice([FP32, FP16]) for node in nodes if chance.random() < 0.4}
    free = set(nodes) - fixed.keys()
    wires = [
        Wire(node, 0, tuple(sorted({chance.randrange(node + 1, 9) for _ in range(chance.randint(1, 3))})))
        for node in range(8)
    ]
    wires.append(Wire(None, chance.choice([FP32, FP16]), (0, 1)))
    wires.append(Wire(8, 0, (), (FP32,)))
    found = settle(wires, fixed, free)
    assert found.keys() == free
    least = min(
        casts(wires, fixed | dict(zip(sorted(free), choice, strict=True)))
        for choice in itertools.product([FP32, FP16], repeat=len(free))
    )
    assert casts(wires, fixed | found) == least


def test_three_precisions_meet() -> None:
    wires = [Wire(0, 0, (3,)), Wire(1, 0, (3,)), Wire(3, 0, (2, 4)), Wire(4, 0, (5,))]
    found = settle(wires, {0: BF16, 1: BF16, 2: FP32, 5: FP16}, {3, 4})
    assert found == {3: BF16, 4: FP16}


@pytest.mark.parametrize(
    "model", [models.branches, models.loop, models.encoder, models.digits_bn, models.dead], ids=lambda m: m.__name__
)
@pytest.mark.parametrize("to", ["FP16", "mixed BF16"])
def test_verified(model: Callable[[], Graph], to: str, tmp_path: Path) -> None:
    graph = model()
    graph = graph.with_types(infer(graph))
    made = apply(make("precision.retype", {"to": to, "interface": "convert"}), graph)
    made = made.with_types(infer(made))
    told = outcome(run_here(rounded_job(graph, made, tmp_path, relative=0.05, absolute=0.05), tmp_path, lambda e: None))
    assert told["broken"] == []
    assert all(output["same"] for output in told["outputs"])


class Already(Exception):
    """The nodes have what was painted."""


def painted(graph: Graph, wanted: dict[str, str]) -> Graph:
    try:
        return apply(make("precision.paint", {"nodes": wanted}), graph)
    except Fault as fault:
        if "already" in fault.message:
            raise Already from fault
        raise


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("model", [models.digits, models.encoder], ids=lambda m: m.__name__)
def test_any_painting_is_valid_and_can_be_painted_over(model: Callable[[], Graph], seed: int) -> None:
    chance, graph = random.Random(seed), model()
    graph = graph.with_types(infer(graph))
    for _ in range(3):
        wanted = {}
        for node in chance.sample(list(graph.nodes), min(12, len(graph.nodes))):
            brush = chance.choice(BRUSHES)
            if why_not_painted(graph, node, brush) is None:
                wanted[str(graph.ref(node))] = brush
        if not wanted:
            continue
        with suppress(Already):
            graph = painted(graph, wanted)
        graph = graph.with_types(infer(graph))
        model_proto = to_model(graph)
        onnx.checker.check_model(model_proto)
        onnx.shape_inference.infer_shapes(model_proto, strict_mode=True, check_type=True)
