"""A model is run on data in a job: the same histograms in one process or several, and after it ended early."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.jobs.pool import run_here
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.quantize.calibrate import measured, plan, together, without_pairs
from graftwerk.backend.quantize.calibration import Calibration
from graftwerk.backend.quantize.collect import Collect, Plan, chunk_file, collected
from graftwerk.backend.quantize.data import DataOptions
from tests.backend.operations.law_models import digits, graph_of, parsed

Planned = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path / "data"))
    numbers = itertools.count()

    def made(graph: Graph, count: int = 20) -> Plan:
        return plan(graph, DataOptions(random=count), 1, tmp_path / f"stage{next(numbers)}")

    return made


def heavier(graph: Graph) -> Graph:
    """The same nodes with other values in one weight."""
    edit = Edit(graph)
    name, weight = next((name, one) for name, one in graph.initializers.items() if one.size > 1000)
    edit.set_initializer(weight.array().astype(np.float32) * 2, name)
    return edit.commit()


def run(job: Collect, folder: Path) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    return run_here(job, folder, lambda event: None)


def test_histograms_hold_what_the_model_computes(planned: Planned, tmp_path: Path) -> None:
    graph = digits()
    made = planned(graph, 3)
    (job,) = made.jobs(1, 1)
    found = together(made, run(job, tmp_path / "job"), "digits.onnx", "max")
    assert found.samples == 3
    assert list(found.histograms) == list(measured(graph))
    source = graph.inputs[0].name
    known = graph.type_of(source)
    assert known is not None
    shape = [size if isinstance(size, int) else 1 for size in known.shape or ()]
    values = []
    tensor = list(found.histograms)[5]
    for seed in range(3):
        data = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        values.append(run_model(to_model(graph), {source: data}, [tensor])[tensor])
    assert found.histograms[tensor].total == sum(value.size for value in values)
    assert found.amax(tensor) == pytest.approx(max(float(np.abs(value).max()) for value in values), rel=1e-5)
    assert not made.folder.exists()


def test_two_processes_and_a_run_that_ended_early_find_the_same(planned: Planned, tmp_path: Path) -> None:
    made = planned(digits())
    (whole,) = made.jobs(1, 1)
    result = run(whole, tmp_path / "one")
    expected = collected(made.folder, made.tensors, 20)
    first = chunk_file(made.folder, 0).read_bytes()
    for number in (1, 2):
        chunk_file(made.folder, number).unlink()
    chunk_file(made.folder, 0).write_bytes(first)
    for at, part in enumerate(made.jobs(2, 1)):
        assert run(part, tmp_path / f"part{at}") == result
    assert chunk_file(made.folder, 0).read_bytes() == first  # it was not run again
    found = collected(made.folder, made.tensors, 20)
    assert all(np.array_equal(found[name].counts, expected[name].counts) for name in expected)
    assert all(found[name].peaks == expected[name].peaks for name in expected)
    assert planned(digits()).folder == made.folder  # where it is found by the next run of the same
    assert planned(digits(), 21).folder != made.folder
    assert planned(heavier(digits())).folder != made.folder
    chunk_file(made.folder, 1).write_bytes(first[:100])
    with pytest.raises(Fault, match="is missing"):
        collected(made.folder, made.tensors, 20)
    assert run(whole, tmp_path / "again") == result
    assert np.array_equal(collected(made.folder, made.tensors, 20)["input"].counts, expected["input"].counts)


def test_values_that_are_no_numbers_name_the_first_tensor(planned: Planned, tmp_path: Path) -> None:
    graph = graph_of(parsed("""g (float[4] x) => (float[4] y) <float zero = {0}> {
        a = Relu(x) b = Div(zero, zero) c = Mul(a, b) y = Neg(c)
    }"""))
    (job,) = planned(graph).jobs(1, 1)
    with pytest.raises(Fault) as caught:
        run(job, tmp_path / "job")
    assert caught.value.where == "c"
    assert "4 of its values are infinite or no numbers" in caught.value.message


def test_the_model_is_measured_without_its_pairs(planned: Planned) -> None:
    graph = digits()
    placed = apply(make("qdq.insert_layer", {"node": "/stem/conv/Conv"}), graph)
    assert set(measured(without_pairs(placed))) == set(measured(graph))
    assert planned(placed).tensors == planned(graph).tensors


def test_scales_come_from_a_calibration(planned: Planned, tmp_path: Path) -> None:
    graph = digits()
    made = planned(graph, 2)
    (job,) = made.jobs(1, 1)
    found = together(made, run(job, tmp_path / "job"), "digits.onnx", "max")
    path = tmp_path / "x.calibration.npz"
    found.save(path)
    placed = apply(make("qdq.insert_layer", {"node": "/stem/conv/Conv"}), graph)
    result = apply(make("qdq.calibrate", {"file": str(path)}), placed)
    (node,) = [n for n, record in result.nodes.items() if record.op_type == "QuantizeLinear"
               and record.input[0] == graph.inputs[0].name]  # fmt: skip
    scale = result.initializers[result.nodes[node].input[1]].array()
    assert scale == pytest.approx(found.scale(graph.inputs[0].name), rel=1e-6)
    assert not result.nodes[node].metadata_props
    again = make("qdq.calibrate", {"file": str(path), "only_guessed": True})
    assert again.blocked(result) is not None
    Calibration(given={"nothing": 1.0}).save(path)
    with pytest.raises(Fault, match="knows none of the quantized tensors"):
        apply(make("qdq.calibrate", {"file": str(path)}), placed)
    Calibration(given={graph.inputs[0].name: 0.0}).save(path)
    with pytest.raises(Fault, match="all zero has no scale"):
        apply(make("qdq.calibrate", {"file": str(path)}), placed)
