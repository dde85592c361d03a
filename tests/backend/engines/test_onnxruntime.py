"""Profiles and runs with the real ONNX Runtime, on models of others and on small ones that are awkward."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from graftwerk.backend.engines import onnxruntime as engine
from graftwerk.backend.engines.onnxruntime import ProfileOnnxRuntime, run_model
from graftwerk.backend.engines.report import Profile
from graftwerk.backend.engines.source import source_of
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.pool import JobPool, run_here
from graftwerk.backend.jobs.protocol import Failed, Phase

AWKWARD = """
<ir_version: 9, opset_import: ["" : 17, "trt.plugins" : 1]>
main (float[N, 4] X, bool c) => (float[N, 4] Y) {
  A = trt.plugins.Swish(X)
  B = trt.plugins.Swish(A)
  D = If (c) <
    then_branch = yes () => (float[N, 4] t) { t = Relu(B) },
    else_branch = no () => (float[N, 4] e) { e1 = Relu(A) e = Neg(e1) }
  >
  E = Relu(D)
  unused = Neg(D)
  Y = Abs(E)
}
<domain: "trt.plugins", opset_import: ["" : 17]>
Swish (x) => (y) { s = Sigmoid(x) y = Mul(x, s) }
"""


class Here:
    """A job context for a job that is run in the test's own process."""

    def __init__(self, folder: Path, cancel_in: str = "") -> None:
        self.folder = folder
        self.phases: list[str] = []
        self._cancel_in = cancel_in

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def progress(self, done: int, total: int) -> None:
        assert 0 < done <= total

    def log(self, text: str, level: str = "info") -> None:
        raise AssertionError(text)

    def cancelled(self) -> bool:
        return bool(self._cancel_in) and self.phases[-1] == self._cancel_in


def profile(model: Path, folder: Path, **options: Any) -> Profile:
    options = {"iterations": 4, "warmup": 1, "threads": 1, **options}
    result = ProfileOnnxRuntime(str(model), **options).run(Here(folder))
    read = msgspec.json.decode(Path(result["profile"]).read_bytes(), type=Profile)
    assert sorted(path.name for path in folder.glob("*")) == ["profile.json"], "traces and copies are removed"
    return read


def write(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["resnet50", "bert_ts", "gpt2_ts"])
def test_every_node_of_a_real_model_is_timed_or_a_constant(shared: Path, out: Path, name: str) -> None:
    path = shared / "models" / f"{name}.onnx"
    found = profile(path, out)
    nodes = source_of(onnx.load(path)).nodes
    assert [layer.onnx_nodes for layer in found.layers if len(layer.onnx_nodes) != 1] == []
    assert {layer.onnx_nodes[0] for layer in found.layers} == {n.ref for n in nodes if n.op_type != "Constant"}
    assert set(found.not_run) == {node.ref for node in nodes if node.op_type == "Constant"}
    assert {layer.onnx_nodes[0]: layer.kind for layer in found.layers}.items() <= {
        (node.ref, node.op_type) for node in nodes
    }
    for layer in found.layers:
        assert len(layer.milliseconds) == len(layer.start_milliseconds) == found.iterations == 4
    assert len(found.latency_milliseconds) == len(found.layers_latency_milliseconds) == 4
    assert found.backend == "onnxruntime"
    assert found.version == __import__("onnxruntime").__version__
    assert (found.layers_of, found.latency_of) == ("graph optimization off", "graph optimization full")


def test_nodes_start_in_order_and_fill_their_run(shared: Path, out: Path) -> None:
    found = profile(shared / "models" / "resnet50.onnx", out)
    for run in range(found.iterations):
        spans = sorted((layer.start_milliseconds[run], layer.milliseconds[run]) for layer in found.layers)
        assert spans[0][0] >= 0
        for (start, length), (following, _) in pairwise(spans):
            assert start + length <= following + 0.002, "whole microseconds, each rounded"


def test_fused_nodes_are_led_back(shared: Path, out: Path) -> None:
    path = shared / "models" / "bert_ts.onnx"
    found = profile(path, out, optimization="extended")
    kinds = {node.ref: node.op_type for node in source_of(onnx.load(path)).nodes}
    norms = [layer for layer in found.layers if layer.kind == "SkipLayerNormalization"]
    gelus = [layer for layer in found.layers if layer.kind == "BiasGelu"]
    assert len(gelus) == 12
    for layer in gelus:
        assert {kinds[ref] for ref in layer.onnx_nodes} >= {"Add", "Div", "Erf", "Mul"}
    for layer in norms:
        assert {kinds[ref] for ref in layer.onnx_nodes} >= {"Add", "LayerNormalization"}
    products = [ref for layer in found.layers for ref in layer.onnx_nodes if kinds[ref] in ("MatMul", "Gemm")]
    assert sorted(products) == sorted(ref for ref, kind in kinds.items() if kind in ("MatMul", "Gemm"))
    assert [layer.name for layer in found.layers if not layer.onnx_nodes] == []


