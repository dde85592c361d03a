"""Graphs inside a graph (If, Loop, Scan bodies, local functions), looked at as graphs of their own.

What a body reads from the graphs around it appears as inputs behind its own, with the types known there. Types inside
are inferred; those of a function are what all its calls agree on. `nested_edit` puts an edited one back.

A path leads to such a graph: pairs of a node and the label of its body (an attribute, numbered in a list), or
`function::DOMAIN::NAME` for a local function, which belongs to the model and needs no node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.external import external_span
from graftwerk.backend.graph.functions import Key, arguments, bound, call_key, calls, function_key
from graftwerk.backend.graph.graph import Graph, NodeId, bodies, captures
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import Dim, TensorType

_FUNCTION = "function::"


@dataclass(frozen=True)
class Place:
    """Where a nested graph stands: in a node's body of this label, or as a function of the model."""

    node: NodeId | None = None
    label: str = ""
    function: FunctionProto | None = None


def labels(graph: Graph, node: NodeId) -> list[str]:
    """What can be opened behind a node: its bodies, or the function that it calls by its name."""
    record = graph.nodes[node]
    function = graph.function(record)
    return [label for label, _ in bodies(record)] + ([function.name] if function is not None else [])


def path_to(graph: Graph, path: Sequence[str], node: NodeId, label: str) -> tuple[str, ...]:
    """The path to what is behind a node of the graph at `path`."""
    function = graph.function(graph.nodes[node])
    if function is not None and label == function.name:
        return (function_path(function),)
    return (*path, graph.ref(node), label)


def function_path(function: FunctionProto) -> str:
    overload = f"::{function.overload}" if function.overload else ""
    return f"{_FUNCTION}{function.domain}::{function.name}{overload}"


def first_place(graph: Graph, path: Sequence[str]) -> tuple[Place, tuple[str, ...]]:
    """Where the first graph on a path is, and the rest of the path. Raises Fault where there is none."""
    if not path:
        raise Fault("The path is empty", "path", "Name a node and its body, or function::DOMAIN::NAME")
    if path[0].startswith(_FUNCTION):
        found = next((function for function in graph.functions if function_path(function) == path[0]), None)
        if found is not None:
            return Place(function=found), tuple(path[1:])
        known = ", ".join(map(function_path, graph.functions)) or "none"
        raise Fault("There is no such function", path[0], f"The model has: {known}")
    if len(path) < 2:
        raise Fault("The path names a node, but none of its bodies", path[0], "Such as: choice then_branch")
    node = graph.find(path[0])
    there = labels(graph, node)
    if path[1] not in there:
        hint = f"It has: {', '.join(there)}" if there else "If, Loop, Scan and calls of functions have graphs inside"
        raise Fault(f"{graph.nodes[node].op_type} has no body {path[1]!r}", path[0], hint)
    function = graph.function(graph.nodes[node])
    if function is not None and function.name == path[1]:
        return Place(function=function), tuple(path[2:])
    return Place(node, path[1]), tuple(path[2:])


def inside(graph: Graph, path: Sequence[str]) -> Graph:
    """The graph at a path. Raises Fault where there is none."""
    while path:
        place, path = first_place(graph, path)
        graph = view(graph, place)
    return graph


def nested(graph: Graph, node: NodeId) -> dict[str, Graph]:
    """The graphs behind a node by label."""
    ref = graph.ref(node)
    return {label: view(graph, first_place(graph, (ref, label))[0]) for label in labels(graph, node)}


def view(graph: Graph, place: Place, also: Iterable[str] = ()) -> Graph:
    """A nested graph as a graph of its own; `also` are tensors around a body that it may read besides those that it
    does read."""
    if place.function is not None:
        return _typed(_function_view(graph, place.function), graph, place.function)
    assert place.node is not None
    return _typed(_body_view(graph, graph.nodes[place.node], body_at(graph, place), also), graph)


def body_at(graph: Graph, place: Place) -> GraphProto:
    assert place.node is not None
    return next(body for label, body in bodies(graph.nodes[place.node]) if label == place.label)


def _body_view(graph: Graph, record: NodeProto, body: GraphProto, also: Iterable[str]) -> Graph:
    model = ModelProto()
    model.CopyFrom(graph.model)
    model.graph.CopyFrom(body)
    own = {info.name for info in body.input}
    captured = sorted((captures(body) | set(also)) - own)
    for name in captured:
        known = graph.type_of(name)
        model.graph.input.append(known.value_info(name) if known is not None else ValueInfoProto(name=name))
    around = graph.reserved.union(graph.producers, graph.initializers, (info.name for info in graph.inputs))
    inner = replace(_decoded(graph, model), reserved=frozenset(around.difference(captured)))
    return inner.with_types(_passed_types(graph, record, body))


