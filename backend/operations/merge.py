"""Two models into one, in series or side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from onnx import ValueInfoProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graft import check_opsets, graft, opened, real_inputs
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.records import declared_as
from graftwerk.backend.operations.cleanup_versions import ConvertOpset
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, apply, operation, param
from graftwerk.backend.operations.retype import fits


@operation("graph.merge", title="Merge model", menu="Subgraph")
@dataclass(frozen=True)
class MergeModel(Operation):
    """Takes another model into this one, in series or side by side.

    *Connect* lets inputs of the other model read tensors of this one: `{"their input": "our tensor"}`. *Feed* lets
    inputs of this model be made by the other one: `{"our input": "their output"}`. *In series* connects our outputs
    to its inputs, those of the same name first, the others in order. Inputs and outputs that are not connected become
    inputs and outputs of the result, behind ours. Datatypes and shapes must fit.

    Names that are taken get a number, or *prefix* is put before all names of the other model. Its weights are not
    read: external data stays external. A standard operator set of another version is converted by onnx's converter, or
    refused.
    """

    file: FilePath = param(help="The other model")
    connect: dict[str, str] = param({}, help="What their inputs read", columns=("Their input", "Our tensor"))
    feed: dict[str, str] = param({}, help="What our inputs become", columns=("Our input", "Their output"))
    series: bool = param(False, label="In series", help="Connect our outputs to its inputs, by name, then in order")
    prefix: str = param("", help="Before the names of the other model")
    keep: bool = param(False, label="Keep connected", help="Outputs that are connected stay outputs")
    convert: bool = param(True, help="Convert the other model to this one's opset")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        return cls(FilePath(""))

    def blocked(self, graph: Graph) -> Reason | None:
        other = other_model(self.file, graph, self.convert)
        connect, feed = self._mappings(graph, other)
        for theirs, ours in connect.items():
            check_fit(graph.type_of(ours), other.type_of(theirs), ours, theirs)
        for ours, theirs in feed.items():
            check_fit(other.type_of(theirs), graph.type_of(ours), theirs, ours)
        return None

    def apply(self, edit: Edit) -> None:
        other = other_model(self.file, edit.base, self.convert)
        connect, feed = self._mappings(edit.base, other)
        edit.set_inputs(info for info in edit.inputs if info.name not in feed)
        given, passed = taken_names(other, connect, feed)
        names = graft(edit, other, given, self.prefix)
        for theirs, ours in passed:
            edit.add_node("Identity", [names[theirs]], [ours], name=edit.fresh_node("Identity"))
        there = set(real_inputs(other)) - connect.keys()
        fresh = [declared_as(info, names[info.name]) for info in other.inputs if info.name in there]
        edit.set_inputs([*edit.inputs, *fresh])
        edit.set_outputs(self._outputs(edit, other, connect, feed, names))
        for info in edit.outputs:
            edit.value_infos.pop(info.name, None)

    def _outputs(
        self, edit: Edit, other: Graph, connect: Mapping[str, str], feed: Mapping[str, str], names: Mapping[str, str]
    ) -> list[ValueInfoProto]:
        """Ours, then theirs; without those that are connected, unless they are to be kept."""
        ours = [info for info in edit.outputs if self.keep or info.name not in connect.values()]
        left = [info for info in other.outputs if self.keep or info.name not in feed.values()]
        there = {info.name for info in ours}
        return [*ours, *(declared_as(info, names[info.name]) for info in left if names[info.name] not in there)]

    def _mappings(self, graph: Graph, other: Graph) -> tuple[dict[str, str], dict[str, str]]:
        """`connect` and `feed` with what *in series* adds. Raises Fault for unknown names."""
        connect, feed = dict(self.connect), dict(self.feed)
        inputs, outputs = real_inputs(other), [info.name for info in other.outputs]
        for theirs, ours in connect.items():
            known(theirs, inputs, "input of the other model")
            if not graph.defines(ours):
                raise Fault("There is no such tensor", ours, "Tensor names are shown by `graftwerk info MODEL --nodes`")
        for ours, theirs in feed.items():
            known(ours, [info.name for info in graph.inputs], "input of this model")
            known(theirs, outputs, "output of the other model")
        if self.series:
            ends = [info.name for info in graph.outputs if info.name not in connect.values()]
            begins = [name for name in inputs if name not in connect]
            if not begins or not ends:
                raise Fault("Nothing is left to connect in series", "series", "Leave out what connects it already")
            connect |= paired(begins, ends)
        return connect, feed

    def summary(self) -> str:
        return f"Merge {Path(self.file).name}{' in series' if self.series else ''}"


def other_model(file: str, graph: Graph, convert: bool, called: str = "") -> Graph:
    """The model in a file as it goes into a graph: in its opset, if it has to be and may be converted. Raises Fault,
    where it is `called` by its file's name if nothing else."""
    other = opened(file)
    try:
        check_opsets(graph, other)
    except Fault:
        version = graph.opset()
        if not convert or version is None:
            raise
        try:
            other = apply(ConvertOpset(version), other)
        except Fault as fault:
            raise _other_opset(called or Path(file).name, other.opset(), version, fault) from fault
        check_opsets(graph, other)
    return other


def _other_opset(called: str, theirs: int | None, ours: int, why: Fault) -> Fault:
    hint = why.hint
    if theirs is not None and theirs > ours:
        hint = f"Convert this model first: Clean up › Convert opset (cleanup.convert_opset --version {theirs})"
    return Fault(f"Opset {theirs} of {called} can't become this model's {ours}: {why.message}", "", hint)


def taken_names(
    other: Graph, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The names that tensors of the other model take over for `graft`: those of what they read (`inputs`, by theirs)
    and of what they make (`outputs`, by ours). An output that can't, because it is an input or a weight too or has to
    make several, comes with the name for an Identity to make."""
    given, passed = dict(inputs), list[tuple[str, str]]()
    for ours, theirs in outputs.items():
        if theirs in given or other.producer(theirs) is None:
            passed.append((theirs, ours))
        else:
            given[theirs] = ours
    return given, passed


def paired(wanted: list[str], there: list[str]) -> dict[str, str]:
    """A partner from `there` for those wanted: of the same name first, the others in order; some may be left."""
    found = {name: name for name in wanted if name in there}
    rest = [name for name in there if name not in found]
    return found | dict(zip((name for name in wanted if name not in found), rest, strict=False))


def known(name: str, names: list[str], what: str) -> None:
    if name not in names:
        raise Fault(f"There is no such {what}", name, f"There are: {', '.join(names) or 'none'}")


def check_fit(source: Any, target: Any, made: str, read: str) -> None:
    """Raises Fault where what one tensor is can't be what another one has to be."""
    if not fits(source, target):
        hint = "Put a Cast, a Reshape or a Transpose in between, or choose another tensor"
        raise Fault(f"{made} is {source}, but {read} has to be {target}", made, hint)
