"""Which node is computed in which float: what was asked, what has to stay and why, and the rest as is cheapest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.constants import stored
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, reads
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.backend.precision.casts import Rewriting
from graftwerk.backend.precision.ports import (
    MOVING,
    PRECISIONS,
    float_of,
    index_nodes,
    is_float_cast,
    ports,
    precision_of,
)
from graftwerk.backend.precision.settle import settle
from graftwerk.backend.precision.weights import vanishes

#: Left in FP32 by a mixed retype: sums over many values, and functions that are steep. The operators that PyTorch's
#: autocast runs in FP32 (torch.amp, "CUDA Ops that can autocast to float32"), as ONNX calls them.
SENSITIVE = frozenset({
    "Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization",
    "LpNormalization", "MeanVarianceNormalization", "Exp", "Log", "Pow", "Sqrt", "Reciprocal", "ReduceMean",
    "ReduceSum", "ReduceSumSquare", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "CumSum",
    "Softplus", "Acos", "Asin", "Cosh", "Sinh", "Tan", "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss",
})  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """`labels` give a datatype to every node that has a choice; `kept` says why nodes were not given what was asked."""

    labels: dict[NodeId, int]
    kept: dict[NodeId, Reason]
    inputs: dict[str, int]
    outputs: dict[str, int]

    def write(self, edit: Edit, graph: Graph | None = None) -> None:
        """Does it; `graph` is what the edit stands at, if that is no more its base."""
        Rewriting(edit, self.labels, self.inputs, self.outputs, graph).write()


@dataclass(frozen=True)
class Wish:
    """What a retype is asked: the datatype, and what keeps its own."""

    dtype: int
    mixed: bool = False
    only: frozenset[NodeId] | None = None
    keep: frozenset[NodeId] = frozenset()
    keep_ops: frozenset[str] = frozenset()
    keep_scopes: tuple[str, ...] = ()
    keep_tensors: frozenset[str] = frozenset()
    convert_interface: bool = False


def retype_plan(graph: Graph, wish: Wish) -> Plan:
    """The plan of a retype. Reads only small constants."""
    kept: dict[NodeId, Reason] = {}
    labels: dict[NodeId, int] = {}
    free: set[NodeId] = set()
    indices = index_nodes(graph)
    for node, record in graph.nodes.items():
        if is_float_cast(graph, record):
            continue
        found = ports(graph, node, wish.dtype)
        if found is None:
            continue
        reason = found if isinstance(found, Reason) else _stays(graph, node, wish, indices)
        if isinstance(found, Reason):
            kept[node] = found
        elif reason is not None:
            kept[node] = reason
            if isinstance(ports(graph, node, PRECISIONS["FP32"]), Reason):
                continue
            labels[node] = _kept_as(graph, node, wish)
        elif wish.only is not None and node not in wish.only:
            labels[node] = precision_of(graph, node)
        elif record.op_type in MOVING and (wish.only is None or node not in wish.only):
            labels[node] = wish.dtype
            free.add(node)
        else:
            labels[node] = wish.dtype
    inputs, outputs = _interface(graph, wish)
    return settled(graph, labels, free, kept, inputs, outputs)


def settled(
    graph: Graph, labels: dict[NodeId, int], free: set[NodeId], kept: dict[NodeId, Reason],
    inputs: Mapping[str, int], outputs: Mapping[str, int],
) -> Plan:  # fmt: skip
    """A plan in which free nodes have the precision that needs the fewest casts."""
    wires = Rewriting(Edit(graph), labels, inputs, outputs).wires()
    fixed = {node: dtype for node, dtype in labels.items() if node not in free}
    found = settle(wires, fixed, free)
    return Plan({**labels, **found}, kept, dict(inputs), dict(outputs))


def _kept_as(graph: Graph, node: NodeId, wish: Wish) -> int:
    """What is kept from one float stays in the larger one: FP32, unless it is something smaller already."""
    now = precision_of(graph, node)
    return now if now and now != wish.dtype else PRECISIONS["FP32"]


def _stays(graph: Graph, node: NodeId, wish: Wish, indices: Iterable[NodeId]) -> Reason | None:
    record = graph.nodes[node]
    if node in wish.keep:
        return Reason("It is in the list of nodes to keep")
    if record.op_type in wish.keep_ops:
        return Reason(f"{record.op_type} is in the list of operators to keep")
    if wish.keep_scopes:
        scope = "/".join(scope_of(record))
        found = next((each for each in wish.keep_scopes if _under(scope, each)), None)
        if found is not None:
            return Reason(f"It is in the scope {found}, which is kept")
    if wish.only is not None and node not in wish.only:
        return None
    if node in indices:
        return Reason("It computes sizes or indices, which have to be exact")
    if wish.mixed and record.op_type in SENSITIVE:
        return Reason(f"{record.op_type} loses most in a small float; mixed keeps it")
    touched = next((name for name in (*record.output, *reads(record)) if name in wish.keep_tensors), None)
    if touched is not None:
        return Reason(f"{touched} is out of range: it is made and read in FP32")
    return _vanishing(graph, node, wish.dtype)


def _vanishing(graph: Graph, node: NodeId, dtype: int) -> Reason | None:
    for name in graph.nodes[node].input:
        weight = stored(graph, name) if name and float_of(graph, name) else None
        if weight is not None and vanishes(weight, dtype):
            return Reason(f"The constant {name} would become zero")
    return None


def _under(scope: str, wanted: str) -> bool:
    wanted = wanted.strip("/")
    return scope == wanted or scope.startswith(f"{wanted}/")


def _interface(graph: Graph, wish: Wish) -> tuple[dict[str, int], dict[str, int]]:
    if not wish.convert_interface:
        return {}, {}
    inputs = {
        info.name: wish.dtype for info in graph.inputs
        if float_of(graph, info.name) and info.name not in graph.initializers and info.name not in wish.keep_tensors
    }  # fmt: skip
    outputs = {
        info.name: wish.dtype for info in graph.outputs
        if float_of(graph, info.name) and info.name not in wish.keep_tensors and graph.producer(info.name) is not None
        and not graph.is_input(info.name)
    }  # fmt: skip
    return inputs, outputs
