"""Scopes from the names that exporters write."""

from __future__ import annotations

import pytest
from onnx import NodeProto, StringStringEntryProto

from graftwerk.backend.graph.scopes import scope_of, scope_tree
from tests.backend.operations import law_models as models


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("/layer1/layer1.0/conv1/Conv", ("layer1", "layer1.0", "conv1")),
        ("Conv_3", ()),
        ("", ()),
        ("model.layers.0", ("model", "layers")),
        ("node.1", ()),
    ],
)
def test_names(name: str, scope: tuple[str, ...]) -> None:
    assert scope_of(NodeProto(name=name)) == scope


def test_namespace_of_the_dynamo_exporter() -> None:
    entry = StringStringEntryProto(key="namespace", value=": model.Bert/encoder.layer.0: model.Layer/add: aten.add")
    node = NodeProto(name="node_add", metadata_props=[entry])
    assert scope_of(node) == ("encoder.layer.0",)


def test_dynamo_repeats_the_path_at_each_level() -> None:
    levels = ("m", "m.vit", "m.vit.encoder.layer.0", "m.vit.encoder.layer.0.attention", "lm_head")
    path = ": W/" + "".join(f"{level}: some.Module/" for level in levels) + "view: aten.view"
    node = NodeProto(name="node_view", metadata_props=[StringStringEntryProto(key="namespace", value=path)])
    assert scope_of(node) == ("m", "vit", "encoder.layer.0", "attention", "lm_head")


def test_the_tree_holds_every_node_once() -> None:
    graph = models.digits()
    tree = scope_tree(graph)
    assert tree.count == len(graph.nodes)
    assert sorted(tree.walk()) == sorted(graph.nodes)
    assert tree.children["layer1"].children["layer1.0"].path == ("layer1", "layer1.0")
    for scope in tree.children.values():
        assert scope.count == len(list(scope.walk()))
        assert scope.name == scope.path[-1]
