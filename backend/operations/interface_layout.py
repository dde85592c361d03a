"""The layout of inputs and outputs: channels first or last at the border, with the transposes that this takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from onnx import ValueInfoProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.attributes import find_attribute
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, TensorName
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.interface_shapes import dims_of, with_dims
from graftwerk.backend.operations.registry import Operation, Selection, operation, param

_STANDARD = ("", "ai.onnx")
#: Operators that take channels first and nothing else.
_CHANNELS_FIRST = frozenset({
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization",
    "InstanceNormalization", "GroupNormalization", "LRN", "DepthToSpace", "SpaceToDepth",
})  # fmt: skip


@operation("interface.set_layout", title="Change layout", menu="Interface")
@dataclass(frozen=True)
class SetLayout(Operation):
    """Let inputs and outputs have their channels last (NHWC) or first (NCHW); the model between them stays as it is.

    A Transpose is inserted behind each input and before each output. It joins a Transpose that stands there already,
    and where the two cancel both go. Tensors of rank 3 and 5 are changed alike (NWC, NDHWC).
    """

    tensors: tuple[TensorName, ...] = param(label="Inputs or outputs")
    to: Literal["NHWC", "NCHW"] = param("NHWC", help="The layout that they are to have")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> SetLayout | Reason:
        infos = {info.name: info for info in (*graph.inputs, *graph.outputs) if info.name not in graph.initializers}
        chosen = [name for name in selection.tensors if name in infos]
        fitting = [name for name, info in infos.items() if len(dims_of(info) or ()) == 4]
        if not chosen and len(fitting) != 1:
            return Reason("Select graph inputs or outputs")
        names = chosen or fitting
        return cls(tuple(map(TensorName, names)), _guess(infos[names[0]]))

    def blocked(self, graph: Graph) -> Reason | None:
        if not self.tensors:
            return Reason("Select graph inputs or outputs")
        infos = {info.name: info for info in (*graph.inputs, *graph.outputs)}
        for name in self.tensors:
            if name not in infos:
                raise Fault("There is no such graph input or output", name)
            dims = dims_of(infos[name])
            if dims is None or len(dims) < 3:
                raise Fault(f"It has no channels: {TensorType.of(infos[name].type)}", name, "Rank 3 to 5 is needed")
            if name in graph.initializers:
                raise Fault("It is a weight", name)
            if graph.is_input(name) and graph.is_output(name):
                raise Fault("It is both an input and an output", name)
        already = [name for name in self.tensors if self._has(graph, name, len(dims_of(infos[name]) or ()))]
        if already:
            where = "last" if self.to == "NHWC" else "first"
            text = f"{already[0]} has its channels {where} already"
            return Reason(text, "Leave it out", settled=len(already) == len(self.tensors))
        return None

    def _ways(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The permutation from the other layout to the wanted one, and the one back."""
        last = (0, *range(2, rank), 1)  # from channels first to channels last
        first = (0, rank - 1, *range(1, rank - 1))
        return (last, first) if self.to == "NHWC" else (first, last)

    def _has(self, graph: Graph, name: str, rank: int) -> bool:
        """Whether the border shows that a tensor has the wanted layout: all that reads it, or what makes it, leads
        from or to the other layout, or takes channels first alone."""
        there, back = self._ways(rank)
        makers = (graph.producers[name],) if name in graph.producers else ()
        inside = graph.consumers(name) if graph.is_input(name) else makers
        perm = list(back if graph.is_input(name) else there)
        first = self.to == "NCHW" and graph.is_input(name)
        return bool(inside) and all(
            _perm(graph, node, rank) == perm or (first and graph.nodes[node].op_type in _CHANNELS_FIRST)
            for node in inside
        )

    def apply(self, edit: Edit) -> None:
        for name in self.tensors:
            rank = len(dims_of(next(i for i in (*edit.inputs, *edit.outputs) if i.name == name)) or ())
            there, back = self._ways(rank)
            if edit.is_input(name):
                _change_input(edit, name, there, back)
            else:
                _change_output(edit, name, there)

    def summary(self) -> str:
        return f"Change the layout of {', '.join(self.tensors[:3])} to {self.to}"


def _guess(info: ValueInfoProto) -> Literal["NHWC", "NCHW"]:
    """The other layout than a tensor seems to have: its channels are fewer than its width."""
    dims = dims_of(info) or ()
    first, last = (dims[1], dims[-1]) if len(dims) > 2 else (0, 0)
    if isinstance(last, int) and (not isinstance(first, int) or last < first):
        return "NCHW"
    return "NHWC"


