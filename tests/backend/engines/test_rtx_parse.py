from __future__ import annotations

from pathlib import Path

import onnx

from graftwerk.backend.engine_jobs import parse_job
from graftwerk.backend.engines.tensorrt_rtx import ParseRtx
from graftwerk.backend.graph.files import load
from graftwerk.backend.jobs.pool import run_here


def test_a_model_that_compiles_is_taken(models: Path, tmp_path: Path) -> None:
    result = run_here(parse_job(load(models / "digits.onnx"), tmp_path), tmp_path / "job", lambda event: None)
    assert result["refused"] == []
    assert result["version"]


def test_every_node_that_is_not_taken_is_named(tmp_path: Path) -> None:
    node = onnx.helper.make_node
    nodes = [
        node("NoSuch", ["x"], ["a"], "first", domain="some.where"), node("Relu", ["a"], ["b"], "good"),
        node("Neither", ["b"], ["y"], "second", domain="some.where"),
    ]  # fmt: skip
    infos = [onnx.helper.make_tensor_value_info(name, 1, [2]) for name in "xy"]
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("some.where", 1)]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", infos[:1], infos[1:]), opset_imports=opsets)
    onnx.save(model, tmp_path / "m.onnx")
    result = run_here(ParseRtx(str(tmp_path / "m.onnx")), tmp_path / "job", lambda event: None)
    assert [one["where"] for one in result["refused"]] == ["first", "second"]
    assert "NoSuch" in result["refused"][0]["message"]
    assert all(one["hint"] for one in result["refused"])
