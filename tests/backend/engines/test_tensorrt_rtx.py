"""Real builds: what they leave, what they say, and what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from graftwerk.backend.engines.report_file import read_report
from graftwerk.backend.engines.rtx_log import engine_layers
from graftwerk.backend.engines.tensorrt_rtx import BuildRtx, QueryRtx
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.pool import JobPool
from graftwerk.backend.jobs.protocol import Failed, Finished, Log
from graftwerk.resources import model as bundled
from tests.backend.engines.rtx_models import Recorder, Weights, built, model, saved, weight

ROOT = Path(__file__).resolve().parents[3]
DIGITS = str(bundled("digits"))


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[JobPool]:
    made = JobPool(preload=("tensorrt_rtx",), base=tmp_path / "pool")
    yield made
    made.close()


def perceptron(op: str = "Relu", width: int = 16, **attributes: Any) -> ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "product"),
        helper.make_node(op, ["a"], ["b"], "middle", **attributes),
        helper.make_node("MatMul", ["b", "w2"], ["y"]),
    ]
    weights: Weights = {"w": weight(16, 16), "w2": weight(width, 16)}
    return model(nodes, weights, {"x": (1, ["N", 16])}, {"y": 1})


def refused(folder: Path, a_model: ModelProto | str, **asked: Any) -> Fault:
    path = a_model if isinstance(a_model, str) else saved(a_model, folder)
    with pytest.raises(Fault) as caught:
        BuildRtx(path, **asked).run(Recorder(folder))
    assert not list(folder.glob("*.engine*")), "nothing half done is left"
    return caught.value


def test_the_library_says_what_it_has(tmp_path: Path) -> None:
    answer = QueryRtx().run(Recorder(tmp_path))
    assert json.loads(json.dumps(answer)) == answer
    assert {"sm75", "sm80", "sm86", "sm89", "sm120"} <= set(answer["targets"])
    options = {option["name"]: option for option in answer["options"]}
    assert options["flag.TF32"]["default"] is True
    assert options["pool.WORKSPACE"]["kind"] == "bytes"
    assert options["tiling_optimization_level"]["choices"] == ["NONE", "FAST", "MODERATE", "FULL"]
    assert options["builder_optimization_level"]["default"] == 3
    assert "GPU" in options["flag.STRIP_PLAN"]["note"]
    assert not [name for name in options if "DLA" in name]
    assert "hardware_compatibility_level" not in options, "the library warns that it has no such thing"


def test_what_a_build_leaves(tmp_path: Path) -> None:
    context = Recorder(tmp_path)
    result = BuildRtx(DIGITS, targets=("sm86",)).run(context)
    assert json.loads(json.dumps(result))["engine"] == str(tmp_path / "model.engine")
    report = read_report(Path(result["report"]))
    assert (report.backend, report.targets) == ("tensorrt-rtx", ("sm86",))
    assert report.engine_bytes == (tmp_path / "model.engine").stat().st_size
    assert report.seconds > 0
    assert report.warnings == ("No shapes were given: built for input:1x1x8x8,1x1x8x8,8x1x8x8",)
    assert result["profiles"] == [{"input": ((1, 1, 8, 8), (1, 1, 8, 8), (8, 1, 8, 8))}]
    assert [layer.name for layer in engine_layers([Path(result["log"]).read_text()])] == [x.name for x in report.layers]
    assert {"Reading the model", "Parsing", "Building engine", "Optimizing graph"} <= set(context.phases)
    assert context.phases[-1] == "Writing the engine"
    assert 0 < len(context.logged) < 60, "the file has all, the program what matters"
    assert "verbose" not in {level for level, _ in context.logged}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["builder.log", "model.engine", "model.engine.json"]


@pytest.mark.parametrize("target", QueryRtx().run(Recorder(Path()))["targets"])
def test_every_target(tmp_path: Path, target: str) -> None:
    half = TensorProto.FLOAT16
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"], "m"), helper.make_node("Relu", ["a"], ["y"], "r")]
    a_model = model(nodes, {"w": weight(64, 64, dtype=half)}, {"x": (half, ["N", 64])}, {"y": half})
    report, _ = built(tmp_path, saved(a_model, tmp_path), targets=(target,))
    assert report.nodes["m"].precision == "FP16"


def test_options_reach_the_library(tmp_path: Path) -> None:
    options = {
        "flag.TF32": False, "pool.WORKSPACE": 1 << 28, "tiling_optimization_level": "FAST", "max_aux_streams": 0,
        "builder_optimization_level": 1, "parser.NATIVE_INSTANCENORM": True,
    }  # fmt: skip
    _, plain = built(tmp_path, DIGITS)
    _, log = built(tmp_path, DIGITS, options=options)
    assert log != plain


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"flag.WARP_DRIVE": True}, "no such option"),
        ({"flag.TF32": 1}, "not a value"),
        ({"tiling_optimization_level": "EXTREME"}, "not a value"),
        ({"builder_optimization_level": -1}, "doesn't take"),
    ],
)
def test_options_that_it_does_not_have(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    fault = refused(tmp_path, DIGITS, options=options)
    assert reason in fault.message
    assert fault.where == next(iter(options))
    assert fault.hint


def test_weights_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "model.onnx"
    onnx.save(perceptron(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    inside, _ = built(tmp_path, saved(perceptron(), tmp_path))
    beside, _ = built(tmp_path, str(path))
    assert [layer.name for layer in inside.layers] == [layer.name for layer in beside.layers]
    for engine in tmp_path.glob("model.engine*"):
        engine.unlink()
    (tmp_path / "there" / "weights.bin").unlink()
    fault = refused(tmp_path, str(path))
    assert fault.where == "w"
    assert "missing" in fault.message
    assert "beside the model" in fault.hint


def chosen_shape() -> ModelProto:
    nodes = [helper.make_node("Reshape", ["x", "s"], ["a"], "view"), helper.make_node("MatMul", ["a", "w"], ["y"], "m")]
    return model(nodes, {"w": weight(16, 16)}, {"x": (1, ["N", 16]), "s": (7, [2])}, {"y": 1})


def test_every_edge_case_is_built_or_refused_in_words(tmp_path: Path, shared: Path) -> None:
    """In processes of their own: some stop the compiler, and the next engine must not suffer from it."""
    paths = sorted((shared / "onnx-edge").rglob("*.onnx"))
    pool = JobPool(preload=("tensorrt_rtx",), base=tmp_path)
    handles = [pool.submit(BuildRtx(str(path)), lambda event: None) for path in paths]
    for path, handle in zip(paths, handles, strict=True):
        outcome = handle.wait(60)
        if isinstance(outcome, Failed):
            assert outcome.message, path
            assert not outcome.details, (path, outcome)
    pool.close()


def test_an_input_that_holds_a_shape_needs_values(tmp_path: Path) -> None:
    fault = refused(tmp_path, chosen_shape())
    assert fault.where == "s"
    assert "NAME:MIN,OPT,MAX" in fault.hint
    profile = {"s": ((1, 16), (4, 16), (8, 16)), "x": ((1, 16), (4, 16), (8, 16))}
    report, _ = built(tmp_path, saved(chosen_shape(), tmp_path), profiles=(profile,))
    assert report.warnings == ()


def asymmetric() -> ModelProto:
    parameters = ["scale", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *parameters], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", *parameters], ["y"], "dequantize"),
    ]
    weights: Weights = {"scale": np.array(0.1, np.float32), "zero": np.array(5, np.int8)}
    return model(nodes, weights, {"x": (1, [4, 4])}, {"y": 1})


def unknown_in_a_function() -> ModelProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    step = helper.make_node("Bogus", ["X"], ["Y"], "inner")
    function = helper.make_function("f", "F", ["X"], ["Y"], [step], opsets)
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("F", ["a"], ["y"], domain="f")]
    return model(nodes, {}, {"x": (1, [4])}, {"y": 1}, functions=[function])


def of_datatype(dtype: int) -> ModelProto:
    nodes = [helper.make_node("Cast", ["w"], ["c"], to=1), helper.make_node("Add", ["x", "c"], ["y"])]
    return model(nodes, {"w": helper.make_tensor("w", dtype, [4], [1, 0, 1, 0])}, {"x": (1, [4])}, {"y": 1}, opset=21)


def of_texts() -> ModelProto:
    return model([helper.make_node("Identity", ["x"], ["y"])], {}, {"x": (TensorProto.STRING, [4])}, {"y": 8})


def of_sequences() -> ModelProto:
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["s"], "split"),
        helper.make_node("ConcatFromSequence", ["s"], ["y"], "join", axis=0),
    ]
    return model(nodes, {}, {"x": (1, [4, 4])}, {"y": 1})


@pytest.mark.parametrize(
    ("make", "where", "message"),
    [
        (lambda: of_datatype(TensorProto.UINT4), "w", "does not support the datatype UINT4 of this weight"),
        (lambda: of_datatype(TensorProto.FLOAT8E5M2), "w", "does not support the datatype FLOAT8E5M2 of this weight"),
        (of_texts, "x", "does not support the datatype STRING of this input"),
        (of_sequences, "split", "does not support SplitToSequence as it is used here"),
        (lambda: perceptron("Bogus"), "middle", "no operator Bogus"),
        (lambda: perceptron(width=17), "y", "last dimension of input0 = 16"),
        (asymmetric, "quantize", "Only symmetric quantization"),
        (unknown_in_a_function, "y", "no operator Bogus (inside "),
    ],
)
def test_the_parser_s_refusal_names_the_node(
    tmp_path: Path, make: Callable[[], ModelProto], where: str, message: str
) -> None:
    fault = refused(tmp_path, make())
    assert fault.where == where
    assert message in fault.message
    assert fault.hint
    assert "Assertion" not in fault.message
    assert "/" not in fault.message


@pytest.mark.parametrize(
    ("asked", "where", "message"),
    [
        ({"targets": ("sm90",)}, "sm90", "doesn't build for this target"),
        ({"targets": ()}, "", "no target"),
        ({"options": {"pool.WORKSPACE": 10**30}}, "pool.WORKSPACE", "too large"),
        ({"profiles": ({"images": ((1,), (1,), (1,))},)}, "images", "no such input"),
        ({"profiles": ({"input": ((4, 1, 8, 8), (1, 1, 8, 8), (8, 1, 8, 8))},)}, "input", "dimension 0"),
    ],
)
def test_questions_that_make_no_sense(tmp_path: Path, asked: dict[str, Any], where: str, message: str) -> None:
    fault = refused(tmp_path, DIGITS, **asked)
    assert fault.where == where
    assert message in fault.message
    assert fault.hint


def test_what_is_no_model(tmp_path: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"nonsense" * 100)
    assert "not an ONNX model" in refused(tmp_path, str(junk)).message
    assert "can't read the model" in refused(tmp_path, str(tmp_path / "none.onnx")).message


def test_an_engine_that_can_not_be_written_spoils_nothing(tmp_path: Path) -> None:
    fault = refused(tmp_path, DIGITS, engine=str(tmp_path / "no" / "such" / "folder.engine"))
    assert "can't write the engine" in fault.message
    fault = refused(tmp_path, DIGITS, report=str(tmp_path / "no" / "x.json"))
    assert ("can't write the report" in fault.message, fault.where) == (True, str(tmp_path / "no" / "x.json"))
    (tmp_path / "old").mkdir()
    kept = tmp_path / "old" / "kept.engine"
    kept.write_text("old")
    refused(tmp_path, perceptron("Bogus"), engine=str(kept))
    assert kept.read_text() == "old"


def test_builds_in_one_warm_process_and_after_a_failure(pool: JobPool, tmp_path: Path) -> None:
    """Each has its own log; a compilation that failed (FP32 on SM75) leaves nothing behind for the next."""
    path = saved(perceptron(), tmp_path)
    logs, outcomes = [], []
    for job in (BuildRtx(DIGITS), BuildRtx(path), BuildRtx(path, targets=("sm75",)), BuildRtx(DIGITS)):
        events: list[Any] = []
        outcomes.append(pool.submit(job, events.append).wait(60))
        logs.append([event.text for event in events if isinstance(event, Log)])
    first, second, failed, last = outcomes
    assert isinstance(failed, Failed)
    assert failed.where == "product"
    assert failed.message == "FP32 GEMM is not supported on Turing (SM75)"
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    assert isinstance(last, Finished)
    assert any("digits.onnx" in text for text in logs[0])
    assert not any("digits.onnx" in text for text in logs[1])
    before, after = (read_report(Path(outcome.result["report"])) for outcome in (first, last))
    assert [layer.name for layer in before.layers] == [layer.name for layer in after.layers]


def test_cancel_stops_the_compiler_and_its_process_builds_no_more(tmp_path: Path) -> None:
    """In a process of its own: what a stopped compilation leaves behind would change the engines of other tests."""
    program = f"""
from pathlib import Path
from graftwerk.backend.engines.tensorrt_rtx import BuildRtx
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.protocol import Cancelled
from tests.backend.engines.rtx_models import Recorder

context = Recorder(Path({str(tmp_path)!r}), stop="Optimizing graph")
try:
    BuildRtx({DIGITS!r}).run(context)
except Cancelled:
    print("cancelled", not list(context.folder.glob("*.engine*")), "Computing profile costs" not in context.phases)
try:
    BuildRtx({DIGITS!r}).run(Recorder(context.folder))
except Fault as fault:
    print(fault.hint)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    said = run.stdout.splitlines()
    assert said == ["cancelled True True", "Build in a fresh process: a job pool starts one by itself."]
