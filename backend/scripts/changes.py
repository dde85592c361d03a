"""What one step did to a graph, as lines of an onnx-graphsurgeon script."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto, ValueInfoProto

from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.scripts.values import Values, text_of

_WIDTH = 110


class StepWriter:
    """Writes what leads from one revision to another."""

    def __init__(self, before: Graph, after: Graph, values: Values) -> None:
        self.before, self.after, self.values = before, after, values
        old, new = before.nodes, after.nodes
        self._removed = [node for node in old if node not in new]
        self._added = [node for node in new if node not in old]
        self._changed = [node for node, record in new.items() if node in old and old[node] is not record]

    def lines(self) -> list[str]:
        found = [*self._weights(), *self._removals(), *self._changes(), *self._additions(), *self._order()]
        return [*found, *self._types(), *self._ends()]

    def _removals(self) -> Iterator[str]:
        names = [repr(self.before.ref(node)) for node in self._removed]
        if len(names) > 1:
            yield "remove("
            yield from (f"    {name}," for name in names)
            yield ")"
        elif names:
            yield f"remove({names[0]})"

    def _changes(self) -> Iterator[str]:
        """All nodes are looked up before the first one changes: they are found by the names they had."""
        lines = {node: list(self._change(self.before.nodes[node], self.after.nodes[node])) for node in self._changed}
        lines = {node: found for node, found in lines.items() if found}
        for number, node in enumerate(lines):
            yield f"node_{number} = node({self.before.ref(node)!r})"
        for number, found in enumerate(lines.values()):
            yield from (f"node_{number}.{line}" for line in found)

    def _change(self, old: NodeProto, new: NodeProto) -> Iterator[str]:
        if new.op_type != old.op_type:
            yield f"op = {new.op_type!r}"
        if new.name != old.name:
            yield f"name = {new.name!r}"
        if new.domain != old.domain:
            yield f"domain = {new.domain!r}"
        before = {one.name: one for one in old.attribute}
        if [one.name for one in new.attribute] != [one.name for one in old.attribute]:
            yield f"attrs = {self.values.attributes(new)}"
        else:
            for one in new.attribute:
                if one != before[one.name]:
                    yield f"attrs[{one.name!r}] = {self.values.attribute(one)}"
        for side in ("input", "output"):
            yield from _tensors(f"{side}s", list(getattr(old, side)), list(getattr(new, side)))

    def _additions(self) -> Iterator[str]:
        added, previous = set(self._added), ""
        for node, record in self.after.nodes.items():
            if node in added:
                yield self._addition(record, previous)
            previous = self.after.ref(node)

    def _addition(self, record: NodeProto, previous: str) -> str:
        parts = [repr(record.op_type), repr(record.name), repr(list(record.input)), repr(list(record.output))]
        if record.attribute:
            parts.append(self.values.attributes(record))
        if record.domain:
            parts.append(f"domain={record.domain!r}")
        if previous:
            parts.append(f"after=node({previous!r})")
        line = f"add({', '.join(parts)})"
        return line if len(line) <= _WIDTH else "\n".join(["add(", *(f"    {part}," for part in parts), ")"])

    def _order(self) -> Iterator[str]:
        """New nodes stand behind their neighbour by now; the old ones may have moved."""
        kept = [node for node in self.before.nodes if node in self.after.nodes]
        if kept != [node for node in self.after.nodes if node in self.before.nodes]:
            yield "reorder("
            yield from (f"    {self.after.ref(node)!r}," for node in self.after.nodes)
            yield ")"

    def _weights(self) -> Iterator[str]:
        old, new = self.before.initializers, self.after.initializers
        for name, weight in new.items():
            if old.get(name) is not weight:
                yield f"tensor({name!r}).to_constant({self.values.weight(weight)})"
        for name in old:
            if name not in new and self.after.consumers(name):
                kind = self.after.type_of(name) or TensorType()
                yield f"variable({name!r}, {text_of(kind) if kind.dtype else 'None, None'})"

    def _types(self) -> Iterator[str]:
        """What the file says of inner tensors; those that are gone, or are weights now, need no word."""
        old, new = self.before.value_infos, self.after.value_infos
        for name, info in new.items():
            if old.get(name) is not info and self._inner(name):
                yield _declared(info)
        for name in old:
            if name not in new and self._inner(name):
                yield f"declare({name!r})"

    def _inner(self, name: str) -> bool:
        return name in self.after.producers and not self.after.is_output(name)

    def _ends(self) -> Iterator[str]:
        for side in ("inputs", "outputs"):
            old, new = _ends_of(self.before, side), _ends_of(self.after, side)
            known = {info.name: info for info in old}
            told = (info for info in new if info.name not in self.after.initializers)
            yield from (_declared(info) for info in told if known.get(info.name) != info)
            if [info.name for info in new] != [info.name for info in old]:
                yield f"graph.{side} = [{', '.join(f'tensor({info.name!r})' for info in new)}]"


def _ends_of(graph: Graph, side: str) -> list[ValueInfoProto]:
    """Inputs, but for those that are weights with a value of their own, or outputs."""
    ends: tuple[ValueInfoProto, ...] = getattr(graph, side)
    return [info for info in ends if side == "outputs" or info.name not in graph.initializers]


def _declared(info: ValueInfoProto) -> str:
    kind = TensorType.of(info.type)
    return f"declare({info.name!r}, {text_of(kind)})" if kind.dtype else f"declare({info.name!r})"


def _tensors(side: str, old: list[str], new: list[str]) -> Iterator[str]:
    differ = [at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other]
    if len(old) == len(new) and len(differ) == 1:
        yield f"{side}[{differ[0]}] = tensor({new[differ[0]]!r})"
    elif old != new:
        yield f"{side} = [{', '.join(f'tensor({name!r})' for name in new)}]"


