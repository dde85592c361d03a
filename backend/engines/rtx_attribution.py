"""Which layer of a TensorRT-RTX engine does the work of which ONNX node, and at which precision.

The log names for every layer the nodes it came from, and a node may be named by several: a quantized convolution is
named by its own kernel and by the kernel beside it that requantizes. The rules, learned from the logs of 1.7:

*Kernels.* `correlation`, `gemm`, `deconv`, `maxpool` … are library kernels; `runtime_fusion` is a convolution or a
product with what follows it, compiled on the target; `kgen` is generated code, whose name lists what it does, four
letters each, cut with "Etc" where it grows long: `__myl_MulAddReluMulMinMaxRounCast_myl0_3`; `_gemm_mha_v2_…` is an
attention. Some kinds only control (`signal`, `wait`, `jmp`).

*Primary layer of a node*: of those that name it the one that does its arithmetic. For what contracts (Conv, MatMul …)
a layer that contracts; else one whose name lists the operator; else a library kernel, then generated code that computes
something, then code that only moves data. The first in the log among equals. The others are helpers.

*Precision of a layer*: where it contracts, the datatype of its data and of its weight, the wider of the two where they
differ (an INT4 weight is unpacked to compute in FP16). Of another library kernel (a pooling) the widest datatype of its
data. Of generated code the widest float among its inputs, its weights (scalars are literals of the code) and its
outputs, in this order; else the widest integer it reads. A layer that only moves data or controls has none.

*Nodes that vanished*: folded when everything they read is constant (also a Shape of a tensor whose dimensions the
parser knew); free otherwise: views, identities, shape arithmetic that the host does, a Q/DQ absorbed. A node that
computes the same as another was merged with it and has its layer, although the log names only one. A weight's
QuantizeLinear is computed at build time although its convolution's layer still names it: it is folded, and the layer is
a helper. A weight's DequantizeLinear that a layer names runs there: weights stay quantized.

Runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Optional

from graftwerk.backend.engines.report import Layer, LayerTensor, NodeOutcome
from graftwerk.backend.engines.source import RANDOM, SourceGraph, SourceNode

#: Operators that contract: their arithmetic is a sum of products, done by a matrix or convolution kernel.
CONTRACTIONS = frozenset({
    "Conv", "ConvTranspose", "ConvInteger", "DeformConv", "QLinearConv", "MatMul", "MatMulInteger", "QLinearMatMul",
    "Gemm", "Einsum", "Attention", "LSTM", "GRU", "RNN",
})
#: Operators that move or rename data, or change its datatype, and so can vanish without a trace.
MOVERS = frozenset({
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "CastLike", "Dropout", "Expand",
    "Slice", "Split", "Concat", "Tile", "Pad", "QuantizeLinear", "DequantizeLinear", "Constant", "ConstantOfShape",
    "Shape", "Size", "DepthToSpace", "SpaceToDepth",
})
_CONTRACTING_KINDS = frozenset({"correlation", "gemm", "deconv", "runtime_fusion"})
_GENERATED_KINDS = frozenset({"kgen", "runtime_function"})
_CONTROL_KINDS = frozenset(
    {"shape_call", "ShapeHostToDevice", "ShapeDeviceToHost", "memset", "copy", "jmp", "cjmp", "signal", "wait"}
)
_MOVES = frozenset({"Move", "Repl", "Conc", "Tran", "Resh", "Slic", "Cast", "Gath", "Iota"})
_MNEMONICS = {
    "QuantizeLinear": "Roun", "Softmax": "Exp", "LogSoftmax": "Exp", "LayerNormalization": "Mean", "Where": "Sele",
    "GlobalAveragePool": "Mean", "ReduceMean": "Mean", "ReduceSum": "Sum", "Greater": "Gtr", "Less": "Lt",
    "Equal": "Eql", "ReduceMax": "Maxr", "InstanceNormalization": "Inor",
}  # fmt: skip
_FLOATS = ("FP32", "FP16", "BF16", "FP8", "FP4")  # the widest first
_INTEGERS = ("INT64", "INT32", "UINT8", "INT8", "INT4", "BOOL")


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


def mnemonics(layer: Layer) -> list[str]:
    """What generated code does, from its name: `__myl_FcAdd_myl0_58` gives Fc, Add."""
    found = re.fullmatch(r"__myl_(\w+?)_myl\d+_\d+", layer.name)
    return re.findall(r"[A-Z][a-z0-9]*", found[1]) if found else []


def contracts(layer: Layer) -> bool:
    """Whether its arithmetic is a matrix product or a convolution by a kernel made for it."""
    return layer.kind in _CONTRACTING_KINDS or layer.name.startswith("_gemm_")


def computes(layer: Layer) -> bool:
    """Whether it does arithmetic, and not only moves data or controls."""
    if layer.kind in _CONTROL_KINDS:
        return False
    listed = mnemonics(layer)
    return not listed or not _MOVES.issuperset(listed)


def precision(layer: Layer) -> str:
    """The datatype that a layer's arithmetic reads; the rule stands at the top of this file."""
    if not computes(layer):
        return ""
    if contracts(layer):
        read = [tensor.dtype for tensor in (*layer.inputs[:1], _weight(layer)) if tensor is not None]
        return _widest(read, _FLOATS) or _widest(read, _INTEGERS)
    data, made = ([tensor.dtype for tensor in tensors] for tensors in (layer.inputs, layer.outputs))
    if layer.kind not in _GENERATED_KINDS:  # a pooling's constants are its scales
        return _widest(data, _FLOATS) or _widest(data, _INTEGERS)
    weights = [tensor.dtype for tensor in layer.constants if prod(tensor.shape) != 1]
    for dtypes in (data, weights, made):
        if _widest(dtypes, _FLOATS):
            return _widest(dtypes, _FLOATS)
    return _widest([*data, *weights], _INTEGERS)


