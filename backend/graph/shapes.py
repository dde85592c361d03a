"""Shape and type inference: onnx's own, then the symbolic one of ONNX Runtime for the dimensions that it left open.

Neither reads a large weight. What the file declares of a tensor is left out where inference can do without it, so
that the two can be compared: see `contradictions`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import onnx
from onnx import GraphProto, ModelProto, ValueInfoProto, inliner, shape_inference

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph, Problem
from graftwerk.backend.graph.standin import with_stand_ins
from graftwerk.backend.graph.types import Dim, TensorType
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import job

Types = dict[str, TensorType]

#: How onnx calls a dimension that it knows nothing of.
_UNKNOWN = "unk__"
_STANDARD = ("", "ai.onnx")
#: What it says of a node whose input is made by one that was refused, or by a plugin.
_FOLLOWS = "expected to have type but instead is null"
#: One node of what strict inference raises.
_REFUSAL = re.compile(r"\(op_type: ?([^,)]*)(?:, node name: (.*?))?\): (?:\[\w+\] )?(.*)")
#: Domains whose operators symbolic inference knows.
_KNOWN = (*_STANDARD, "com.microsoft")


def infer(graph: Graph, symbolic: bool = True) -> Types:
    """The types of all tensors that nodes make, as far as they can be known; what a plugin makes comes from its
    stand-in. Without `symbolic` it is onnx's inference alone, ten times as fast on a graph with open dimensions.

    Raises Fault for a graph that onnx can't read at all.
    """
    return infer_model(_model(graph), symbolic)


def typed(graph: Graph, symbolic: bool = True) -> Graph:
    """The graph with the types that can be inferred, as it is where onnx can't read it: operations say themselves what
    they can't know."""
    try:
        return graph.with_types(infer(graph, symbolic))
    except Fault:
        return graph


def contradictions(graph: Graph, types: Mapping[str, TensorType]) -> list[Problem]:
    """Where the file declares another datatype, rank or size than was inferred."""
    found = []
    for info in (*graph.value_infos.values(), *graph.outputs):
        inferred, declared = types.get(info.name), TensorType.of(info.type)
        if inferred is not None and not _agree(inferred, declared):
            message = f"Declared as {declared}, but inferred as {inferred}"
            found.append(Problem(message, info.name, "The declaration is wrong, or an operator is used wrongly"))
    return found


@job("shapes.infer")
@dataclass(frozen=True)
class InferShapes:
    """Infers types in a worker. `model` is a file that `prepare` wrote; the result's "types" names one for `read`.

    Without `symbolic` it is onnx's inference alone: half a second at 50,000 nodes, where both take six.
    """

    model: str
    symbolic: bool = True

    def run(self, context: JobContext) -> dict[str, Any]:
        context.phase("Inferring shapes")
        types = infer_model(onnx.load_model(self.model, load_external_data=False), self.symbolic, context)
        path = context.folder / "types.json"
        rows = {name: (kind.dtype, kind.shape, kind.kind) for name, kind in types.items()}
        path.write_bytes(msgspec.json.encode(rows))
        return {"types": str(path), "tensors": len(types)}


def prepare(graph: Graph, folder: Path) -> InferShapes:
    """Writes what inference needs of a revision, without its large weights, and gives the job that reads it.

    Takes 0.2 s at 50,000 nodes and may be called in a thread. Raises Fault where the file can't be written.
    """
    path = Path(folder).resolve() / "shapes.onnx"
    try:
        path.write_bytes(_model(graph).SerializeToString())
    except OSError as error:
        raise Fault(f"Can't write: {error.strerror}", str(path), "Is the disk full?") from error
    return InferShapes(str(path))


def read(result: Mapping[str, Any]) -> Types:
    """The types in the result of `InferShapes`, for `Graph.with_types`."""
    rows = msgspec.json.decode(
        Path(result["types"]).read_bytes(), type=dict[str, tuple[int, tuple[int | str | None, ...] | None, str]]
    )
    return {name: TensorType(*row) for name, row in rows.items()}


def infer_model(model: ModelProto, symbolic: bool = True, context: JobContext | None = None) -> Types:
    """As `infer`, of a model that may be without its large weights; it is changed."""
    made = {output for node in model.graph.node for output in node.output if output}
    try:
        model = _readable(model)
        declared = {info.name: info for info in (*model.graph.value_info, *model.graph.output)}
        types = _inferred(model, {})
        needed = {name: info for name, info in declared.items() if _adds(types.get(name), TensorType.of(info.type))}
        if needed:
            types = _inferred(model, needed)
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise Fault(f"onnx can't infer shapes: {str(error).strip().splitlines()[0]}") from error
    if symbolic and not all(_complete(types.get(name)) for name in made):
        types = _with_symbols(model, types, context)
    return {name: kind for name, kind in types.items() if name in made}


