"""Computing what depends only on constants, once and for all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import onnx
from onnx import ModelProto, NodeProto

from graftwerk.backend.fault import Reason, Settled
from graftwerk.backend.graph.adapter import adopt, region_model
from graftwerk.backend.graph.constants import constant_value, is_constant_node
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.external import external_location, node_tensors
from graftwerk.backend.graph.graph import Graph, NodeId, bodies, reads
from graftwerk.backend.graph.schema import schema_of
from graftwerk.backend.graph.sockets import open_inputs
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.delete import drop_constant
from graftwerk.backend.operations.fold_limit import refuse_growth, size_of, too_large
from graftwerk.backend.operations.known_shapes import known_value, shape_nodes
from graftwerk.backend.operations.registry import Operation, operation, param
from graftwerk.backend.operations.shape_chains import fold_targets, reshapes, target
from graftwerk.backend.operations.unused import remove_idle
from graftwerk.backend.quiet import quiet

#: Quantization of weights stays in the graph: TensorRT reads precision from it (TensorRT documentation, "Explicit
#: quantization"). Random operators give another value at each run.
_KEPT = frozenset({
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant", "RandomNormal", "RandomNormalLike",
    "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout",
})  # fmt: skip
#: Operators whose output can be far larger than everything they read.
_GROWING = frozenset({
    "ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "Upsample", "OneHot", "EyeLike", "Loop", "Scan",
})  # fmt: skip
_SINK = "GraftwerkFolded"


@operation("graph.fold_constants", title="Fold constants", menu="Clean up", preserves=True, slow=True)
@dataclass(frozen=True)
class FoldConstants(Operation):
    """Compute what depends only on constants, with ONNX Runtime, and keep the results as weights.

    Shapes that are known count as constants, and the target of a Reshape that is known but for sizes of what it
    reshapes is folded too. Results larger than *limit* MiB are left to be computed by the engine, and named: an Expand
    of a scalar would only bloat the file. Where the file would grow by more than *growth* MiB in all, nothing is
    folded, and what would make it so is named. QuantizeLinear and DequantizeLinear stay, since TensorRT takes
    precision from them; so do random operators, plugins and everything else that onnx doesn't know.
    """

    limit: float = param(16.0, minimum=0.0, maximum=2048.0, label="Largest result, MiB", help="A file holds 2048")
    growth: float = param(64.0, minimum=0.0, maximum=2048.0, label="File may grow by, MiB")
    shapes: bool = param(True, help="Fold shapes that are known")

    def blocked(self, graph: Graph) -> Reason | None:
        if any(_foldable(graph, node, frozenset()) for node in _readers_of_constants(graph)):
            return None
        if self.shapes and any(known_value(graph, node) is not None for node in shape_nodes(graph)):
            return None
        if self.shapes and any(target(graph, node) is not None for node in reshapes(graph)):
            return None
        return Reason("Nothing depends on constants alone", settled=True)

    def apply(self, edit: Edit) -> None:
        if self.shapes:
            _fold_shapes(edit)
        while _fold_once(edit, self._bytes):
            pass  # a fold can make the shape of what was too uncertain to compute known
        if self.shapes:
            fold_targets(edit)
        if not edit.touched:
            left = left_unfolded(edit, self._bytes)
            hint = ". ".join([*left[:3], "ONNX Runtime can't compute the rest" if not left else "Raise the limit"])
            raise Settled("Nothing could be folded", "", hint)
        refuse_growth(edit, self.growth)

    def remarks(self, before: Graph, after: Graph) -> tuple[str, ...]:
        return tuple(left_unfolded(Edit(after), self._bytes))

    @property
    def _bytes(self) -> int:
        return int(self.limit * (1 << 20))


def _fold_shapes(edit: Edit) -> None:
    for node in list(shape_nodes(edit)):
        if node not in edit.nodes:
            continue
        value = known_value(edit, node)
        output = edit.nodes[node].output[0]
        if value is not None and not edit.is_output(output):
            record = edit.nodes[node]
            edit.remove_node(node)
            edit.value_infos.pop(output, None)
            edit.set_initializer(value, output)
            _drop_unread(edit, record)


def _fold_once(edit: Edit, limit: int) -> bool:
    region = _within(edit, _region(edit), limit)
    region = _without_aliases(edit, region)
    if not region:
        return False
    read_outside = [
        output for node in region for output in edit.nodes[node].output
        if output and (edit.is_output(output) or not region.issuperset(edit.consumers(output)))
    ]  # fmt: skip
    records = [edit.nodes[node] for node in region]
    folded = _folded(region_model(edit, region, read_outside), read_outside, limit)
    before = len(edit.nodes)
    adopt(edit, folded, region)
    for record in records:
        _drop_unread(edit, record)
    return len(edit.nodes) < before


def _folded(model: ModelProto, results: Iterable[str], limit: int) -> ModelProto:
    """The model with everything computed that can be. A part that ONNX Runtime can't compute stays as it is."""
    import onnx_graphsurgeon as gs

    # graphsurgeon computes a tensor only if a node that stays reads it: these stand for the rest of the graph.
    for name in results:
        model.graph.node.append(NodeProto(op_type=_SINK, input=[name], output=[f"{_SINK}:{name}"]))
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=f"{_SINK}:{name}") for name in results)
    surgeon = gs.import_onnx(model)
    with quiet():
        surgeon.fold_constants(
            fold_shapes=False, recurse_subgraphs=False, recurse_functions=False, flatten_subgraphs=False,
            partitioning="recursive", size_threshold=limit, should_exclude_node=lambda node: node.op == _SINK,
        )  # fmt: skip
    folded: ModelProto = gs.export_onnx(surgeon.cleanup(), do_type_check=False)
    kept = [record for record in folded.graph.node if record.op_type != _SINK]
    del folded.graph.node[:]
    folded.graph.node.extend(kept)
    return folded