def _weight(layer: Layer) -> Optional[LayerTensor]:
    """The second factor of a layer that contracts: a constant, or its second input.

    Library kernels list it first among the constants, before scales and bias. Runtime fusions list it anywhere, but a
    bias and a scale have one dimension that counts.
    """
    if layer.kind == "runtime_fusion":
        found = [tensor for tensor in layer.constants if sum(size != 1 for size in tensor.shape) > 1]
    else:
        found = [tensor for tensor in layer.constants[:1] if prod(tensor.shape) != 1]
    return next(iter((*found, *layer.inputs[1:2])), None)


def _widest(dtypes: Collection[str], order: Sequence[str]) -> str:
    return next((dtype for dtype in order if dtype in dtypes), "")


class LogNames:
    """From the log's names of nodes to references.

    A node without a name is `node_of_` and its first output. A node inside a function or a body carries the way to it,
    `node_of_Y | p (Name)`; it counts for the node of the graph that holds it.
    """

    def __init__(self, source: SourceGraph) -> None:
        self._named: dict[str, list[str]] = defaultdict(list)
        for node in source.nodes:
            self._named[node.name or f"node_of_{node.outputs[0] if node.outputs else ''}"].append(node.ref)
        self._shared: set[str] = set()
        self._strange: set[str] = set()

    def refs(self, origins: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(ref for origin in origins for ref in self.resolve(origin)))

    def resolve(self, origin: str) -> list[str]:
        name = origin if origin in self._named else next((n for n in _holders(origin) if n in self._named), None)
        if name is None:
            self._strange.add(origin)
            return []
        if len(self._named[name]) > 1:
            self._shared.add(name)
        return self._named[name]

    def only(self, name: str) -> str:
        """The reference of the one node that the log means, "" where there is none or several."""
        refs = self.resolve(name)
        return refs[0] if len(refs) == 1 else ""

    def warnings(self) -> list[str]:
        found = [
            f"{len(self._named[name])} nodes are named {name!r}, and the compiler's log can't tell them apart"
            for name in sorted(self._shared)
        ]
        if self._strange:
            some = ", ".join(sorted(self._strange)[:3])
            found.append(f"The compiler's log names {len(self._strange)} nodes that the model doesn't have: {some}")
        return found


def _holders(origin: str) -> list[str]:
    """The possible names of the nodes that hold an inner one, the outermost last: a name may hold " | " itself."""
    parts = origin.split(" | ")
    tails = (" | ".join(parts[first:]) for first in range(1, len(parts)))
    return [re.sub(r" \([^()]*\)$", "", tail) for tail in tails]


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
        primary = max(layers, key=lambda layer: _claim(layer, node.op_type))  # the first of equals
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


def _claim(layer: Layer, op_type: str) -> tuple[bool, bool, bool, bool, bool]:
    """How good a claim a layer has to do the arithmetic of a node that it names; the greatest wins."""
    listed = mnemonics(layer)
    return (
        op_type in CONTRACTIONS and contracts(layer),
        _MNEMONICS.get(op_type, op_type[:4].capitalize()) in listed,
        layer.kind not in _GENERATED_KINDS | _CONTROL_KINDS,
        computes(layer),
        layer.kind not in _CONTROL_KINDS,
    )


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
