"""What differs between two nodes that are the same one, and between the tensors that they read and make."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

import onnx
from onnx import AttributeProto, NodeProto

from graftwerk.backend.compare.align import Alignment
from graftwerk.backend.compare.labels import attribute_label, sample
from graftwerk.backend.compare.result import Change, Magnitude, NodeDifference
from graftwerk.backend.compare.weights import arrays_magnitude
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import BODY_TYPES, Graph, NodeId, captures
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType

#: Characters of a value that are shown.
_SHOWN = 80


class Nodes:
    """Compares the nodes of two aligned graphs. `weights` are the pairs of weights, by their readers."""

    def __init__(self, before: Graph, after: Graph, alignment: Alignment, names: bool = True) -> None:
        self.before, self.after, self._names = before, after, names
        self.pairs, self._placed = alignment.nodes, alignment.placed
        self._inputs = alignment.inputs
        self._back = {new: old for old, new in alignment.nodes.items()}
        self.weights = self._pair_weights()

    def differences(self) -> tuple[NodeDifference, ...]:
        """In the order of the newer graph; what is gone stands behind its producer's place, at the end else."""
        moved = out_of_order([(node, self.pairs[node]) for node in self.before.nodes if node in self.pairs], self.after)
        found = []
        for node, record in self.after.nodes.items():
            old = self._back.get(node)
            if old is None:
                found.append(NodeDifference(("added",), record.op_type, "", self.after.ref(node), (), None, node))
            else:
                changes = tuple(self._changes(old, node, old in moved))
                if changes:
                    kinds = tuple(kind for kind in ("changed", "moved", "renamed") if kind in {c.kind for c in changes})
                    refs = self.before.ref(old), self.after.ref(node)
                    found.append(NodeDifference(kinds, record.op_type, *refs, changes, old, node))
        found += [
            NodeDifference(("removed",), record.op_type, self.before.ref(node), "", (), node, None)
            for node, record in self.before.nodes.items()
            if node not in self.pairs
        ]
        return tuple(found)

    # One pair

    def _changes(self, node: NodeId, other: NodeId, moved: bool) -> Iterator[Change]:
        old, new = self.before.nodes[node], self.after.nodes[other]
        rewired = list(self._wiring(old, new))
        if node in self._placed:
            yield Change("moved", "place", _place(self.before, old), _place(self.after, new))
        if moved and node not in self._placed:
            yield Change("moved", "order in the file")
        yield from rewired
        if old is new:
            return
        if (old.op_type, old.domain) != (new.op_type, new.domain):
            yield Change("changed", "operator", _operator(old), _operator(new))
        yield from _attributes(old, new)
        yield from self._outputs(old, new)
        if self._names and old.name != new.name:
            yield Change("renamed", "name", old.name, new.name)
        if old.doc_string != new.doc_string:
            yield Change("changed", "documentation", _short(old.doc_string), _short(new.doc_string))
        if old.overload != new.overload:
            yield Change("changed", "overload", old.overload, new.overload)
        yield from _metadata(old, new)

    def _wiring(self, old: NodeProto, new: NodeProto) -> Iterator[Change]:
        for slot in range(max(len(old.input), len(new.input))):
            mine = old.input[slot] if slot < len(old.input) else ""
            its = new.input[slot] if slot < len(new.input) else ""
            if not self._same_tensor(mine, its):
                yield Change("changed", f"input {slot}", self._source(self.before, mine), self._source(self.after, its))
        inner, its_inner = _captured(old), _captured(new)
        for mine, its in zip(inner, its_inner, strict=False):
            if not self._same_tensor(mine, its):
                before, after = self._source(self.before, mine), self._source(self.after, its)
                yield Change("changed", "a tensor that its body reads", before, after)

    def _same_tensor(self, mine: str, its: str) -> bool:
        if not mine or not its:
            return mine == its
        made, its_made = self.before.producer(mine), self.after.producer(its)
        if made is not None:
            if its_made is None or self.pairs.get(made) != its_made:
                return False
            return _slot(self.before, made, mine) == _slot(self.after, its_made, its)
        if mine in self.before.initializers:
            return self.weights.get(mine) == its
        if self.before.is_input(mine):
            return self._inputs.get(mine) == its
        return mine == its  # inner names, and sparse weights

    def _source(self, graph: Graph, tensor: str) -> str:
        made = graph.producer(tensor)
        if made is None:
            return tensor
        return f"{tensor} of {graph.nodes[made].op_type}"

    def _outputs(self, old: NodeProto, new: NodeProto) -> Iterator[Change]:
        if len(old.output) != len(new.output):
            yield Change("changed", "outputs", str(len(old.output)), str(len(new.output)))
        for slot, (mine, its) in enumerate(zip(old.output, new.output, strict=False)):
            if self._names and mine != its:
                yield Change("renamed", f"output {slot}", mine, its)
            declared, its_declared = self.before.value_infos.get(mine), self.after.value_infos.get(its)
            if declared is not None and its_declared is not None and declared is not its_declared:
                one, other = TensorType.of(declared.type), TensorType.of(its_declared.type)
                if one != other:
                    yield Change("changed", f"declared type of output {slot}", str(one), str(other))

    # Weights

    def _pair_weights(self) -> dict[str, str]:
        """Weights that stand at the same place: those of one name first, and what nobody reads by name.

        Two weights that are on both sides under their names, with the same values, stay themselves: they were swapped.
        """
        found: dict[str, str] = {}
        taken: set[str] = set()
        old, new = self.before.initializers, self.after.initializers
        places = [
            (mine, its)
            for node, other in self.pairs.items()
            for mine, its in zip(self.before.nodes[node].input, self.after.nodes[other].input, strict=False)
            if mine in old and its in new
        ]
        for same in (True, False):
            for mine, its in places:
                if (mine == its) is same and mine not in found and its not in taken:
                    if mine != its and mine in new and sample(old[mine]) == sample(new[mine]):
                        its = mine
                    if its in taken:
                        continue
                    found[mine] = its
                    taken.add(its)
        for name in old:
            if name in new and name not in found and name not in taken:
                found[name] = name
                taken.add(name)
        return found


