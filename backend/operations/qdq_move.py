"""Move a Q/DQ pair across a neighbouring node, with the data or against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from onnx import NodeProto, helper

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef
from graftwerk.backend.operations.qdq_remove import pass_on, selected_pair
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.quantize.commute import axis_behind, data_inputs, why_not_across
from graftwerk.backend.quantize.insertion import prune, set_types
from graftwerk.backend.quantize.pairs import (
    DEQUANTIZE,
    QUANTIZE,
    QdqPair,
    alike,
    pair_at,
    pair_of,
    pairs_on,
    per_channel,
)


@operation("qdq.move", title="Move Q/DQ", menu="Quantize", preserves=True)
@dataclass(frozen=True)
class MoveQdq(Operation):
    """Moves a pair across a node that commutes with quantization; the model computes the same, bit for bit.

    Down: the node reads the float tensor, and what it makes is quantized instead. All data inputs of the node
    (Concat, Max) must come from pairs with the same scale; they all go. Where other nodes read the pair too, it stays
    for them. Up: what the node reads is quantized instead, every data input of it; everything that the node makes
    must be read by pairs with this scale and by nothing else. A node with several outputs (Split) gets a pair behind
    each. A scale per channel passes only nodes that leave channels together, and follows a Transpose.
    """

    node: NodeRef = param(label="Pair", help="The QuantizeLinear or the DequantizeLinear")
    direction: Literal["down", "up"] = param("down", help="With the data (down) or against it (up)")
    across: NodeRef = param(NodeRef(""), help="The node to pass; needed where several read the pair")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Self | Reason:
        found = selected_pair(graph, selection)
        if isinstance(found, Reason):
            return found
        down, up = (cls(graph.ref(found.dequantize), direction) for direction in ("down", "up"))
        return up if down.blocked(graph) and not up.blocked(graph) else down

    def blocked(self, graph: Graph) -> Reason | None:
        found = plan(graph, self.node, self.direction, self.across)
        return found if isinstance(found, Reason) else None

    def apply(self, edit: Edit) -> None:
        found = plan(edit.base, self.node, self.direction, self.across)
        if isinstance(found, Reason):
            raise found.fault(self.node)
        if self.direction == "down":
            _down(edit, found)
        else:
            _up(edit, found)

    def summary(self) -> str:
        return f"Move Q/DQ {self.node} {self.direction}" + (f" across {self.across}" if self.across else "")


@dataclass(frozen=True, slots=True)
class Move:
    """A move that can be made: the pairs that go (the one asked for first), the node to pass, the axis behind it."""

    pairs: tuple[QdqPair, ...]
    across: NodeId
    axis: int | None


def plan(graph: Graph, node: str, direction: str, across: str) -> Move | Reason:
    """How a pair gets across a node, or why it can't. Raises Fault where a reference means no pair or no node."""
    pair = pair_of(graph, graph.find(node))
    if pair.quantize is None:
        return Reason("This weight is stored quantized, so there is no pair to move", "Remove Q/DQ makes it float")
    passed = _below(graph, pair, across) if direction == "down" else _above(graph, pair, across)
    if isinstance(passed, Reason):
        return passed
    record = graph.nodes[passed]
    reason = why_not_across(graph, record)
    if reason is not None:
        return reason
    pairs = _gathered_down(graph, pair, passed) if direction == "down" else _gathered_up(graph, pair, passed)
    if isinstance(pairs, Reason):
        return pairs
    if not per_channel(graph, pair):
        return Move(tuple(pairs), passed, None)
    known = graph.type_of(pair.source)
    rank = len(known.shape) if known is not None and known.shape is not None else None
    start = pair.axis + rank if pair.axis < 0 and rank is not None else pair.axis
    axis = axis_behind(record, start, rank, direction == "down")
    return axis if isinstance(axis, Reason) else Move(tuple(pairs), passed, axis)


def _below(graph: Graph, pair: QdqPair, across: str) -> NodeId | Reason:
    users = graph.consumers(pair.output)
    if across:
        chosen = graph.find(across)
        return chosen if chosen in users else Reason(f"{across} does not read this pair")
    if not users:
        return Reason("Nothing reads this pair; it stands before a graph output")
    if len(users) > 1:
        names = ", ".join(graph.ref(user) for user in users[:4])
        return Reason(f"{len(users)} nodes read this pair", f"Say across which it is to move: {names}")
    return users[0]


def _above(graph: Graph, pair: QdqPair, across: str) -> NodeId | Reason:
    made = graph.producer(pair.source)
    if made is None:
        return Reason(f"No node makes {pair.source}: there is nothing to pass above the pair")
    if across and graph.find(across) != made:
        return Reason(f"{across} does not make {pair.source}")
    return made


def _gathered_down(graph: Graph, pair: QdqPair, passed: NodeId) -> list[QdqPair] | Reason:
    """The pairs before all data inputs of a node, which have to be alike."""
    record, found = graph.nodes[passed], [pair]
    tensors = data_inputs(record)
    if pair.output not in tensors:
        return Reason(f"{record.op_type} reads this pair as a parameter, not as its data")
    for tensor in tensors:
        made = graph.producer(tensor)
        other = pair_at(graph, made) if made is not None else None
        if other is None or other.quantize is None:
            return Reason(f"{record.op_type} reads {tensor} in float", "Give it a Q/DQ pair with the same scale first")
        if not alike(graph, pair, other):
            return Reason(f"{tensor} is quantized with another scale", "All inputs of the node need the same")
        if other != pair:
            found.append(other)
    for tensor in filter(None, record.output):
        there = next(pairs_on(graph, tensor), None)
        if there is not None:
            return Reason(f"{graph.ref(there.dequantize)} quantizes {tensor} already", "Remove one of the two pairs")
    return found


