"""Pictures of the revisions of one model: made of each other, and the latest kept, so that undo finds its picture."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from onnx import GraphProto, ModelProto

from graftwerk.backend.graph.diagram import Key
from graftwerk.backend.graph.diagram_picture import Picture, draw, redraw
from graftwerk.backend.graph.diagram_roles import Path
from graftwerk.backend.graph.diff import Diff
from graftwerk.backend.graph.graph import Graph

Moved = Mapping[Key, tuple[float, float]]
KEPT = 4


class Pictures:
    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, frozenset[Path]], Picture] = OrderedDict()

    def clear(self) -> None:
        self._kept.clear()

    def empty(self) -> Picture:
        return draw(Graph(
            nodes={}, inputs=(), outputs=(), initializers={}, value_infos={}, functions=(), model=ModelProto(),
            skeleton=GraphProto(), producers={}, users={}, names={}, holders=frozenset(), next_id=0,
        ))  # fmt: skip

    def drawn(self, graph: Graph, collapsed: frozenset[Path], moved: Moved) -> Picture:
        """A picture that is laid out anew."""
        return self.keep(draw(graph, collapsed, moved))

    def updated(self, shown: Picture, graph: Graph, change: Diff, moved: Moved) -> Picture:
        """The picture of another revision, in which everything stays where it is that is in both."""
        diagram = shown.diagram
        self.keep(shown)
        if change.empty:  # other types
            return replace(shown, diagram=replace(diagram, graph=graph))
        kept = self._kept.get((graph.revision, diagram.collapsed))
        if kept is not None and kept.diagram.graph is graph and not moved and not kept.moved:
            return kept
        if kept is not None:
            return Picture.of(replace(kept.diagram, graph=graph), kept.placement, moved)
        return self.keep(redraw(shown, graph, change, moved))

    def keep(self, picture: Picture) -> Picture:
        """Keeps a picture for `updated` to find."""
        diagram = picture.diagram
        key = diagram.graph.revision, diagram.collapsed
        self._kept[key] = picture
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return picture
