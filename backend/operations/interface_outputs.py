"""Graph outputs, one or many at once: marked to see what a model computes on the way, and unmarked again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeRef, TensorName
from graftwerk.backend.graph.schema import close_names, operator_names
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.interface import find, suggested
from graftwerk.backend.operations.registry import Operation, Selection, operation, param


@operation("interface.mark_output", title="Mark as output", menu="Interface")
@dataclass(frozen=True)
class MarkOutput(Operation):
    """Make a tensor a graph output as well, after those that there are. Its type must be known."""

    tensor: TensorName

    def blocked(self, graph: Graph) -> Reason | None:
        if not graph.defines(self.tensor):
            raise Fault("There is no such tensor", self.tensor)
        if graph.is_output(self.tensor):
            return Reason("The tensor is a graph output already", settled=True)
        known = graph.type_of(self.tensor)
        if known is None or not known.dtype or known.shape is None:
            return Reason("The type of the tensor is not known", "Shape inference has not found it")
        return None

    def apply(self, edit: Edit) -> None:
        info = edit.value_infos.pop(self.tensor, None)
        known = edit.base.type_of(self.tensor)
        if known is not None and (info is None or TensorType.of(info.type) != known):
            info = known.value_info(self.tensor)
        if info is not None:
            edit.set_outputs([*edit.outputs, info])


@operation("interface.unmark_output", title="Unmark output", menu="Interface")
@dataclass(frozen=True)
class UnmarkOutput(Operation):
    """Make a tensor no graph output any more. What only it needed stays until *Remove unused*."""

    tensor: TensorName = param(label="Graph output")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> UnmarkOutput | Reason:
        info = suggested(graph, selection, graph.outputs)
        return cls(TensorName(info.name)) if info is not None else Reason("Select one graph output")

    def blocked(self, graph: Graph) -> Reason | None:
        find(graph.outputs, self.tensor, "output")
        if len(graph.outputs) == 1:
            return Reason("It is the only graph output", "Mark another tensor as an output first")
        return None

    def apply(self, edit: Edit) -> None:
        gone = find(edit.base.outputs, self.tensor, "output")
        edit.set_outputs(info for info in edit.outputs if info is not gone)
        if self.tensor not in edit.value_infos and gone.type.WhichOneof("value"):
            edit.declare(gone)  # what the file said of it stays said


@operation("interface.mark_outputs", title="Mark outputs", menu="Interface")
@dataclass(frozen=True)
class MarkOutputs(Operation):
    """Make many tensors graph outputs as well, to look into a model: those that are named, those that the nodes make,
    those that nodes of some operators make, or all that nodes make.

    They stand after the outputs that there are, in the order of the graph. ONNX wants the type of an output: tensors
    whose type is not known are refused, or left out where that is chosen.
    """

    tensors: tuple[TensorName, ...] = param(())
    nodes: tuple[NodeRef, ...] = param((), help="All that these nodes make")
    op_types: tuple[str, ...] = param((), label="Operators", help="Conv, MatMul: all that such nodes make")
    all: bool = param(False, label="All tensors", help="All that nodes make")
    unknown: Literal["refuse", "leave out"] = param("refuse", label="Unknown types")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> MarkOutputs | Reason:
        nodes = tuple(graph.ref(node) for node in selection.nodes)
        tensors = tuple(TensorName(name) for name in selection.tensors if not graph.is_output(name))
        found = cls(tensors, nodes, all=not (nodes or tensors))
        known = all(_known(graph.type_of(tensor)) for tensor in found._chosen(graph))
        return found if known else replace(found, unknown="leave out")

    def blocked(self, graph: Graph) -> Reason | None:
        for tensor in self.tensors:
            if not graph.defines(tensor):
                raise Fault("There is no such tensor", tensor)
        if not (self.tensors or self.nodes or self.op_types or self.all):
            return Reason("Nothing is named", "Name tensors, nodes or operators, or choose all")
        _check_operators(graph, self.op_types)
        chosen = self._chosen(graph)
        if not chosen:
            return Reason("All of them are graph outputs already", "Name tensors, nodes or operators", True)
        unknown = [tensor for tensor in chosen if not _known(graph.type_of(tensor))]
        if unknown and (self.unknown == "refuse" or len(unknown) == len(chosen)):
            more = f" and of {len(unknown) - 1} more" if len(unknown) > 1 else ""
            return Reason(f"The type of {unknown[0]}{more} is not known", "Choose to leave unknown types out")
        return None

    def _chosen(self, graph: Graph) -> list[str]:
        wanted = set(_made_by(graph, self.nodes, self.op_types, self.all)) | set(self.tensors)
        return [tensor for tensor in graph.tensors() if tensor in wanted and not graph.is_output(tensor)]

    def apply(self, edit: Edit) -> None:
        added = []
        for tensor in self._chosen(edit.base):
            known = edit.base.type_of(tensor)
            if known is None or not _known(known):
                continue
            info = edit.value_infos.pop(tensor, None)
            added.append(info if info is not None and TensorType.of(info.type) == known else known.value_info(tensor))
        edit.set_outputs([*edit.outputs, *added])

    def summary(self) -> str:
        what = "all tensors" if self.all else ", ".join((*self.tensors, *self.nodes, *self.op_types)[:4])
        return f"Mark as outputs: {what}"


@operation("interface.unmark_outputs", title="Unmark outputs", menu="Interface")
@dataclass(frozen=True)
class UnmarkOutputs(Operation):
    """Make many tensors no graph outputs any more: those that are named, those that the nodes make, those that nodes of
    some operators make, or all but those that are kept. At least one output stays."""

    tensors: tuple[TensorName, ...] = param(())
    nodes: tuple[NodeRef, ...] = param((), help="All that these nodes make")
    op_types: tuple[str, ...] = param((), label="Operators", help="Conv, MatMul: all that such nodes make")
    all_but: tuple[TensorName, ...] = param((), help="All outputs but these")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> UnmarkOutputs | Reason:
        nodes = tuple(graph.ref(node) for node in selection.nodes)
        tensors = tuple(TensorName(name) for name in selection.tensors if graph.is_output(name))
        if not nodes and not tensors:
            return Reason("Select graph outputs, or nodes that make them")
        return cls(tensors, nodes)

    def blocked(self, graph: Graph) -> Reason | None:
        for tensor in (*self.tensors, *self.all_but):
            if not graph.is_output(tensor):
                raise Fault("There is no such graph output", tensor)
        _check_operators(graph, self.op_types)
        gone = self._chosen(graph)
        if not gone:
            return Reason("None of these is a graph output")
        if len(gone) == len(graph.outputs):
            return Reason("No graph output would stay", "Keep one, or mark another tensor first")
        return None

    def _chosen(self, graph: Graph) -> set[str]:
        gone = set(_made_by(graph, self.nodes, self.op_types, everything=False)) | set(self.tensors)
        if self.all_but:
            gone |= {info.name for info in graph.outputs} - set(self.all_but)
        return {info.name for info in graph.outputs if info.name in gone}

    def apply(self, edit: Edit) -> None:
        gone = self._chosen(edit.base)
        for info in edit.outputs:
            if info.name in gone and info.name not in edit.value_infos and info.type.WhichOneof("value"):
                edit.declare(info)  # what the file said of it stays said
        edit.set_outputs(info for info in edit.outputs if info.name not in gone)

    def summary(self) -> str:
        kept = f"all but {', '.join(self.all_but)}" if self.all_but else ""
        return f"Unmark outputs: {kept or ', '.join((*self.tensors, *self.nodes, *self.op_types)[:4])}"


def _made_by(graph: Graph, nodes: Iterable[NodeRef], op_types: tuple[str, ...], everything: bool) -> Iterable[str]:
    chosen = {graph.find(ref) for ref in nodes}
    for node, record in graph.nodes.items():
        if everything or node in chosen or record.op_type in op_types:
            yield from filter(None, record.output)


def _check_operators(graph: Graph, op_types: tuple[str, ...]) -> None:
    """Raises Fault where the model has a node of none of them, or where one is no operator at all."""
    if not op_types:
        return
    there = {record.op_type for record in graph.nodes.values()}
    absent = [one for one in op_types if one not in there]
    standard = operator_names(graph.opset() or 1) if absent else []
    mistyped = next((one for one in absent if one not in standard), None)
    if mistyped is not None:
        hint = close_names(mistyped, sorted(there.union(standard))) or f"It has {', '.join(sorted(there)[:20])}"
        raise Fault(f"The model has no {mistyped} node", "op_types", hint)
    if len(absent) == len(op_types):
        hint = f"It has {', '.join(sorted(there)[:20])}"
        raise Fault(f"The model has no {' or '.join(absent)} node", "op_types", hint)


def _known(kind: TensorType | None) -> bool:
    return kind is not None and kind.kind == "tensor" and kind.dtype != 0 and kind.shape is not None
