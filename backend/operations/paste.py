"""Putting copied nodes into a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.crop import port
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graft import graft, real_inputs
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.records import declared_as
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.merge import check_fit, known, other_model
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, operation, param
from graftwerk.backend.operations.retype import fits


@operation("graph.paste", title="Paste nodes", menu="Edit")
@dataclass(frozen=True)
class PasteNodes(Operation):
    """Add the nodes of a fragment: nodes that were copied here or in another model, with their weights.

    What the nodes read from outside is bound to the tensor of the same name, where there is one of fitting type;
    *inputs* says it for the others: `{"theirs": "ours"}`. With *open*, what has no tensor here becomes a graph input;
    otherwise it is refused. Names that are taken get a number, or *prefix* goes before all of them. A weight of the
    same name and the same values is shared. Nothing reads yet what the nodes make. Another opset is converted by onnx's
    converter, or refused.
    """

    file: FilePath = param(help="The fragment, an ONNX model")
    inputs: dict[str, str] = param({}, help="What is read here", columns=("Input of the fragment", "Tensor here"))
    open: bool = param(False, label="Open inputs", help="Make a graph input of what has no tensor here")
    prefix: str = param("", help="Before the names of the fragment")
    convert: bool = param(True, help="Convert the fragment to this model's opset")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        return cls(FilePath(""))

    def blocked(self, graph: Graph) -> Reason | None:
        other = self.fragment(graph)
        bound = self.bound(graph, other)
        loose = [name for name, ours in bound.items() if not ours]
        if loose and not self.open:
            there = ", ".join(f"{name} ({other.type_of(name) or 'any type'})" for name in loose[:4])
            more = f" and {len(loose) - 4} more" if len(loose) > 4 else ""
            hint = "Name tensors for them in 'inputs', or let them become graph inputs"
            return Reason(f"Nothing here fits what the nodes read as {there}{more}", hint)
        for name in loose:
            port(other, name)
        return None

    def fragment(self, graph: Graph) -> Graph:
        """What is pasted, in the graph's opset. Raises Fault where it can't be."""
        return other_model(self.file, graph, self.convert, "the copied nodes")  # nobody knows their file's name

    def bound(self, graph: Graph | Edit, other: Graph) -> dict[str, str]:
        """The tensor here for each input of the fragment, "" where there is none. Raises Fault for a binding that names
        none, or one of another type."""
        given = dict(self.inputs)
        wanted = real_inputs(other)
        for theirs, ours in given.items():
            known(theirs, wanted, "input of the fragment")
            if not graph.defines(ours):
                raise Fault("There is no such tensor", ours, "Tensor names are shown by `graftwerk info MODEL --nodes`")
            check_fit(graph.type_of(ours), other.type_of(theirs), ours, theirs)
        same = {n: n for n in wanted if graph.defines(n) and fits(graph.type_of(n), other.type_of(n))}
        return {name: given.get(name) or same.get(name, "") for name in wanted}

    def apply(self, edit: Edit) -> None:
        other = self.fragment(edit.base)
        bound = self.bound(edit, other)
        shared = {name for name, weight in other.initializers.items() if _same(edit, weight)}
        rest = {name: weight for name, weight in other.initializers.items() if name not in shared}
        given = {name: ours for name, ours in bound.items() if ours} | {name: name for name in shared}
        names = graft(edit, replace(other, initializers=rest), given, self.prefix)
        fresh = [declared_as(port(other, name), names[name]) for name, ours in bound.items() if not ours]
        edit.set_inputs([*edit.inputs, *fresh])
        for info in fresh:
            edit.value_infos.pop(info.name, None)

    def summary(self) -> str:
        if Path(self.file).is_file():
            count = len(_opened_nodes(self.file))
            return f"Paste {count} node{'s' * (count != 1)}"
        return "Paste nodes"


def _opened_nodes(file: str) -> Mapping[int, object]:
    from graftwerk.backend.graph.graft import opened

    return opened(file).nodes


def _same(edit: Edit, weight: Initializer) -> bool:
    """Whether the model has a weight of this name, datatype, shape and these values."""
    mine = edit.initializers.get(weight.name)
    if mine is None or (mine.dtype, mine.dims) != (weight.dtype, weight.dims):
        return False
    try:
        return bool(np.array_equal(mine.raw(), weight.raw()))
    except Fault:  # or values that are not there
        return False
