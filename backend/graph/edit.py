"""The transaction: the only way to a new revision. Records are replaced, never changed; the rest is shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, ValueInfoProto

from graftwerk.backend.fault import PUT_BACK, Fault, Reason
from graftwerk.backend.graph.check import TO_BUILD, TO_CONNECT, incompleteness, unconnected
from graftwerk.backend.graph.graph import Graph, NodeId, imported, inner_names, reads, revisions
from graftwerk.backend.graph.index import Index
from graftwerk.backend.graph.order import in_order
from graftwerk.backend.graph.records import declared_as, renamed
from graftwerk.backend.graph.tensors import Initializer, Source
from graftwerk.backend.graph.types import TensorType

Attributes = Mapping[str, Any] | Iterable[AttributeProto]


class Edit:
    """One change of a graph under way. Reads answer for the graph as it is so far; `commit` makes the new revision.

    An Edit that is dropped has changed nothing.
    """

    def __init__(self, graph: Graph) -> None:
        self.base = graph
        self.nodes: dict[NodeId, NodeProto] = dict(graph.nodes)
        self._inputs: dict[str, ValueInfoProto] = {info.name: info for info in graph.inputs}
        self._outputs: dict[str, ValueInfoProto] = {info.name: info for info in graph.outputs}
        self.initializers: dict[str, Initializer] = dict(graph.initializers)
        self.value_infos: dict[str, ValueInfoProto] = dict(graph.value_infos)
        self.functions: list[FunctionProto] = list(graph.functions)
        self._types: dict[str, TensorType] | None = None
        self._index = Index(graph.producers, graph.users, graph.names, graph.holders)
        self._model: ModelProto | None = None
        self._next = graph.next_id
        self._touched: set[NodeId] = set()
        self._behind: dict[NodeId, NodeId] = {}
        self._incomplete = graph.incomplete
        self._sources = graph.sources

    # Reading

    def producer(self, tensor: str) -> NodeId | None:
        return self._index.producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[NodeId, ...]:
        return self._index.users.get(tensor, ())

    @property
    def touched(self) -> frozenset[NodeId]:
        """The nodes that were added, replaced or removed so far."""
        return frozenset(self._touched)

    @property
    def fresh_id(self) -> NodeId:
        """The id of the node that is added next; those of later ones are higher."""
        return self._next

    @property
    def inputs(self) -> tuple[ValueInfoProto, ...]:
        return tuple(self._inputs.values())

    @property
    def outputs(self) -> tuple[ValueInfoProto, ...]:
        return tuple(self._outputs.values())

    @property
    def sources(self) -> Mapping[str, Source | None]:
        return self._sources

    def add_source(self, location: str, source: Source) -> None:
        """Names a file of external data that lies elsewhere than beside the model; a save copies it there."""
        self._sources = {**self._sources, location: source}

    def is_input(self, tensor: str) -> bool:
        return tensor in self._inputs

    def is_output(self, tensor: str) -> bool:
        return tensor in self._outputs

    def defines(self, tensor: str) -> bool:
        return tensor in self._index.producers or tensor in self.initializers or tensor in self._inputs

    def type_of(self, tensor: str) -> TensorType | None:
        weight = self.initializers.get(tensor)
        if weight is not None:
            return TensorType(weight.dtype, weight.dims)
        inferred = (self._types if self._types is not None else self.base.types).get(tensor)
        if inferred is not None:
            return inferred
        info = self.value_infos.get(tensor) or self._inputs.get(tensor) or self._outputs.get(tensor)
        return TensorType.of(info.type) if info is not None else None

    @property
    def header(self) -> ModelProto:
        """The model's header as it is so far; see `model` for one that may be changed."""
        return self._model or self.base.model

    def opset(self, domain: str = "") -> int | None:
        return imported(self.header, domain)

    def fresh_tensor(self, base: str) -> str:
        """A tensor name that is not in use, in bodies neither: `base`, or `base_1`, `base_2` …"""
        inner = self._inner_names()
        return _fresh(base, lambda name: name in inner or name in self._index.users or self._named(name))

    def _named(self, tensor: str) -> bool:
        return self.defines(tensor) or self.is_output(tensor) or tensor in self.base.reserved

    def _inner_names(self) -> set[str]:
        """What bodies define. An outer tensor of such a name could not be seen in them, and onnx.checker refuses it."""
        return set().union(*(inner_names(self.nodes[node]) for node in self._index.holders))

    def fresh_node(self, base: str) -> str:
        return _fresh(base, self._index.names.__contains__)

    # Nodes

    def add_node(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        name: str = "",
        domain: str = "",
        attributes: Attributes = (),
        metadata: Mapping[str, str] | None = None,
    ) -> NodeId:
        """Adds a node; `commit` finds its place in the order. Raises Fault where an output is made already."""
        record = NodeProto(op_type=op_type, domain=domain, name=name, input=inputs, output=outputs)
        record.attribute.extend(_attributes(attributes))
        for key, value in (metadata or {}).items():
            record.metadata_props.add(key=key, value=value)
        return self.add_record(record)

    def add_record(self, record: NodeProto, behind: NodeId | None = None) -> NodeId:
        """Adds a record that the caller made and will not change; it stands `behind` a node, where that is possible."""
        for output in record.output:
            if output and output not in self._index.producers and self.defines(output):
                raise Fault("The tensor exists already", output, "Choose another name")
        node = self._next
        self._next += 1
        self._index.add(node, record)
        self.nodes[node] = record
        self._touched.add(node)
        if behind is not None:
            self._behind[node] = behind
        return node

    def replace_node(
        self,
        node: NodeId,
        *,
        op_type: str | None = None,
        domain: str | None = None,
        name: str | None = None,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        attributes: Attributes | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Puts a new record in a node's place; what is not given stays as it is."""
        record = NodeProto()
        record.CopyFrom(self.nodes[node])
        for field, value in (("op_type", op_type), ("domain", domain), ("name", name)):
            if value is not None:
                setattr(record, field, value)
        for repeated, values in (("input", inputs), ("output", outputs)):
            if values is not None:
                record.ClearField(repeated)
                getattr(record, repeated).extend(values)
        if attributes is not None:
            record.ClearField("attribute")
            record.attribute.extend(_attributes(attributes))
        if metadata is not None:
            record.ClearField("metadata_props")
            for key, text in metadata.items():
                record.metadata_props.add(key=key, value=text)
        self.replace_record(node, record)

    def replace_record(self, node: NodeId, record: NodeProto) -> None:
        """As `replace_node`, with a record that the caller made and will not change."""
        self._index.remove(node, self.nodes[node])
        self._index.add(node, record)
        self.nodes[node] = record
        self._touched.add(node)

    def remove_node(self, node: NodeId) -> None:
        """Removes a node; its outputs have no producer then, which `commit` refuses where something reads them."""
        record = self.nodes.pop(node)
        self._index.remove(node, record)
        self._touched.add(node)

    def remove_nodes(self, nodes: Iterable[NodeId]) -> None:
        """As `remove_node` for each. Where most of a graph goes, the index is made anew: taking ten thousand readers
        off one tensor one by one would cost their number squared."""
        gone = set(nodes)
        if 8 * len(gone) < len(self.nodes):
            for node in gone:
                self.remove_node(node)
            return
        for node in gone:
            del self.nodes[node]
        self._index = Index.of(self.nodes, self._index.holders - gone)
        self._touched |= gone

    def rewire(self, old: str, new: str, only: Iterable[NodeId] | None = None) -> None:
        """Lets the consumers of a tensor (all, or those given) read another one, in their nested bodies too.

        Graph outputs keep their name: see `rename_tensor` and `set_outputs`.
        """
        for node in tuple(self.consumers(old)) if only is None else tuple(only):
            self.replace_record(node, renamed(self.nodes[node], {old: new}, outputs=False))

    def rename_tensor(self, old: str, new: str) -> None:
        """Renames a tensor wherever it is made, read, declared or put out. Raises Fault where the name is in use."""
        if self.defines(new):
            raise Fault("The tensor exists already", new, "Choose another name")
        if new in self.base.reserved:
            raise Fault("A tensor of the graph around this one has this name", new, "Choose another name")
        if new in self._inner_names():
            raise Fault("A tensor inside the body of a node has this name", new, "Choose another name")
        made, known = self.producer(old), self.type_of(old)
        for node in dict.fromkeys([*self.consumers(old), *([] if made is None else [made])]):
            self.replace_record(node, renamed(self.nodes[node], {old: new}, outputs=True))
        if old in self.initializers:
            self.initializers = {
                (new if name == old else name): (weight.renamed(new) if name == old else weight)
                for name, weight in self.initializers.items()
            }
        if old in self.value_infos:
            self.value_infos[new] = declared_as(self.value_infos.pop(old), new)
        if old in self._inputs:
            self.set_inputs(declared_as(info, new) if name == old else info for name, info in self._inputs.items())
        if old in self._outputs:
            self.set_outputs(declared_as(info, new) if name == old else info for name, info in self._outputs.items())
        if known is not None:
            self.set_type(new, known)

    # Tensors

    def set_initializer(self, value: Initializer | NDArray[np.generic], name: str = "") -> str:
        """Adds or replaces a weight and returns its name; an array needs a `name`."""
        weight = value if isinstance(value, Initializer) else Initializer.from_array(value, name)
        if weight.name in self._index.producers:
            raise Fault("A node makes this tensor", weight.name, "Choose another name")
        if weight.name not in self._inputs:
            self.require_ir(4)  # before, every weight was a graph input as well
        self.initializers[weight.name] = weight
        return weight.name

    def remove_initializer(self, name: str) -> None:
        del self.initializers[name]

    def set_inputs(self, infos: Iterable[ValueInfoProto]) -> None:
        """Raises Fault where two have the same name."""
        self._inputs = _by_name(infos)

    def set_outputs(self, infos: Iterable[ValueInfoProto]) -> None:
        """Raises Fault where two have the same name."""
        self._outputs = _by_name(infos)

    def set_type(self, tensor: str, kind: TensorType) -> None:
        """Says what a new tensor is, until shape inference has run again."""
        if self._types is None:
            self._types = dict(self.base.types)
        self._types[tensor] = kind

    def declare(self, info: ValueInfoProto) -> None:
        """Declares a tensor's type in the file, for what inference can't find (behind a plugin node)."""
        self.value_infos[info.name] = info

    def forget_types(self, after: Iterable[str]) -> None:
        """Drops the types of these tensors and of all that is computed from them, inferred or declared in the file:
        the edit makes them wrong. What is declared behind an operator that onnx doesn't know stays, because inference
        could not find it again. Inputs and outputs of the graph keep their declarations too.
        """
        self._types = dict(self.base.types) if self._types is None else self._types
        waiting = list(after)
        seen = set(waiting)
        while waiting:
            tensor = waiting.pop()
            self._types.pop(tensor, None)
            made = self.producer(tensor)
            if made is None or onnx.defs.has(self.nodes[made].op_type, self.nodes[made].domain):
                self.value_infos.pop(tensor, None)
            for user in self.consumers(tensor):
                fresh = [output for output in self.nodes[user].output if output and output not in seen]
                seen.update(fresh)
                waiting += fresh

    # Model

    @property
    def model(self) -> ModelProto:
        """The model's header, to be changed; a copy of this edit's own."""
        if self._model is None:
            self._model = ModelProto()
            self._model.CopyFrom(self.base.model)
        return self._model

    def require_opset(self, domain: str, version: int) -> None:
        """Imports an operator set if the model does not import it."""
        if self.opset(domain) is None:
            self.model.opset_import.add(domain=domain, version=version)

    def drop_opset(self, domain: str) -> None:
        """Removes the import of an operator set."""
        kept = [entry for entry in self.model.opset_import if entry.domain != domain]
        self.model.ClearField("opset_import")
        self.model.opset_import.extend(kept)

    def require_ir(self, version: int) -> None:
        """Raises the model's IR version to at least this one."""
        if self.header.ir_version < version:
            self.model.ir_version = version

    def mark_incomplete(self, reason: Reason) -> None:
        """Says that the edit leaves a model which can't run as it is."""
        self._incomplete = reason

    def commit(self) -> Graph:
        """The new revision. Raises Fault where a tensor that is read or put out has no producer, or for a cycle."""
        base = self.base
        self._check_tensors()
        known = self._types if self._types is not None else base.types
        incomplete = self._incomplete
        if incomplete is not None and incomplete.hint in (PUT_BACK, TO_BUILD, TO_CONNECT):  # it may be right since
            opsets, nodes = self.header.opset_import, self.nodes.values()
            incomplete = incompleteness(opsets, nodes, self.initializers.values()) or unconnected(opsets, nodes)
        return replace(
            base, nodes=in_order(self.nodes, self._index, self._touched, base.next_id, self._behind),
            inputs=self.inputs, outputs=self.outputs,
            initializers=self.initializers, value_infos=self.value_infos, functions=tuple(self.functions),
            model=self.header, producers=self._index.producers, users=self._index.users,
            names=self._index.names, holders=frozenset(self._index.holders), next_id=self._next, types=known,
            incomplete=incomplete, sources=self._sources,
            touched=self.touched, revision=next(revisions), parent=base.revision,
        )  # fmt: skip

    def _check_tensors(self) -> None:
        if self.base.reserved:
            self._check_reserved()
        sparse = {tensor.values.name for tensor in self.base.skeleton.sparse_initializer}
        for node in self._suspects():
            for tensor in reads(self.nodes[node]):
                if not self.defines(tensor) and tensor not in sparse:
                    record = self.nodes[node]
                    raise Fault(f"{record.op_type} would read {tensor!r}, which nothing makes then", record.name)
        for name in self._outputs:
            if not self.defines(name) and name not in sparse:
                raise Fault("Nothing would make this graph output then", name, "Change the outputs first")

    def _check_reserved(self) -> None:
        """Raises Fault where a nested graph would define a name of a graph around it, which ONNX forbids."""
        base = self.base
        fresh = self._index.producers.keys() - base.producers.keys()
        fresh |= self.initializers.keys() - base.initializers.keys() | self._inputs.keys()
        for name in sorted((fresh & base.reserved) - {info.name for info in base.inputs}):
            raise Fault("A tensor of the graph around this one has this name", name, "Choose another name")

    def _suspects(self) -> set[NodeId]:
        """Nodes whose inputs the edit may have taken away: the touched ones, and readers of what is gone."""
        gone = [output for node in self._touched if node in self.base.nodes for output in self.base.nodes[node].output]
        gone += self.base.initializers.keys() - self.initializers.keys()
        gone += [info.name for info in self.base.inputs if info.name not in self._inputs]
        suspects = {node for node in self._touched if node in self.nodes}
        for tensor in gone:
            suspects.update(self.consumers(tensor))
        return suspects


def _fresh(base: str, taken: Callable[[str], bool]) -> str:
    name, number = base, 0
    while taken(name):
        number += 1
        name = f"{base}_{number}"
    return name


def _by_name(infos: Iterable[ValueInfoProto]) -> dict[str, ValueInfoProto]:
    found: dict[str, ValueInfoProto] = {}
    for info in infos:
        if info.name in found:
            raise Fault("Two graph inputs or outputs would have the same name", info.name, "Choose another name")
        found[info.name] = info
    return found


def _attributes(attributes: Attributes) -> list[AttributeProto]:
    if isinstance(attributes, Mapping):
        return [onnx.helper.make_attribute(key, value) for key, value in attributes.items()]
    return list(attributes)
