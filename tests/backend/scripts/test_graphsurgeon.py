"""The exported script, run by itself in a process of its own, gives the graph and the weights of the recipe."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, ValueInfoProto

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import save
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.scripts.graphsurgeon import Script, script_of
from tests.backend.operations.law_case import Case
from tests.backend.operations.law_cases import CASES


def written(graphs: list[Graph], folder: Path) -> Script:
    save(graphs[0], folder / "in.onnx")
    script = script_of(graphs, [f"step {at}" for at in range(len(graphs) - 1)], "in.onnx", "edit.py")
    script.save(folder / "edit.py")
    return script


def run(folder: Path) -> ModelProto:
    with patch.object(sys, "argv", ["edit.py", str(folder / "in.onnx"), str(folder / "out.onnx")]):
        runpy.run_path(str(folder / "edit.py"))
    return onnx.load(folder / "out.onnx")


def node_facts(record: NodeProto) -> Any:
    plain = NodeProto()
    plain.CopyFrom(record)
    for name in ("doc_string", "metadata_props", "attribute", "overload", "device_configurations"):
        plain.ClearField(name)
    plain.domain = record.domain
    return plain, [attribute_facts(one) for one in record.attribute]


def attribute_facts(attribute: onnx.AttributeProto) -> Any:
    if attribute.type == onnx.AttributeProto.GRAPH:
        return attribute.name, graph_facts(attribute.g)
    if attribute.type == onnx.AttributeProto.TENSOR:
        return attribute.name, tensor_facts(attribute.t)
    return attribute.name, attribute.type, attribute.ref_attr_name, str(onnx.helper.get_attribute_value(attribute))


def tensor_facts(tensor: onnx.TensorProto) -> Any:
    if not tensor.ByteSize() or tensor.metadata_props:
        return tensor.SerializeToString(deterministic=True)  # stripped: it has no values
    values = np.asarray(onnx.numpy_helper.to_array(tensor))
    return tensor.data_type, tuple(tensor.dims), values.tobytes() if values.dtype != object else values.tolist()


def end_facts(info: ValueInfoProto) -> Any:
    return info.name, TensorType.of(info.type)


def graph_facts(graph: onnx.GraphProto) -> dict[str, Any]:
    read = {name for node in graph.node for name in node.input} | {info.name for info in graph.output}
    weights = {one.name: tensor_facts(one) for one in graph.initializer}
    inner = {name for node in graph.node for one in node.attribute for name in _captured(one)}
    return {
        "nodes": [node_facts(node) for node in graph.node],
        "weights": {name: facts for name, facts in sorted(weights.items()) if name in read | inner},
        "inputs": [end_facts(info) for info in graph.input if info.name not in weights],
        "outputs": [end_facts(info) for info in graph.output],
    }


def _captured(attribute: onnx.AttributeProto) -> set[str]:
    if attribute.type != onnx.AttributeProto.GRAPH:
        return set()
    below = {name for node in attribute.g.node for one in node.attribute for name in _captured(one)}
    return below | {name for node in attribute.g.node for name in node.input}


def facts(model: ModelProto) -> dict[str, Any]:
    return graph_facts(model.graph) | {
        "opsets": sorted((entry.domain, entry.version) for entry in model.opset_import),
        "ir": model.ir_version,
        "functions": sorted((one.domain, one.name) for one in model.functions),
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_operation_exports(case: Case, tmp_path: Path) -> None:
    graph = case.model()
    for id, values in case.first:
        graph = apply(make(id, values), graph)
    result = apply(make(case.id, case.parameters), graph)
    written([graph, result], tmp_path)
    assert facts(run(tmp_path)) == facts(to_model(result))
