"""Cropping a model to a part of it, which is what extracting the part means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from onnx import ValueInfoProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.crop import Crop, around, between, port, upstream
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.functions import all_records, function_key
from graftwerk.backend.graph.graph import Graph, NodeRef, TensorName
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.unused import called


@operation("subgraph.keep", title="Crop to selection", menu="Subgraph")
@dataclass(frozen=True)
class Keep(Operation):
    """Keep a part of the model and drop the rest: the given nodes, or what lies between named tensors.

    Of *nodes*, the inputs are what they read of the rest, and the outputs what the rest reads of them, what are graph
    outputs, and what nothing reads; what is computed from weights alone comes along. *Inputs* and *outputs* name
    tensors instead: everything that the outputs need, down to the inputs, is kept. Without inputs these are the graph
    inputs that the outputs need, without outputs all graph outputs. An input that no output needs is refused, and so
    are outputs that need more than the inputs.
    """

    nodes: tuple[NodeRef, ...] = param((), help="The nodes to keep")
    inputs: tuple[TensorName, ...] = param((), help="Or: where the part begins, in this order")
    outputs: tuple[TensorName, ...] = param((), help="Or: where it ends, in this order")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        if selection.nodes:
            return cls(tuple(graph.ref(node) for node in selection.nodes))
        if selection.tensors:
            before = _before_others(graph, selection.tensors)
            inputs = (name for name in selection.tensors if name in before)
            outputs = (name for name in selection.tensors if name not in before)
            return cls((), tuple(map(TensorName, inputs)), tuple(map(TensorName, outputs)))
        return Reason("Select the nodes to keep, or a tensor that is to be the output")

    def blocked(self, graph: Graph) -> Reason | None:
        found = self.crop(graph)
        for tensor in (*found.inputs, *found.outputs):
            port(graph, tensor)
        ports = [info.name for info in graph.inputs], [info.name for info in graph.outputs]
        given = list(found.inputs), list(found.outputs)
        if self.nodes:  # whose ports come in the order of the nodes
            ports, given = (sorted(ports[0]), sorted(ports[1])), (sorted(given[0]), sorted(given[1]))
        if len(found.nodes) == len(graph.nodes) and ports == given:
            return Reason("That is the whole model", "Select less")
        return None

    def apply(self, edit: Edit) -> None:
        crop_to(edit, self.crop(edit.base))

    def crop(self, graph: Graph) -> Crop:
        """The part that is meant. Raises Fault where it can't be taken."""
        if self.nodes and (self.inputs or self.outputs):
            raise Fault("Nodes and tensors are given", "nodes", "Give one of them")
        if self.nodes:
            return around(graph, {graph.find(ref) for ref in self.nodes})
        if not (self.inputs or self.outputs):
            raise Fault("Neither nodes nor tensors are given", "nodes", "Name nodes, or tensors")
        return between(graph, self.inputs, self.outputs)

    def summary(self) -> str:
        if self.nodes:
            return f"Crop to {len(self.nodes)} nodes" if len(self.nodes) > 1 else f"Crop to {self.nodes[0]}"
        ends = (f"from {', '.join(self.inputs)}" if self.inputs else "", ", ".join(self.outputs))
        return " ".join(filter(None, ["Crop", ends[0], f"to {ends[1]}" if ends[1] else ""]))


def _before_others(graph: Graph, tensors: Sequence[str]) -> set[str]:
    """Those of some tensors from which others of them are computed."""
    found: set[str] = set()
    for tensor in tensors:
        found |= upstream(graph, [tensor])[1] & set(tensors) - {tensor}
    return found


def crop_to(edit: Edit, crop: Crop) -> None:
    """Removes everything else. Raises Fault where the type of an input or output is not known."""
    graph = edit.base
    inputs, outputs = _ports(graph, crop.inputs), _ports(graph, crop.outputs)
    kept = set(crop.nodes)
    edit.remove_nodes(node for node in graph.nodes if node not in kept)
    for name in set(crop.inputs) & edit.initializers.keys():
        if not graph.is_input(name):  # a weight that is to be given from outside
            edit.remove_initializer(name)
    for name in list(edit.initializers):
        if not edit.consumers(name) and name not in crop.outputs:
            edit.remove_initializer(name)
    ports = {*crop.inputs, *crop.outputs}
    for name in list(edit.value_infos):
        if name in ports or not (edit.consumers(name) or edit.producer(name) is not None):
            del edit.value_infos[name]
    edit.set_inputs(inputs)
    edit.set_outputs(outputs)
    there = called(edit)
    if len(there) < len(edit.functions):
        edit.functions = [function for function in edit.functions if function_key(function) in there]


def _ports(graph: Graph, names: Sequence[str]) -> list[ValueInfoProto]:
    return [port(graph, name) for name in names]


def extracted(graph: Graph, crop: Crop) -> Graph:
    """A part of a graph as a model of its own, which reads its weights where the graph does. Raises Fault for nodes of
    a function that take attributes of its calls."""
    for node in crop.nodes:
        for record in all_records([graph.nodes[node]]):
            if any(attribute.ref_attr_name for attribute in record.attribute):
                hint = "Inline the function first, or set the attribute"
                raise Fault("An attribute of this node is given by the function's calls", graph.ref(node), hint)
    edit = Edit(graph)
    crop_to(edit, crop)
    return replace(edit.commit(), problems=(), reserved=frozenset(), parent=-1, touched=frozenset())
