"""Which layer of a TensorRT-RTX engine does the work of which ONNX node, and what became of the others.

The log names for every layer the nodes it came from, and a node may be named by several: a quantized convolution is
named by its own kernel and by the kernel beside it that requantizes. The rules, learned from the logs of 1.7:

*Primary layer of a node*: of those that name it the one that does its arithmetic. For what contracts (Conv, MatMul …)
a layer that contracts; else one whose name lists the operator; else a library kernel, then generated code that computes
something, then code that only moves data. The first in the log among equals. The others are helpers.

*Nodes that vanished*: folded when everything they read is constant (also a Shape of a tensor whose dimensions the
parser knew); free otherwise: views, identities, shape arithmetic that the host does, a Q/DQ absorbed. A node that
computes the same as another was merged with it and has its layer, although the log names only one. A weight's
QuantizeLinear is computed at build time although its convolution's layer still names it: it is folded, and the layer is
a helper. A weight's DequantizeLinear that a layer names runs there: weights stay quantized.

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from graftwerk.backend.engines.report import Layer, NodeOutcome
from graftwerk.backend.engines.rtx_kernels import CONTRACTIONS, claim, contracts, precision
from graftwerk.backend.engines.rtx_names import LogNames
from graftwerk.backend.engines.source import RANDOM, SourceGraph, SourceNode

#: Operators that move or rename data, or change its datatype, and so can vanish without a trace.
MOVERS = frozenset({
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "CastLike", "Dropout", "Expand",
    "Slice", "Split", "Concat", "Tile", "Pad", "QuantizeLinear", "DequantizeLinear", "Constant", "ConstantOfShape",
    "Shape", "Size", "DepthToSpace", "SpaceToDepth",
})


@dataclass(frozen=True)
class Attribution:
    """Layers with references and precisions, what became of every node, and what could not be told."""

    layers: tuple[Layer, ...]
    nodes: dict[str, NodeOutcome]
    warnings: tuple[str, ...] = ()


def attribute(layers: Sequence[Layer], source: SourceGraph, static: Collection[str] = ()) -> Attribution:
    """Tell for `layers`, as `rtx_log.engine_layers` read them, and for every node of `source` where it went.

    `static` are tensors whose dimensions the parser knew (`rtx_log.static_tensors`).
    """
    resolver = LogNames(source)
    told = tuple(
        replace(layer, onnx_nodes=resolver.refs(layer.onnx_nodes), precision=precision(layer)) for layer in layers
    )
    naming: dict[str, list[Layer]] = defaultdict(list)
    for layer in told:
        for ref in layer.onnx_nodes:
            naming[ref].append(layer)
    fate = _Fate(source, naming, static)
    nodes = {node.ref: fate.outcome(node) for node in source.nodes}
    return Attribution(told, nodes, (*resolver.warnings(), *fate.warnings()))


def horizontal_fusions(layers: Sequence[Layer], source: SourceGraph) -> dict[str, tuple[str, ...]]:
    """Layers that contract several times side by side, and these nodes: q, k and v of an attention in one GEMM.

    Side by side: none of them needs what another makes. (In a fused attention kernel one does: that is no such layer.)
    """
    by_ref = {node.ref: node for node in source.nodes}
    made = {output: node for node in source.nodes for output in node.outputs if output}
    found = {}
    for layer in filter(contracts, layers):
        group = [by_ref[ref] for ref in layer.onnx_nodes if by_ref[ref].op_type in CONTRACTIONS]
        if len(group) > 1 and not _connected(group, set(layer.onnx_nodes), made):
            found[layer.name] = tuple(node.ref for node in group)
    return found


def _connected(group: Sequence[SourceNode], inside: set[str], made: Mapping[str, SourceNode]) -> bool:
    """Whether one node of the group depends on another through nodes inside the layer."""
    starts = {node.ref for node in group}
    for node in group:
        todo, seen = list(node.inputs), set[str]()
        while todo:
            before = made.get(todo.pop())
            if before is None or before.ref not in inside or before.ref in seen:
                continue
            if before.ref in starts:
                return True
            seen.add(before.ref)
            todo.extend(before.inputs)
    return False


class _Fate:
    """What became of each node, given the layers that name it."""

    def __init__(self, source: SourceGraph, naming: Mapping[str, Sequence[Layer]], static: Collection[str]) -> None:
        self._source = source
        self._naming = naming
        self._static = static
        self._constants = self._derived(set(source.constants), through_dequantize=False)
        self._foldable = self._derived(set(source.constants), through_dequantize=True)
        self._twins = _twins(source, naming)

    def outcome(self, node: SourceNode) -> NodeOutcome:
        layers = self._naming.get(node.ref, ())
        runs = node.op_type == "DequantizeLinear" or not self._all_in(node, self._constants)
        if not (layers and runs) and self._all_in(node, self._foldable):
            return NodeOutcome(helpers=tuple(layer.name for layer in layers), state="folded")
        if not layers:
            twin = self._twins.get(node.ref)
            return NodeOutcome(state="free") if twin is None else self.outcome(twin)
        primary = max(layers, key=lambda layer: claim(layer, node.op_type))  # the first of equals
        helpers = tuple(layer.name for layer in layers if layer is not primary)
        return NodeOutcome(primary.name, primary.precision, helpers)

    def warnings(self) -> list[str]:
        """Nodes that compute and are named by no layer, unless the log or the graph says why."""
        shapes = self._shape_arithmetic()
        needed = self._needed()
        lost = [
            node.ref
            for node in self._source.nodes
            if node.ref not in self._naming and node.ref not in self._twins and node.op_type not in MOVERS
            and node.ref in needed and not self._all_in(node, self._foldable) and not shapes.issuperset(node.outputs)
        ]  # fmt: skip
        if not lost:
            return []
        some = ", ".join(lost[:3])
        return [f"No layer names {len(lost)} nodes that compute (merged, or removed as having no effect): {some}"]

    def _all_in(self, node: SourceNode, tensors: set[str]) -> bool:
        if node.op_type in ("Shape", "Size"):
            return tensors.issuperset(node.outputs)
        return node.op_type not in RANDOM and all(name in tensors for name in node.inputs if name)

    def _derived(self, known: set[str], through_dequantize: bool) -> set[str]:
        """`known` and all that is computed from it alone, in one pass over the nodes in the order of the file."""
        for node in self._source.nodes:
            if node.op_type in ("Shape", "Size"):
                constant = node.inputs[0] in self._static or node.inputs[0] in known
            else:
                constant = self._all_in(node, known)
            if constant and (through_dequantize or node.op_type != "DequantizeLinear"):
                known.update(name for name in node.outputs if name)
        return known

    def _shape_arithmetic(self) -> set[str]:
        """Tensors computed from shapes and constants alone: the host does that, no kernel runs for it."""
        shapes = set(self._foldable)
        for node in self._source.nodes:
            if node.op_type in ("Shape", "Size") or self._all_in(node, shapes):
                shapes.update(name for name in node.outputs if name)
        return shapes

    def _needed(self) -> set[str]:
        """The nodes that an output of the graph depends on."""
        made = {output: node for node in self._source.nodes for output in node.outputs if output}
        found: set[str] = set()
        todo = list(self._source.outputs)
        while todo:
            node = made.get(todo.pop())
            if node is not None and node.ref not in found:
                found.add(node.ref)
                todo.extend(node.inputs)
        return found


def _twins(source: SourceGraph, named: Collection[str]) -> dict[str, SourceNode]:
    """For nodes that no layer names the one that computes the same and is named: the compiler merged the two."""
    canonical = dict(source.constants)
    groups: dict[tuple[str, ...], list[SourceNode]] = defaultdict(list)
    for node in source.nodes:
        if node.key:
            group = groups[(node.key, *(canonical.get(name, name) for name in node.inputs))]
            group.append(node)
            canonical.update(zip(node.outputs, group[0].outputs))
    found = {}
    for group in groups.values():
        known = next((node for node in group if node.ref in named), None)
        if known is not None:
            found.update({node.ref: known for node in group if node.ref not in named})
    return found
