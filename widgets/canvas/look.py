"""Everything that decides how a picture is painted apart from where: theme, overlay, selection, what is pointed at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor, QPen

from graftwerk.backend.graph.diagram import FAMILY_NAMES, Diagram
from graftwerk.widgets.canvas.lettering import Letterings
from graftwerk.widgets.canvas.overlay import NONE, Overlay
from graftwerk.widgets.theme import LIGHT, Theme


@lru_cache(maxsize=512)
def _parsed(name: str) -> QColor:
    return QColor(name)


def color(name: str) -> QColor:
    """A colour of one's own: QColor can be changed, and what is kept must not be."""
    return QColor(_parsed(name))


def pen(name: str, width: float = 1.0, cosmetic: bool = False) -> QPen:
    made = QPen(color(name), width)
    made.setCosmetic(cosmetic)
    return made


@dataclass(frozen=True)
class Marks:
    """Boxes and edges that stand out."""

    selected: frozenset[int] = frozenset()
    selected_edges: frozenset[int] = frozenset()
    matches: frozenset[int] = frozenset()
    hovered: int = -1
    hovered_edge: int = -1
    hovered_hull: str = ""


@dataclass(frozen=True, eq=False)
class Look:
    letters: Letterings
    theme: Theme = LIGHT
    overlay: Overlay = NONE
    marks: Marks = field(default_factory=Marks)


@dataclass(frozen=True, eq=False)
class Colors:
    """The colour of every box: an index into `palette` (`#rrggbb`); of the stripe, and whole where boxes are tiny."""

    palette: tuple[str, ...]
    index: NDArray[np.intp]  # (B,)

    @classmethod
    def of(cls, diagram: Diagram, theme: Theme, overlay: Overlay) -> Colors:
        if not overlay.colors:
            return cls(tuple(theme.family(name) for name in FAMILY_NAMES), diagram.family.astype(np.intp))
        numbers: dict[str, int] = {theme.border_strong: 0}
        index = np.zeros(len(diagram.kind), np.intp)
        count = len(diagram.box_of)
        for node, name in overlay.colors.items():
            box = diagram.box_of[node] if node < count else -1
            if box >= 0:
                index[box] = numbers.setdefault(name, len(numbers))
        return cls(tuple(numbers), index)

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Boxes by colour."""
        return np.argsort(self.index, kind="stable")

    def groups(self, boxes: NDArray[np.int64]) -> Iterable[tuple[str, NDArray[np.int64]]]:
        """Some boxes by colour."""
        index = self.index[boxes]
        for number in np.flatnonzero(np.bincount(index)).tolist():  # np.unique would import numpy.ma
            yield self.palette[number], boxes[index == number]