def _change_input(edit: Edit, name: str, there: Sequence[int], back: Sequence[int]) -> None:
    """The input's new dimensions, and a Transpose to the old ones before whatever reads them."""
    old = edit.type_of(name)
    assert old is not None
    readers = edit.consumers(name)
    edit.set_inputs(_permuted(info, there) if info.name == name else info for info in edit.inputs)
    edit.value_infos.pop(name, None)
    others = []
    for node in readers:
        perm = _perm(edit, node, len(there))
        # x' = transpose(x, back) takes the old input's place: a Transpose behind it becomes one of both.
        if perm is None or not _joins(edit, node, [back[axis] for axis in perm], name):
            others.append(node)
    if others:
        inner = edit.fresh_tensor(f"{name}_{'nchw' if there[-1] == 1 else 'nhwc'}")
        edit.rewire(name, inner, others)
        label = edit.fresh_node(f"{name}/Transpose")
        edit.add_node("Transpose", [name], [inner], name=label, attributes={"perm": list(back)})
        edit.set_type(inner, old)


def _joins(edit: Edit, node: NodeId, perm: list[int], source: str) -> bool:
    """Lets a Transpose do the work of two, or removes it where they cancel; False where it has to stay."""
    record = edit.nodes[node]
    output = record.output[0]
    if perm != sorted(perm):
        edit.replace_node(node, inputs=[source], attributes={"perm": perm})
        return True
    if edit.is_output(output):
        return False  # an input can't be an output under another name without a node between them
    edit.remove_node(node)
    edit.rewire(output, source)
    edit.value_infos.pop(output, None)
    return True


def _change_output(edit: Edit, name: str, there: Sequence[int]) -> None:
    """A Transpose that makes the output; what made it before makes a tensor of another name, which its other readers
    read."""
    old = edit.type_of(name)
    assert old is not None
    made = edit.producer(name)
    perm = _perm(edit, made, len(there)) if made is not None else None
    if made is not None and perm is not None and not edit.consumers(name):
        _join_before(edit, made, [perm[axis] for axis in there], name)
        edit.set_outputs(_permuted(info, there) if info.name == name else info for info in edit.outputs)
        _retyped(edit, name, old, there)
        return
    info = next(info for info in edit.outputs if info.name == name)
    inner = edit.fresh_tensor(f"{name}_{'nchw' if there[-1] == 1 else 'nhwc'}")
    edit.rename_tensor(name, inner)
    edit.set_outputs(_permuted(info, there) if one.name == inner else one for one in edit.outputs)
    label = edit.fresh_node(f"{name}/Transpose")
    edit.add_node("Transpose", [inner], [name], name=label, attributes={"perm": list(there)})
    _retyped(edit, name, old, there)


def _join_before(edit: Edit, node: NodeId, perm: list[int], name: str) -> None:
    """As `_joins`, for the Transpose that makes an output; where it goes, what it read is the output."""
    record = edit.nodes[node]
    source = record.input[0]
    if perm != sorted(perm):
        edit.replace_node(node, attributes={"perm": perm})
        return
    if edit.producer(source) is None or edit.is_output(source):  # it has a name of its own to keep
        edit.replace_node(node, op_type="Identity", attributes=())
        return
    edit.remove_node(node)
    edit.value_infos.pop(name, None)
    # The output keeps its name: what made the tensor before it makes the output now.
    outputs = list(edit.outputs)
    edit.set_outputs(info for info in outputs if info.name != name)
    edit.rename_tensor(source, name)
    edit.value_infos.pop(name, None)
    edit.set_outputs(outputs)


def _retyped(edit: Edit, name: str, old: TensorType, there: Sequence[int]) -> None:
    if old.shape is not None:
        edit.set_type(name, TensorType(old.dtype, tuple(old.shape[axis] for axis in there)))


def _permuted(info: ValueInfoProto, perm: Sequence[int]) -> ValueInfoProto:
    dims = dims_of(info) or ()
    return with_dims(info, tuple(dims[axis] for axis in perm))


def _perm(edit: Graph | Edit, node: NodeId, rank: int) -> list[int] | None:
    """What a Transpose does; None for any other node."""
    record = edit.nodes[node]
    if record.op_type != "Transpose" or record.domain not in _STANDARD:
        return None
    found = find_attribute(record, "perm")
    return list(found.ints) if found is not None else list(reversed(range(rank)))