def test_functions_bodies_and_what_is_not_run(tmp_path: Path, out: Path) -> None:
    model = parser.parse_model(AWKWARD)
    for node, name in zip(model.graph.node, ["first", "same", "same", "", "", "last"], strict=True):
        node.name = name
    found = profile(write(model, tmp_path), out, stand_ins=("first", "B"))
    kinds = [(layer.kind, layer.onnx_nodes) for layer in found.layers]
    assert [pair for pair in kinds if pair[0] in ("Sigmoid", "Mul")] == [
        ("Sigmoid", ("first",)), ("Mul", ("first",)), ("Sigmoid", ("B",)), ("Mul", ("B",)),
    ]  # fmt: skip
    assert [pair for pair in kinds if pair[0] not in ("Sigmoid", "Mul", "Neg")] == [
        ("If", ("D",)), ("Relu", ("E",)), ("Abs", ("last",)),
    ]  # fmt: skip
    assert found.stand_ins == ("first", "B")
    assert any("Plugins were not measured" in text and "first, B" in text for text in found.warnings)
    assert any("bodies of D" in text for text in found.warnings)


def test_operators_that_are_expanded_into_others(tmp_path: Path, out: Path) -> None:
    text = """<ir_version: 9, opset_import: ["" : 18]> g (float[2, 8] x) => (float[2, 8] z)
    { y = Mish (x) z = HardSwish (y) }"""
    found = profile(write(parser.parse_model(text), tmp_path), out)
    assert [(layer.kind, layer.onnx_nodes) for layer in found.layers] == [
        ("Softplus", ("y",)), ("Tanh", ("y",)), ("Mul", ("y",)), ("HardSigmoid", ("z",)), ("Mul", ("z",)),
    ]  # fmt: skip


def test_assumed_sizes_shrink_until_the_model_runs(shared: Path, out: Path) -> None:
    found = profile(shared / "models" / "gpt2_ts.onnx", out)
    assert found.inputs["input_ids"] == "random (seed 0) int64 1x64, free dimensions assumed", "it has 64 positions"
    with pytest.raises(Fault, match=r"wpe/Gather.*out of data bounds"):
        profile(shared / "models" / "gpt2_ts.onnx", out, shapes={"input_ids": (1, 65), "attention_mask": (1, 65)})


def test_given_inputs(tmp_path: Path, out: Path) -> None:
    text = """<ir_version: 9, opset_import: ["" : 17]>
    g (float[N] a, int64[2] b, float16[N] c) => (float[N] y, int64[2] z, float16[N] w)
    { y = Neg(a) z = Neg(b) w = Neg(c) }"""
    path = write(parser.parse_model(text), tmp_path)
    np.savez(tmp_path / "some.npz", a=np.ones(3, np.float32))
    np.save(tmp_path / "array.npy", np.array([5, 6]))
    tensor = numpy_helper.from_array(np.ones(3, np.float16), "c")
    (tmp_path / "input_2.pb").write_bytes(tensor.SerializeToString())
    files = [str(tmp_path / name) for name in ("some.npz", "input_2.pb", "array.npy")]
    found = profile(path, out, files=tuple(files))
    assert found.inputs == {
        "a": f"{files[0]} float32 3", "b": f"{files[2]} int64 2", "c": f"{files[1]} float16 3"
    }  # fmt: skip
    assert any("FP16" in text for text in found.warnings)
    half = [(layer.kind, layer.dtype) for layer in found.layers if layer.onnx_nodes == ("w",)]
    assert half == [("Cast", "FP32"), ("Neg", "FP32"), ("Cast", "FP16")], "what the CPU really does"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("wrong.npz", "there is no input for q"),
        ("shape.npz", "the input is Nx4, the data 2x3"),
        ("type.npz", "the input is float32, the data float64"),
        ("absent.npz", "can't be read: No such file"),
        ("damaged.npz", "is no valid .npz file"),
        ("damaged.pb", "is no valid .pb file"),
        ("data.csv", "unknown kind of file"),
    ],
)
def test_data_that_does_not_fit_is_a_fault(tmp_path: Path, out: Path, file: str, message: str) -> None:
    path = write(parser.parse_model(AWKWARD), tmp_path)
    np.savez(tmp_path / "wrong.npz", q=np.ones(1))
    np.savez(tmp_path / "shape.npz", X=np.ones((2, 3), np.float32))
    np.savez(tmp_path / "type.npz", X=np.ones((2, 4)))
    for name in ("damaged.npz", "damaged.pb"):
        (tmp_path / name).write_bytes(b"\xff" * 50)
    with pytest.raises(Fault, match=message):
        profile(path, out, files=(str(tmp_path / file),))


