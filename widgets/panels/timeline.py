"""The timeline of a profile: a row for each iteration, a bar for each node, and what was measured how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QVBoxLayout, QWidget

from graftwerk.backend.engines.report import NodeTime, Profile
from graftwerk.backend.graph.families import FAMILIES
from graftwerk.widgets.panels.frame import DetailLabel, Legend, Switch, empty_state
from graftwerk.widgets.panels.parts import ElidedLabel
from graftwerk.widgets.panels.readout import (
    count_text,
    family_of,
    median,
    profile_details,
    profile_lines,
    share_text,
    time_text,
)
from graftwerk.widgets.panels.timeline_bars import Bars
from graftwerk.widgets.theme import LIGHT, PRECISION_COLORS, Theme, mono_font, precision_color

if TYPE_CHECKING:
    from graftwerk.widgets.panels.timeline_plot import TimelinePlot

NOTHING = "No profile yet. Profile the model (F6) to see where each iteration spends its time."

#: Width from which there is room for a line about a bar beside the legend; the tooltip says it anyway.
_ROOM_FOR_DETAIL = 900


class Timeline(QWidget):
    """Shows a profile. `node_selected` carries the reference of the node whose bar was clicked."""

    node_selected = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self._profile: Profile | None = None
        self._bars: Bars | None = None
        self._refs: tuple[str, ...] = ()
        self._plot: TimelinePlot | None = None
        self.header = DetailLabel()
        self.switch = Switch((("family", "Family"), ("precision", "Precision")))
        self.switch.chosen.connect(lambda _: self._show_colors())
        self._legend = Legend()
        self._detail = ElidedLabel()
        self._detail.setFont(mono_font())
        self._detail.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._lay_out()
        self.set_profile(None)

    def _lay_out(self) -> None:
        self._empty = empty_state(NOTHING)
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.setContentsMargins(12, 7, 12, 7)
        top.addWidget(self.header)
        bottom.setContentsMargins(8, 3, 12, 5)
        bottom.setSpacing(14)
        bottom.addWidget(self.switch)
        bottom.addWidget(self._legend)
        bottom.addWidget(self._detail, 1)
        self._column = QVBoxLayout()
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addLayout(top)
        self._column.addLayout(bottom)
        self._page = QWidget()
        self._page.setLayout(self._column)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self._page)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._detail.setVisible(self.width() >= _ROOM_FOR_DETAIL)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._need_plot()

    def _need_plot(self) -> None:
        """Makes the plot once there is something to see: pyqtgraph is slow to import."""
        if self._plot is not None or self._profile is None or not self.isVisible():
            return
        from graftwerk.widgets.panels.timeline_plot import TimelinePlot

        self._plot = TimelinePlot(self.tip, self._page)
        self._plot.clicked.connect(self._on_click)
        self._plot.hovered.connect(self._show_detail)
        self._plot.set_theme(self._theme)
        self._column.insertWidget(1, self._plot, 1)
        self._show_bars()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        if self._plot is not None:
            self._plot.set_theme(theme)
        self._show_colors()

    def set_profile(self, profile: Profile | None, stale: bool = False) -> None:
        """Shows another profile, `stale` where it is of another revision; None shows what to do to get one."""
        self._profile = profile
        shown = profile is not None and any(layer.milliseconds for layer in profile.layers)
        self._bars = Bars.of(profile) if profile is not None and shown else None
        self._stack.setCurrentWidget(self._page if shown else self._empty)
        if profile is not None and self._bars is not None:
            note = "" if self._bars.measured else " · no start times: nodes stand in their order"
            self.header.set_texts([line + note for line in profile_lines(profile, stale)], profile_details(profile))
        self._need_plot()
        self._show_bars()

    def set_selection(self, refs: Sequence[str]) -> None:
        """Outlines the bars of these nodes in all rows."""
        self._refs = tuple(refs)
        self._show_selection()

    @property
    def plot(self) -> TimelinePlot | None:
        """The picture, None as long as there was nothing to show."""
        return self._plot

    @property
    def bars(self) -> Bars | None:
        return self._bars

    @property
    def detail(self) -> str:
        """The line about one bar."""
        return self._detail.text()

    def _show_bars(self) -> None:
        if self._plot is not None:
            color, palette = self._colors()
            self._plot.set_bars(self._bars, color, palette)
        self._show_colors()
        self._show_selection()

    def _show_colors(self) -> None:
        names, _ = self._groups()
        self._legend.set_entries([(self._color(name), self._title(name)) for name in names])
        if self._plot is not None:
            self._plot.item.set_colors(*self._colors())

    def _groups(self) -> tuple[list[str], list[str]]:
        """The groups that occur, in the order of a legend, and the group of each node."""
        if self._profile is None:
            return [], []
        by_family = self.switch.current == "family"
        groups = [family_of(layer) if by_family else layer.dtype for layer in self._profile.layers]
        order = {name: at for at, name in enumerate(FAMILIES if by_family else PRECISION_COLORS)}
        return sorted(set(groups), key=lambda name: (order.get(name, len(order)), name)), groups

    def _color(self, group: str) -> str:
        return self._theme.family(group) if self.switch.current == "family" else precision_color(group)

    def _title(self, group: str) -> str:
        return group.capitalize() if self.switch.current == "family" else group or "unknown"

    def _colors(self) -> tuple[np.ndarray[tuple[int], np.dtype[np.int32]], tuple[str, ...]]:
        """The colour of each bar as a place in the palette, and the palette."""
        names, groups = self._groups()
        if self._bars is None:
            return np.empty(0, np.int32), ()
        place = {name: at for at, name in enumerate(names)}
        of_node = np.array([place[group] for group in groups], np.int32)
        return of_node[self._bars.node], tuple(map(self._color, names))

    def _show_selection(self) -> None:
        wanted = set(self._refs)
        layers = self._profile.layers if self._profile is not None else ()
        found = [at for at, layer in enumerate(layers) if not wanted.isdisjoint(layer.onnx_nodes)]
        if self._plot is not None:
            self._plot.choose(np.array(found, np.intp))
        self._show_detail(-1)

    def _on_click(self, bar: int) -> None:
        layer = self._layer(bar)
        if layer is not None and layer.onnx_nodes:
            self.node_selected.emit(layer.onnx_nodes[0])

    def _layer(self, bar: int) -> NodeTime | None:
        if bar < 0 or self._bars is None or self._profile is None:
            return None
        return self._profile.layers[int(self._bars.node[bar])]

    def _share(self, bar: int) -> float:
        """Of the sum of the bars in its row."""
        assert self._bars is not None
        row = int(self._bars.row[bar])
        total = float(self._bars.length[self._bars.first[row] : self._bars.first[row + 1]].sum())
        return float(self._bars.length[bar]) / total if total else 0.0

    def tip(self, bar: int) -> str:
        """What the tooltip of a bar says."""
        layer = self._layer(bar)
        if layer is None or self._bars is None:
            return ""
        what = " · ".join(part for part in (layer.kind, layer.dtype, self._mark(layer)) if part)
        row, time = int(self._bars.row[bar]), float(self._bars.length[bar])
        lines = [title_of(layer), what, f"{time_text(time)}, {share_text(self._share(bar))} of iteration {row + 1}"]
        return "\n".join([*lines, *(f"does the work of {name} too" for name in layer.onnx_nodes[1:6])])

    def _mark(self, layer: NodeTime) -> str:
        """That a kernel is a part of what stands in for a plugin."""
        assert self._profile is not None
        return "in a plugin's stand-in" if not set(self._profile.stand_ins).isdisjoint(layer.onnx_nodes) else ""

    def _show_detail(self, bar: int) -> None:
        """One line about the bar under the pointer, else about the selected node over all iterations."""
        layer = self._layer(bar)
        if layer is not None and self._bars is not None:
            time, share = time_text(float(self._bars.length[bar])), share_text(self._share(bar))
            parts = [title_of(layer), layer.kind, time, share, layer.dtype, self._mark(layer)]
        else:
            parts = self._chosen_parts()
        self._detail.setText("  ".join(part for part in parts if part))

    def _chosen_parts(self) -> list[str]:
        """The line about the first of the selected nodes, all of its kernels taken together."""
        if self._plot is None or not len(self._plot.item.chosen) or self._profile is None or self._bars is None:
            return []
        places = np.flatnonzero(np.bincount(self._bars.node[self._plot.item.chosen]))
        chosen = [self._profile.layers[place] for place in places.tolist()]
        first = title_of(chosen[0])
        own = [layer for layer in chosen if title_of(layer) == first]
        time = f"median {time_text(sum(median(layer.milliseconds) for layer in own))}"
        kernels = f"in {count_text(len(own), 'kernel')}" if len(own) > 1 else ""
        dtypes = " ".join(dict.fromkeys(layer.dtype for layer in own))
        return [first, time, kernels, dtypes, self._mark(own[0])]


def title_of(layer: NodeTime) -> str:
    """The node of the model that a kernel belongs to; the runtime's own name where none is known."""
    return layer.onnx_nodes[0] if layer.onnx_nodes else layer.name
