"""What the comparison of two models says: values that can be written as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from graftwerk.backend.graph.graph import NodeId

#: Kinds of differences, in the order in which they are told. A node can have several but added and removed.
KINDS = ("added", "removed", "changed", "moved", "renamed")


@dataclass(frozen=True, slots=True)
class Magnitude:
    """How far values are apart, over `elements` of them, `differing` of which are not equal.

    `max_abs` is the largest absolute difference, `relative_l2` is |after - before| / |before| in the Euclidean norm,
    None where `before` is all zeros. Both are over the values that are finite on both sides; `not_finite` counts the
    differing ones that are not.
    """

    elements: int
    differing: int
    max_abs: float
    relative_l2: float | None
    not_finite: int = 0

    def __str__(self) -> str:
        if not self.differing:
            return "equal values"
        relative = f", relative L2 {self.relative_l2:.2g}" if self.relative_l2 is not None else ""
        broken = f", {self.not_finite:,} not finite" if self.not_finite else ""
        return f"{self.differing:,} of {self.elements:,} values differ, max |Δ| {self.max_abs:.3g}{relative}{broken}"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is another on both sides. `kind` is one of KINDS, `what` names it (`attribute kernel_shape`,
    `input 1`); `before` and `after` are texts, "" where there is none."""

    kind: str
    what: str
    before: str = ""
    after: str = ""
    magnitude: Magnitude | None = None

    def __str__(self) -> str:
        if self.kind == "added":
            values = f"added: {self.after}" if self.after else "added"
        elif self.kind == "removed":
            values = f"removed: {self.before}" if self.before else "removed"
        elif self.before == self.after:
            values = ""
        else:
            values = f"{self.before or 'none'} → {self.after or 'none'}"
        parts = [part for part in (values, str(self.magnitude) if self.magnitude else "") if part]
        return ": ".join([self.what, "; ".join(parts)]) if parts else self.what


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """A node that differs. References and ids are those of its own side, "" and None where it is not there."""

    kinds: tuple[str, ...]
    op_type: str
    before: str = ""
    after: str = ""
    changes: tuple[Change, ...] = ()
    before_id: NodeId | None = None
    after_id: NodeId | None = None

    @property
    def kind(self) -> str:
        """The first of its kinds: what it is coloured as."""
        return self.kinds[0]

    @property
    def ref(self) -> str:
        return self.after or self.before


@dataclass(frozen=True, slots=True)
class WeightDifference:
    """A weight that differs; `readers` are references of nodes that read it, of the newer model where it has it."""

    kinds: tuple[str, ...]
    before: str = ""
    after: str = ""
    changes: tuple[Change, ...] = ()
    readers: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.kinds[0]

    @property
    def name(self) -> str:
        return self.after or self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences of two models. `model` are those of inputs, outputs, operator sets, header and functions.

    `pairs` maps the nodes that are the same on both sides. `weights_compared` is False where the values of the weights
    were not looked at; the weights that could not be read are in `unread`, by name with the reason.
    """

    nodes: tuple[NodeDifference, ...]
    weights: tuple[WeightDifference, ...]
    model: tuple[Change, ...]
    pairs: Mapping[NodeId, NodeId] = field(default_factory=dict)
    weight_pairs: Mapping[str, str] = field(default_factory=dict)
    weights_compared: bool = False
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether nothing differs, as far as it was looked at."""
        return not (self.nodes or self.weights or self.model or self.unread)

    def counts(self) -> dict[str, int]:
        """Number of nodes of each kind, those that are there."""
        counts = Counter(kind for node in self.nodes for kind in node.kinds)
        return {kind: counts[kind] for kind in KINDS if counts[kind]}

    def summary(self) -> str:
        """One line: `12 nodes changed, 3 added; 2 weights changed`."""
        parts = [f"{count:,} {_nodes(count)} {kind}" for kind, count in self.counts().items()]
        weights = Counter(weight.kind for weight in self.weights)
        parts += [f"{count:,} weight{'s' * (count != 1)} {kind}" for kind, count in weights.items()]
        if self.model:
            parts.append(f"{len(self.model):,} difference{'s' * (len(self.model) != 1)} of the model itself")
        if self.unread:
            parts.append(f"{len(self.unread):,} weights could not be read")
        return ", ".join(parts) or "no difference"

    def to_json(self) -> dict[str, Any]:
        """As JSON values, without the ids, which mean nothing outside this process."""
        data: dict[str, Any] = {
            "equal": self.equal, "counts": self.counts(), "same_nodes": len(self.pairs),
            "weights_compared": self.weights_compared,
        }  # fmt: skip
        nodes = msgspec.to_builtins(self.nodes)
        for node in nodes:
            del node["before_id"], node["after_id"]
        data["nodes"] = nodes
        data["weights"] = msgspec.to_builtins(self.weights)
        data["model"] = msgspec.to_builtins(self.model)
        data["unread"] = dict(self.unread)
        return data


def _nodes(count: int) -> str:
    return "node" if count == 1 else "nodes"
