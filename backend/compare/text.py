"""A comparison in words, for the command line."""

from __future__ import annotations

from collections.abc import Iterator

from graftwerk.backend.compare.result import KINDS, Comparison, NodeDifference, WeightDifference

_MARKS = {"added": "+", "removed": "−", "changed": "~", "moved": "↕", "renamed": "="}


def lines(found: Comparison, most: int | None = 40) -> Iterator[str]:
    """The summary, then every difference; at most so many of a kind, and how many more there are."""
    same = len(found.pairs)
    yield f"{found.summary()}; {same:,} node{'s are' if same != 1 else ' is'} on both sides"
    for change in found.model:
        yield f"{_MARKS[change.kind]} {change}"
    for kind in KINDS:
        yield from _some((_node(one) for one in found.nodes if one.kind == kind), f"nodes {kind}", most)
    for kind in KINDS:
        yield from _some((_weight(one) for one in found.weights if one.kind == kind), f"weights {kind}", most)
    for name, why in found.unread.items():
        yield f"? weight {name}: {why}"
    if not found.weights_compared:
        yield "The values of the weights were not compared"


def _some(blocks: Iterator[list[str]], what: str, most: int | None) -> Iterator[str]:
    listed = list(blocks)
    for block in listed[:most]:
        yield from block
    if most is not None and len(listed) > most:
        yield f"  … and {len(listed) - most:,} more {what} (--all lists them)"


def _node(one: NodeDifference) -> list[str]:
    head = f"{_MARKS[one.kind]} {one.op_type} {one.ref}"
    return [head, *(f"    {change}" for change in one.changes)]


def _weight(one: WeightDifference) -> list[str]:
    head = f"{_MARKS[one.kind]} weight {one.name}"
    if one.kind in ("added", "removed"):
        return [f"{head}: {one.changes[0].after or one.changes[0].before}"]
    return [head, *(f"    {change}" for change in one.changes)]
