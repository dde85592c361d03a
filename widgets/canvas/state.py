"""What a tab remembers of how its graph is looked at; plain data, apart from the graph and from Qt."""

from __future__ import annotations

from dataclasses import dataclass, field

from graftwerk.backend.graph.diagram import Key
from graftwerk.backend.graph.diagram_roles import Path


@dataclass(frozen=True)
class ViewState:
    """`zoom` and the scene's point in the middle, which scopes are collapsed, and where the user has put boxes (their
    top left corners). No zoom: the beginning of the graph is shown."""

    zoom: float | None = None
    x: float = 0.0
    y: float = 0.0
    collapsed: frozenset[Path] = frozenset()
    moved: dict[Key, tuple[float, float]] = field(default_factory=dict)