def _gathered_up(graph: Graph, pair: QdqPair, passed: NodeId) -> list[QdqPair] | Reason:
    """The pairs behind all outputs of a node, which have to be alike and read alone."""
    record, found = graph.nodes[passed], [pair]
    for tensor in filter(None, record.output):
        if graph.is_output(tensor):
            return Reason(f"{tensor} is also a graph output, in float")
        for user in graph.consumers(tensor):
            here = [other for other in pairs_on(graph, tensor) if other.quantize == user]
            if not here:
                return Reason(f"{graph.ref(user)} also reads {tensor}, in float", "Quantize it for all its consumers")
            if len(here) > 1 or not all(alike(graph, pair, other) for other in here):
                return Reason(f"{graph.ref(user)} quantizes {tensor} in another way", "All pairs need the same scale")
            if graph.is_output(here[0].quantized):
                return Reason(f"{here[0].quantized}, between the two, is a graph output")
            found += [other for other in here if other != pair]
    for tensor in data_inputs(record):
        made = graph.producer(tensor)
        if made is not None and graph.nodes[made].op_type in ("QuantizeLinear", "DequantizeLinear"):
            return Reason(f"{graph.ref(made)} quantizes {tensor} already", "Remove one of the two pairs")
    return found


def _down(edit: Edit, move: Move) -> None:
    pair, record = move.pairs[0], edit.nodes[move.across]
    for each in move.pairs:
        edit.rewire(each.output, each.source, only=[move.across])
    free = [each for each in move.pairs if not edit.consumers(each.output) and not edit.is_output(each.output)]
    _take_off(edit, free)
    places: list[tuple[str, str, str, tuple[NodeId, ...]]] = []
    for tensor in filter(None, record.output):
        users = edit.consumers(tensor)
        if edit.is_output(tensor):
            places.append((_made_as(edit, move.across, tensor), tensor, tensor, ()))
        elif users:
            places.append((tensor, tensor, "", users))
    _put_on(edit, pair, free, places, move.axis)
    for each in free:
        prune(edit, each.scale, each.zero_point)


def _up(edit: Edit, move: Move) -> None:
    pair, tensors = move.pairs[0], data_inputs(edit.nodes[move.across])
    _take_off(edit, move.pairs)
    for each in move.pairs:
        pass_on(edit, each.output, each.source)
    _put_on(edit, pair, move.pairs, [(tensor, tensor, "", (move.across,)) for tensor in tensors], move.axis)
    for each in move.pairs:
        prune(edit, each.scale, each.zero_point)


def _made_as(edit: Edit, node: NodeId, output: str) -> str:
    """Lets a node write another tensor, so that a pair can make the graph output that it made."""
    fresh = edit.fresh_tensor(f"{output}_float")
    known = edit.type_of(output)
    edit.replace_node(node, outputs=[fresh if name == output else name for name in edit.nodes[node].output])
    if known is not None:
        edit.set_type(fresh, known)
    return fresh


def _take_off(edit: Edit, pairs: Iterable[QdqPair]) -> None:
    for each in pairs:
        edit.remove_node(each.dequantize)
        edit.value_infos.pop(each.output, None)
        if each.quantize is not None and not edit.consumers(each.quantized) and not edit.is_output(each.quantized):
            edit.remove_node(each.quantize)
            edit.value_infos.pop(each.quantized, None)


def _put_on(
    edit: Edit, pair: QdqPair, names: Sequence[QdqPair], places: Sequence[tuple[str, str, str, tuple[NodeId, ...]]],
    axis: int | None,
) -> None:  # fmt: skip
    """Puts copies of a pair on tensors: (source, name it after, tensor to make or "", who is to read it) each.

    The first ones take the names and metadata of the pairs in `names`, which are gone: in a recipe they are the same.
    """
    for number, (source, base, output, users) in enumerate(places):
        old = names[number] if number < len(names) else None
        quantized = edit.fresh_tensor(f"{base}_{QUANTIZE}_Output")
        result = output or edit.fresh_tensor(f"{base}_{DEQUANTIZE}_Output")
        for op_type, model, data, made in (
            (QUANTIZE, pair.quantize, source, quantized), (DEQUANTIZE, pair.dequantize, quantized, result),
        ):  # fmt: skip
            was = None if old is None else old.quantize if op_type == QUANTIZE else old.dequantize
            record = NodeProto()
            record.CopyFrom(edit.base.nodes[pair.dequantize if model is None else model])
            record.name = edit.fresh_node(edit.base.nodes[was].name if was is not None else f"{base}_{op_type}")
            record.input[0], record.output[0] = data, made
            record.input[1:] = [pair.scale, *filter(None, [pair.zero_point])]
            if axis is not None:
                kept = [attribute for attribute in record.attribute if attribute.name != "axis"]
                record.ClearField("attribute")
                record.attribute.extend([*kept, helper.make_attribute("axis", axis)])
            edit.add_record(record)
        set_types(edit, source, quantized, result, pair.zero_point)
        for user in users:
            edit.rewire(source, result, only=[user])
