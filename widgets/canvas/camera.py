"""Where the canvas looks: a zoom and the scene's point in the middle of the view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from graftwerk.backend.graph.diagram_picture import Frame

LEAST_ZOOM, GREATEST_ZOOM = 1e-5, 8.0
#: Free space around what is fitted into the view, in pixels.
MARGIN = 28.0


class Insets(NamedTuple):
    """Strips along the sides of the view that are to stay free, in pixels."""

    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0


NOTHING = Insets()


@dataclass(frozen=True)
class Camera:
    """`zoom`: pixels per scene unit; x, y: the scene's point in the middle; width, height: of the view in pixels."""

    zoom: float = 1.0
    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0

    @property
    def frame(self) -> Frame:
        """What is in view."""
        half_width, half_height = self.width / self.zoom / 2, self.height / self.zoom / 2
        return Frame(self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height)

    def to_scene(self, x: float, y: float) -> tuple[float, float]:
        return self.x + (x - self.width / 2) / self.zoom, self.y + (y - self.height / 2) / self.zoom

    def to_view(self, x: float, y: float) -> tuple[float, float]:
        return (x - self.x) * self.zoom + self.width / 2, (y - self.y) * self.zoom + self.height / 2

    def moved(self, dx: float, dy: float) -> Camera:
        """The content moves along by pixels."""
        return Camera(self.zoom, self.x - dx / self.zoom, self.y - dy / self.zoom, self.width, self.height)

    def zoomed(self, zoom: float, x: float, y: float) -> Camera:
        """Another zoom; the point of the view at pixels x, y stays where it is."""
        zoom = min(max(zoom, LEAST_ZOOM), GREATEST_ZOOM)
        scene_x, scene_y = self.to_scene(x, y)
        return Camera(zoom, scene_x - (x - self.width / 2) / zoom, scene_y - (y - self.height / 2) / zoom,
                      self.width, self.height)

    def at(self, x: float, y: float) -> Camera:
        return Camera(self.zoom, x, y, self.width, self.height)

    def sized(self, width: float, height: float) -> Camera:
        return Camera(self.zoom, self.x, self.y, max(width, 1.0), max(height, 1.0))

    def fitted(self, frame: Frame, insets: Insets = NOTHING, most: float = 1.0) -> Camera:
        """All of a frame in the middle of what the insets leave of the view, enlarged no further than `most`."""
        wide = max(self.width - insets.left - insets.right - 2 * MARGIN, 1.0) / max(frame.width, 1.0)
        high = max(self.height - insets.bottom - 2 * MARGIN, 1.0) / max(frame.height, 1.0)
        zoom = min(max(min(wide, high, most), LEAST_ZOOM), GREATEST_ZOOM)
        middle = Camera(zoom, (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2, self.width, self.height)
        return middle.moved((insets.left - insets.right) / 2, -insets.bottom / 2)
