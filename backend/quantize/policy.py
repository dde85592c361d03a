"""Where Q/DQ pairs go in a whole model: rules with names and sources, each of which can be switched off.

The rules are those of TensorRT's developer guide ("Working with Quantized Types", its recommendations for placing Q/DQ
layers), in our words. A plan says which tensors get a pair, for which readers, by which rule, and what is left in float
and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.quantize.commute import why_not_across
from graftwerk.backend.quantize.forecast import ACTIVATIONS, is_first
from graftwerk.backend.quantize.insertion import existing, why_not
from graftwerk.backend.quantize.pairs import DEQUANTIZE, QUANTIZE
from graftwerk.backend.quantize.scales import COMPUTE, QuantizedType, channel_axis, weight


@dataclass(frozen=True)
class Rule:
    """A rule by its switch in `Policy`, what it does and why, and where that is said or was measured."""

    id: str
    title: str
    doc: str
    source: str


_GUIDE = "TensorRT developer guide, Working with Quantized Types"
_PLACEMENT = f"{_GUIDE}: Q/DQ Layer-Placement Recommendations"
_H200 = "TensorRT 8.6.0 on an H200, ResNet-50 at batch 32"
RULES = (
    Rule(
        "weights", "Inputs and weights of linear layers",
        "Conv, ConvTranspose, Gemm and MatMul compute in INT8 where both factors are quantized: the activation with "
        "one scale, the weight with one for each output channel. The bias stays in float.",
        f"{_PLACEMENT} (quantize all inputs of weighted operations); weights per channel: {_GUIDE}",
    ),
    Rule(
        "attention", "Products of two activations",
        "The batched products of attention read a softmax and projections, which lose more than weights do.",
        f"{_PLACEMENT} (quantize all inputs); left off by default as a matter of accuracy",
    ),
    Rule(
        "residual", "The other branch of a residual Add",
        "An Add fuses into the convolution before it, in INT8, if what it adds is quantized as well. Left in float, "
        "that branch costs conversions and the Add a kernel: 18 reformats in ResNet-50 (TensorRT 8.6, H200).",
        f"{_PLACEMENT} (quantize the residual input in skip connections); {_H200}: 1.44 ms, quantized 0.91 ms",
    ),
    Rule(
        "share", "One scale for what meets in a Concat",
        "A Concat is computed in INT8 without a conversion where all of its inputs have the same scale, the largest "
        "of theirs; with scales of their own each input is requantized.",
        f"{_GUIDE}: Processing of Q/DQ Networks (scales at a Concat)",
    ),
    Rule(
        "above", "Above what only moves values",
        "MaxPool, Reshape, Transpose, Slice and their like give the same in INT8: a pair above them lets them move a "
        "quarter of the bytes. Only where all that reads them is quantized, and not above a MaxPool that the first "
        "convolution takes in.",
        f"{_GUIDE}: Processing of Q/DQ Networks (Q/DQ commute with MaxPool and data movement); {_H200}: the first pool",
    ),
)  # fmt: skip


#: What passes quantization and fuses into the node before it: a pair stays behind it. A Concat has a rule of its own.
_FUSED = ("Relu", "Clip", "Concat")


@dataclass(frozen=True)
class Policy:
    """Which rules hold and what stays in float. `smallest` is the least number of input and output channels of a layer
    that is quantized; `scopes`, where any are given, are all that is."""

    dtype: QuantizedType = "int8"
    attention: bool = False
    residual: bool = True
    share: bool = True
    above: bool = True
    skip_first: bool = False
    skip_last: bool = False
    smallest: int = 0
    keep: frozenset[NodeId] = frozenset()
    keep_ops: frozenset[str] = frozenset()
    keep_scopes: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


@dataclass
class Placement:
    """A pair on a tensor for some of its readers. Tensors of one `group` get one scale."""

    tensor: str
    readers: list[NodeId]
    rule: str
    group: str = ""


@dataclass
class Plan:
    """What a policy makes of a graph. `layers` are computed in INT8 by it, `left` stay in float."""

    placements: dict[str, Placement] = field(default_factory=dict)
    layers: list[NodeId] = field(default_factory=list)
    left: list[tuple[NodeId, Reason]] = field(default_factory=list)

    def add(self, tensor: str, readers: Iterable[NodeId], rule: str) -> None:
        found = self.placements.setdefault(tensor, Placement(tensor, [], rule))
        found.readers += [node for node in readers if node not in found.readers]


def plan(graph: Graph, policy: Policy) -> Plan:
    """The placements of a policy; tensors that have a pair already are left alone. One pass over the nodes a rule."""
    made = Plan()
    candidates = list(_layers(graph, policy))
    for node in candidates:
        reason = _why_left(graph, node, policy, candidates)
        if reason is None:
            made.layers.append(node)
        else:
            made.left.append((node, reason))
    for node in made.layers:
        for tensor in _open_factors(graph, node):
            made.add(tensor, [node], "attention" if _weightless(graph, node) else "weights")
    if policy.residual:
        _residual(graph, policy, made)
    if policy.above:
        _above(graph, policy, made)
    if policy.share:
        _share(graph, policy, made)
        if policy.above:
            _above(graph, policy, made)
    return made


def _layers(graph: Graph, policy: Policy) -> Iterator[NodeId]:
    for node, record in graph.nodes.items():
        linear = record.op_type in COMPUTE and record.domain in ("", "ai.onnx")
        if linear and (policy.attention or not _weightless(graph, node)):
            yield node


def _weightless(graph: Graph, node: NodeId) -> bool:
    """Whether both factors are activations."""
    record = graph.nodes[node]
    return all(weight(graph, _behind(graph, record.input[at])) is None for at in COMPUTE[record.op_type])


def _behind(graph: Graph, tensor: str) -> str:
    """What a pair on the way quantizes; the tensor itself where there is none."""
    made = graph.producer(tensor)
    if made is None or graph.nodes[made].op_type != DEQUANTIZE:
        return tensor
    quantized = graph.nodes[made].input[0]
    before = graph.producer(quantized)
    if before is not None and graph.nodes[before].op_type == QUANTIZE:
        quantized = graph.nodes[before].input[0]
    return str(quantized)


def _open_factors(graph: Graph, node: NodeId) -> list[str]:
    """The factors that are in float."""
    record = graph.nodes[node]
    names = dict.fromkeys(record.input[at] for at in COMPUTE[record.op_type])
    return [name for name in names if not _dequantized(graph, name)]


def _dequantized(graph: Graph, tensor: str) -> bool:
    made = graph.producer(tensor)
    return made is not None and graph.nodes[made].op_type == DEQUANTIZE


def _why_left(graph: Graph, node: NodeId, policy: Policy, candidates: list[NodeId]) -> Reason | None:
    record = graph.nodes[node]
    if node in policy.keep or record.op_type in policy.keep_ops:
        return Reason("It is kept in float")
    scope = "/" + "/".join(scope_of(record)) + "/"
    if any(f"/{name.strip('/')}/" in scope for name in policy.keep_scopes):
        return Reason("Its scope is kept in float")
    if policy.scopes and not any(f"/{name.strip('/')}/" in scope for name in policy.scopes):
        return Reason("It is in none of the scopes that are quantized")
    if policy.skip_first and node == candidates[0]:
        return Reason("The first layer is kept in float")
    if policy.skip_last and node == candidates[-1]:
        return Reason("The last layer is kept in float")
    few = _few_channels(graph, node, policy.smallest)
    if few:
        return Reason(f"It has {few} channels")
    for tensor in _open_factors(graph, node):
        reason = why_not(graph, tensor, policy.dtype)
        if reason is not None:
            return reason
    return None


def _few_channels(graph: Graph, node: NodeId, least: int) -> int:
    """The smaller of a layer's numbers of input and output channels where it is below a limit, else 0."""
    record = graph.nodes[node]
    if least < 1:
        return 0
    for at in COMPUTE[record.op_type]:
        name = _behind(graph, record.input[at])
        found = weight(graph, name)
        if found is not None and len(found.dims) >= 2:
            axis = channel_axis(record, name, len(found.dims))
            outputs = found.dims[axis] if axis is not None else least
            inputs = found.dims[1 - axis] if axis in (0, 1) else found.dims[-2]
            return min(outputs, inputs) if min(outputs, inputs) < least else 0
    return 0