def test_a_plugin_without_stand_in_names_its_node(tmp_path: Path, out: Path) -> None:
    model = parser.parse_model(AWKWARD)
    del model.functions[:]
    with pytest.raises(Fault) as caught:
        profile(write(model, tmp_path), out)
    assert caught.value.where == "A"
    assert "stand-in" in caught.value.hint
    model.graph.node[1].domain = model.graph.node[0].domain = ""
    model.graph.node[0].op_type = "Identity"
    with pytest.raises(Fault) as caught:
        profile(write(model, tmp_path), out)
    assert caught.value.where == "B"
    assert "stand-in" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not a model at all", None])
def test_what_is_no_model_is_a_fault(tmp_path: Path, out: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Fault):
        profile(path, out)


def test_external_data_from_any_directory(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = numpy_helper.from_array(np.arange(4096, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"], name="add")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4096])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4096])],
        [weight],
    )
    path = tmp_path / "big.onnx"
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path, save_as_external_data=True, location="big.data", size_threshold=0)
    assert (tmp_path / "big.data").exists()
    monkeypatch.chdir(out)
    assert [layer.onnx_nodes for layer in profile(path, out).layers] == [("add",)]
    (found,) = run_model(path, {"x": np.ones(4096, np.float32)}).values()
    assert np.array_equal(found, np.arange(4096, dtype=np.float32) + 1)


def test_cancel_between_runs(shared: Path, out: Path) -> None:
    from graftwerk.backend.jobs.protocol import Cancelled

    job = ProfileOnnxRuntime(str(shared / "models" / "resnet50.onnx"))
    with pytest.raises(Cancelled):
        job.run(Here(out, cancel_in="Timing the nodes"))


def test_a_trace_is_bounded_and_says_so(shared: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_EVENTS", 500)
    found = profile(shared / "models" / "resnet50.onnx", out, iterations=10)
    assert found.iterations == 3, "122 nodes, one run to warm up"
    assert len(found.latency_milliseconds) == 10
    assert {len(layer.milliseconds) for layer in found.layers} == {3}
    assert any("timed 3 times, not 10" in text for text in found.warnings)


def test_in_a_worker(shared: Path, tmp_path: Path) -> None:
    model = str(shared / "models" / "resnet50.onnx")
    result = run_here(ProfileOnnxRuntime(model, iterations=2), tmp_path / "here", lambda event: None)
    found = msgspec.json.decode(Path(result["profile"]).read_bytes(), type=Profile)
    assert median(found.latency_milliseconds) > 0
    with pytest.raises(Fault, match="nodes can't be timed"):
        run_here(ProfileOnnxRuntime(model, optimization="full"), tmp_path / "here", lambda event: None)


def test_a_long_profile_in_a_worker_is_cancelled_by_asking(shared: Path, tmp_path: Path) -> None:
    pool = JobPool(base=tmp_path, grace=60)
    job = ProfileOnnxRuntime(str(shared / "models" / "resnet50.onnx"), iterations=10**9)
    handle = pool.submit(job, lambda event: handle.cancel() if "latency" in getattr(event, "name", "") else None)
    assert handle.wait(60) == Failed("cancelled", cancelled=True)
    pool.close()


def test_run_model_gives_any_tensor(shared: Path) -> None:
    path = shared / "models" / "resnet50.onnx"
    rng = np.random.default_rng(1)
    feeds = {"input": rng.standard_normal((1, 3, 64, 64)).astype(np.float32)}
    inner = "/layer1/layer1.0/relu/Relu_output_0"
    found = run_model(path, feeds, [inner, "output"])
    assert list(found) == [inner, "output"]
    assert (found[inner] >= 0).all()
    assert np.array_equal(run_model(path, feeds)["output"], found["output"])
    model = onnx.load(path)
    before = model.SerializeToString()
    assert np.array_equal(run_model(model, feeds, ["output"])["output"], found["output"])
    assert np.allclose(run_model(path, feeds, optimization="full")["output"], found["output"], rtol=1e-3, atol=1e-5)
    assert model.SerializeToString() == before, "the caller's model is not touched"
    with pytest.raises(Fault):
        run_model(path, feeds, ["no such tensor"])


def test_phases(shared: Path, out: Path) -> None:
    context = Here(out)
    ProfileOnnxRuntime(str(shared / "models" / "resnet50.onnx"), iterations=1).run(context)
    assert [Phase(name) for name in context.phases] == [
        Phase("Loading the model"),
        Phase("Measuring the latency"),
        Phase("Measuring the latency, optimization off"),
        Phase("Timing the nodes"),
        Phase("Reading the times"),
    ]
