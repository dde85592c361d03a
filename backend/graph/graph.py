"""The graph as a value: ONNX's own records, never changed once made, and the indexes over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, NewType

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.tensors import Initializer, Source
from graftwerk.backend.graph.types import TensorType

NodeId = int
TensorName = NewType("TensorName", str)
NodeRef = NewType("NodeRef", str)
revisions = count(1)
#: Attributes that hold the bodies of If, Loop, Scan and their like.
BODY_TYPES = (AttributeProto.GRAPH, AttributeProto.GRAPHS)

@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong or doubtful in a graph that could be opened all the same. `where` is a node or tensor, `fix` an
    Operation that puts it right, where there is one."""

    message: str
    where: str = ""
    hint: str = ""
    severity: str = "warning"
    fix: Any = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Graph:
    """One revision of a model's graph. Everything in it is shared between revisions: change nothing, use `Edit`.

    `model` and `skeleton` hold all fields of the model and of its graph that have no place of their own here, so that
    what we don't understand is kept. `types` are inferred; what the file declares stands in `value_infos`. `touched`
    names the nodes that the edit which made this revision added, removed or replaced in the revision `parent`.
    Revisions are numbered in the order in which this process made them. `holders` are the nodes that have bodies.
    `sources` are the files of external data in `folder` by location, None for one that is missing. `reserved` are
    names of the graphs around a nested one, which ONNX lets it read but not define anew.
    """

    nodes: Mapping[NodeId, NodeProto]
    inputs: tuple[ValueInfoProto, ...]
    outputs: tuple[ValueInfoProto, ...]
    initializers: Mapping[str, Initializer]
    value_infos: Mapping[str, ValueInfoProto]
    functions: tuple[FunctionProto, ...]
    model: ModelProto
    skeleton: GraphProto
    producers: Mapping[str, NodeId]
    users: Mapping[str, tuple[NodeId, ...]]
    names: Mapping[str, tuple[NodeId, ...]]
    holders: frozenset[NodeId]
    next_id: NodeId
    folder: Path | None = None
    sources: Mapping[str, Source | None] = field(default_factory=dict)
    types: Mapping[str, TensorType] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    incomplete: Reason | None = None
    reserved: frozenset[str] = frozenset()
    touched: frozenset[NodeId] = frozenset()
    revision: int = 0
    parent: int = -1
    _inputs: Mapping[str, ValueInfoProto] = field(init=False)
    _outputs: Mapping[str, ValueInfoProto] = field(init=False)

    def __post_init__(self) -> None:
        # By name: an exported language model has a thousand inputs and outputs for its cache.
        object.__setattr__(self, "_inputs", {info.name: info for info in self.inputs})
        object.__setattr__(self, "_outputs", {info.name: info for info in self.outputs})

    def __repr__(self) -> str:
        return f"<Graph {self.skeleton.name!r}, revision {self.revision}, {len(self.nodes)} nodes>"

    def producer(self, tensor: str) -> NodeId | None:
        """The node that makes a tensor; None for inputs, weights, and what nothing makes."""
        return self.producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[NodeId, ...]:
        """The nodes that read a tensor, those included whose If, Loop or Scan bodies do; each once."""
        return self.users.get(tensor, ())

    def is_input(self, tensor: str) -> bool:
        return tensor in self._inputs

    def is_output(self, tensor: str) -> bool:
        return tensor in self._outputs

    def defines(self, tensor: str) -> bool:
        return tensor in self.producers or tensor in self.initializers or self.is_input(tensor)

    def ref(self, node: NodeId) -> NodeRef:
        """A text that finds a node again, in a recipe or a report: its name where that is its own, else its first
        output (as `output:NAME` where some node is called NAME)."""
        record = self.nodes[node]
        if record.name and len(self.names[record.name]) == 1:
            return NodeRef(record.name)
        for output in record.output:
            if output:
                return NodeRef(f"output:{output}" if output in self.names else output)
        return NodeRef(f"#{node}")

    def find(self, ref: str) -> NodeId:
        """The node that a reference means. Raises Fault where there is none, or the name is not unique."""
        named = self.names.get(ref, ())
        if len(named) == 1:
            return named[0]
        if named:
            raise Fault(f"{len(named)} nodes have this name", ref, "Name the node by one of its outputs")
        made = self.producers.get(ref.removeprefix("output:"))
        if made is not None:
            return made
        if ref.startswith("#") and ref[1:].isdigit() and int(ref[1:]) in self.nodes:
            return int(ref[1:])
        raise Fault("There is no such node", ref, "Node names are shown by `graftwerk info MODEL --nodes`")

    def opset(self, domain: str = "") -> int | None:
        """The imported version of an operator set, None where the model doesn't import it."""
        return imported(self.model, domain)

    def declared(self, tensor: str) -> ValueInfoProto | None:
        """What the file says of a tensor's type, if anything."""
        return self.value_infos.get(tensor) or self._inputs.get(tensor) or self._outputs.get(tensor)

    def type_of(self, tensor: str) -> TensorType | None:
        """The type of a tensor: a weight's own, else as inferred, else as declared; None where nothing is known."""
        weight = self.initializers.get(tensor)
        if weight is not None:
            return TensorType(weight.dtype, weight.dims)
        inferred = self.types.get(tensor)
        if inferred is not None:
            return inferred
        info = self.declared(tensor)
        return TensorType.of(info.type) if info is not None else None

    def with_types(self, types: Mapping[str, TensorType]) -> Graph:
        """The same revision with what shape inference found."""
        return replace(self, types=types)

    def function(self, node: NodeProto) -> FunctionProto | None:
        """The local function that a node calls, None for an operator."""
        for function in self.functions:
            if (function.name, function.domain, function.overload) == (node.op_type, node.domain, node.overload):
                return function
        return None

    def tensors(self) -> Iterator[str]:
        """All names of tensors, each once: inputs, weights, then what nodes make."""
        seen: set[str] = set()
        made = (output for node in self.nodes.values() for output in node.output)
        for name in (*(info.name for info in self.inputs), *self.initializers, *made):
            if name and name not in seen:
                seen.add(name)
                yield name


