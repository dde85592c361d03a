"""Graphs inside a graph (If, Loop, Scan bodies, local functions), looked at as graphs of their own."""

from __future__ import annotations

from dataclasses import replace

from onnx import FunctionProto, GraphProto, ModelProto, ValueInfoProto

from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.graph import Graph, NodeId, bodies, captures


def nested(graph: Graph, node: NodeId) -> dict[str, Graph]:
    """The graphs behind a node by label: its bodies by attribute, or the local function that it calls by its name.

    They are to look at, not to edit. What a body reads from the graphs around it appears as its inputs, with the
    types known there.
    """
    record = graph.nodes[node]
    found = {label: _view(graph, body) for label, body in bodies(record)}
    function = graph.function(record)
    if function is not None:
        found[function.name] = _view(graph, _body(function), function)
    return found


def _view(graph: Graph, body: GraphProto, function: FunctionProto | None = None) -> Graph:
    model = ModelProto()
    model.CopyFrom(graph.model)
    if function is not None and function.opset_import:
        del model.opset_import[:]
        model.opset_import.extend(function.opset_import)
    model.graph.CopyFrom(body)
    for name in sorted(captures(body)):
        known = graph.type_of(name)
        model.graph.input.append(known.value_info(name) if known is not None else ValueInfoProto(name=name))
    inner = decode(model.SerializeToString(), None, graph.folder)
    return replace(inner, functions=graph.functions)


def _body(function: FunctionProto) -> GraphProto:
    return GraphProto(
        name=function.name,
        node=function.node,
        input=[ValueInfoProto(name=name) for name in function.input],
        output=[ValueInfoProto(name=name) for name in function.output],
        value_info=function.value_info,
    )
