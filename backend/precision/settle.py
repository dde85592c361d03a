"""The precision of nodes that only move values: as few casts as there can be, by a minimum cut.

A tensor costs one cast for its readers of another precision than it is made in, however many they are. With two
precisions the least number of casts is a minimum cut (each tensor gets a gate of capacity 1 for either direction);
three are settled as FP32 against the others, and then FP16 against BF16.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graftwerk.backend.graph.graph import NodeId
from graftwerk.backend.precision.ports import PRECISIONS


@dataclass(frozen=True, slots=True)
class Wire:
    """A tensor between nodes: who makes it, or in which datatype it comes, and who reads it, or in which."""

    maker: NodeId | None
    given: int
    readers: tuple[NodeId, ...]
    needed: tuple[int, ...] = ()


def settle(wires: Iterable[Wire], fixed: Mapping[NodeId, int], free: set[NodeId]) -> dict[NodeId, int]:
    """A datatype for every free node. Where several ways cost the same, the smaller datatype gets more nodes."""
    found: dict[NodeId, int] = {}
    for nodes, touching in _components(list(wires), free):
        around = _around(touching, fixed, nodes)
        if len(around) == 1:
            found.update(dict.fromkeys(nodes, around.pop()))
        elif around:
            found.update(_cut(touching, fixed, nodes, around))
    return found


def _components(wires: list[Wire], free: set[NodeId]) -> Iterable[tuple[set[NodeId], list[Wire]]]:
    """Free nodes that hang together, with the tensors that they touch."""
    at: dict[NodeId, list[int]] = {node: [] for node in free}
    for number, wire in enumerate(wires):
        for node in {wire.maker, *wire.readers} & free:
            assert node is not None
            at[node].append(number)
    waiting = set(free)
    while waiting:
        nodes, numbers, ahead = set[NodeId](), dict[int, None](), [waiting.pop()]
        while ahead:
            node = ahead.pop()
            nodes.add(node)
            for number in at[node]:
                if number in numbers:
                    continue
                numbers[number] = None
                fresh = {each for each in (wires[number].maker, *wires[number].readers) if each in waiting}
                waiting -= fresh
                ahead += fresh
        yield nodes, [wires[number] for number in numbers]


def _around(wires: list[Wire], fixed: Mapping[NodeId, int], nodes: set[NodeId]) -> set[int]:
    found: set[int] = set()
    for wire in wires:
        found.update(wire.needed)
        found.update(fixed[node] for node in wire.readers if node in fixed)
        if wire.maker is None or wire.maker in fixed:
            found.add(wire.given if wire.maker is None else fixed[wire.maker])
    return found - {0}


def _cut(
    wires: list[Wire], fixed: Mapping[NodeId, int], nodes: set[NodeId], around: set[int]
) -> dict[NodeId, int]:
    single = PRECISIONS["FP32"]
    large = single if single in around else min(around)
    small = around - {large}
    low = _minimum(wires, fixed, nodes, large)
    found = dict.fromkeys(nodes - low, large)
    if len(small) == 1:
        return found | dict.fromkeys(low, next(iter(small)))
    rest = _minimum(wires, fixed, low, min(small))
    return found | dict.fromkeys(low - rest, min(small)) | dict.fromkeys(rest, max(small))


def _minimum(wires: list[Wire], fixed: Mapping[NodeId, int], nodes: set[NodeId], large: int) -> set[NodeId]:
    """The nodes on the side that is not `large`."""
    import networkx

    net = networkx.DiGraph()
    net.add_nodes_from(("large", "small"))

    def place(node: NodeId) -> object:
        if node in nodes:
            return node
        return "large" if fixed.get(node, large) == large else "small"

    for number, wire in enumerate(wires):
        maker = place(wire.maker) if wire.maker is not None else "large" if wire.given == large else "small"
        if wire.maker is None and not wire.given:
            continue  # a weight: it comes in any precision
        readers = {place(node) for node in wire.readers}
        readers |= {"large" if dtype == large else "small" for dtype in wire.needed}
        down, up = ("down", number), ("up", number)
        net.add_edge(maker, down, capacity=1)
        net.add_edge(up, maker, capacity=1)
        for reader in readers:
            net.add_edge(down, reader)  # without a capacity: never cut
            net.add_edge(reader, up)
    _, (above, _) = networkx.minimum_cut(net, "large", "small")
    return nodes - set(above)
