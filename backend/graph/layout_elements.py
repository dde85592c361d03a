"""What is ordered within the layers: boxes, and the bends of the edges that pass a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graftwerk.backend.graph.layout_layers import Layers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Elements:
    """Boxes (the first ones) and bends, and the segments between elements of adjacent layers."""

    layer: Ints  # per element
    upper: Ints  # per segment, an element
    lower: Ints
    upper_port: Floats  # per segment: where it leaves, in box widths from the centre, within ±0.5
    lower_port: Floats
    edge: Ints  # per segment: the edge it is a part of; the segments of an edge are consecutive, top down
    bend_edge: Ints  # per bend: the edge it is on; the bends of an edge are consecutive, top down
    start: Ints  # per layer, and one more: its first slot


def split(layers: Layers, upper_port: Floats, lower_port: Floats) -> Elements:
    """Give every drawn edge a bend in each layer that it passes."""
    count = len(layers.layer)
    edges = np.flatnonzero(~layers.tunnel)
    upper, lower = layers.source[edges], layers.target[edges]
    span = layers.layer[lower] - layers.layer[upper]
    bends = span - 1
    first_bend = count + np.cumsum(bends) - bends
    bend_edge = np.repeat(edges, bends)
    along = np.arange(len(bend_edge)) - np.repeat(first_bend - count, bends)
    layer = np.concatenate((layers.layer, np.repeat(layers.layer[upper], bends) + 1 + along))
    part = np.repeat(np.arange(len(edges)), span)
    step = np.arange(len(part)) - np.repeat(np.cumsum(span) - span, span)
    at_top, at_bottom = step == 0, step == span[part] - 1
    seg_upper = np.where(at_top, upper[part], first_bend[part] + step - 1)
    seg_lower = np.where(at_bottom, lower[part], first_bend[part] + step)
    edge = edges[part]
    size = np.bincount(layer)
    return Elements(layer, seg_upper, seg_lower, np.where(at_top, upper_port[edge], 0.0),
                    np.where(at_bottom, lower_port[edge], 0.0), edge, bend_edge,
                    np.concatenate(([0], np.cumsum(size))))