def _residual(graph: Graph, policy: Policy, made: Plan) -> None:
    """Quantizes what an Add reads beside the convolution that it fuses into."""
    layers = {graph.nodes[node].output[0]: node for node in made.layers}
    for node, record in graph.nodes.items():
        if record.op_type != "Add" or record.domain not in ("", "ai.onnx") or len(set(record.input)) != 2:
            continue
        fused = [name for name in record.input if name in layers and graph.consumers(name) == (node,)]
        fused = [name for name in fused if graph.nodes[layers[name]].op_type in ("Conv", "ConvTranspose")]
        if not fused:
            continue
        main = fused[0] if len(fused) == 1 else min(fused, key=lambda name: _shared_input(graph, layers[name]))
        other = next(name for name in record.input if name != main)
        if _can_have_one(graph, other, policy):
            made.add(other, [node], "residual")


def _can_have_one(graph: Graph, tensor: str, policy: Policy) -> bool:
    """Whether a pair can be put on a tensor that is an activation in float."""
    activation = weight(graph, tensor) is None and not _dequantized(graph, tensor)
    return activation and why_not(graph, tensor, policy.dtype) is None


def _shared_input(graph: Graph, node: NodeId) -> int:
    """1 for a convolution on a shortcut: others read its input too."""
    return int(len(graph.consumers(_behind(graph, graph.nodes[node].input[0]))) > 1)


