"""Nodes with their weights as a model of their own, in one file: what is copied and pasted."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from onnx import ValueInfoProto

from graftwerk.backend import assets
from graftwerk.backend.fault import PUT_BACK, Fault
from graftwerk.backend.graph.crop import around, port
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.encode import MESSAGE_LIMIT, pieces, total, write
from graftwerk.backend.graph.external import external_location, node_tensors
from graftwerk.backend.graph.functions import all_records, function_key
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.placing import plain
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.unused import called


def fragment(graph: Graph, nodes: Collection[NodeId]) -> Graph:
    """The nodes with everything that is computed from weights alone and that they read, as `crop.around` finds it.

    Unlike an extracted model it need not know the types of its inputs, and holds all its weights. Raises Fault for no
    nodes, for values that are missing, and for nodes of a function that take attributes of its calls.
    """
    crop = around(graph, nodes)
    kept = set(crop.nodes)
    for node in crop.nodes:
        for record in all_records([graph.nodes[node]]):
            if any(attribute.ref_attr_name for attribute in record.attribute):
                hint = "Inline the function first, or set the attribute"
                raise Fault("An attribute of this node is given by the function's calls", graph.ref(node), hint)
            if any(external_location(tensor) is not None for _, tensor in node_tensors([record])):
                hint = "Weights › Constants to weights (weights.from_constants) makes a weight of it"
                raise Fault("An attribute of this node lies in a file of its own", graph.ref(node), hint)
    edit = Edit(graph)
    edit.remove_nodes(node for node in graph.nodes if node not in kept)
    edit.set_inputs(_port(graph, tensor) for tensor in crop.inputs)
    edit.set_outputs(_port(graph, tensor) for tensor in crop.outputs)
    needed = {name for name in edit.initializers if edit.consumers(name) and name not in crop.inputs}
    edit.initializers = {name: _inside(weight) for name, weight in edit.initializers.items() if name in needed}
    ports = {*crop.inputs, *crop.outputs}
    for name in list(edit.value_infos):
        if name in ports or not (edit.consumers(name) or edit.producer(name) is not None):
            del edit.value_infos[name]
    there = called(edit)
    edit.functions = [function for function in edit.functions if function_key(function) in there]
    made = edit.commit()
    return replace(made, sources={}, folder=None, problems=(), incomplete=None, reserved=frozenset(), parent=-1)


def _port(graph: Graph, tensor: str) -> ValueInfoProto:
    try:
        return port(graph, tensor)
    except Fault:
        return ValueInfoProto(name=tensor)  # whatever it is bound to, it is read as


def _inside(weight: Initializer) -> Initializer:
    """A weight whose bytes are written into the model, wherever they lie now."""
    if weight.stripped is not None:
        raise Fault("Its values were stripped", weight.name, PUT_BACK)
    if weight.missing:
        raise Fault("The external data of this weight is missing", weight.name, "Put the file beside the model")
    return plain(weight)


def kept(found: Graph) -> Path:
    """Writes a fragment to the user's data folder, under its hash, and says where. Raises Fault where it is too large
    for one file, or can't be read or written."""
    size = total(pieces(found))
    if size > MESSAGE_LIMIT:
        hint = "Copy fewer nodes, or extract them to a tab, save that, and use Subgraph › Merge model"
        raise Fault(f"The nodes and their weights are {size / 1e9:.1f} GB; 2 GiB can be copied", "", hint)
    with tempfile.NamedTemporaryFile(prefix="graftwerk-", suffix=".onnx") as file:
        write(found, file)  # type: ignore[arg-type]
        file.flush()
        return assets.keep(Path(file.name), ".onnx")
