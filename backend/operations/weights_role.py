"""What a constant tensor is: a Constant node, an initializer, or a graph input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.constants import constant_value, is_constant_node
from graftwerk.backend.graph.convert import numpy_type
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.graph.numpy_files import look
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, operation, param
from graftwerk.backend.operations.weight_values import OnWeights, checked_value, no_values
from graftwerk.backend.operations.weights_file import misfit, taken

#: The most bytes that a Constant node may hold: it is a part of the graph's own records, and in memory.
_LARGEST = 1 << 26


@operation("weights.from_constants", title="Constants to weights", menu="Weights", preserves=True)
@dataclass(frozen=True)
class FromConstants(Operation):
    """Make initializers of Constant nodes, under the names of their outputs. Without nodes it is all of them.

    Constants of texts and of sparse tensors stay nodes.
    """

    nodes: tuple[NodeRef, ...] = param((), help="None: all of them")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> FromConstants | Reason:
        return cls(tuple(graph.ref(node) for node in selection.nodes if is_constant_node(graph.nodes[node])))

    def blocked(self, graph: Graph) -> Reason | None:
        for ref in self.nodes:
            record = graph.nodes[graph.find(ref)]
            if not is_constant_node(record):
                return Reason(f"{ref} is a {record.op_type}, not a Constant")
            if constant_value(record, graph.sources) is None:
                return Reason(f"{ref} holds texts or a sparse tensor", "It stays a node")
        return None if self._found(graph) else Reason("There is no Constant node of numbers", settled=not self.nodes)

    def _found(self, view: Graph | Edit) -> dict[NodeId, Initializer]:
        base = view.base if isinstance(view, Edit) else view
        chosen = [base.find(ref) for ref in self.nodes] or list(view.nodes)
        values = {node: constant_value(view.nodes[node], view.sources) for node in chosen}
        return {node: value for node, value in values.items() if value is not None}

    def apply(self, edit: Edit) -> None:
        for node, value in self._found(edit).items():
            name = edit.nodes[node].output[0]
            edit.remove_node(node)
            edit.set_initializer(value.renamed(name))

    def summary(self) -> str:
        return f"Make weights of {len(self.nodes) or 'all'} constants"


@operation("weights.to_constants", title="Weights to constants", menu="Weights", preserves=True)
@dataclass(frozen=True)
class ToConstants(OnWeights):
    """Make Constant nodes of initializers, whose values are a part of the node then."""

    def blocked_for(self, graph: Graph, weight: Initializer) -> Reason | None:
        if graph.is_input(weight.name):
            return Reason(f"{weight.name} is the default of a graph input", "Remove that graph input first")
        if weight.nbytes > _LARGEST:
            return Reason(f"{weight.name} has {weight.nbytes:,} bytes; a Constant node may hold {_LARGEST:,}")
        return no_values(weight)

    def apply(self, edit: Edit) -> None:
        for name in self.tensors:
            value = edit.initializers[name].complete()
            edit.remove_initializer(name)
            edit.add_node("Constant", [], [name], name=edit.fresh_node(f"{name}/Constant"), attributes={"value": value})
            edit.set_type(name, TensorType(value.data_type, tuple(value.dims)))


@operation("weights.to_inputs", title="Weights to inputs", menu="Weights")
@dataclass(frozen=True)
class ToInputs(OnWeights):
    """Make graph inputs of weights. With *Keep value* the weight stays as the input's default, else its values go and
    whoever runs the model has to feed them."""

    keep_value: bool = param(False, help="The values stay as the input's default")

    def blocked_for(self, graph: Graph, weight: Initializer) -> Reason | None:
        if graph.is_input(weight.name) and self.keep_value:
            return Reason(f"{weight.name} is a graph input with a default already")
        if graph.is_output(weight.name):
            return Reason(f"{weight.name} is a graph output as well", "Unmark the output first")
        return None

    def apply(self, edit: Edit) -> None:
        for name in self.tensors:
            weight = edit.initializers[name]
            if not edit.is_input(name):
                info = TensorType(weight.dtype, weight.dims).value_info(name)
                edit.value_infos.pop(name, None)
                edit.set_inputs([*edit.inputs, info])
            if not self.keep_value:
                edit.remove_initializer(name)


@operation("weights.from_input", title="Input to weight", menu="Weights")
@dataclass(frozen=True)
class FromInput(Operation):
    """Make a weight of a graph input: nobody feeds it any more.

    Its value is a number for all elements, nested lists of numbers, or the contents of a .npy or .npz file; without
    either it is the input's default, if it has one. The shape of the input must be known but for the value's own.
    """

    tensor: TensorName = param(label="Graph input")
    value: Any = param(None, help="A number, or nested lists: [[1, 2], [3, 4]]")
    file: FilePath = param(FilePath(""), help="A .npy or .npz file, in place of a value")
    member: str = param("", help="Which array of an .npz file")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> FromInput | Reason:
        chosen = [info.name for info in graph.inputs if info.name in selection.tensors]
        return cls(TensorName(chosen[0]), 0) if len(chosen) == 1 else Reason("Select one graph input")

    def blocked(self, graph: Graph) -> Reason | None:
        if not graph.is_input(self.tensor):
            raise Fault("There is no such graph input", self.tensor)
        if self.file and self.value is not None:
            return Reason("A value and a file are given", "Give one of the two")
        if graph.is_output(self.tensor):
            return Reason("It is a graph output as well", "Unmark the output first")
        self._value(graph)
        return None

    def _value(self, view: Graph | Edit) -> Initializer:
        info = next(info for info in view.inputs if info.name == self.tensor)
        kind = TensorType.of(info.type)
        if self.file:
            stored = look(Path(self.file), self.member)
            reason = misfit(stored, kind.dtype, self._dims(kind, stored.shape), cast=None, reshape=None)
            if reason is not None:
                raise Fault(reason.text, self.tensor, reason.hint)
            proto = TensorProto(name=self.tensor, data_type=kind.dtype, dims=stored.shape)
            return taken(stored, Initializer(proto))
        if self.value is None:
            if self.tensor not in view.initializers:
                raise Fault("This input has no default value", self.tensor, "Give a value or a file")
            return view.initializers[self.tensor]
        if kind.kind != "tensor" or kind.dtype in (0, TensorProto.STRING, 14, 15):
            raise Fault(f"A value can't be given for {kind}", self.tensor, "Only for tensors of numbers")
        shape = _shape_of(self.value, self.tensor)
        flat = [checked_value(one, kind.dtype, self.tensor) for one in _flat(self.value)]
        values = np.array(flat).astype(numpy_type(kind.dtype))
        if shape:
            return Initializer.from_array(values.reshape(self._dims(kind, shape)), self.tensor)
        return Initializer.from_array(np.full(self._dims(kind, None), values[0]), self.tensor)

    def _dims(self, kind: TensorType, shape: tuple[int, ...] | None) -> tuple[int, ...]:
        """The sizes of the weight: the input's, those that are open as in the value. Raises Fault where they differ."""
        if kind.shape is None and shape is not None:
            return shape
        known = kind.shape or ()
        if shape is None:
            open_ones = [size for size in known if not isinstance(size, int)]
            if open_ones or kind.shape is None:
                raise Fault(f"The shape of the input is open: {kind}", self.tensor, "Give nested lists, or a file")
            return tuple(size for size in known if isinstance(size, int))
        pairs = zip(known, shape, strict=False)
        fits = len(known) == len(shape) and all(not isinstance(size, int) or size == own for size, own in pairs)
        if not fits:
            raise Fault(f"The value has the shape {list(shape)}; the input is {kind}", self.tensor)
        return shape

    def apply(self, edit: Edit) -> None:
        weight = self._value(edit)
        edit.set_inputs(info for info in edit.inputs if info.name != self.tensor)
        edit.require_ir(4)
        edit.set_initializer(weight)
        if edit.base.type_of(self.tensor) != TensorType(weight.dtype, weight.dims):
            edit.forget_types([self.tensor])


def _shape_of(value: Any, where: str) -> tuple[int, ...]:
    """The shape of nested lists. Raises Fault where they are ragged."""
    if not isinstance(value, list):
        return ()
    inner = {_shape_of(one, where) for one in value}
    if len(inner) > 1:
        raise Fault("The lists of the value have different lengths", where, "Such as [[1, 2], [3, 4]]")
    return (len(value), *next(iter(inner), ()))


def _flat(value: Any) -> list[Any]:
    return [one for part in value for one in _flat(part)] if isinstance(value, list) else [value]