def _region(edit: Edit) -> set[NodeId]:
    """All nodes that depend on constants alone."""
    found: set[NodeId] = set()
    for node in edit.nodes:
        if _foldable(edit, node, found):
            found.add(node)
    return found


def _readers_of_constants(graph: Graph) -> Iterator[NodeId]:
    """The nodes that read a constant: few of all, so that menus need not look at every node."""
    for name in graph.initializers:
        yield from graph.consumers(name)
    for record in graph.nodes.values():
        if is_constant_node(record):
            for output in record.output:
                yield from graph.consumers(output)


def _foldable(graph: Graph | Edit, node: NodeId, region: Collection[NodeId]) -> bool:
    record = graph.nodes[node]
    if record.op_type in _KEPT or not record.output:
        return False
    for name in record.input:
        if name and not _constant(graph, name, region):
            return False
    return _computable(graph, record) and all(_constant(graph, name, region) for name in reads(record))


def _constant(graph: Graph | Edit, name: str, region: Collection[NodeId]) -> bool:
    made = graph.producer(name)
    if made is not None:
        return made in region or _known_value(graph, made)
    weight = graph.initializers.get(name)  # one that is a graph input as well is only a default
    return weight is not None and not weight.missing and not graph.is_input(name)


def _known_value(graph: Graph | Edit, node: NodeId) -> bool:
    """Whether a node is a Constant whose value is at hand: in the model, not in a file of external data."""
    value = constant_value(graph.nodes[node], graph.sources)
    return is_constant_node(graph.nodes[node]) and (value is None or not value.external)


def _computable(graph: Graph | Edit, record: NodeProto) -> bool:
    """Whether a node and its bodies hold only operators of the standard set that give the same tensors every time."""
    schema = schema_of(graph, record.op_type, record.domain) if record.domain in ("", "ai.onnx") else None
    if schema is None or record.op_type in _KEPT - {"Constant"}:
        return False
    if (len(record.input) < schema.min_input or not all(record.input)) and open_inputs(graph, record):
        return False  # what it will read is not known yet
    if not all(any(kind.startswith("tensor(") for kind in formal.types) for formal in schema.outputs):
        return False  # it makes a sequence or an optional, which can't be a weight
    if any(external_location(tensor) is not None for _, tensor in node_tensors([record])):
        return False
    return all(_computable(graph, inner) for _, body in bodies(record) for inner in body.node)


def _within(edit: Edit, region: set[NodeId], limit: int) -> set[NodeId]:
    """The region without results that are larger than the limit or might be, and without what depends on them."""
    if not region:
        return region
    types = _types(edit, region)
    kept: set[NodeId] = set()
    for node in edit.nodes:
        if node in region and _foldable(edit, node, kept):
            record = edit.nodes[node]
            growing = record.op_type in _GROWING
            if all(_small(types.get(output), limit, growing) for output in record.output if output):
                kept.add(node)
    return kept


def _types(edit: Edit, region: set[NodeId]) -> dict[str, TensorType]:
    outputs = [output for node in region for output in edit.nodes[node].output if output]
    model = onnx.shape_inference.infer_shapes(region_model(edit, region, outputs, values=False), data_prop=True)
    return {info.name: TensorType.of(info.type) for info in (*model.graph.value_info, *model.graph.output)}


def left_unfolded(edit: Edit, limit: int) -> list[str]:
    """What depends on constants alone and is too large to be kept, a sentence each."""
    region = _region(edit)
    return list(too_large(edit, region, _types(edit, region), limit).values()) if region else []


def _small(kind: TensorType | None, limit: int, growing: bool) -> bool:
    """Whether a result is a tensor of numbers of at most `limit` bytes; where its size is not known, whether the
    operator makes nothing that is much larger than what it reads."""
    if kind is None or kind.shape is None or not all(isinstance(size, int) for size in kind.shape):
        return not growing
    size = size_of(kind)
    return size is not None and size <= limit  # strings have none, and graphsurgeon can't keep them


def _without_aliases(edit: Edit, region: set[NodeId]) -> set[NodeId]:
    """Lets the consumers of a weight's Identity read the weight itself, which would be copied otherwise."""
    rest = set(region)
    for node in region:
        record = edit.nodes[node]
        if record.op_type == "Identity" and not edit.is_output(record.output[0]):
            edit.rewire(record.output[0], record.input[0])
            edit.remove_node(node)
            edit.value_infos.pop(record.output[0], None)
            rest.discard(node)
    return rest


def _drop_unread(edit: Edit, record: NodeProto) -> None:
    """After a node is gone: what only it read."""
    for tensor in reads(record):
        drop_constant(edit, tensor)
        made = edit.producer(tensor)
        if made is not None and edit.nodes[made].op_type in ("Shape", "Gather", "Slice"):
            remove_idle(edit, [made])
