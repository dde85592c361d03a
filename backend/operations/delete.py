"""Deleting nodes, with or without a bridge over the gap."""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.constants import is_constant_node
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.registry import Operation, operation, param
from graftwerk.backend.operations.retype import fits


@operation("node.delete", title="Delete", menu="Edit", shortcut="Del")
@dataclass(frozen=True)
class DeleteNodes(Operation):
    """Delete nodes, and the constants that nothing else reads.

    With *bridge*, what read a deleted node's output reads its main input instead: the one input that is not a
    constant, or of several the one that has the output's type. Several nodes are crossed one by one; where that leads
    nowhere, as in an attention block, their output takes the one tensor from outside that it depends on and that has
    its type. Where that is not clear, *through* names it. Types at both ends of the bridge must agree. Graph outputs
    keep their names.

    Without *bridge* the graph is cut: what the remaining nodes read of the deleted ones becomes a graph input, and
    graph outputs that the deleted nodes made are gone.
    """

    nodes: tuple[NodeRef, ...]
    bridge: bool = param(True, help="Let the consumers read the main input")
    through: TensorName = param(TensorName(""), help="The main input, where it is not clear")

    def blocked(self, graph: Graph) -> Reason | None:
        selected = selected_nodes(graph, self.nodes)
        if not selected:
            return Reason("No node is given")
        made = {output for node in selected for output in graph.nodes[node].output}
        if all(info.name in made for info in graph.outputs) and not self.bridge:
            return Reason("No graph output would be left", "Mark another tensor as an output first")
        try:
            if self.bridge:
                self.bridges(graph, selected)
            else:
                for tensor in read_outside(graph, selected):
                    _input_type(graph, tensor)
        except Fault as fault:
            return Reason(str(fault), fault.hint)
        return None

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        selected = selected_nodes(graph, self.nodes)
        bridges = self.bridges(graph, selected) if self.bridge else {}
        cuts = {} if self.bridge else {t: _input_type(graph, t) for t in read_outside(graph, selected)}
        records = [edit.nodes[node] for node in selected]
        made = {output for record in records for output in record.output if output}
        for node in selected:
            edit.remove_node(node)
        for tensor in made:
            edit.value_infos.pop(tensor, None)
        if self.bridge:
            build_bridges(edit, bridges)
        else:
            edit.set_outputs(info for info in edit.outputs if info.name not in made)
            edit.set_inputs([*edit.inputs, *(kind.value_info(tensor) for tensor, kind in cuts.items())])
        for record in records:
            for tensor in record.input:
                drop_constant(edit, tensor)

    def bridges(self, graph: Graph, selected: list[NodeId]) -> dict[str, str]:
        """For each output that is read outside of the selection, the tensor to be read in its place."""
        chosen = set(selected)
        used = set(read_outside(graph, selected))
        used |= {info.name for info in graph.outputs if graph.producer(info.name) in chosen}
        source: dict[str, str | Fault] = {}
        for node in selected:  # in the order of the data, so that a chain is followed to its start
            record = graph.nodes[node]
            if len(used.intersection(record.output)) > 1:
                raise Fault(f"Several outputs of {record.op_type} are read", graph.ref(node), "Delete without a bridge")
            main = self._main_input(graph, node, source)
            source.update((output, main) for output in record.output if output)
        for tensor in used:
            around = self._around(graph, chosen, tensor)
            if around is not None and (around == self.through or not _leads(graph, tensor, source[tensor])):
                source[tensor] = around
        return {tensor: _checked(graph, tensor, main) for tensor, main in source.items() if tensor in used}

    def _around(self, graph: Graph, chosen: set[NodeId], tensor: str) -> str | None:
        """Of what several nodes read from outside to make a tensor, `through`, or the only one of the tensor's type."""
        if len(chosen) == 1:
            return None
        outside: dict[str, None] = {}
        seen, waiting = set[NodeId](), [graph.producers[tensor]]
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            for name in graph.nodes[node].input:
                made = graph.producer(name)
                if made in chosen:
                    waiting.append(made)
                elif name and not is_constant(graph, name):
                    outside[name] = None
        if self.through in outside:
            return self.through
        kind = graph.type_of(tensor)
        fitting = [name for name in outside if kind is not None and graph.type_of(name) == kind]
        return fitting[0] if len(fitting) == 1 else None

    def _main_input(self, graph: Graph, node: NodeId, source: dict[str, str | Fault]) -> str | Fault:
        """What takes the place of a node's outputs, or why that is not clear: it matters only if they are used."""
        record = graph.nodes[node]
        if self.through and self.through in record.input:
            return source.get(self.through, self.through)
        names = [name for name in record.input if name and not is_constant(graph, name)]
        found: list[str | Fault] = list(dict.fromkeys(source.get(name, name) for name in names))
        unclear = next((one for one in found if isinstance(one, Fault)), None)
        if unclear is not None:
            return unclear
        if len(found) > 1:
            kind = graph.type_of(next((output for output in record.output if output), ""))
            same = [name for name in found if kind is not None and graph.type_of(str(name)) == kind]
            found = same or found
        if len(found) == 1:
            return found[0]
        if not found:
            return Fault(
                f"{record.op_type} has no input that could take the place of its output", graph.ref(node),
                "Delete what reads it as well, or delete without a bridge",
            )  # fmt: skip
        return Fault(
            f"{record.op_type} joins {' and '.join(map(str, found))}: it is not clear which of them to read then",
            graph.ref(node), "Name one in 'through', or delete without a bridge",
        )  # fmt: skip