def _passed_types(graph: Graph, record: NodeProto, body: GraphProto) -> dict[str, TensorType]:
    """The types of a body's own inputs that are declared without one, by what Loop or Scan passes to them."""
    known = [graph.type_of(name) for name in record.input]
    if record.op_type == "Loop":
        # What is carried may have another shape in each turn.
        passed = [TensorType(TensorProto.INT64, ()), TensorType(TensorProto.BOOL, ())]
        passed += [TensorType(kind.dtype, None, kind.kind) if kind else TensorType() for kind in known[2:]]
    elif record.op_type == "Scan" and len(known) == len(body.input):  # the first version had another input before
        scanned = next((entry.i for entry in record.attribute if entry.name == "num_scan_inputs"), 0)
        states = known[: len(known) - scanned]
        passed = [kind or TensorType() for kind in states]
        passed += [TensorType(kind.dtype, None, kind.kind) if kind else TensorType() for kind in known[len(states) :]]
    else:
        passed = []
    pairs = zip(body.input, passed, strict=False)
    return {info.name: kind for info, kind in pairs if kind.dtype and not TensorType.of(info.type).dtype}


def _function_view(graph: Graph, function: FunctionProto, seen: frozenset[Key] = frozenset()) -> Graph:
    model = ModelProto()
    model.CopyFrom(graph.model)
    if function.opset_import:
        del model.opset_import[:]
        model.opset_import.extend(function.opset_import)
    kinds = _argument_types(graph, function, seen)
    inputs = [kind.value_info(name) if kind else ValueInfoProto(name=name)
              for name, kind in zip(function.input, kinds, strict=True)]  # fmt: skip
    outputs = [ValueInfoProto(name=name) for name in function.output]
    model.graph.CopyFrom(GraphProto(name=function.name, input=inputs, output=outputs))
    model.graph.node.extend(function.node)
    model.graph.value_info.extend(function.value_info)
    return _decoded(graph, model)


def _decoded(graph: Graph, model: ModelProto) -> Graph:
    inner = decode(model.SerializeToString(), None, graph.folder)
    weights = {
        # From the files as they were when the model was opened, which may lie in other folders than the model's.
        name: Initializer(weight.proto, external_span(weight.proto, graph.sources)) if weight.external else weight
        for name, weight in inner.initializers.items()
    }
    return replace(inner, functions=graph.functions, initializers=weights, sources=graph.sources, problems=())


def _typed(
    inner: Graph, graph: Graph, function: FunctionProto | None = None, seen: frozenset[Key] = frozenset()
) -> Graph:
    from graftwerk.backend.graph.shapes import typed  # not needed to open a model

    inputs = (known.value_info(info.name) if (known := inner.types.get(info.name)) else info for info in inner.inputs)
    readable = replace(inner, inputs=tuple(inputs)) if inner.types else inner
    if function is not None and (function.attribute or function.attribute_proto):
        call = next((record for record, _ in _calls(graph, function_key(function), seen)), NodeProto())
        values = arguments(function, call)
        readable = replace(readable, nodes={node: bound(record, values) for node, record in inner.nodes.items()})
    return inner.with_types({**inner.types, **typed(readable, symbolic=False).types})


def _argument_types(graph: Graph, function: FunctionProto, seen: frozenset[Key]) -> list[TensorType | None]:
    """What all calls agree on of a function's inputs; None where nothing is known."""
    found: list[TensorType | None] = []
    for number, (record, around) in enumerate(_calls(graph, function_key(function), seen)):
        given = [*record.input, *[""] * (len(function.input) - len(record.input))]
        kinds = [around.type_of(name) if name else None for name in given[: len(function.input)]]
        found = kinds if number == 0 else [_common(one, other) for one, other in zip(found, kinds, strict=True)]
    return found or [None] * len(function.input)


def _common(one: TensorType | None, other: TensorType | None) -> TensorType | None:
    if one is None or other is None or (one.dtype, one.kind) != (other.dtype, other.kind):
        return None
    if one.shape is None or other.shape is None or len(one.shape) != len(other.shape):
        return TensorType(one.dtype, None, one.kind)
    dims: list[Dim] = [a if a == b else None for a, b in zip(one.shape, other.shape, strict=True)]
    return TensorType(one.dtype, tuple(dims), one.kind)


def _calls(graph: Graph, key: Key, seen: frozenset[Key] = frozenset()) -> Iterator[tuple[NodeProto, Graph]]:
    """Every call of a function in a model, with the graph that it stands in. `seen` are functions that led here: a
    damaged model may have some that call each other."""
    yield from _calls_in(graph, key)
    for other in graph.functions:
        if function_key(other) not in seen | {key} and calls(other.node, key):
            inner = _function_view(graph, other, seen | {key})
            yield from _calls_in(_typed(inner, graph, other, seen | {key}), key)


def _calls_in(graph: Graph, key: Key) -> Iterator[tuple[NodeProto, Graph]]:
    for record in graph.nodes.values():
        if call_key(record) == key:
            yield record, graph
    for node in graph.holders:
        for _, body in bodies(graph.nodes[node]):
            if calls(body.node, key):
                yield from _calls_in(_typed(_body_view(graph, graph.nodes[node], body, ()), graph), key)
