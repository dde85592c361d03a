"""Renaming many nodes and tensors at once, by a regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, inner_names
from graftwerk.backend.graph.records import declared_as, renamed
from graftwerk.backend.operations.registry import Operation, Selection, operation, param

_HINT = "Change the pattern or what is put in its place"


@dataclass(frozen=True, slots=True)
class Renaming:
    """One name that would change. `wrong` says why it can't, "" where it can."""

    kind: Literal["node", "tensor"]
    old: str
    new: str
    wrong: str = ""


@operation("graph.rename_pattern", title="Rename by pattern", menu="Edit", preserves=True)
@dataclass(frozen=True)
class RenamePattern(Operation):
    """Replace what matches a regular expression in the names of nodes, of tensors, or of both.

    The pattern is Python's: `^encoder/` matches at the beginning, and `\\1` in the replacement is the first group in
    parentheses. Every match in a name is replaced. With *nodes*, only these and what they make are renamed. Graph
    inputs and outputs keep their names, unless *ports* is set. Nothing is renamed where two would have the same name,
    or one that is in use, or none.
    """

    pattern: str = param(help="Regular expression, such as ^model/layers/(\\d+)")
    replacement: str = param("", help="What is put in its place, such as L\\1; empty removes it")
    kind: Literal["nodes and tensors", "nodes", "tensors"] = param("nodes and tensors", label="Names of")
    nodes: tuple[NodeRef, ...] = param((), help="Only these and what they make; empty: all")
    ports: bool = param(False, label="Inputs and outputs", help="Rename graph inputs and outputs too")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self:
        return cls("", nodes=tuple(graph.ref(node) for node in selection.nodes))

    def blocked(self, graph: Graph) -> Reason | None:
        found = self.renamings(graph)
        if not found:
            return Reason("No name matches", "Nothing would be renamed")
        wrong = [one for one in found if one.wrong]
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            return Reason(f"{wrong[0].old} → {wrong[0].new or 'nothing'}: {wrong[0].wrong}{more}", _HINT)
        return None

    def renamings(self, graph: Graph) -> list[Renaming]:
        """What would be renamed, in the order of the graph, with what can't. Raises Fault for a bad pattern."""
        try:
            matcher = re.compile(self.pattern)
            matcher.sub(self.replacement, "")
        except (re.error, IndexError) as error:
            hint = "A \\ before . ( [ + takes it as it is"
            raise Fault(f"Not a regular expression: {error}", "pattern", hint) from None
        found: list[Renaming] = []
        if self.kind != "tensors":
            found += _renamings("node", self._node_names(graph), matcher, self.replacement, graph.names)
        if self.kind != "nodes":
            inner = set().union(*(inner_names(graph.nodes[node]) for node in graph.holders))
            taken = {**dict.fromkeys(graph.tensors()), **dict.fromkeys(inner | graph.reserved)}
            found += _renamings("tensor", self._tensor_names(graph), matcher, self.replacement, taken)
        return found

    def _chosen(self, graph: Graph) -> Iterable[NodeId]:
        return [graph.find(ref) for ref in self.nodes] if self.nodes else graph.nodes

    def _node_names(self, graph: Graph) -> Iterator[str]:
        """Names that several nodes have are left alone: giving nodes names of their own is another operation."""
        for node in self._chosen(graph):
            name = graph.nodes[node].name
            if name and len(graph.names[name]) == 1:
                yield name

    def _tensor_names(self, graph: Graph) -> Iterator[str]:
        if self.nodes:
            names: Iterable[str] = (name for node in self._chosen(graph) for name in graph.nodes[node].output if name)
        else:
            names = graph.tensors()
        sparse = {found.values.name for found in graph.skeleton.sparse_initializer}
        for name in names:
            if name not in sparse and (self.ports or not (graph.is_input(name) or graph.is_output(name))):
                yield name

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        found = self.renamings(graph)
        for one in found:
            if one.kind == "node":
                edit.replace_node(graph.names[one.old][0], name=one.new)
        names = {one.old: one.new for one in found if one.kind == "tensor"}
        if names.keys() & set(names.values()):  # one takes the name that another leaves: out of the way first
            aside = {old: edit.fresh_tensor(f"{old}.renamed") for old in names}
            rename_tensors(edit, aside)
            names = {aside[old]: new for old, new in names.items()}
        rename_tensors(edit, names)

    def summary(self) -> str:
        return f"Rename {self.pattern} → {self.replacement or 'nothing'}"


def _renamings(
    kind: Literal["node", "tensor"], names: Iterable[str], matcher: re.Pattern[str], replacement: str,
    taken: Mapping[str, object],
) -> list[Renaming]:  # fmt: skip
    changes = {name: new for name in names if (new := matcher.sub(replacement, name)) != name}
    owners: dict[str, str] = {}
    found = []
    for old, new in changes.items():
        wrong = ""
        if not new:
            wrong = "no name would be left"
        elif new in owners:
            wrong = f"{owners[new]} would have this name too"
        elif new in taken and new not in changes:
            wrong = f"another {kind} is called so"
        owners.setdefault(new, old)
        found.append(Renaming(kind, old, new, wrong))
    return found


def rename_tensors(edit: Edit, names: Mapping[str, str]) -> None:
    """Renames tensors wherever they are made, read, declared or put out; none of the new names may be in use. In one
    pass: one by one, fifty thousand weights would take their number squared."""
    nodes = dict.fromkeys(node for name in names for node in edit.consumers(name))
    nodes |= dict.fromkeys(made for name in names if (made := edit.producer(name)) is not None)
    known = {new: kind for old, new in names.items() if (kind := edit.type_of(old)) is not None}
    for node in nodes:
        edit.replace_record(node, renamed(edit.nodes[node], names, outputs=True))
    edit.initializers = {
        names.get(name, name): weight.renamed(names[name]) if name in names else weight
        for name, weight in edit.initializers.items()
    }
    for old in names.keys() & edit.value_infos.keys():
        edit.value_infos[names[old]] = declared_as(edit.value_infos.pop(old), names[old])
    if any(info.name in names for info in edit.inputs):
        edit.set_inputs(declared_as(info, names.get(info.name, info.name)) for info in edit.inputs)
    if any(info.name in names for info in edit.outputs):
        edit.set_outputs(declared_as(info, names.get(info.name, info.name)) for info in edit.outputs)
    for name, kind in known.items():
        edit.set_type(name, kind)
