"""Fitting boxes into the view so that nothing stands on top of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF

from graftwerk.backend.graph.diagram_picture import Frame, Picture
from graftwerk.widgets.canvas.camera import MARGIN, Camera, Insets

#: Between a strip that stays free and the fitted boxes, and at least between any of them and a corner, in pixels.
GAP, CLEARANCE = 14.0, 8.0
#: A picture that would come out smaller than this part of its size, to leave a corner free, is not worth that.
LEAST = 0.5


def fitted(camera: Camera, picture: Picture, boxes: NDArray[np.int64], corners: Sequence[QRectF]) -> Camera:
    """All of these boxes in view, as large as possible with none of them beneath a corner.

    `corners` are what covers the bottom corners, in pixels of the view. Where one would cover a box, the strip above or
    below it (as high or as wide as the corner) stays free, whichever leaves the boxes larger.
    """
    frame = _around(picture, boxes)
    plain = camera.fitted(frame)
    # without insets first: of two that are equally large, the first is taken
    choices = product(*(_ways(camera, corner) for corner in corners if not corner.isEmpty()))
    tried = [camera.fitted(frame, _joined(chosen)) for chosen in choices]
    free = [one for one in tried if not any(_covers(one, picture, boxes, corner) for corner in corners)]
    best = max(free, key=lambda one: one.zoom, default=plain)
    return best if best.zoom >= LEAST * plain.zoom else plain


def _around(picture: Picture, boxes: NDArray[np.int64]) -> Frame:
    if len(boxes) == len(picture.left):
        return picture.bounds
    return Frame(float(picture.left[boxes].min()), float(picture.top[boxes].min()), float(picture.right[boxes].max()),
                 float(picture.bottom[boxes].max()))


def _ways(camera: Camera, corner: QRectF) -> tuple[Insets, Insets, Insets]:
    """What may stay free for a corner: nothing, the strip beside it, or the strip as high as it is."""
    over = GAP - MARGIN  # the margin of a fitted frame counts
    if corner.center().x() < camera.width / 2:
        beside = Insets(left=corner.right() + over)
    else:
        beside = Insets(right=camera.width - corner.left() + over)
    return Insets(), beside, Insets(bottom=camera.height - corner.top() + over)


def _joined(chosen: Sequence[Insets]) -> Insets:
    return Insets(*map(max, zip(Insets(), *chosen, strict=True)))


def _covers(camera: Camera, picture: Picture, boxes: NDArray[np.int64], corner: QRectF) -> bool:
    if corner.isEmpty():
        return False
    left, top = camera.to_scene(corner.left() - CLEARANCE, corner.top() - CLEARANCE)
    right, bottom = camera.to_scene(corner.right() + CLEARANCE, corner.bottom() + CLEARANCE)
    inside = (picture.left[boxes] <= right) & (picture.right[boxes] >= left)
    inside &= (picture.top[boxes] <= bottom) & (picture.bottom[boxes] >= top)
    return bool(inside.any())
