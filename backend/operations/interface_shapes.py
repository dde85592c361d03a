"""The shapes of graph inputs, and what is inferred from them."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ValueInfoProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.reinfer import Verdict, named, reinfer
from graftwerk.backend.graph.types import Dim, TensorType
from graftwerk.backend.operations.interface import format_dims, parse_dims
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.retype import fits


def with_dims(info: ValueInfoProto, dims: tuple[Dim, ...]) -> ValueInfoProto:
    """A copy of a declaration with other dimensions; their denotations stay where the rank does."""
    copy = ValueInfoProto()
    copy.CopyFrom(info)
    shape = copy.type.tensor_type.shape
    meanings = [dim.denotation for dim in shape.dim]
    shape.CopyFrom(TensorType(0, dims).value_info("").type.tensor_type.shape)
    if len(meanings) == len(shape.dim):
        for dim, meaning in zip(shape.dim, meanings, strict=True):
            dim.denotation = meaning
    return copy


def fed(graph: Graph | Edit) -> list[ValueInfoProto]:
    """The tensors that a caller feeds: inputs that are no weights' defaults."""
    return [info for info in graph.inputs if info.name not in graph.initializers and is_tensor(info)]


def is_tensor(info: ValueInfoProto) -> bool:
    return info.type.WhichOneof("value") in ("tensor_type", None)


def dims_of(info: ValueInfoProto) -> tuple[Dim, ...] | None:
    return TensorType.of(info.type).shape


def declare_outputs(edit: Edit, before: Verdict, after: Verdict) -> None:
    """Declares the outputs as they are inferred now. What the file said more than inference found, before and now,
    stays said."""
    infos = []
    for info in edit.outputs:
        dims, found, was = dims_of(info), after.types.get(info.name), before.types.get(info.name)
        if found is not None and found.shape is not None:
            old = was.shape if was is not None else None
            same = dims is not None and len(dims) == len(found.shape)
            told = dims if same and dims is not None else (None,) * len(found.shape)
            earlier = old if same and old is not None and len(old) == len(told) else (0,) * len(told)
            info = with_dims(info, tuple(map(_redeclared, told, earlier, found.shape)))
        infos.append(info)
    edit.set_outputs(infos)


def _redeclared(told: Dim, before: Dim, after: Dim) -> Dim:
    if isinstance(after, int):
        return after
    if before == after or (_nothing(before) and _nothing(after)):
        return told
    return None if _nothing(after) else after


def _nothing(size: Dim) -> bool:
    return size is None or (isinstance(size, str) and size.startswith("unk__"))


@operation("interface.set_shapes", title="Set input shapes", menu="Interface")
@dataclass(frozen=True)
class SetShapes(Operation):
    """Set the dimensions of graph inputs, and infer all other shapes from them.

    Shapes are JSON: `{"x": "1,3,320,320", "mask": "batch,?"}`. Nodes that can't take the new shapes are named, and
    the edit is refused unless it is to be done all the same. Outputs are declared as they are inferred then.
    """

    shapes: dict[str, str] = param(help="Such as 1,3,320,320; a name keeps a size free", columns=("Input", "Shape"))
    force: bool = param(False, help="Do it although nodes can't take the shapes")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> SetShapes | Reason:
        infos = fed(graph)
        chosen = [info for info in infos if info.name in selection.tensors] or infos
        if not chosen:
            return Reason("The model has no inputs")
        return cls({info.name: format_dims(TensorType.of(info.type)) for info in chosen})

    def blocked(self, graph: Graph) -> Reason | None:
        inputs = {info.name: info for info in graph.inputs}
        if not self.shapes:
            return Reason("No shape is given", 'Such as {"x": "1,3,320,320"}')
        changed = False
        for name, text in self.shapes.items():
            if name not in inputs:
                raise Fault("There is no such graph input", name, f"It has: {', '.join(inputs)}")
            if not is_tensor(inputs[name]):
                raise Fault("This input is no tensor", name)
            weight = graph.initializers.get(name)
            dims = parse_dims(text)
            if weight is not None and not fits(TensorType(0, weight.dims), TensorType(0, dims)):
                raise Fault(f"Its default value has the shape {list(weight.dims)}", name)
            changed |= dims != dims_of(inputs[name])
        return None if changed else Reason("The inputs have these shapes already", settled=True)

    def apply(self, edit: Edit) -> None:
        dims = {name: parse_dims(text) for name, text in self.shapes.items()}
        edit.set_inputs(with_dims(info, dims[info.name]) if info.name in dims else info for info in edit.inputs)
        edit.forget_types(dims)
        infer_into(edit, self.force)

    def summary(self) -> str:
        return "Set input shapes: " + ", ".join(f"{name} {text}" for name, text in self.shapes.items())


def infer_into(edit: Edit, force: bool) -> None:
    """Infers the types of an edit's graph and declares its outputs anew. Raises Fault that names the nodes which can't
    take their inputs, unless forced to go on; those that refused before are not counted."""
    before, after = reinfer(edit.base), reinfer(edit.commit())
    fresh = {ref: why for ref, why in after.refused.items() if ref not in before.refused}
    if fresh and not force:
        raise Fault(named(fresh), "shapes", "Change these nodes first, or turn on Force (--force)")
    declare_outputs(edit, before, after)
