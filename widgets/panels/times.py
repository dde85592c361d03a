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
    timed_nodes,
)
from graftwerk.widgets.theme import LIGHT, Theme

NOTHING = "No profile yet. Profile the model (F6) to see which nodes and operators take the most time."
#: Nodes listed at most: the rest is summed up in one line.
MOST_NODES = 100
#: Kernels of one node that its tooltip lists.
_MOST_KERNELS = 12


class TimesPanel(QWidget):
    """Shows a profile. `node_selected` carries the reference of the node whose bar was clicked."""

    node_selected = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self._profile: Profile | None = None
        self._medians: list[float] = []
        self._refs: tuple[str, ...] = ()
        self._listed: list[str] = []  # references of nodes, in the order of the rows
        self._members: dict[str, list[int]] = {}  # places in the profile by node
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

    def set_profile(self, profile: Profile | None, stale: bool = False) -> None:
        """Shows another profile, `stale` where it is of another revision; None shows what to do to get one."""
        self._profile = profile
        self._members = timed_nodes(profile) if profile is not None else {}
        self._kind = ""
        self._medians = medians(profile.layers) if profile is not None else []
        self._stack.setCurrentWidget(self._page if self._medians else self._empty)
        if profile is not None:
            self._header.set_texts(profile_lines(profile, stale), profile_details(profile))
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
        times, sums = self._medians, {}
        members: dict[str, list[int]] = {}
        for ref, places in self._members.items():
            chosen = [at for at in places if self._kind in ("", profile.layers[at].kind)]
            if chosen:
                members[ref] = sorted(chosen, key=lambda at: -times[at])
                sums[ref] = sum(times[at] for at in chosen)
        ranked = sorted(members, key=lambda ref: -sums[ref])
        self._listed = ranked[:MOST_NODES]
        others = ranked[MOST_NODES:]
        rest = f"and {count_text(len(others), 'node')} more, {time_text(sum(sums[ref] for ref in others))}"
        self.rest.setText(rest if others else "")
        total = sum(times) or 1.0
        return [
            Bar(ref, sums[ref], f"{time_text(sums[ref])}   {share_text(sums[ref] / total)}",
                self._theme.family(family_of(profile.layers[members[ref][0]])),
                kind_text(profile, ref, members[ref]), self._tip(profile, ref, members[ref]))
            for ref in self._listed
        ]  # fmt: skip

    def _tip(self, profile: Profile, ref: str, places: Sequence[int]) -> str:
        """A node's kernels, the slowest first; the spread of its times where it has but one."""
        lines = [ref]
        if ref in profile.stand_ins:
            lines.append("a plugin: its original subgraph was timed in its place")
        if len(places) == 1:
            return "\n".join([*lines, *spread(profile.layers[places[0]])])
        lines.append(f"{count_text(len(places), 'kernel')}, the sum of their medians:")
        lines += [f"{profile.layers[at].kind}  {time_text(self._medians[at])}" for at in places[:_MOST_KERNELS]]
        if len(places) > _MOST_KERNELS:
            lines.append(f"and {len(places) - _MOST_KERNELS} more")
        return "\n".join(lines)

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
            row for row, ref in enumerate(self._listed)
            if any(not wanted.isdisjoint(layers[at].onnx_nodes) for at in self._members[ref])
        ])  # fmt: skip

    def _on_click(self, index: QModelIndex) -> None:
        if self._profile is None:
            return
        if self.switch.current == "operators":
            self._show_kind(self._kinds[index.row()])
            return
        ref = self._listed[index.row()]
        if self._profile.layers[self._members[ref][0]].onnx_nodes:
            self.node_selected.emit(ref)


def kind_text(profile: Profile, ref: str, places: Sequence[int]) -> str:
    """What stands behind a node's name: its operator, or how many kernels it became."""
    kernels = count_text(len(places), "kernel")
    if ref in profile.stand_ins:
        return f"stand-in, {kernels}"
    return profile.layers[places[0]].kind if len(places) == 1 else kernels


def spread(layer: NodeTime) -> list[str]:
    """What a kernel's times were over the iterations, and which nodes' work it does, in lines."""
    low, middle, high = np.percentile(layer.milliseconds, (10, 50, 90)) if layer.milliseconds else (0.0, 0.0, 0.0)
    runs = count_text(len(layer.milliseconds), "iteration")
    lines = [" · ".join(filter(None, (layer.kind, layer.dtype)))]
    lines.append(f"median {time_text(middle)}, p10 {time_text(low)}, p90 {time_text(high)} over {runs}")
    return [*lines, *(f"does the work of {name} too" for name in layer.onnx_nodes[1:6])]
