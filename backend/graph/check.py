"""What makes a graph unusable (a Fault) and what is only doubtful (a Problem): one pass at opening."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import NodeProto, OperatorSetIdProto

from graftwerk.backend.fault import PUT_BACK, Fault, Reason
from graftwerk.backend.graph.graph import Graph, NodeId, Problem
from graftwerk.backend.graph.index import Index, ordered, topological
from graftwerk.backend.graph.schema import no_operator
from graftwerk.backend.graph.tensors import Initializer

_STANDARD = ("", "ai.onnx")
#: What makes the outputs of a new model until nodes do.
PLACEHOLDER, PLACEHOLDER_DOMAIN = "Placeholder", "graftwerk"
TO_CONNECT = "Connect its inputs: drag from an output to it, or Edit › Rewire input (node.rewire)"
TO_BUILD = "Build what makes the outputs, mark its tensors as outputs, unmark these, and remove what is unused"
UNORDERED = "The nodes are not in topological order"


def check(graph: Graph) -> tuple[Problem, ...]:
    """Problems of a graph that can be worked on.

    Raises Fault for what can't: a tensor that nothing makes, a cycle, an operator set that the installed onnx does
    not know.
    """
    _check_opset(graph)
    _check_tensors(graph)
    found = list(graph.problems)
    if not ordered(graph, graph.nodes):
        index = Index(graph.producers, graph.users, graph.names, graph.holders)
        topological(graph.nodes, index, list(graph.nodes))
        hint = "onnx.checker refuses that; an edit of these nodes puts them in order"
        found.append(Problem(UNORDERED, hint=hint))
    if not 1 <= graph.model.ir_version <= onnx.IR_VERSION:
        message = f"IR version {graph.model.ir_version} is not known; the installed onnx {onnx.__version__} knows up to"
        found.append(Problem(f"{message} {onnx.IR_VERSION}", "ir_version", "onnx and ONNX Runtime refuse it", "error"))
    found.extend(_weights(graph))
    found.extend(_names(graph))
    found.extend(_unknown_operators(graph))
    return tuple(found)


def incompleteness(
    opsets: Iterable[OperatorSetIdProto], nodes: Iterable[NodeProto], weights: Iterable[Initializer]
) -> Reason | None:
    """Why a model can't run, as far as it can be seen in the model itself: stripped weights, or outputs of a new model
    that nothing computes yet."""
    if any(entry.domain == PLACEHOLDER_DOMAIN for entry in opsets):
        for node in nodes:
            if (node.domain, node.op_type) == (PLACEHOLDER_DOMAIN, PLACEHOLDER):
                return Reason(f"Nothing computes {', '.join(node.output)} yet", TO_BUILD)
    return stripped_reason(weights)


def unconnected(opsets: Iterable[OperatorSetIdProto], nodes: Iterable[NodeProto]) -> Reason | None:
    """Why a model can't run that is being edited: the first node of an operator that onnx knows with an input that
    reads nothing and is not optional. (Of a file, onnx's checker says it: 50 ms at 50,000 nodes is much to open one.)
    """
    versions = {"" if entry.domain in _STANDARD else entry.domain: int(entry.version) for entry in opsets}
    known: dict[tuple[str, str], tuple[int, list[str]]] = {}
    for node in nodes:
        key = "" if node.domain in _STANDARD else node.domain, node.op_type
        if key not in known:
            known[key] = _needed(key[1], versions.get(key[0], 1), key[0])
        least, names = known[key]
        there = list(node.input)
        if len(there) < least or not all(there):
            missing = [name for at, name in enumerate(names) if name and (at >= len(there) or not there[at])]
            if missing:
                return Reason(f"{node.name or node.op_type} reads nothing at {', '.join(missing)}", TO_CONNECT)
    return None


def _needed(op_type: str, version: int, domain: str) -> tuple[int, list[str]]:
    """How many inputs an operator needs, and the names of those at each place; "" for one that may be open."""
    try:
        schema = onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        return 0, []
    options = [str(formal.option).rpartition(".")[2] for formal in schema.inputs]
    return schema.min_input, [
        formal.name if option == "Single" or at < schema.min_input else ""
        for at, (formal, option) in enumerate(zip(schema.inputs, options, strict=True))
    ]


def stripped_reason(weights: Iterable[Initializer]) -> Reason | None:
    """Why a model can't run some of whose weights were stripped."""
    names = [weight.name for weight in weights if weight.stripped is not None]
    more = f" and of {len(names) - 1} more weights" if len(names) > 1 else ""
    return Reason(f"The values of {names[0]}{more} were stripped", PUT_BACK) if names else None


def _check_opset(graph: Graph) -> None:
    version, newest = graph.opset(), onnx.defs.onnx_opset_version()
    if version is not None and version > newest:
        raise Fault(
            f"The model uses opset {version}; the installed onnx {onnx.__version__} knows opsets up to {newest}",
            "opset_import",
            "Update onnx, or export the model with an older opset",
        )
    if version is not None and version < 1:
        raise Fault(f"The model uses opset {version}; there is none below 1", "opset_import", "Export it again")
    standard = any(node.domain in _STANDARD for node in graph.nodes.values())
    if version is None and standard and graph.model.ir_version >= 3:
        raise Fault("The model names no version of the standard operator set", "opset_import", "Export it again")


def _check_tensors(graph: Graph) -> None:
    known = graph.producers.keys()  # by far the most: nothing is gained from one set of all
    others = {info.name for info in graph.inputs} | graph.initializers.keys()
    others |= {sparse.values.name for sparse in graph.skeleton.sparse_initializer}
    for tensor in graph.users:
        if tensor in known or tensor in others:
            continue
        node = graph.users[tensor][0]
        raise Fault(
            f"{graph.nodes[node].op_type} reads the tensor {tensor!r}, which nothing makes",
            graph.ref(node),
            "The file is incomplete, or a part of it was cut off",
        )
    for info in graph.outputs:
        if info.name not in known and info.name not in others:
            raise Fault("This graph output is made by nothing", info.name, "The file is incomplete")


def _weights(graph: Graph) -> Iterator[Problem]:
    for name, weight in graph.initializers.items():
        wrong = weight.wrong()
        if weight.stripped is not None and wrong is not None:
            yield Problem(wrong, name, PUT_BACK, "error")
        elif wrong is not None:
            yield Problem(wrong, name, "The file is damaged, or its data belongs to another export", "error")


def _names(graph: Graph) -> Iterator[Problem]:
    for name, owners in graph.names.items():
        if len(owners) > 1:
            yield Problem(f"{len(owners)} nodes have this name", name, "They are told apart by their outputs")
    if not graph.skeleton.name:
        yield Problem("The graph has no name", hint="onnx.checker and some tools refuse it")


def _unknown_operators(graph: Graph) -> Iterator[Problem]:
    version = graph.opset() or 1
    local = {(function.domain, function.name) for function in graph.functions}
    first: dict[tuple[str, str], NodeId] = {}
    for node, record in graph.nodes.items():
        first.setdefault((record.domain, record.op_type), node)
    for (domain, op_type), node in first.items():
        if not isinstance(domain, str) or not isinstance(op_type, str):
            raise Fault("Damaged: the name of an operator is no text", repr(op_type))
        known = domain not in _STANDARD or (domain, op_type) in local or onnx.defs.has(op_type, version, "")
        if not known:
            missing = no_operator(graph, op_type)
            yield Problem(missing.text, graph.ref(node), missing.hint)
