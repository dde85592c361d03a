"""The worker's view of a model names nodes as the program does."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import graftwerk.backend.operations.all  # noqa: F401 - registers them
from graftwerk.backend.engines.source import check_values, source_of
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.operations.registry import apply, make
from graftwerk.resources import bundled_models
from tests.backend.engines.rtx_models import Weights, model, saved, weight

ENGINES = Path(__file__).resolve().parents[3] / "backend" / "engines"
WORKER_FILES = ["report", "report_file", "shapes", "source", "tensorrt_rtx", *(x.stem for x in ENGINES.glob("rtx_*"))]


@pytest.mark.parametrize("name", WORKER_FILES)
def test_the_syntax_is_that_of_the_oldest_worker(name: str) -> None:
    ast.parse((ENGINES / f"{name}.py").read_text(), feature_version=(3, 9))


def agree(path: Path) -> None:
    graph = load(path)
    source = source_of(onnx.load(path, load_external_data=False))
    assert [node.ref for node in source.nodes] == [graph.ref(number) for number in graph.nodes]
    assert len({node.ref for node in source.nodes}) == len(source.nodes)
    assert set(source.constants) == set(graph.initializers)


def test_stripped_weights_are_refused_with_the_operation_that_puts_them_back(models: Path) -> None:
    graph = load(models / "digits.onnx")
    check_values(source_of(to_model(graph)))
    stripped = source_of(to_model(apply(make("weights.strip", {"smallest": 1}), graph)))
    with pytest.raises(Fault, match=r"stem\.conv\.weight: The values of this weight and of \d+ more were") as refused:
        check_values(stripped)
    assert "weights.put_back" in refused.value.hint
    assert make("weights.put_back", {"file": "m.onnx"}).info.title in refused.value.hint


@pytest.mark.parametrize("path", bundled_models(), ids=lambda path: path.stem)
def test_references_of_bundled_models(path: Path) -> None:
    agree(path)


def test_references_of_edge_cases(shared: Path) -> None:
    for path in sorted((shared / "onnx-edge").rglob("*.onnx")):
        try:
            load(path)
        except Fault:
            continue  # the program would not get this far with it
        agree(path)


def test_references_where_names_are_missing_shared_or_collide(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"], "twice"),
        helper.make_node("Relu", ["b"], ["c"], "twice"),
        helper.make_node("Relu", ["c"], ["d"], "a"),
        helper.make_node("Relu", ["d"], ["y"], "d"),
    ]
    path = Path(saved(model(nodes, {}, {"x": (1, [4])}, {"y": 1}), tmp_path))
    agree(path)
    assert [node.ref for node in source_of(onnx.load(path)).nodes] == ["output:a", "b", "c", "a", "d"]


def test_keys_tell_what_computes_the_same() -> None:
    nodes = [
        helper.make_node("Add", ["x", "one"], ["a"]),
        helper.make_node("Add", ["x", "eins"], ["b"]),
        helper.make_node("Softmax", ["x"], ["c"], axis=0),
        helper.make_node("Softmax", ["x"], ["d"], axis=1),
        helper.make_node("RandomNormalLike", ["x"], ["e"]),
    ]
    one, two = np.ones(1, np.float32), np.full(1, 2, np.float32)
    weights: Weights = {"one": one, "eins": one, "two": two, "large": weight(64, 64)}
    source = source_of(model(nodes, weights, {"x": (1, ["N", 4])}, {"a": 1}))
    add, same, softmax, other, random = (node.key for node in source.nodes)
    assert add == same
    assert softmax != other
    assert random == ""
    assert source.constants["one"] == source.constants["eins"] != source.constants["two"]
    assert source.constants["large"] == "large"
    assert source.inputs == (("x", ("N", 4)),)
