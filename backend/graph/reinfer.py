"""Inference with a verdict: what all tensors are with the graph's inputs as they are declared, and which nodes can't
take that."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from onnx import inliner, shape_inference

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.attributes import find_attribute
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.standin import with_stand_ins
from graftwerk.backend.graph.types import TensorType

_ERROR = re.compile(r"\(op_type:(?P<op>[^,]*), node name: (?P<name>[^)]*)\): (?P<why>.*)")
_MINE = re.compile(r"#(\d+)#")
#: onnx says this of nodes behind one that it has refused.
_BEHIND = "expected to have type but instead is null"
_STANDARD = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Types by tensor, and why nodes refuse their inputs, by the nodes' references."""

    types: dict[str, TensorType]
    refused: dict[str, str]

    def type_of(self, graph: Graph, tensor: str) -> TensorType | None:
        """The type that was inferred; of inputs and weights, their own."""
        return self.types.get(tensor) or (graph.type_of(tensor) if tensor not in graph.producers else None)


def reinfer(graph: Graph) -> Verdict:
    """What onnx infers from the inputs alone: what the file declares of other tensors counts only behind operators
    that onnx doesn't know. Takes as long as `shapes.infer` without symbols. Raises Fault for what onnx can't read."""
    runnable, _ = with_stand_ins(graph)
    model = to_model(runnable, weights="none")
    for record, node in zip(model.graph.node, runnable.nodes, strict=True):
        record.name = f"#{node}#"
    domains = {entry.domain for entry in model.opset_import}
    for domain in sorted({record.domain for record in model.graph.node} - domains - set(_STANDARD)):
        model.opset_import.add(domain=domain, version=1)
    kept = [info for info in model.graph.value_info if _opaque(runnable, info.name)]
    model.graph.ClearField("value_info")
    model.graph.value_info.extend(kept)
    for info in model.graph.output:
        info.ClearField("type")
    refused: dict[str, str] = {}
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
        try:
            found = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except shape_inference.InferenceError as error:
            refused = _refusals(str(error), runnable)
            found = shape_inference.infer_shapes(model, data_prop=True)
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise Fault(f"onnx can't infer shapes: {str(error).strip().splitlines()[0]}") from error
    types = {}
    for info in (*found.graph.value_info, *found.graph.output):
        if info.type.WhichOneof("value") is not None and info.name in graph.producers:
            types[info.name] = TensorType.of(info.type)
    verdict = Verdict(types, refused)
    refused.update(_wrong_reshapes(graph, verdict))
    refused.update(_wrong_channels(graph, verdict))
    return verdict


def _opaque(graph: Graph, tensor: str) -> bool:
    made = graph.producer(tensor)
    return made is not None and graph.nodes[made].domain not in _STANDARD


def _refusals(text: str, graph: Graph) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ERROR.finditer(text):
        if _BEHIND in match["why"]:
            continue
        mine = _MINE.search(match["name"])
        ref = graph.ref(int(mine[1])) if mine and int(mine[1]) in graph.nodes else match["op"]
        found.setdefault(ref, re.sub(r"\[\w+Error\] ", "", match["why"]).strip())
    return found or {"": text.strip().splitlines()[0]}


def _wrong_reshapes(graph: Graph, verdict: Verdict) -> dict[str, str]:
    """onnx doesn't count the elements of a Reshape whose shape is all numbers."""
    found: dict[str, str] = {}
    for node, record in graph.nodes.items():
        if record.op_type == "Reshape" and record.domain in _STANDARD:
            before = sizes(verdict.type_of(graph, record.input[0]))
            after = sizes(verdict.types.get(record.output[0]))
            if before is not None and after is not None and prod(before) != prod(after):
                found[graph.ref(node)] = f"Its shape {list(after)} doesn't hold the elements of {list(before)}"
    return found


def _wrong_channels(graph: Graph, verdict: Verdict) -> dict[str, str]:
    """Nor does it compare the channels of a convolution with those of its weight."""
    found: dict[str, str] = {}
    for node, record in graph.nodes.items():
        if record.op_type not in ("Conv", "ConvTranspose") or record.domain not in _STANDARD or len(record.input) < 2:
            continue
        data, weight = (verdict.type_of(graph, name) for name in record.input[:2])
        shapes = [kind.shape for kind in (data, weight) if kind is not None and kind.shape is not None]
        if len(shapes) == 2 and min(map(len, shapes)) > 1:
            group = find_attribute(record, "group")
            there = shapes[0][1]
            own = shapes[1][0] if record.op_type == "ConvTranspose" else shapes[1][1]
            if record.op_type == "Conv" and isinstance(own, int) and group is not None:
                own *= group.i
            if isinstance(there, int) and isinstance(own, int) and there != own:
                found[graph.ref(node)] = f"Its weight is for {own} channels; the input has {there}"
    return found


def sizes(kind: TensorType | None) -> tuple[int, ...] | None:
    """A shape that is all numbers; None for any other."""
    if kind is None or kind.shape is None:
        return None
    found = tuple(size for size in kind.shape if isinstance(size, int))
    return found if len(found) == len(kind.shape) else None


def named(refused: dict[str, str], most: int = 6) -> str:
    """Nodes that refuse, each with its reason, for a message."""
    shown: Iterable[str] = (f"{ref}: {why}" if ref else why for ref, why in list(refused.items())[:most])
    more = f"; and {len(refused) - most} more" if len(refused) > most else ""
    return "; ".join(shown) + more
