"""Which part of a graph a new model takes: a set of nodes, or what lies between named tensors, with its ports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from onnx import NodeProto, ValueInfoProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId, reads
from graftwerk.backend.graph.types import TensorType

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Crop:
    """Nodes in the graph's order, and the tensors that go in and come out. Weights come along by themselves."""

    nodes: tuple[NodeId, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def around(graph: Graph, nodes: Collection[NodeId]) -> Crop:
    """The nodes, with everything that is computed from weights alone and that they read.

    Inputs are what they read of the rest, in the order in which they read it; outputs what the rest reads of them,
    what are graph outputs, and what nothing reads. Raises Fault for no nodes.
    """
    if not nodes:
        raise Fault("No node is given", "", "Select the nodes that the new model is to have")
    given, live = set(nodes), _Live(graph)
    chosen = given | _constant(graph, given, live)
    kept = _in_order(graph, chosen)
    made = {output for node in kept for output in graph.nodes[node].output if output}
    there = made | (graph.initializers.keys() - {info.name for info in graph.inputs})
    there |= {sparse.values.name for sparse in graph.skeleton.sparse_initializer}
    inputs = dict.fromkeys(tensor for node in kept for tensor in reads(graph.nodes[node]) if tensor not in there)
    ends = [
        (node, output) for node in kept if node in given for output in graph.nodes[node].output if output
        and (graph.is_output(output) or not graph.consumers(output) or not chosen.issuperset(graph.consumers(output)))
    ]  # fmt: skip
    # A constant that others read too is no output, unless there is nothing else.
    outputs = [name for node, name in ends if live.has(node) or graph.is_output(name)] or [name for _, name in ends]
    return Crop(kept, tuple(inputs), tuple(outputs))


def between(graph: Graph, inputs: Sequence[str], outputs: Sequence[str]) -> Crop:
    """What computes `outputs` (all graph outputs, if none are given) from `inputs` (the graph inputs that they need).

    Raises Fault for an unknown tensor, an input that no output needs, and for graph inputs that are needed besides
    the given ones.
    """
    for tensor in (*inputs, *outputs):
        if not graph.defines(tensor):
            raise Fault("There is no such tensor", tensor, "Tensor names are shown by `graftwerk info MODEL --nodes`")
    for tensor in outputs:
        if tensor in inputs:
            raise Fault("The tensor is given as input and as output", tensor, "Nothing lies in between")
    wanted = tuple(dict.fromkeys(outputs)) or tuple(info.name for info in graph.outputs)
    chosen, reached = upstream(graph, wanted, frozenset(inputs))
    for tensor in inputs:
        if tensor not in reached:
            hint = "Leave it out, or name an output that is computed from it"
            raise Fault(f"No output needs it: {_listed(wanted)} can be computed without", tensor, hint)
    needed = [info.name for info in graph.inputs if info.name in reached and info.name not in inputs]
    required = [name for name in needed if name not in graph.initializers]
    if inputs and required:
        hint = f"Name {_listed(required)} as input too, or cut further down"
        verb = "also needs" if len(wanted) == 1 else "also need"
        raise Fault(f"{_listed(wanted)} {verb} the graph input {required[0]!r}", required[0], hint)
    if not chosen:
        raise Fault("No node lies in between", _listed(wanted), "Name an output that is computed from the inputs")
    given = tuple(dict.fromkeys(inputs))
    return Crop(_in_order(graph, chosen), (*given, *needed), wanted)


def cut_at(graph: Graph, tensors: Sequence[str], complete: bool = False) -> tuple[Crop, Crop]:
    """The model in two: what computes `tensors`, and the rest, which reads them in their place.

    Weights, and what is computed from them alone, are in both where both need them; so are graph inputs. A graph output
    belongs to the part that makes it. What else crosses the cut is cut too with `complete`, and a Fault without. Raises
    Fault for a tensor that is no cut: that no node makes, that weights alone make, that nothing behind it needs.
    """
    if not tensors:
        raise Fault("No tensor is given to cut at", "", "Name the tensors that the second part is to read")
    for tensor in tensors:
        if graph.producer(tensor) is None:
            what = "No node makes this tensor" if graph.defines(tensor) else "There is no such tensor"
            raise Fault(what, tensor, "Cut at tensors between two nodes")
    cut, live = tuple(dict.fromkeys(tensors)), fed(graph)
    constant = next((tensor for tensor in cut if graph.producers[tensor] not in live), None)
    if constant is not None:
        raise Fault("This tensor is computed from weights alone", constant, "Cut at tensors that depend on an input")
    first, first_reached = upstream(graph, cut)
    ends = [info.name for info in graph.outputs if graph.producer(info.name) not in first]
    second, second_reached = upstream(graph, ends, frozenset(cut))
    given, behind = set(cut), second - first
    crossing = {
        tensor for node in first & second & live for tensor in graph.nodes[node].output
        if tensor not in given and not behind.isdisjoint(graph.consumers(tensor))
    }  # fmt: skip
    if crossing:
        missing = [tensor for tensor in graph.producers if tensor in crossing]
        if complete:
            return cut_at(graph, [*cut, *missing], complete)
        hint = f"Cut at {_listed([*cut, *missing])} to separate the two"
        raise Fault(f"Both sides of the cut need {_listed(missing)}", missing[0], hint)
    unread = next((tensor for tensor in cut if tensor not in second_reached), None)
    if unread is not None:
        raise Fault("No output behind the cut needs this tensor", unread, "Leave it out, or cut further up")
    made = [info.name for info in graph.outputs if graph.producer(info.name) in first and info.name not in cut]
    return (
        Crop(_in_order(graph, first), _inputs(graph, first_reached), (*cut, *made)),
        Crop(_in_order(graph, second), (*cut, *_inputs(graph, second_reached)), tuple(ends)),
    )


def _in_order(graph: Graph, nodes: Collection[NodeId]) -> tuple[NodeId, ...]:
    return tuple(node for node in graph.nodes if node in nodes)


def _inputs(graph: Graph, reached: Collection[str]) -> tuple[str, ...]:
    return tuple(info.name for info in graph.inputs if info.name in reached)


def upstream(graph: Graph, tensors: Iterable[str], stop: Collection[str] = frozenset()) -> tuple[set[NodeId], set[str]]:
    """The nodes that these tensors need, and every tensor on the way; `stop` are taken as given."""
    nodes: set[NodeId] = set()
    reached: set[str] = set()
    waiting = [tensor for tensor in tensors if tensor not in stop]
    while waiting:
        tensor = waiting.pop()
        reached.add(tensor)
        made = graph.producer(tensor)
        if made is None or made in nodes or tensor in stop:
            continue
        nodes.add(made)
        waiting += [name for name in reads(graph.nodes[made]) if name not in reached]
    return nodes, reached


def fed(graph: Graph) -> set[NodeId]:
    """The nodes that graph inputs reach, and those that are random; the others compute constants."""
    live = {info.name for info in graph.inputs}
    found: set[NodeId] = set()
    for node, record in _ordered(graph):
        if record.op_type in _RANDOM or any(tensor in live for tensor in reads(record)):
            found.add(node)
            live.update(output for output in record.output if output)
    return found


_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def _ordered(graph: Graph) -> Iterable[tuple[NodeId, NodeProto]]:
    from graftwerk.backend.graph.index import Index, ordered, topological

    if ordered(graph, graph.nodes):
        return graph.nodes.items()
    index = Index(graph.producers, graph.users, graph.names, graph.holders)
    return [(node, graph.nodes[node]) for node in topological(graph.nodes, index, list(graph.nodes))]


def _constant(graph: Graph, nodes: Collection[NodeId], live: _Live) -> set[NodeId]:
    """The nodes outside that compute constants for some nodes."""
    found: set[NodeId] = set()
    waiting = list(nodes)
    while waiting:
        for tensor in reads(graph.nodes[waiting.pop()]):
            made = graph.producer(tensor)
            if made is not None and made not in found and made not in nodes and not live.has(made):
                found.add(made)
                waiting.append(made)
    return found


class _Live:
    """As `fed`, asked node by node: it goes up only as far as it takes to meet an input, and remembers."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[NodeId, bool] = {}

    def has(self, node: NodeId) -> bool:
        path = [(node, self._above(node))]
        while path and node not in self._known:
            at, above = path[-1]
            made = next(above, None)
            if made is None:  # all that it reads is constant
                self._known[at] = False
                path.pop()
            elif made in self._known and not self._known[made]:
                continue
            elif made == _INPUT or made in self._known:
                self._known.update((passed, True) for passed, _ in path)
            else:
                path.append((made, self._above(made)))
        return self._known[node]

    def _above(self, node: NodeId) -> Iterator[NodeId]:
        """The nodes that make what a node reads, `_INPUT` for an input of the graph."""
        record = self._graph.nodes[node]
        if record.op_type in _RANDOM:
            yield _INPUT
        for tensor in reads(record):
            made = self._graph.producer(tensor)
            if made is not None:
                yield made
            elif self._graph.is_input(tensor):
                yield _INPUT


_INPUT = -1


def port(graph: Graph, tensor: str) -> ValueInfoProto:
    """The declaration of a tensor as an input or output of a model. Raises Fault where its type is not known."""
    info, known = graph.declared(tensor), graph.type_of(tensor)
    if info is not None and (known is None or TensorType.of(info.type) == known) and _whole(TensorType.of(info.type)):
        return info
    if info is not None and (graph.is_input(tensor) or graph.is_output(tensor)):
        return info  # no worse than the model itself
    if known is None or not _whole(known) or known.kind != "tensor":
        hint = "Shape inference has not found it; choose another tensor, or declare its type"
        raise Fault("The type of what would be an input or output is not known", tensor, hint)
    return known.value_info(tensor)


def _whole(kind: TensorType) -> bool:
    """Whether a type says what onnx.checker wants of an input or output."""
    return kind.kind not in ("tensor", "sparse") or (kind.dtype != 0 and kind.shape is not None)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
