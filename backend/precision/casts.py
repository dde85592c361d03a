"""Writing precisions into a graph: every tensor in the datatypes that its readers need, by the fewest Casts.

A Cast between two floats is an alias of what it reads. So a tensor is one thing however many Casts lie on it, gets at
most one Cast to each datatype that somebody needs, and those that nobody needs any more go.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import AttributeProto, NodeProto, ValueInfoProto, helper, numpy_helper

from graftwerk.backend.graph.constants import constant_value, is_constant_node
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, holds_bodies, reads
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES, TensorType
from graftwerk.backend.precision.ports import ATTRIBUTES, FLOATS, Ports, float_of, is_float_cast, ports
from graftwerk.backend.precision.settle import Wire
from graftwerk.backend.precision.weights import clamped, retyped


class Rewriting:
    """One change of precisions under way. `labels` are the nodes whose precision is chosen, as datatypes; `inputs` and
    `outputs` graph inputs and outputs that get another one. `graph` is what the edit stands at, if that is no more the
    graph that it began with."""

    def __init__(
        self, edit: Edit, labels: Mapping[NodeId, int], inputs: Mapping[str, int] = {}, outputs: Mapping[str, int] = {},
        graph: Graph | None = None,
    ) -> None:  # fmt: skip
        self.edit, self.graph = edit, graph or edit.base
        self.inputs, self.outputs = inputs, outputs
        self.labels: dict[NodeId, int] = {}
        self._ports: dict[NodeId, Ports] = {}
        for node, dtype in labels.items():
            found = ports(self.graph, node, dtype)
            if isinstance(found, Ports):
                self._ports[node], self.labels[node] = found, dtype
        self._casts = {node for node, record in self.graph.nodes.items() if is_float_cast(self.graph, record)}
        self._made: dict[tuple[str, int], str] = {}

    # What is needed

    def root(self, tensor: str) -> str:
        """What a tensor is but for Casts between floats."""
        made = self.graph.producer(tensor)
        while made is not None and made in self._casts:
            tensor = self.graph.nodes[made].input[0]
            made = self.graph.producer(tensor)
        return tensor

    def is_weight(self, tensor: str) -> bool:
        made = self.graph.producer(tensor)
        if made is not None:
            return is_constant_node(self.graph.nodes[made])
        return tensor in self.graph.initializers and not self.graph.is_input(tensor)

    def produced(self, root: str) -> int:
        """The datatype that a tensor is made in; 0 for a weight, which comes in any."""
        if self.is_weight(root):
            return 0
        made = self.graph.producer(root)
        if made is None:
            return self.inputs.get(root, float_of(self.graph, root))
        if made in self.labels and list(self.graph.nodes[made].output).index(root) in self._ports[made].outputs:
            return self.labels[made]
        return float_of(self.graph, root)

    def needed(self, node: NodeId, at: int) -> int:
        """The datatype in which a node wants an input; 0 where any will do."""
        record = self.graph.nodes[node]
        if node in self.labels and at in self._ports[node].inputs:
            return self.labels[node]
        if record.op_type in ("Cast", "Shape", "Size") and record.domain in ("", "ai.onnx"):
            return 0
        return float_of(self.graph, record.input[at])

    def wires(self) -> list[Wire]:
        """The tensors between nodes, for `settle`; labels of free nodes count for nothing."""
        makers: dict[str, tuple[dict[NodeId, None], dict[int, None]]] = {}
        for node, record in self.graph.nodes.items():
            if node in self._casts:
                continue
            for at, name in enumerate(record.input):
                if name and float_of(self.graph, name):
                    users, needed = makers.setdefault(self.root(name), ({}, {}))
                    if node in self.labels and at in self._ports[node].inputs:
                        users[node] = None
                    else:
                        needed[self.needed(node, at)] = None
            if holds_bodies(record):
                for name in reads(record):
                    if float_of(self.graph, name):
                        makers.setdefault(self.root(name), ({}, {}))[1][float_of(self.graph, name)] = None
        for info in self.graph.outputs:
            if float_of(self.graph, info.name):
                needed = makers.setdefault(self.root(info.name), ({}, {}))[1]
                needed[self.outputs.get(info.name, float_of(self.graph, info.name))] = None
        return [self._wire(root, tuple(users), tuple(n for n in needed if n))
                for root, (users, needed) in makers.items() if not self.is_weight(root)]  # fmt: skip

    def _wire(self, root: str, users: tuple[NodeId, ...], needed: tuple[int, ...]) -> Wire:
        made = self.graph.producer(root)
        if made in self._ports and list(self.graph.nodes[made].output).index(root) in self._ports[made].outputs:
            return Wire(made, 0, users, needed)
        return Wire(None, self.produced(root), users, needed)

    # Writing

    def write(self) -> None:
        """Does it. Raises Fault where a weight can't be read."""
        self._weights = self._weight_needs()
        self._interface()
        for node in list(self.graph.nodes):
            if node not in self._casts:
                self._rewrite(node)
        self._tidy()
        self._declare()

    def _weight_needs(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for node, record in self.graph.nodes.items():
            if node in self._casts:
                continue
            for at, name in enumerate(record.input):
                if name and float_of(self.graph, name) and self.is_weight(self.root(name)):
                    found.setdefault(self.root(name), set()).add(self.needed(node, at))
            if holds_bodies(record):
                for name in set(reads(record)) - set(record.input):
                    if float_of(self.graph, name) and self.is_weight(self.root(name)):
                        found.setdefault(self.root(name), set()).add(float_of(self.graph, name))
        for info in self.graph.outputs:
            if self.is_weight(self.root(info.name)):
                found.setdefault(self.root(info.name), set()).add(float_of(self.graph, info.name))
        return found

    def _interface(self) -> None:
        """Inputs and outputs in their datatypes; an output that is kept while its maker changes is made by a Cast."""
        edit = self.edit
        if self.inputs:
            edit.set_inputs(_as(info, self.inputs.get(info.name)) for info in edit.inputs)
            for name, dtype in self.inputs.items():
                edit.set_type(name, TensorType(dtype, _shape(self.graph.type_of(name))))
        if self.outputs:
            edit.set_outputs(_as(info, self.outputs.get(info.name)) for info in edit.outputs)
        for info in self.graph.outputs:
            name, made = info.name, self.graph.producer(info.name)
            if made is None or not float_of(self.graph, name) or self.is_weight(name):
                continue
            wanted = self.outputs.get(name, float_of(self.graph, name))
            if made in self._casts:
                self._cast_output(made, name, wanted)
            elif self.produced(name) != wanted:
                own = edit.fresh_tensor(f"{name}_{DTYPE_NAMES[self.produced(name)]}")
                edit.replace_node(made, outputs=[own if each == name else each for each in edit.nodes[made].output])
                edit.set_type(own, TensorType(self.produced(name), _shape(self.graph.type_of(name))))
                self._made[name, self.produced(name)] = own
                self._made[name, wanted] = name
                self._add_cast(own, name, wanted)

    def _cast_output(self, cast: NodeId, name: str, wanted: int) -> None:
        """A Cast that makes a graph output stays, reading what is under it; it is an Identity where nothing changes."""
        edit, root = self.edit, self.root(name)
        same = self.produced(root) == wanted
        source = self._made.get((root, self.produced(root)), root)
        if same:
            edit.replace_node(cast, op_type="Identity", inputs=[source], attributes={})
        else:
            edit.replace_node(cast, inputs=[source], attributes={"to": wanted})
            self._made.setdefault((root, wanted), name)
        edit.set_type(name, TensorType(wanted, _shape(self.graph.type_of(name))))

    def _rewrite(self, node: NodeId) -> None:
        record = self.graph.nodes[node]
        if holds_bodies(record):
            for name in reads(record):
                if float_of(self.graph, name) and not self.is_weight(name):
                    wanted = self.tensor(name, float_of(self.graph, name))
                    if wanted != name:
                        self.edit.rewire(name, wanted, only=[node])
            return
        names = list(record.input)
        for at, name in enumerate(names):
            if name and float_of(self.graph, name):
                names[at] = self.tensor(name, self.needed(node, at))
        attributes = self._attributes(node)
        if names != list(record.input) or attributes is not None:
            self.edit.replace_node(node, inputs=names, attributes=attributes)
        if node in self.labels:
            for at in self._ports[node].outputs:
                name, dtype = record.output[at], self.labels[node]
                known = self.edit.type_of(name)
                if self.edit.producer(name) == node and known is not None and known.dtype != dtype:
                    self.edit.set_type(name, TensorType(dtype, known.shape))

    def _attributes(self, node: NodeId) -> list[AttributeProto] | None:
        """The node's attributes with its datatype in the one that says it; None where they stay."""
        record = self.graph.nodes[node]
        if node not in self.labels or not self._ports[node].attribute:
            return None
        name, dtype = self._ports[node].attribute, self.labels[node]
        if float_of(self.graph, record.output[0]) == dtype:
            return None
        kept: list[AttributeProto] = [each for each in record.attribute if each.name != name]
        if name != "value":
            return [*kept, helper.make_attribute(name, dtype)]
        old = next((each.t for each in record.attribute if each.name == name), None)
        values = numpy_helper.to_array(old) if old is not None else np.zeros(1, np.float32)
        value = helper.make_tensor("", dtype, values.shape, clamped(values, dtype).tobytes(), raw=True)
        return [*kept, helper.make_attribute(name, value)]

    def tensor(self, name: str, dtype: int) -> str:
        """The tensor to read for `name` in a datatype (0: any), with the Cast or the weight that it takes."""
        root = self.root(name)
        if self.is_weight(root):
            return self._weight(name, root, dtype)
        made = self.produced(root)
        if not dtype or dtype == made:
            return self._made.get((root, made), root)
        key = (root, dtype)
        if key not in self._made:
            self._made[key] = self._existing(root, dtype) or self._new_cast(root, dtype)
        return self._made[key]

    def _existing(self, root: str, dtype: int) -> str:
        source = self._made.get((root, self.produced(root)), root)
        for user in self.edit.consumers(source):
            record = self.edit.nodes[user]
            if user in self._casts and record.op_type == "Cast" and _to(record) == dtype:
                return str(record.output[0])
        return ""

    def _new_cast(self, root: str, dtype: int) -> str:
        made = self.edit.fresh_tensor(f"{root}_{DTYPE_NAMES[dtype]}")
        self._add_cast(self._made.get((root, self.produced(root)), root), made, dtype)
        return made

    def _add_cast(self, source: str, made: str, dtype: int) -> None:
        name = self.edit.fresh_node(f"{made}/Cast")
        self.edit.add_node("Cast", [source], [made], name=name, attributes={"to": dtype})
        self.edit.set_type(made, TensorType(dtype, _shape(self.edit.type_of(source))))

    def _weight(self, name: str, root: str, dtype: int) -> str:
        now = float_of(self.graph, root)
        if not dtype or dtype == now:
            return root if dtype else name
        if dtype == float_of(self.graph, name):
            return name  # a Cast that gives it so is there already
        key = (root, dtype)
        if key not in self._made:
            made = self.graph.producer(root)
            weight = self.graph.initializers.get(root)
            if made is not None:
                weight = constant_value(self.graph.nodes[made], self.graph.sources)
            assert weight is not None
            self._made[key] = self._store(weight, root, dtype, made)
        return self._made[key]

    def _store(self, weight: Initializer, root: str, dtype: int, constant: NodeId | None) -> str:
        alone = self._weights.get(root, set()) <= {dtype, 0}
        name = root if alone else self.edit.fresh_tensor(f"{root}_{DTYPE_NAMES[dtype]}")
        if constant is not None and alone:
            value = retyped(weight, dtype, name).complete()
            self.edit.replace_node(constant, attributes={"value": value})
        else:
            self.edit.set_initializer(retyped(weight, dtype, name))
        if constant is not None and alone:
            self.edit.set_type(name, TensorType(dtype, weight.dims))
        return name

    def _tidy(self) -> None:
        """Casts that nobody reads any more go, the last of a chain first."""
        for cast in sorted(self._casts, reverse=True):
            output = self.edit.nodes[cast].output[0]
            if not self.edit.consumers(output) and not self.edit.is_output(output):
                self.edit.remove_node(cast)
                self.edit.value_infos.pop(output, None)

    def _declare(self) -> None:
        """What the file declares of tensors that are of another datatype now."""
        for name, info in list(self.edit.value_infos.items()):
            known = self.edit.type_of(name)
            declared = info.type.tensor_type.elem_type
            if known is not None and known.dtype in FLOATS and declared in FLOATS and known.dtype != declared:
                self.edit.declare(_as(info, known.dtype))


def _as(info: ValueInfoProto, dtype: int | None) -> ValueInfoProto:
    if dtype is None:
        return info
    made = ValueInfoProto()
    made.CopyFrom(info)
    made.type.tensor_type.elem_type = dtype
    return made


def _shape(known: TensorType | None) -> tuple[int | str | None, ...] | None:
    return known.shape if known is not None else None


def _to(record: NodeProto) -> int:
    return next((int(each.i) for each in record.attribute if each.name == ATTRIBUTES["Cast"]), 0)
