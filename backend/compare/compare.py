"""All differences of two models or revisions: aligned by structure, then compared piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from onnx import FunctionProto, GraphProto, ModelProto, ValueInfoProto

from graftwerk.backend.compare.align import Alignment, align
from graftwerk.backend.compare.labels import body_label
from graftwerk.backend.compare.nodes import Nodes
from graftwerk.backend.compare.result import Change, Comparison, WeightDifference
from graftwerk.backend.compare.weights import magnitude, type_changes
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.types import TensorType

#: Told how many weights have been compared, of how many; returns False to stop there.
Progress = Callable[[int, int], bool]


def compare(
    before: Graph, after: Graph, *, weights: bool = True, names: bool = True, progress: Progress | None = None
) -> Comparison:
    """What leads from one model to another.

    Without `weights`, their values are not read, only datatype and shape compared (the alignment reads a sample of
    each all the same); without `names`, what only is called otherwise counts as the same. Reads weights a piece at a
    time; those that can't be read are listed in `unread`.
    """
    alignment = align(before, after)
    nodes = Nodes(before, after, alignment, names)
    found = Comparison(
        nodes.differences(),
        tuple(_weights(before, after, nodes.weights, names)),
        tuple(_model(before, after, alignment, names)),
        alignment.nodes,
        nodes.weights,
    )
    return with_values(found, before, after, progress) if weights else found


def with_values(found: Comparison, before: Graph, after: Graph, progress: Progress | None = None) -> Comparison:
    """The comparison with the values of the weights compared too. Where `progress` stops it, it is as it was."""
    known = {weight.name: weight for weight in found.weights}
    unread: dict[str, str] = {}
    readers = _Readers(after)
    for number, (old, new) in enumerate(found.weight_pairs.items()):
        if progress is not None and not progress(number, len(found.weight_pairs)):
            return found
        try:
            distance = magnitude(before.initializers[old], after.initializers[new])
        except Fault as fault:
            unread[new] = str(fault)
            continue
        if distance is not None:
            change = Change("changed", "values", magnitude=distance)
            had = known.get(new)
            changes = (*had.changes, change) if had is not None else (change,)
            kinds = _kinds(changes)
            known[new] = WeightDifference(kinds, old, new, changes, readers.of(new))
    return replace(found, weights=tuple(known.values()), weights_compared=True, unread=unread)


class _Readers:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def of(self, tensor: str) -> tuple[str, ...]:
        return tuple(self._graph.ref(node) for node in self._graph.consumers(tensor)[:20])


def _kinds(changes: Iterable[Change]) -> tuple[str, ...]:
    kinds = {change.kind for change in changes}
    return tuple(kind for kind in ("changed", "moved", "renamed") if kind in kinds)


def _weights(before: Graph, after: Graph, pairs: Mapping[str, str], names: bool) -> Iterator[WeightDifference]:
    old, new = before.initializers, after.initializers
    readers, gone = _Readers(after), _Readers(before)
    taken = set(pairs.values())
    for name, its in pairs.items():
        changes = type_changes(old[name], new[its])
        if names and name != its:
            changes.append(Change("renamed", "name", name, its))
        if changes:
            yield WeightDifference(_kinds(changes), name, its, tuple(changes), readers.of(its))
    for name, weight in new.items():
        if name not in taken:
            kind = str(TensorType(weight.dtype, weight.dims))
            yield WeightDifference(("added",), "", name, (Change("added", "type", "", kind),), readers.of(name))
    for name, weight in old.items():
        if name not in pairs:
            kind = str(TensorType(weight.dtype, weight.dims))
            yield WeightDifference(("removed",), name, "", (Change("removed", "type", kind, ""),), gone.of(name))


def _model(before: Graph, after: Graph, alignment: Alignment, names: bool) -> Iterator[Change]:
    yield from _infos("input", before.inputs, after.inputs, alignment.inputs, names)
    yield from _infos("output", before.outputs, after.outputs, alignment.outputs, names)
    yield from _wired_outputs(before, after, alignment)
    old, new = before.model, after.model
    for header in ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string"):
        yield from _values(header.replace("_", " "), getattr(old, header), getattr(new, header))
    yield from _table("operator set", _opsets(old), _opsets(new))
    yield from _table("metadata", _entries(old.metadata_props), _entries(new.metadata_props))
    if names:
        yield from _values("graph name", before.skeleton.name, after.skeleton.name)
    yield from _values("graph documentation", before.skeleton.doc_string, after.skeleton.doc_string)
    yield from _table("graph metadata", _entries(before.skeleton.metadata_props),
                      _entries(after.skeleton.metadata_props))
    yield from _functions(before, after)
    yield from _rest(before.skeleton, after.skeleton)


def _infos(
    what: str, before: Iterable[ValueInfoProto], after: Iterable[ValueInfoProto], pairs: Mapping[str, str], names: bool
) -> Iterator[Change]:
    old, new = ({info.name: info for info in infos} for infos in (before, after))
    taken = set(pairs.values())
    for name, its in pairs.items():
        if names and name != its:
            yield Change("renamed", f"{what} {its}", name, its)
        one, other = TensorType.of(old[name].type), TensorType.of(new[its].type)
        if one != other:
            yield Change("changed", f"{what} {its}", str(one), str(other))
        elif one.kind != "tensor" and old[name].type != new[its].type:
            yield Change("changed", f"{what} {its}", "", f"another {one.kind}")
    for name, info in new.items():
        if name not in taken:
            yield Change("added", f"{what} {name}", "", str(TensorType.of(info.type)))
    for name, info in old.items():
        if name not in pairs:
            yield Change("removed", f"{what} {name}", str(TensorType.of(info.type)), "")
    order = [pairs[name] for name in old if name in pairs]
    if order != [name for name in new if name in taken]:
        yield Change("moved", f"order of the {what}s", ", ".join(pairs), ", ".join(new))


def _wired_outputs(before: Graph, after: Graph, alignment: Alignment) -> Iterator[Change]:
    """Outputs that other nodes make now."""
    for name, its in alignment.outputs.items():
        made, its_made = before.producer(name), after.producer(its)
        if (alignment.nodes.get(made) if made is not None else None) != its_made:
            yield Change("changed", f"output {its}", _maker(before, made), _maker(after, its_made))


def _maker(graph: Graph, node: NodeId | None) -> str:
    return f"made by {graph.ref(node)}" if node is not None else "passed through"


def _functions(before: Graph, after: Graph) -> Iterator[Change]:
    old, new = ({_function_name(one): one for one in graph.functions} for graph in (before, after))
    for name, function in new.items():
        if name not in old:
            yield Change("added", f"function {name}", "", f"{len(function.node)} nodes")
        elif function is not old[name] and _function_label(old[name]) != _function_label(function):
            nodes = f"{len(old[name].node)} nodes", f"{len(function.node)} nodes"
            yield Change("changed", f"function {name}", *(nodes if nodes[0] != nodes[1] else ("", "another body")))
    for name, function in old.items():
        if name not in new:
            yield Change("removed", f"function {name}", f"{len(function.node)} nodes", "")


def _function_name(function: FunctionProto) -> str:
    return f"{function.domain}::{function.name}" + (f":{function.overload}" if function.overload else "")


def _function_label(function: FunctionProto) -> tuple[object, ...]:
    body = GraphProto(node=function.node, input=[ValueInfoProto(name=name) for name in function.input],
                      output=[ValueInfoProto(name=name) for name in function.output])  # fmt: skip
    opsets = tuple(sorted((entry.domain, entry.version) for entry in function.opset_import))
    return body_label(body), opsets, tuple(function.attribute), len(function.attribute_proto)


def _opsets(model: ModelProto) -> dict[str, str]:
    return {entry.domain or "ai.onnx": str(entry.version) for entry in model.opset_import}


def _entries(entries: Iterable[object]) -> dict[str, str]:
    return {entry.key: entry.value for entry in entries}  # type: ignore[attr-defined]


def _table(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            kind = "added" if name not in old else "removed" if name not in new else "changed"
            yield Change(kind, f"{what} {name}", old.get(name, ""), new.get(name, ""))


def _values(what: str, old: object, new: object) -> Iterator[Change]:
    if old != new:
        yield Change("changed", what, str(old or ""), str(new or ""))


def _rest(old: GraphProto, new: GraphProto) -> Iterator[Change]:
    """What else a graph can hold."""
    for part in ("sparse_initializer", "quantization_annotation"):
        mine, its = list(getattr(old, part)), list(getattr(new, part))
        if mine != its:
            yield Change("changed", part.replace("_", " "), str(len(mine)), str(len(its)))