def _operator(record: NodeProto) -> str:
    return f"{record.domain}::{record.op_type}" if record.domain else record.op_type


def _place(graph: Graph, record: NodeProto) -> str:
    made = next((graph.producer(tensor) for tensor in record.input if graph.producer(tensor) is not None), None)
    return f"behind {graph.ref(made)}" if made is not None else "at the beginning"


def _slot(graph: Graph, node: NodeId, tensor: str) -> int:
    outputs = graph.nodes[node].output
    return 0 if len(outputs) == 1 else list(outputs).index(tensor)


def _captured(record: NodeProto) -> list[str]:
    return [name for one in record.attribute if one.type == AttributeProto.GRAPH for name in sorted(captures(one.g))]


def _metadata(old: NodeProto, new: NodeProto) -> Iterator[Change]:
    mine = {entry.key: entry.value for entry in old.metadata_props}
    its = {entry.key: entry.value for entry in new.metadata_props}
    for key in dict.fromkeys([*mine, *its]):
        if mine.get(key) != its.get(key):
            yield Change("changed", f"metadata {key}", _short(mine.get(key, "")), _short(its.get(key, "")))


def _attributes(old: NodeProto, new: NodeProto) -> Iterator[Change]:
    mine, its = ({one.name: one for one in record.attribute} for record in (old, new))
    for name in dict.fromkeys([*mine, *its]):
        if name not in mine:
            yield Change("changed", f"attribute {name}", "", attribute_text(its[name]))
        elif name not in its:
            yield Change("changed", f"attribute {name}", attribute_text(mine[name]), "")
        elif mine[name] != its[name] and attribute_label(mine[name]) != attribute_label(its[name]):
            texts = attribute_text(mine[name]), attribute_text(its[name])
            what = "body" if mine[name].type in BODY_TYPES else "attribute"
            yield Change("changed", f"{what} {name}", *texts, _distance(mine[name], its[name]))


def _distance(mine: AttributeProto, its: AttributeProto) -> Magnitude | None:
    """How far tensors in attributes are apart, where they are of one shape and at hand."""
    if mine.type != AttributeProto.TENSOR or its.type != AttributeProto.TENSOR or mine.t.dims != its.t.dims:
        return None
    try:
        return arrays_magnitude(Initializer(mine.t).array(), Initializer(its.t).array())
    except Fault:
        return None  # the texts say what the records are


def attribute_text(attribute: AttributeProto) -> str:
    """The value of an attribute, short enough for a line."""
    kind = attribute.type
    if kind == AttributeProto.TENSOR:
        head = str(TensorType(attribute.t.data_type, tuple(attribute.t.dims)))
        weight = Initializer(attribute.t)
        if weight.size > 8:
            return head
        try:
            return f"{head} {weight.array().tolist()}"
        except Fault:
            return head
    if kind == AttributeProto.GRAPH:
        return f"{len(attribute.g.node)} nodes"
    if kind == AttributeProto.GRAPHS:
        return ", ".join(f"{len(body.node)} nodes" for body in attribute.graphs)
    if kind in (AttributeProto.TENSORS, AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS,
                AttributeProto.TYPE_PROTO, AttributeProto.TYPE_PROTOS):  # fmt: skip
        return str(AttributeProto.AttributeType.Name(kind)).lower().replace("_", " ")
    if attribute.ref_attr_name:
        return f"that of the function: {attribute.ref_attr_name}"
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return _short(value.decode("utf-8", "replace"))
    if kind == AttributeProto.STRINGS:
        return _short(str([one.decode("utf-8", "replace") for one in value]))
    if kind in (AttributeProto.FLOAT, AttributeProto.FLOATS):
        numbers = [value] if kind == AttributeProto.FLOAT else value
        texts = [f"{number:.9g}" for number in numbers]
        return texts[0] if kind == AttributeProto.FLOAT else _short(f"[{', '.join(texts)}]")
    return _short(str(list(value)) if kind == AttributeProto.INTS else str(value))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def out_of_order(pairs: list[tuple[NodeId, NodeId]], after: Graph) -> frozenset[NodeId]:
    """The fewest first nodes that have to move to bring the pairs into the second graph's order: all that are not in a
    longest increasing subsequence of the places."""
    place: Mapping[NodeId, int] = {node: number for number, node in enumerate(after.nodes)}
    ends: list[int] = []
    at: list[int] = []
    behind: list[int] = [-1] * len(pairs)
    for number, (_, other) in enumerate(pairs):
        where = bisect_left(ends, place[other])
        if where == len(ends):
            ends.append(place[other])
            at.append(number)
        else:
            ends[where], at[where] = place[other], number
        behind[number] = at[where - 1] if where else -1
    kept = set()
    number = at[-1] if at else -1
    while number >= 0:
        kept.add(number)
        number = behind[number]
    return frozenset(node for number, (node, _) in enumerate(pairs) if number not in kept)