def refusals(graph: Graph) -> dict[str, str]:
    """What onnx's strict inference says of nodes that it refuses, such as strides of zero, by their references.

    Half a second at 50,000 nodes. What declarations contradict is left to `contradictions`.
    """
    graph = with_stand_ins(graph)[0]
    model = to_model(graph, weights="none")
    for node, record in zip(graph.nodes, model.graph.node, strict=True):
        record.name = graph.ref(node)
    refs = {record.name for record in model.graph.node}
    model.graph.ClearField("value_info")
    for output in model.graph.output:
        output.ClearField("type")
    try:
        shape_inference.infer_shapes(_readable(model), strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        found = _REFUSAL.findall(str(error))
        return {ref: _said(op_type, said) for op_type, ref, said in found if ref in refs and _FOLLOWS not in said}
    except (RuntimeError, ValueError):
        return {}  # `infer` says so
    return {}


def _said(op_type: str, said: str) -> str:
    """One refusal in a line; of a node in a body, which node."""
    inner = _REFUSAL.search(said)
    if inner is not None:
        return f"In the body, {inner[2] or 'a node'}: {_said(inner[1], inner[3])}"
    return f"{op_type}: {' '.join(said.split())}"


def _with_symbols(model: ModelProto, types: Types, context: JobContext | None) -> Types:
    from graftwerk.backend.engines.onnxruntime import symbolic_shapes  # 20 ms, and seldom needed in the window

    if context is not None:
        context.phase("Inferring symbolic shapes")
    found, why_not = symbolic_shapes(_for_symbols(model, types))
    if context is not None and why_not:
        context.log(f"No symbolic shapes: {why_not}", "warning")
    return types if found is None else _merged(types, _types(found.graph))


def _model(graph: Graph) -> ModelProto:
    return to_model(with_stand_ins(graph)[0], weights="none")


def _readable(model: ModelProto) -> ModelProto:
    """With local functions inlined, and an import for every domain, without which onnx gives up on all nodes."""
    known = {entry.domain for entry in model.opset_import}
    for domain in sorted({node.domain for node in model.graph.node} - known - set(_STANDARD)):
        model.opset_import.add(domain=domain, version=1)
    return inliner.inline_local_functions(model) if model.functions else model


def _inferred(model: ModelProto, declared: Mapping[str, ValueInfoProto]) -> Types:
    """What onnx finds, given only these declarations."""
    model.graph.ClearField("value_info")
    model.graph.value_info.extend(declared.values())
    outputs = list(model.graph.output)
    for output in model.graph.output:
        output.ClearField("type")
    found = _types(shape_inference.infer_shapes(model, data_prop=True).graph)
    model.graph.ClearField("output")
    model.graph.output.extend(outputs)
    return found


def _types(graph: GraphProto) -> Types:
    found = {}
    for info in (*graph.value_info, *graph.output):
        if info.type.WhichOneof("value") is not None:
            kind = TensorType.of(info.type)
            if kind.shape is not None:
                kind = TensorType(kind.dtype, tuple(map(_known, kind.shape)), kind.kind)
            found[info.name] = kind
    return found


def _known(size: Dim) -> Dim:
    """A dimension as a reader knows it: exporters write -1 too for what is open."""
    unknown = size.startswith(_UNKNOWN) if isinstance(size, str) else size is None or size < 0
    return None if unknown else size


def _for_symbols(model: ModelProto, types: Mapping[str, TensorType]) -> ModelProto:
    """The model without the nodes that symbolic inference gives up on: plugins of all kinds, and what needs one whose
    type nobody declares. A declared output of such a node becomes an input."""
    graph = model.graph
    nodes, unknown, cut = [], set[str](), set[str]()
    for node in graph.node:
        opaque = node.domain not in _KNOWN
        if opaque or any(name in unknown for name in node.input):
            outputs = [name for name in node.output if name]
            known = [name for name in outputs if opaque and name in types and types[name].shape is not None]
            graph.input.extend(types[name].value_info(name) for name in known)
            unknown.update(set(outputs) - set(known))
            cut.update(outputs)
        else:
            nodes.append(node)
    if cut:
        rest = GraphProto()
        rest.CopyFrom(graph)
        rest.ClearField("node")
        rest.node.extend(nodes)
        rest.ClearField("output")
        rest.output.extend(info for info in graph.output if info.name not in cut)
        graph.CopyFrom(rest)
    return model


def _adds(inferred: TensorType | None, declared: TensorType) -> bool:
    """Whether a declaration says more than was inferred, and does not contradict it."""
    if inferred is None or not inferred.dtype:
        return True
    if not _agree(inferred, declared) or declared.shape is None:
        return False
    if inferred.shape is None:
        return True
    return any(isinstance(given, int) and not isinstance(found, int)
               for found, given in zip(inferred.shape, declared.shape, strict=True))  # fmt: skip


def _agree(one: TensorType, other: TensorType) -> bool:
    if one.kind != other.kind or (one.dtype and other.dtype and one.dtype != other.dtype):
        return False
    if one.shape is None or other.shape is None:
        return True
    pairs = zip(one.shape, other.shape, strict=False)
    same = all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    return len(one.shape) == len(other.shape) and same


def _complete(kind: TensorType | None) -> bool:
    return kind is not None and kind.shape is not None and None not in kind.shape


def _merged(types: Mapping[str, TensorType], symbolic: Mapping[str, TensorType]) -> Types:
    """onnx's types with the open dimensions filled in; where the two contradict each other onnx's count."""
    merged = {**symbolic, **types}
    for name, kind in types.items():
        other = symbolic.get(name)
        if other is None or other.shape is None or not _agree(kind, other):
            continue
        if kind.shape is None:
            merged[name] = TensorType(kind.dtype or other.dtype, other.shape, kind.kind)
        elif None in kind.shape:
            sizes = (b if a is None else a for a, b in zip(kind.shape, other.shape, strict=True))
            merged[name] = TensorType(kind.dtype, tuple(sizes), kind.kind)
    return merged
