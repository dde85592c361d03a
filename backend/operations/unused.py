"""Removing what no graph output needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.functions import Key, call_key, function_key
from graftwerk.backend.graph.graph import Graph, NodeId, bodies, reads
from graftwerk.backend.graph.standin import stand_in
from graftwerk.backend.operations.registry import Operation, operation


@operation("graph.remove_unused", title="Remove unused", menu="Clean up", preserves=True)
@dataclass(frozen=True)
class RemoveUnused(Operation):
    """Remove nodes whose outputs nothing needs, weights that nothing reads, and functions that nothing calls.

    What the bodies of If, Loop and Scan read counts as needed. Graph inputs stay, used or not.
    """

    nodes: bool = True
    weights: bool = True
    functions: bool = True

    def blocked(self, graph: Graph) -> Reason | None:
        outputs = {info.name for info in graph.outputs}
        unread = graph.producers.keys() - graph.users.keys() - outputs
        if self.nodes and any(_idle(graph, graph.producers[tensor], outputs) for tensor in unread):
            return None
        if self.weights and next(_idle_weights(graph), None) is not None:
            return None
        if self.functions and len(called(graph)) < len(graph.functions):
            return None
        return Reason("Nothing is unused", settled=True)

    def apply(self, edit: Edit) -> None:
        if self.nodes:
            remove_idle(edit, edit.base.nodes)
        if self.weights:
            for name in list(_idle_weights(edit)):
                edit.remove_initializer(name)
                edit.value_infos.pop(name, None)
        if self.functions:
            kept = called(edit)
            edit.functions = [function for function in edit.functions if function_key(function) in kept]


def remove_idle(edit: Edit, candidates: Iterable[NodeId]) -> None:
    """Removes those of the nodes that nothing needs, and then what only they needed."""
    outputs = {info.name for info in edit.outputs}
    waiting = [node for node in candidates if node in edit.nodes and _idle(edit, node, outputs)]
    while waiting:
        node = waiting.pop()
        if node not in edit.nodes or not _idle(edit, node, outputs):
            continue
        record = edit.nodes[node]
        makers = {edit.producer(tensor) for tensor in reads(record)}
        edit.remove_node(node)
        for output in record.output:
            edit.value_infos.pop(output, None)
        waiting += [maker for maker in makers if maker is not None]


def _idle(graph: Graph | Edit, node: NodeId, outputs: set[str]) -> bool:
    return not any(output and (output in outputs or graph.consumers(output)) for output in graph.nodes[node].output)


def _idle_weights(graph: Graph | Edit) -> Iterator[str]:
    kept = {info.name for info in (*graph.inputs, *graph.outputs)}
    return (name for name in graph.initializers if not graph.consumers(name) and name not in kept)


def called(graph: Graph | Edit) -> set[Key]:
    """The functions that the graph calls, directly, in a body, or through another function; and the stand-ins of its
    plugin nodes."""
    known = {function_key(function): function for function in graph.functions}
    if not known:
        return set()
    found: set[Key] = set()
    waiting = list(graph.nodes.values())
    while waiting:
        record = waiting.pop()
        standing = stand_in(graph, record) if record.metadata_props else None
        for key in (call_key(record), function_key(standing) if standing else None):
            if key in known and key not in found:
                found.add(key)
                waiting.extend(known[key].node)
        for _, body in bodies(record):
            waiting.extend(body.node)
    return found
