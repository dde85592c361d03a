"""Stand-ins in a real compiler, and in what other files hold of them (tests/backend/operations/test_plugin.py)."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from graftwerk.backend.engines.report import Report
from graftwerk.backend.engines.report_file import read_report
from graftwerk.backend.engines.tensorrt_rtx import BuildRtx
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load, stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.graph.standin import deployable, plugin_nodes, with_stand_ins
from tests.backend.engines.rtx_models import Recorder
from tests.backend.operations.qdq_models import do


def compiled(graph: Graph, folder: Path) -> tuple[Report, list[str]]:
    runnable, refs = with_stand_ins(graph)
    path = stage(runnable, folder / "stage")
    context = Recorder(folder)
    result = BuildRtx(str(path), stand_ins=tuple(refs)).run(context)
    return read_report(Path(result["report"])), [str(ref) for ref in refs]


@pytest.mark.parametrize("unnamed", [False, True])
def test_a_plugin_compiles_as_its_stand_in(models: Path, tmp_path: Path, unnamed: bool) -> None:
    graph = load(models / "encoder.onnx")
    for scope in ("layer.0", "layer.1"):
        nodes = [graph.ref(node) for node, record in graph.nodes.items() if scope in scope_of(record)]
        graph = do(graph, "plugin.replace", nodes=nodes, op_type="EncoderLayer")
    first, second = (graph.ref(node) for node in plugin_nodes(graph))
    if unnamed:
        edit = Edit(graph)
        edit.replace_node(graph.find(first), name="")
        graph = edit.commit()
        first, second = (graph.ref(node) for node in plugin_nodes(graph))
    report, refs = compiled(graph, tmp_path)
    assert sorted(refs) == sorted([first, second])
    assert sorted(report.stand_ins) == sorted(refs)
    products = [layer for layer in report.layers if layer.kind == "gemm"]
    for ref in refs:
        assert report.nodes[ref].state == "layer"
        assert sum(ref in layer.onnx_nodes for layer in products) >= 5, "its matrix products are its own"


def test_a_plugin_with_quantized_input_compiles(models: Path, tmp_path: Path) -> None:
    graph = load(models / "digits.onnx")
    graph = do(graph, "qdq.insert_layer", node="/layer1/layer1.0/conv1/Conv")
    nodes = ["/layer1/layer1.0/conv1/Conv", "/layer1/layer1.0/relu/Relu"]
    graph = do(graph, "plugin.replace", nodes=nodes, op_type="ConvRelu", name="ConvRelu (mine | yours)")
    report, refs = compiled(graph, tmp_path)
    assert refs == ["ConvRelu (mine | yours)"]
    assert report.nodes[refs[0]].precision == "INT8"


def test_a_deployable_model_names_the_plugin_only(models: Path, tmp_path: Path) -> None:
    graph = do(load(models / "digits.onnx"), "plugin.replace", nodes=["/stem/relu/Relu"], op_type="MyRelu")
    path = stage(deployable(graph), tmp_path)
    assert b"graftwerk." not in path.read_bytes()
    onnx.checker.check_model(path)
