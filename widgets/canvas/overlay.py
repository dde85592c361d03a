"""What is laid over the graph, as data: colours and texts per node, hulls around nodes, and the legend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graftwerk.backend.graph.graph import NodeId


@dataclass(frozen=True)
class LegendLine:
    """A colour (`#rrggbb`) and what it means; `note` stands behind it, in grey. Without a colour: a text."""

    color: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Hull:
    """Nodes that became one layer of an engine. `name` is what `Canvas.layer_activated` says."""

    name: str
    title: str
    color: str
    nodes: tuple[NodeId, ...]


@dataclass(frozen=True, eq=False)
class Overlay:
    """One way to look at a graph. `title` heads the legend and names where the figures come from (compiler, version,
    target). Nodes without a colour are grey where others have one; with no colours at all, families are shown.

    `tinted`: boxes are filled with a tint of their colour, not only striped with it.
    """

    title: str = ""
    colors: Mapping[NodeId, str] = field(default_factory=dict)
    labels: Mapping[NodeId, str] = field(default_factory=dict)
    legend: tuple[LegendLine, ...] = ()
    hulls: tuple[Hull, ...] = ()
    tinted: bool = True


NONE = Overlay()
