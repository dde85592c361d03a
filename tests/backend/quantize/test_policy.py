"""Pairs for whole models: where the rules put them, and that a real compiler makes INT8 of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.qdq_place import PlaceQdq
from graftwerk.backend.operations.registry import apply, make, why_blocked
from graftwerk.backend.quantize.calibration import Calibration
from graftwerk.backend.quantize.histogram import Observer
from graftwerk.backend.quantize.pairs import calibrated, find_pairs, scales
from tests.backend.operations.law_models import graph_of, parsed
from tests.backend.quantize.test_precision import layers, precisions


def placed(graph: Graph, **values: Any) -> Graph:
    return apply(make("qdq.place", values), graph)


def planned(graph: Graph, **values: Any) -> dict[str, tuple[str, list[str]]]:
    operation = make("qdq.place", values)
    assert isinstance(operation, PlaceQdq)
    found = operation.plan(graph).placements.values()
    return {one.tensor: (one.rule, [graph.ref(node) for node in one.readers]) for one in found}


W1, W2, W3 = "float[4,4,1,1] w1", "float[4,4,3,3] w2", "float[4,4,1,1] w3"
BLOCK = f"""block (float[1,4,8,8] x, {W1}, {W2}, {W3}) => (float[1,4,8,8] y) {{
        [first] a = Conv(x, w1) [relu] b = Relu(a) [second] c = Conv<pads = [1,1,1,1]>(b, w2) [add] d = Add(c, b)
        [out] e = Relu(d) [third] y = Conv(e, w3)
    }}"""


def block(text: str = BLOCK) -> Graph:
    """A model whose inputs w1, w2 … become weights."""
    model = parsed(text)
    random = np.random.default_rng(0)
    for info in list(model.graph.input)[1:]:
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        model.graph.initializer.append(numpy_helper.from_array(random.normal(size=dims).astype(np.float32), info.name))
        model.graph.input.remove(info)
    return typed(graph_of(model))


def test_a_residual_add_reads_the_pair_that_the_convolution_reads() -> None:
    graph = block()
    assert planned(graph) == {
        "x": ("weights", ["first"]), "w1": ("weights", ["first"]), "b": ("weights", ["second", "add"]),
        "w2": ("weights", ["second"]), "e": ("weights", ["third"]), "w3": ("weights", ["third"]),
    }  # fmt: skip
    assert planned(graph, residual=False)["b"] == ("weights", ["second"])
    assert len([pair for pair in find_pairs(placed(graph)).values() if pair.source == "b"]) == 1


def test_of_two_convolutions_the_one_on_the_shortcut_is_quantized() -> None:
    graph = block(BLOCK.replace("[add] d = Add(c, b)", "[short] s = Conv(b, w3) [add] d = Add(c, s)"))
    assert planned(graph)["s"] == ("residual", ["add"])
    assert "c" not in planned(graph)


def test_a_concat_has_one_scale_and_pairs_go_above_a_pool(tmp_path: Path) -> None:
    graph = block("""net (float[1,4,8,8] x, float[4,4,1,1] w1, float[4,8,1,1] w2) => (float[1,4,4,4] y) {
        [left] a = Conv(x, w1) [right] b = Relu(x) [join] c = Concat<axis = 1>(a, b)
        [pool] d = MaxPool<kernel_shape = [2,2], strides = [2,2]>(c) [last] y = Conv(d, w2)
    }""")
    found = planned(graph)
    assert found["a"] == ("share", ["join"])
    assert found["b"] == ("share", ["join"])
    assert "c" not in found
    assert "d" not in found
    known = Calibration(given={"x": 1.0, "a": 2.54, "b": 1.27})
    operation = make("qdq.place", {})
    assert isinstance(operation, PlaceQdq)
    assert {one.group for one in operation.plan(graph).placements.values() if one.rule == "share"} == {"join"}
    known.save(tmp_path / "c.npz")
    result = placed(graph, calibration=str(tmp_path / "c.npz"))
    values = {pair.source: scales(result, pair) for pair in find_pairs(result).values()}
    assert values["a"] == values["b"] == pytest.approx([0.02])
    assert planned(graph, share=False, above=False)["d"] == ("weights", ["last"])
    assert planned(graph, share=False)["c"] == ("above", ["pool"])


def test_what_is_kept_in_float_is_named_with_the_reason() -> None:
    graph = block()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"skip_first": True}, "first: The first layer is kept in float"),
        ({"skip_last": True}, "third: The last layer is kept in float"),
        ({"keep": ["second"]}, "second: It is kept in float"),
        ({"smallest": 5}, "first: It has 4 channels"),
    ]
    for values, expected in cases:
        operation = make("qdq.place", values)
        assert isinstance(operation, PlaceQdq)
        left = [f"{graph.ref(node)}: {reason.text}" for node, reason in operation.plan(graph).left]
        assert expected in left
    reason = why_blocked(make("qdq.place", {"keep_ops": ["Conv"]}), graph)
    assert reason is not None
    assert reason.text == "No layer is left to quantize; first: It is kept in float"


def test_placing_twice_changes_nothing() -> None:
    result = placed(block())
    reason = why_blocked(make("qdq.place", {}), result)
    assert reason is not None
    assert reason.text == "Everything that can be is quantized already"
    with pytest.raises(Fault):
        placed(result)


def test_a_compiler_computes_every_layer_in_int8(models: Path, tmp_path: Path) -> None:
    graph = placed(typed(load(models / "digits.onnx")))
    assert precisions(graph, tmp_path) == dict.fromkeys(layers(graph), "INT8")


def test_of_exported_models_too(shared: Path, tmp_path: Path) -> None:
    graph = placed(typed(load(shared / "models" / "resnet50.onnx")))
    found = Counter(precisions(graph, tmp_path).values())
    assert found == {"INT8": 54}


def test_calibrated_by_each_method_the_accuracy_stays(models: Path, tmp_path: Path) -> None:
    """The bundled network on images that it has not seen: within half a point of what it gets in FP32."""
    graph = typed(load(models / "digits.onnx"))
    images = np.load(models / "digits_calib.npz")["input"]
    names = [name for record in graph.nodes.values() for name in record.output]
    observers = {name: Observer() for name in ("input", *names)}
    for at in range(0, len(images), 50):
        batch = images[at : at + 50]
        for name, values in {"input": batch, **run_model(to_model(graph), {"input": batch}, names)}.items():
            observers[name].add(values)
    Calibration({name: one.histogram() for name, one in observers.items()}).save(tmp_path / "c.npz")
    held = np.load(models / "digits_eval.npz")

    def accuracy(model: Graph) -> float:
        logits = run_model(to_model(model), {"input": held["input"]})["logits"]
        return float((logits.argmax(1) == held["label"]).mean())

    before = accuracy(graph)
    assert before >= 0.97
    quantized = placed(graph, calibration=str(tmp_path / "c.npz"))
    assert all(calibrated(quantized, pair) for pair in find_pairs(quantized).values())
    for method in ("max", "percentile", "entropy", "mse"):
        again = apply(make("qdq.calibrate", {"file": str(tmp_path / "c.npz"), "method": method}), quantized)
        assert accuracy(again) >= before - 0.005, method


def test_operators_and_scopes_that_there_are_not_are_refused() -> None:
    graph = block()
    for values, says in (({"keep_ops": ["Cnov"]}, "no Cnov node"), ({"keep_scopes": ["head"]}, "no such scope")):
        reason = why_blocked(make("qdq.place", values), graph)
        assert reason is not None
        assert says in reason.text
