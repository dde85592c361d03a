"""Another model's graph in the place of some nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.constants import stored
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graft import graft, real_inputs
from graftwerk.backend.graph.graph import Graph, NodeRef, TensorName
from graftwerk.backend.operations.merge import check_fit, known, other_model, paired, taken_names
from graftwerk.backend.operations.plugin import Cut, cut
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, operation, param
from graftwerk.backend.operations.unused import remove_idle
from graftwerk.backend.quantize.insertion import prune


@dataclass(frozen=True)
class Region:
    """Nodes of which all inputs and outputs are wanted."""

    nodes: tuple[NodeRef, ...]
    inputs: tuple[TensorName, ...] = ()
    outputs: tuple[TensorName, ...] = ()


@operation("subgraph.replace_with_graph", title="Replace with model", menu="Subgraph")
@dataclass(frozen=True)
class ReplaceWithGraph(Operation):
    """Puts the graph of another model in the place of some nodes.

    Its inputs read what the nodes read, its outputs take the place of what the rest reads of them: by name where
    names agree, the others in order. *Inputs* (`{"their input": "our tensor"}`) and *outputs* (`{"our tensor": "their
    output"}`) say it for those that differ. Datatypes and shapes must fit, every output that is read needs a partner,
    and numbers must agree where nothing is said.

    Names that are taken get a number, or *prefix* goes before all of them. The weights come along and are not read;
    external data stays external. Another opset is converted by onnx's converter, or refused.
    """

    nodes: tuple[NodeRef, ...] = param(help="The nodes to replace")
    file: FilePath = param(help="The model to put in their place")
    inputs: dict[str, str] = param({}, help="What their inputs read", columns=("Their input", "Our tensor"))
    outputs: dict[str, str] = param({}, help="What becomes of ours", columns=("Our tensor", "Their output"))
    prefix: str = param("", help="Before the names of the other model")
    convert: bool = param(True, help="Convert the other model to this one's opset")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        if not selection.nodes:
            return Reason("Select one or more nodes")
        return cls(tuple(graph.ref(node) for node in selection.nodes), FilePath(""))

    def blocked(self, graph: Graph) -> Reason | None:
        found = cut(graph, Region(self.nodes))
        if isinstance(found, Reason):
            return found
        other = other_model(self.file, graph, self.convert)
        inputs, outputs = self._mappings(graph, other, found)
        for theirs, ours in inputs.items():
            check_fit(graph.type_of(ours), other.type_of(theirs), ours, theirs)
        for ours, theirs in outputs.items():
            check_fit(other.type_of(theirs), graph.type_of(ours), theirs, ours)
        return None

    def apply(self, edit: Edit) -> None:
        graph = edit.base
        found = cut(graph, Region(self.nodes))
        if isinstance(found, Reason):
            raise found.fault(self.info.title)
        other = other_model(self.file, graph, self.convert)
        inputs, outputs = self._mappings(graph, other, found)
        for node in found.nodes:
            edit.remove_node(node)
            for output in graph.nodes[node].output:
                if output not in found.outputs:
                    edit.value_infos.pop(output, None)
        given, passed = taken_names(other, inputs, outputs)
        first = edit.fresh_id
        names = graft(edit, other, given, self.prefix)
        for theirs, ours in passed:
            edit.add_node("Identity", [names[theirs]], [ours], name=edit.fresh_node("Identity"))
        remove_idle(edit, [node for node in edit.nodes if node >= first])
        for tensor in (*found.inputs, *found.constants):
            prune(edit, tensor)

    def _mappings(self, graph: Graph, other: Graph, found: Cut) -> tuple[dict[str, str], dict[str, str]]:
        """Their inputs with what they read, and our outputs with what makes them. Raises Fault where one has none."""
        inputs, outputs = dict(self.inputs), dict(self.outputs)
        theirs, ends = real_inputs(other), [info.name for info in other.outputs]
        for name, ours in inputs.items():
            known(name, theirs, "input of the other model")
            if not graph.defines(ours) or graph.producer(ours) in found.nodes:
                raise Fault("There is no such tensor outside of the nodes", ours, "Name one that they could read")
        for ours, name in outputs.items():
            known(ours, list(found.outputs), "tensor that is read of the nodes")
            known(name, ends, "output of the other model")
        read = [name for name in found.inputs if graph.is_input(name) or stored(graph, name) is None]
        inputs |= _rest("inputs", [name for name in theirs if name not in inputs],
                        [name for name in read if name not in inputs.values()], bool(inputs))  # fmt: skip
        outputs |= _rest("outputs", [name for name in found.outputs if name not in outputs],
                         [name for name in ends if name not in outputs.values()], bool(outputs))  # fmt: skip
        return inputs, outputs

    def summary(self) -> str:
        return f"Replace {len(self.nodes)} nodes with {Path(self.file).name}"


def _rest(what: str, wanted: list[str], there: list[str], said: bool) -> dict[str, str]:
    """Partners for what no mapping names. Where one names some, or names agree, others may be left over."""
    named = [name for name in wanted if name in there]
    if len(wanted) > len(there) or (len(wanted) != len(there) and not said and len(named) < len(wanted)):
        ours, theirs = (there, wanted) if what == "inputs" else (wanted, there)
        lists = f"{', '.join(theirs) or 'none'} of the other model; {', '.join(ours) or 'none'} of the nodes"
        raise Fault(f"The numbers of {what} differ: {lists}", what, f"Say in '{what}' which belong together")
    return paired(wanted, there)
