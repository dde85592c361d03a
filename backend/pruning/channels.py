"""Taking channels out: which of a group stay, and every weight without the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.pruning.groups import Group, Use, find_groups, weight_behind

Criterion = Literal["L1 norm", "batch norm scale"]
Kept = NDArray[np.int64]


def importance(graph: Graph, group: Group, criterion: Criterion) -> NDArray[np.float64]:
    """How much each channel counts, one number a channel: the L1 norm of the weights that make it, or |gamma| of the
    batch normalizations on it (Liu et al., Network Slimming, 2017). Where several layers make the group, each counts
    the same: its values are divided by their mean. Raises Fault for a group without batch normalization."""
    total = np.zeros(group.size)
    if criterion == "batch norm scale":
        if not group.norms:
            hint = "Choose the L1 norm"
            raise Fault("No batch normalization is on these channels", str(graph.ref(group.makers[0])), hint)
        for use in group.norms:
            scale = _values(graph, use.weight).astype(np.float64)
            total += _even(np.abs(scale[use.start : use.start + group.size]))
        return total
    for use in group.made:
        values = np.moveaxis(_values(graph, use.weight), use.axis, 0)
        total += _even(np.abs(values.astype(np.float64)).reshape(group.size, -1).sum(axis=1))
    return total


def _values(graph: Graph, name: str) -> NDArray[np.generic]:
    weight = weight_behind(graph, name)
    assert weight is not None  # the groups were found so
    return weight.array()


def _even(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = float(values.mean())
    return np.asarray(values / mean if mean else values)


def count_left(group: Group, ratio: float, multiple: int) -> int:
    """How many channels a group keeps where a share of them is to go: the nearest number that is a multiple and has as
    many in every block, at least one of them; all where none is smaller."""
    step = int(np.lcm(multiple, group.blocks))
    wanted = max(step, round(group.size * (1 - ratio) / step) * step)
    return min(wanted, group.size)


def chosen(values: NDArray[np.float64], group: Group, left: int) -> Kept:
    """The channels that stay, in order: the most important of every block."""
    each = values.reshape(group.blocks, -1)
    best = np.sort(np.argsort(-each, axis=1, kind="stable")[:, : left // group.blocks], axis=1)
    return np.asarray((best + np.arange(group.blocks)[:, None] * each.shape[1]).reshape(-1), np.int64)


def groups_of(graph: Graph, nodes: Iterable[NodeId]) -> list[Group]:
    """The groups that some of these layers make; all where there are none. Frozen ones are among them."""
    wanted = set(nodes)
    return [group for group in find_groups(graph) if not wanted or wanted & set(group.makers)]


def prune(edit: Edit, kept: Iterable[tuple[Group, Kept]]) -> None:
    """Takes all but the kept channels of groups out of every weight, and the types that follow from them."""
    cuts: dict[tuple[str, NodeId], list[tuple[Use, Group, Kept]]] = {}
    for group, stays in kept:
        for use in (*group.made, *group.uses):
            cuts.setdefault((use.weight, use.node), []).append((use, group, stays))
        for node in group.depthwise:
            _fewer_groups(edit, node, group.size - len(stays))
    for (name, node), parts in cuts.items():
        _write(edit, name, node, _cut(_values(edit.base, name), parts))
    # What is computed with them has other shapes.
    edit.forget_types(dict.fromkeys(
        output for _, node in cuts for output in edit.nodes[node].output if output
    ))  # fmt: skip


def _write(edit: Edit, name: str, node: NodeId, values: NDArray[np.generic]) -> None:
    """Puts a weight in the place of another; where that has other readers, as a weight of the node's own."""
    there = edit.initializers.get(name)
    alone = there is not None and edit.base.consumers(name) == (node,)
    own = name if alone else edit.fresh_tensor(f"{name}_pruned")
    made = Initializer.from_array(np.ascontiguousarray(values), own)
    edit.set_initializer(Initializer(made.proto, None, there.file if there is not None else ""))
    if alone:
        return
    edit.rewire(name, own, only=[node])
    while name and not edit.consumers(name) and not edit.is_output(name) and not edit.is_input(name):
        maker = edit.producer(name)
        if maker is None:
            edit.remove_initializer(name)
            return
        record = edit.nodes[maker]
        edit.remove_node(maker)  # an Identity or a Constant
        edit.value_infos.pop(name, None)
        name = record.input[0] if record.input else ""


def _fewer_groups(edit: Edit, node: NodeId, by: int) -> None:
    record = edit.nodes[node]
    kept = [each for each in record.attribute if each.name != "group"]
    now = next(int(each.i) for each in record.attribute if each.name == "group")
    edit.replace_node(node, attributes=[*kept, helper.make_attribute("group", now - by)])


def _cut(values: NDArray[np.generic], parts: list[tuple[Use, Group, Kept]]) -> NDArray[np.generic]:
    """A weight without the channels that go. Inputs of a grouped convolution count within a block: those come first,
    while its rows are still in their blocks."""
    gone: dict[int, list[NDArray[np.int64]]] = {}
    for use, group, stays in parts:
        if use.blocks > 1:
            values = _cut_blocks(values, use.blocks, group, stays)
            continue
        lost = np.setdiff1d(np.arange(group.size), stays)
        entries = use.start + (lost[:, None] * use.repeat + np.arange(use.repeat)).reshape(-1)
        gone.setdefault(use.axis, []).append(entries)
    for axis, found in gone.items():
        values = np.delete(values, np.unique(np.concatenate(found)), axis=axis)
    return values


def _cut_blocks(values: NDArray[np.generic], blocks: int, group: Group, stays: Kept) -> NDArray[np.generic]:
    width = group.size // blocks
    rows = np.split(values, blocks, axis=0)
    inside = [stays[(stays >= at * width) & (stays < (at + 1) * width)] - at * width for at in range(blocks)]
    return np.concatenate([np.take(part, keep, axis=1) for part, keep in zip(rows, inside, strict=True)], axis=0)


def bytes_of(weights: Mapping[str, Initializer]) -> int:
    return sum(weight.nbytes for weight in weights.values())