def _above(graph: Graph, policy: Policy, made: Plan) -> None:
    """Moves placements above nodes that only move values, as long as all that reads these is quantized."""
    waiting = list(made.placements)
    while waiting:
        tensor = waiting.pop()
        placement = made.placements.get(tensor)
        node = graph.producer(tensor)
        if placement is None or node is None or placement.group or not _all_readers(graph, placement):
            continue
        record = graph.nodes[node]
        if record.op_type in _FUSED or why_not_across(graph, record) is not None or _pooled(graph, node):
            continue
        source = record.input[0]
        if not _can_have_one(graph, source, policy):
            continue
        del made.placements[tensor]
        made.add(source, [node], "above")
        waiting.append(source)


def _pooled(graph: Graph, node: NodeId) -> bool:
    """Whether a MaxPool is taken in by the first convolution, with the activation between them."""
    made = graph.producer(graph.nodes[node].input[0])
    if graph.nodes[node].op_type != "MaxPool" or made is None:
        return False
    return graph.nodes[made].op_type in ACTIVATIONS and is_first(graph, made)


def _all_readers(graph: Graph, placement: Placement) -> bool:
    """Whether nothing reads the tensor in float."""
    tensor = placement.tensor
    return not graph.is_output(tensor) and set(graph.consumers(tensor)) == set(placement.readers)


def _share(graph: Graph, policy: Policy, made: Plan) -> None:
    """Puts the pair behind a Concat on each of its inputs instead, with one scale."""
    for tensor in list(made.placements):
        placement = made.placements[tensor]
        node = graph.producer(tensor)
        if node is None or graph.nodes[node].op_type != "Concat" or not _all_readers(graph, placement):
            continue
        inputs = list(dict.fromkeys(graph.nodes[node].input))
        if not all(_can_have_one(graph, name, policy) and existing(graph, name) is None for name in inputs):
            continue
        del made.placements[tensor]
        for name in inputs:
            made.add(name, [node], "share")
            made.placements[name].group = _joined(made, name, graph.ref(node))


def _joined(made: Plan, tensor: str, group: str) -> str:
    """The group of a tensor; two groups that it is in become one."""
    before = made.placements[tensor].group
    if before and before != group:
        for placement in made.placements.values():
            if placement.group == before:
                placement.group = group
    return group
