"""Dimensions with names: fixed, renamed, given to inputs and outputs."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from onnx import ValueInfoProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.types import Dim, TensorType
from graftwerk.backend.operations.interface_shapes import dims_of, fed, infer_into, is_tensor, with_dims
from graftwerk.backend.operations.registry import Operation, Selection, operation, param

NAME = re.compile(r"[^\W\d]\w*")


@operation("interface.fix_dimension", title="Fix a named dimension", menu="Interface")
@dataclass(frozen=True)
class FixDimension(Operation):
    """Give a named dimension a size, wherever inputs, outputs and declared tensors have it, in sums and products too:
    with seq = 8, `seq+1` becomes 9. Nodes that can't take the size are named, and the edit is refused."""

    name: str = param(help="The dimension's name, such as batch")
    size: int = param(minimum=0)
    force: bool = param(False, help="Do it although nodes can't take the shapes")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> FixDimension | Reason:
        names = symbols(graph)
        return cls(names[0], 1) if names else Reason("The model has no named dimensions")

    def blocked(self, graph: Graph) -> Reason | None:
        return _unknown_name(graph, self.name)

    def apply(self, edit: Edit) -> None:
        substitute(edit, {self.name: self.size})
        infer_into(edit, self.force)

    def summary(self) -> str:
        return f"Fix {self.name} to {self.size}"


@operation("interface.rename_dimension", title="Rename a dimension", menu="Interface", preserves=True)
@dataclass(frozen=True)
class RenameDimension(Operation):
    """Give a named dimension another name, wherever inputs, outputs and declared tensors have it."""

    name: str = param(help="The dimension's name, such as batch")
    new_name: str = param(label="New name")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> RenameDimension | Reason:
        names = symbols(graph)
        return cls(names[0], names[0]) if names else Reason("The model has no named dimensions")

    def blocked(self, graph: Graph) -> Reason | None:
        if not NAME.fullmatch(self.new_name):
            raise Fault(f"{self.new_name!r} is no name", "new_name", "Letters, digits and _, such as batch")
        if self.new_name == self.name:
            return Reason("That is its name already", settled=True)
        if self.new_name in symbols(graph):
            return Reason(f"Another dimension is called {self.new_name}", "The two would be one dimension then")
        return _unknown_name(graph, self.name)

    def apply(self, edit: Edit) -> None:
        substitute(edit, {self.name: self.new_name})


@operation("interface.name_dimension", title="Name a dimension", menu="Interface")
@dataclass(frozen=True)
class NameDimension(Operation):
    """Give one dimension of graph inputs or outputs a name, so that it is open: of the same size wherever it stands.

    A dimension that was a size becomes open. Nodes that can't take that are named, and the edit is refused; for a
    batch use *Make the batch dynamic*, which changes those nodes too.
    """

    tensors: tuple[TensorName, ...] = param(label="Inputs or outputs")
    name: str = param(help="Such as height")
    axis: int = param(0, help="Which dimension, from 0; -1 is the last")
    force: bool = param(False, help="Do it although nodes can't take the shapes")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> NameDimension | Reason:
        chosen = tuple(TensorName(t) for t in selection.tensors if graph.is_input(t) or graph.is_output(t))
        return cls(chosen, "batch") if chosen else Reason("Select graph inputs or outputs")

    def blocked(self, graph: Graph) -> Reason | None:
        if not NAME.fullmatch(self.name):
            raise Fault(f"{self.name!r} is no name", "name", "Letters, digits and _, such as height")
        infos = {info.name: info for info in (*graph.inputs, *graph.outputs)}
        same = True
        for tensor in self.tensors:
            if tensor not in infos:
                raise Fault("There is no such graph input or output", tensor)
            dims = dims_of(infos[tensor]) if is_tensor(infos[tensor]) else None
            if dims is None or not -len(dims) <= self.axis < len(dims):
                raise Fault(f"It has no dimension {self.axis}: {TensorType.of(infos[tensor].type)}", tensor)
            if tensor in graph.initializers:
                raise Fault("It is the default value of an input: its size is given", tensor)
            same &= dims[self.axis] == self.name
        return Reason("These dimensions have that name already", settled=True) if same else None

    def apply(self, edit: Edit) -> None:
        def named_at(info: ValueInfoProto) -> ValueInfoProto:
            dims = dims_of(info)
            if info.name not in self.tensors or dims is None:
                return info
            at = self.axis % len(dims)
            return with_dims(info, (*dims[:at], self.name, *dims[at + 1 :]))

        edit.set_inputs(map(named_at, edit.inputs))
        edit.set_outputs(map(named_at, edit.outputs))
        edit.forget_types([tensor for tensor in self.tensors if edit.is_input(tensor)])
        infer_into(edit, self.force)


def symbols(graph: Graph) -> list[str]:
    """The names in the dimensions of inputs and outputs, in order, each once."""
    dims = [size for info in (*fed(graph), *graph.outputs) if is_tensor(info) for size in dims_of(info) or ()]
    return list(dict.fromkeys(name for size in dims if isinstance(size, str) for name in NAME.findall(size)))


def _unknown_name(graph: Graph, name: str) -> Reason | None:
    names = symbols(graph)
    if name in names:
        return None
    return Reason(f"No dimension is called {name!r}", f"Named are: {', '.join(names) or 'none'}")


def substitute(edit: Edit, values: Mapping[str, int | str]) -> None:
    """Puts sizes or other names in the place of names, in everything that is declared; forgets what was inferred."""

    def changed(info: ValueInfoProto) -> ValueInfoProto:
        dims = dims_of(info) if is_tensor(info) else None
        if dims is None or not any(isinstance(size, str) for size in dims):
            return info
        new = tuple(substituted(size, values) for size in dims)
        return with_dims(info, new) if new != dims else info

    inputs = list(map(changed, edit.inputs))
    other = [new.name for new, old in zip(inputs, edit.inputs, strict=True) if new is not old]
    edit.set_inputs(inputs)
    edit.set_outputs(map(changed, edit.outputs))
    edit.value_infos = {name: changed(info) for name, info in edit.value_infos.items()}
    kept = dict(edit.value_infos)
    edit.forget_types(other)
    if all(isinstance(value, str) for value in values.values()):
        edit.value_infos = kept  # names change no type


def substituted(size: Dim, values: Mapping[str, int | str]) -> Dim:
    """A dimension with names replaced; a sum or product of numbers is computed."""
    if not isinstance(size, str) or not values.keys() & set(NAME.findall(size)):
        return size
    text = NAME.sub(lambda match: str(values.get(match[0], match[0])), size)
    found = _computed(text)
    return found if found is not None else text


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip


def _computed(text: str) -> int | None:
    """The value of a sum or product of whole numbers; None for anything else."""

    def value(node: ast.expr) -> int | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = value(node.left), value(node.right)
            if left is None or right is None or (right == 0 and not isinstance(node.op, ast.Add | ast.Sub | ast.Mult)):
                return None
            return int(_OPERATORS[type(node.op)](left, right))
        return None

    try:
        return value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return None