def imported(model: ModelProto, domain: str) -> int | None:
    """The version of an operator set that a model imports; the standard set is called "" or ai.onnx."""
    names = ("", "ai.onnx") if domain in ("", "ai.onnx") else (domain,)
    return next((int(entry.version) for entry in model.opset_import if entry.domain in names), None)


def bodies(node: NodeProto) -> Iterator[tuple[str, GraphProto]]:
    """The graphs that a node holds (If, Loop, Scan and their like), with a label: the attribute, numbered in a list."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.name, attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            for number, graph in enumerate(attribute.graphs):
                yield f"{attribute.name}[{number}]", graph


def captures(graph: GraphProto) -> set[str]:
    """Names that a nested graph reads from the graphs around it."""
    own = {info.name for info in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {sparse.values.name for sparse in graph.sparse_initializer}
    own |= {output for node in graph.node for output in node.output}
    used = {info.name for info in graph.output}
    for node in graph.node:
        used.update(reads(node))
    return {name for name in used - own if name}


def reads(node: NodeProto) -> Iterable[str]:
    """Every tensor that a node needs: its inputs, and what its bodies capture; each once, without the empty ones."""
    found = dict.fromkeys(node.input)
    found.pop("", None)
    if holds_bodies(node):
        for _, body in bodies(node):
            found.update(dict.fromkeys(sorted(captures(body), key=str)))
    return found


def holds_bodies(node: NodeProto) -> bool:
    return any(attribute.type in BODY_TYPES for attribute in node.attribute)


def inner_names(node: NodeProto) -> set[str]:
    """Names of the tensors that the bodies of a node define themselves, those in nested bodies included."""
    found: set[str] = set()
    for _, body in bodies(node):
        found.update(info.name for info in body.input)
        found.update(tensor.name for tensor in body.initializer)
        found.update(sparse.values.name for sparse in body.sparse_initializer)
        for inner in body.node:
            found.update(inner.output)
            found |= inner_names(inner)
    found.discard("")
    return found
