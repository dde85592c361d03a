"""What is written on each box and edge of a picture; looked up when it comes into view, and kept."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from graftwerk.backend.graph.diagram import Diagram, Kind
from graftwerk.backend.graph.diagram_text import Chip, chips, leaf_name, scale_text
from graftwerk.backend.graph.graph import Graph


@dataclass(frozen=True, slots=True)
class Caption:
    """`detail` stands behind or below the title. With `wrong`, it is what is wrong with the box."""

    title: str
    detail: str = ""
    chips: tuple[Chip, ...] = ()
    wrong: bool = False


class Captions:
    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self._boxes: dict[int, Caption] = {}
        self._tensors: dict[str, str] = {}

    def box(self, box: int) -> Caption:
        found = self._boxes.get(box)
        if found is None:
            found = self._boxes[box] = self._caption(box)
        return found

    def tensor(self, name: str) -> str:
        """`8×512×28×28 FP16`, nothing where the type is not known."""
        found = self._tensors.get(name)
        if found is None:
            known = self.diagram.graph.type_of(name)
            found = self._tensors[name] = str(known) if known is not None else ""
        return found

    def _caption(self, box: int) -> Caption:
        diagram = self.diagram
        graph = diagram.graph
        match int(diagram.kind[box]):
            case Kind.NODE:
                record = graph.nodes[int(diagram.ref[box])]
                missing = _open(graph, record)
                if missing:
                    return Caption(record.op_type, missing, tuple(chips(graph, record)), True)
                return Caption(record.op_type, leaf_name(record.op_type, record.name), tuple(chips(graph, record)))
            case Kind.PILL:
                scale = scale_text(graph, graph.nodes[int(diagram.ref[box])].input[1])
                return Caption(f"Q/DQ {scale}".strip())
            case Kind.SCOPE:
                count = len(diagram.nodes(box))
                return Caption(diagram.path(box)[-1], f"{count} node{'s' if count != 1 else ''}")
        name = diagram.name(box)
        return Caption(name, self.tensor(name))


def _open(graph: Graph, record: NodeProto) -> str:
    """Which inputs of a node read nothing although they have to; asked only where the model is incomplete."""
    if graph.incomplete is None:
        return ""
    from graftwerk.backend.graph.sockets import open_inputs

    missing = open_inputs(graph, record)
    return f"{', '.join(missing)} open" if missing else ""
