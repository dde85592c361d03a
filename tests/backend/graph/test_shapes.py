from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import InferShapes, contradictions, infer, prepare, read
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.jobs.pool import JobPool
from graftwerk.backend.jobs.protocol import Event, Finished, Log
from tests.backend.operations.qdq_models import do, floats, parse

FLOAT = int(TensorProto.FLOAT)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[JobPool]:
    made = JobPool(base=tmp_path / "pool")
    yield made
    made.close()


def made(graph: Graph) -> list[str]:
    return [output for node in graph.nodes.values() for output in node.output if output]


def test_every_dimension_of_an_exported_transformer(models: Path) -> None:
    graph = load(models / "encoder.onnx")
    types = infer(graph)
    assert set(types) == set(made(graph))
    assert all(kind.dtype and kind.shape is not None and None not in kind.shape for kind in types.values())
    assert types["/embeddings/LayerNorm/Sub_output_0"] == TensorType(FLOAT, ("N", "S", 128))
    assert types["last_hidden_state"] == TensorType(FLOAT, ("N", "S", 128))
    quick = infer(graph, symbolic=False)
    assert quick["/embeddings/LayerNorm/Sub_output_0"] == TensorType(FLOAT, (None, None, 128))


@pytest.mark.parametrize("name", ["bert_ts", "gpt2_ts", "resnet50"])
def test_exported_models_leave_nothing_open(shared: Path, name: str) -> None:
    graph = load(shared / "models" / f"{name}.onnx")
    types = infer(graph)
    assert set(types) == set(made(graph))
    assert all(kind.dtype and kind.shape is not None and None not in kind.shape for kind in types.values())
    assert not contradictions(graph, types)


def test_large_weights_are_not_needed() -> None:
    text = "g (float[N,2048] x) => (float[N,M] y) { y = MatMul(x, w) }"
    graph = parse(text, weights={"w": floats([[0.0] * 1024] * 2048)})
    assert infer(graph) == {"y": TensorType(FLOAT, ("N", 1024))}


def test_a_plugin_without_stand_in_is_passed_where_its_type_is_declared() -> None:
    text = """g (float[B,4] x) => (float[B,6] y, float z) <float[B,3] p> {
        p = trt.plugins.Mine(x) q = trt.plugins.Other(x) s = Shape(p) f = Expand(one, s)
        y = Concat<axis=1>(p, f) z = ReduceSum<keepdims=0>(q) }"""
    types = infer(parse(text, weights={"one": floats(1)}, extra=', "trt.plugins" : 1'))
    assert types["p"] == types["f"] == TensorType(FLOAT, ("B", 3))
    assert types["y"] == TensorType(FLOAT, ("B", 6))
    assert "q" not in types


def test_a_plugin_with_stand_in_needs_no_declaration() -> None:
    graph = parse("g (float[N,4] x) => (float[4,N] y) { a = Exp(x) b = Transpose(a) y = Neg(b) }")
    after = do(graph, "plugin.replace", nodes=["a", "b"], op_type="P")
    edit = Edit(after)
    edit.value_infos.clear()
    assert infer(edit.commit()) == {"b": TensorType(FLOAT, (4, "N")), "y": TensorType(FLOAT, (4, "N"))}


def test_contradictions_are_problems() -> None:
    text = "g (float[2,3] x) => (float[3,3] y) <float[2,9] a, int64[2,3] b, float[N,3] c> { {0} }"
    nodes = "a = Relu(x) b = Neg(a) c = Abs(b) y = Exp(c)"
    graph = parse(text.replace("{0}", nodes), check=False)
    types = infer(graph)
    assert types["y"] == TensorType(FLOAT, (2, 3))
    assert [(problem.where, problem.message) for problem in contradictions(graph, types)] == [
        ("a", "Declared as 2×9 FP32, but inferred as 2×3 FP32"),
        ("b", "Declared as 2×3 INT64, but inferred as 2×3 FP32"),
        ("y", "Declared as 3×3 FP32, but inferred as 2×3 FP32"),
    ]


def test_odd_models_get_what_can_be_known(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = 0
    for path in sorted((shared / "onnx-edge").rglob("*.onnx")):
        try:
            graph = load(path)
        except Fault:
            continue
        types = infer(graph)
        contradictions(graph, types)
        assert set(types) <= set(made(graph)), path.name
        opened += 1
    assert opened > 25
    assert not list(tmp_path.iterdir()), "nothing is left in the working directory"


def test_in_a_worker(pool: JobPool, models: Path, tmp_path: Path) -> None:
    graph = load(models / "encoder.onnx")
    events: list[Event] = []
    job = prepare(graph, tmp_path)
    assert Path(job.model).stat().st_size < 200_000, "the weights stay where they are"
    result = pool.submit(job, events.append).wait(60)
    assert isinstance(result, Finished), result
    assert json.loads(json.dumps(result.result)) == result.result
    assert read(result.result) == infer(graph)
    quick = pool.submit(InferShapes(job.model, symbolic=False), events.append).wait(60)
    assert isinstance(quick, Finished), quick
    assert read(quick.result) == infer(graph, symbolic=False)


def test_a_worker_says_why_there_are_no_symbols(pool: JobPool, shared: Path, tmp_path: Path) -> None:
    graph = load(shared / "onnx-edge" / "toy_subgraph.onnx")
    events: list[Event] = []
    result = pool.submit(prepare(graph, tmp_path), events.append).wait(60)
    assert isinstance(result, Finished), result
    logged = [event.level for event in events if isinstance(event, Log) and "No symbolic shapes" in event.text]
    assert logged == ["warning"]


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="Can't write"):
        prepare(parse("g (float[2] x) => (float[2] y) { y = Neg(x) }"), tmp_path / "missing")