def _leads(graph: Graph, tensor: str, main: str | Fault) -> bool:
    """Whether what one node after the other leads to can take a tensor's place."""
    return not isinstance(main, Fault) and fits(graph.type_of(tensor), graph.type_of(main))


def _checked(graph: Graph, tensor: str, main: str | Fault) -> str:
    if isinstance(main, Fault):
        raise main
    before, after = graph.type_of(tensor), graph.type_of(main)
    if not fits(before, after):
        raise Fault(
            f"{after} goes in and {before} comes out, so what reads the output can't read the input", tensor,
            "Delete without a bridge, or insert what makes up for it (Cast, Reshape) first",
        )  # fmt: skip
    return main


def build_bridges(edit: Edit, bridges: dict[str, str]) -> None:
    """Rewires the consumers of each deleted tensor to its source. A graph output keeps its name: the source takes
    it, or passes through an Identity where it can't be renamed."""
    renamed: dict[str, str] = {}
    for tensor, main in bridges.items():
        source = renamed.get(main, main)
        if not edit.is_output(tensor):
            edit.rewire(tensor, source)
        elif edit.producer(source) is not None and not edit.is_output(source):
            edit.rename_tensor(source, tensor)
            renamed[main] = tensor
        else:
            edit.add_node("Identity", [source], [tensor], name=edit.fresh_node("Identity"))


def is_constant(graph: Graph | Edit, tensor: str) -> bool:
    """Whether a tensor is a weight or made by a Constant node."""
    made = graph.producer(tensor)
    if made is not None:
        return is_constant_node(graph.nodes[made])
    return tensor in graph.initializers


def drop_constant(edit: Edit, tensor: str) -> None:
    """Removes a weight, or the Constant node of a tensor, if nothing reads it any more."""
    if edit.consumers(tensor) or edit.is_output(tensor):
        return
    made = edit.producer(tensor)
    if made is not None and is_constant_node(edit.nodes[made]):
        edit.remove_node(made)
        edit.value_infos.pop(tensor, None)
    elif tensor in edit.initializers and not edit.is_input(tensor):
        edit.remove_initializer(tensor)
        edit.value_infos.pop(tensor, None)


def selected_nodes(graph: Graph, refs: tuple[NodeRef, ...]) -> list[NodeId]:
    chosen = {graph.find(ref) for ref in refs}
    if len(chosen) == 1:
        return list(chosen)
    return [node for node in graph.nodes if node in chosen]


def read_outside(graph: Graph, selected: list[NodeId]) -> list[str]:
    chosen = set(selected)
    made = (output for node in selected for output in graph.nodes[node].output if output)
    return [tensor for tensor in made if not chosen.issuperset(graph.consumers(tensor))]


def _input_type(graph: Graph, tensor: str) -> TensorType:
    known = graph.type_of(tensor)
    if known is None or not known.dtype or known.shape is None:
        hint = "Shape inference has not found it; delete with a bridge, or delete what reads it as well"
        raise Fault("The type of the graph input that this would leave is not known", tensor, hint)
    return known
