"""Where a profile's time goes: the nodes that take the most, and the sums by operator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QModelIndex, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QStackedLayout, QVBoxLayout, QWidget

from graftwerk.backend.engines.report import NodeTime, Profile
from graftwerk.widgets.panels.bars import Bar, BarList
from graftwerk.widgets.panels.frame import DetailLabel, Switch, empty_state
from graftwerk.widgets.panels.parts import ElidedLabel
from graftwerk.widgets.panels.readout import (
    count_text,
    family_of,
    medians,
    profile_details,
    profile_lines,
    share_text,
    time_text,
)
from graftwerk.widgets.theme import LIGHT, Theme

NOTHING = "No profile yet. Profile the model (F6) to see which nodes and operators take the most time."
#: Nodes listed at most: the rest is summed up in one line.
MOST_NODES = 100


class TimesPanel(QWidget):
    """Shows a profile. `node_selected` carries the reference of the node whose bar was clicked."""

    node_selected = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self._profile: Profile | None = None
        self._medians: list[float] = []
        self._refs: tuple[str, ...] = ()
        self._listed: list[int] = []  # places in the profile, in the order of the rows
        self._kinds: list[str] = []
        self._kind = ""  # the only operator whose nodes are listed, "" for all
        self._header = DetailLabel()
        self.switch = Switch((("nodes", "Nodes"), ("operators", "Operators")))
        self.all_nodes = QPushButton()
        self.rest = ElidedLabel()
        self.list = BarList()
        self._lay_out()
        self.switch.chosen.connect(self._on_switch)
        self.all_nodes.clicked.connect(lambda: self._show_kind(""))
        self.list.clicked.connect(self._on_click)
        self.set_profile(None)

    def _lay_out(self) -> None:
        self._header.setContentsMargins(12, 7, 12, 7)
        self.rest.setProperty("role", "muted")
        self.all_nodes.setFlat(True)
        tools = QHBoxLayout()
        tools.setContentsMargins(8, 3, 12, 5)
        tools.setSpacing(10)
        tools.addWidget(self.switch)
        tools.addWidget(self.all_nodes)
        tools.addWidget(self.rest, 1)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._header)
        column.addWidget(self.list, 1)
        column.addLayout(tools)
        self._page, self._empty = page, empty_state(NOTHING)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(page)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.list.set_theme(theme)
        self._fill()

    def set_profile(self, profile: Profile | None) -> None:
        """Shows another profile; None shows what to do to get one."""
        self._profile = profile
        self._kind = ""
        self._medians = medians(profile.layers) if profile is not None else []
        self._stack.setCurrentWidget(self._page if self._medians else self._empty)
        if profile is not None:
            self._header.set_texts(profile_lines(profile), profile_details(profile))
        self._fill()

    def set_selection(self, refs: Sequence[str]) -> None:
        """Selects the rows of these nodes."""
        self._refs = tuple(refs)
        self._show_selection()

    def _on_switch(self) -> None:
        self._kind = ""
        self._fill()

    def _show_kind(self, kind: str) -> None:
        """Lists the nodes of one operator, or of all."""
        self._kind = kind
        self.switch.buttons["nodes"].setChecked(True)
        self._fill()

    def _fill(self) -> None:
        if self._profile is None:
            self.list.set_bars(())
            return
        nodes = self.switch.current == "nodes"
        self.list.set_bars(self._node_bars(self._profile) if nodes else self._kind_bars(self._profile))
        self.all_nodes.setVisible(bool(self._kind))
        self.all_nodes.setText(f"{self._kind} only: show all")
        self._show_selection()

    def _node_bars(self, profile: Profile) -> list[Bar]:
        times = self._medians
        chosen = [at for at, layer in enumerate(profile.layers) if self._kind in ("", layer.kind)]
        chosen.sort(key=lambda at: -times[at])
        self._listed = chosen[:MOST_NODES]
        others = chosen[MOST_NODES:]
        rest = f"and {count_text(len(others), 'node')} more, {time_text(sum(times[at] for at in others))}"
        self.rest.setText(rest if others else "")
        total = sum(times) or 1.0
        return [
            Bar(profile.layers[at].name, times[at], f"{time_text(times[at])}   {share_text(times[at] / total)}",
                self._theme.family(family_of(profile.layers[at])), profile.layers[at].kind, spread(profile.layers[at]))
            for at in self._listed
        ]  # fmt: skip

    def _kind_bars(self, profile: Profile) -> list[Bar]:
        sums: dict[str, float] = defaultdict(float)
        members: dict[str, list[NodeTime]] = defaultdict(list)
        for layer, time in zip(profile.layers, self._medians, strict=True):
            sums[layer.kind] += time
            members[layer.kind].append(layer)
        self._listed, self._kinds = [], sorted(sums, key=lambda kind: -sums[kind])
        self.rest.setText("A click lists the operator's nodes")
        total = sum(self._medians) or 1.0
        return [
            Bar(kind, sums[kind], f"{time_text(sums[kind])}   {share_text(sums[kind] / total)}",
                self._theme.family(family_of(members[kind][0])), count_text(len(members[kind]), "node"),
                f"{kind}: the medians of {count_text(len(members[kind]), 'node')}, added up")
            for kind in self._kinds
        ]  # fmt: skip

    def _show_selection(self) -> None:
        if self._profile is None or self.switch.current != "nodes":
            return
        wanted = set(self._refs)
        layers = self._profile.layers
        self.list.select_rows([
            row for row, at in enumerate(self._listed) if not wanted.isdisjoint(layers[at].onnx_nodes)
        ])  # fmt: skip

    def _on_click(self, index: QModelIndex) -> None:
        if self._profile is None:
            return
        if self.switch.current == "operators":
            self._show_kind(self._kinds[index.row()])
            return
        nodes = self._profile.layers[self._listed[index.row()]].onnx_nodes
        if nodes:
            self.node_selected.emit(nodes[0])


def spread(layer: NodeTime) -> str:
    """What a node's times were over the iterations."""
    low, middle, high = np.percentile(layer.milliseconds, (10, 50, 90)) if layer.milliseconds else (0.0, 0.0, 0.0)
    runs = count_text(len(layer.milliseconds), "iteration")
    lines = [layer.name, " · ".join(filter(None, (layer.kind, layer.dtype)))]
    lines.append(f"median {time_text(middle)}, p10 {time_text(low)}, p90 {time_text(high)} over {runs}")
    return "\n".join(lines)
