"""The precision painter of a tab: paint on nodes until it is applied as one operation."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QVBoxLayout

from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.operations.precision_paint import Paint
from graftwerk.backend.precision.painting import BRUSHES, why_not_painted
from graftwerk.backend.quantize.requested import precision_requested
from graftwerk.widgets.canvas.overlay import LegendLine, Overlay
from graftwerk.widgets.paint_bar import ERASER, PaintBar
from graftwerk.widgets.panels.readout import count_text
from graftwerk.widgets.theme import precision_color

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window


class Painter(QObject):
    """Belongs to a tab for as long as it is open. `paint` is what each node is to get; nothing of it is written."""

    def __init__(self, tab: Tab, window: Window) -> None:
        super().__init__(tab)
        self.tab, self._window = tab, window
        self.paint: dict[NodeId, str] = {}
        self.brush = "FP16"
        self.bar = PaintBar(BRUSHES, tab)
        self._path = tab.path
        self._now: dict[NodeId, str] = {}
        self._now_of: Graph | None = None
        self._before: dict[NodeId, str] = {}
        self._reason = ""
        layout = tab.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(1, self.bar)
        self._connect()
        tab.canvas.brush = True
        tab.painting = self.overlay
        self._show()

    def _connect(self) -> None:
        canvas, bar = self.tab.canvas, self.bar
        canvas.stroke_begun.connect(self._begin)
        canvas.painted.connect(self.touch)
        canvas.stroke_ended.connect(self._end)
        canvas.brush_dropped.connect(self.close)
        bar.brush_chosen.connect(self.choose)
        bar.selection_painted.connect(lambda: self.touch(self.tab.selection.nodes))
        bar.cleared.connect(self.clear)
        bar.applied.connect(self.apply)
        bar.closed.connect(self.close)
        self.tab.changed.connect(self._on_changed)

    def choose(self, brush: str) -> None:
        """A precision, or the eraser."""
        self.brush, self._reason = brush, ""
        self._show()

    def touch(self, nodes: tuple[NodeId, ...]) -> None:
        """Paints nodes; one that can't have the precision keeps its paint, and the bar says why."""
        for node in nodes:
            if self.brush == ERASER:
                self.paint.pop(node, None)
                continue
            reason = why_not_painted(self.tab.graph, node, self.brush)
            if reason is None:
                self.paint[node] = self.brush
            else:
                self._reason = f"{self.tab.graph.ref(node)}: {reason.text}"
        self._show()

    def clear(self) -> None:
        self.paint.clear()
        self._reason = ""
        self._show()

    def apply(self) -> None:
        """Writes it all as one operation, and has the preview compile it, for the comparison with what was asked."""
        tab, asked = self.tab, self._asked()
        before = tab.document.graph.revision
        self._window.edits.apply(Paint(asked))
        if tab.document.graph.revision == before:
            return  # it was refused, and the window has said why
        if not tab.path:  # a report is about the model's own nodes
            Comparison(tab, self._window, asked)
        self.close()
        tab.set_overlay("precision")
        if not tab.preview.on:
            self._window.engines.toggle_preview()

    def _asked(self) -> dict[str, str]:
        return {str(self.tab.graph.ref(node)): precision for node, precision in self.paint.items()}

    def close(self) -> None:
        """Leaves the painter."""
        canvas = self.tab.canvas
        canvas.brush = False
        for signal in (canvas.stroke_begun, canvas.painted, canvas.stroke_ended, canvas.brush_dropped):
            signal.disconnect()
        self.tab.changed.disconnect(self._on_changed)
        self.tab.painting = None
        self.tab.show_overlay()
        self.bar.deleteLater()
        self.bar.hide()
        self._window.paintings.pop(self.tab, None)
        self.deleteLater()
        self._window.refresh()

    def overlay(self) -> Overlay:
        """The paint as it would be, over what the graph asks for now."""
        graph = self.tab.graph
        colors, labels = {}, {}
        if self._now_of is not graph:  # a stroke over a large graph asks again and again
            self._now = {node: precision_requested(graph, node) for node in graph.nodes}
            self._now_of = graph
        for node in graph.nodes:
            wanted, now = self.paint.get(node, ""), self._now[node]
            if wanted or now:
                colors[node] = precision_color(wanted or now)
                labels[node] = f"{now} → {wanted}" if wanted and now and wanted != now else wanted or now
        counts = Counter(self.paint.values())
        legend = [LegendLine(precision_color(name), name, count_text(counts[name], "node") if counts[name] else "")
                  for name in BRUSHES]  # fmt: skip
        return Overlay("Precision painter · as asked for, not compiled", colors, labels, tuple(legend))

    def _begin(self) -> None:
        self._before, self._reason = dict(self.paint), ""

    def _end(self, kept: bool) -> None:
        if not kept:
            self.paint = self._before
            self._show()

    def _on_changed(self) -> None:
        """Another revision, or another graph inside the model: paint on what is gone goes."""
        graph = self.tab.graph
        if self.tab.path != self._path:
            self._path = self.tab.path
            self.paint.clear()
        self.paint = {node: precision for node, precision in self.paint.items() if node in graph.nodes}
        self._tell()

    def _show(self) -> None:
        self.tab.show_overlay()
        self._tell()

    def _tell(self) -> None:
        order = Counter(self.paint.values())
        self.bar.set_state(self.brush, {name: order[name] for name in BRUSHES if order[name]}, self._reason)


class Comparison(QObject):
    """Waits for the compile of a painted revision, and says how many nodes got what was painted."""

    def __init__(self, tab: Tab, window: Window, asked: dict[str, str]) -> None:
        super().__init__(tab)
        self._tab, self._window, self._asked = tab, window, asked
        self._revision = tab.document.graph.revision
        tab.changed.connect(self._look)

    def _look(self) -> None:
        tab = self._tab
        if tab.document.graph.revision != self._revision:
            self._end()
        elif tab.report is not None and tab.report_revision == self._revision:
            achieved = {ref: tab.report.nodes[ref].precision for ref in self._asked if ref in tab.report.nodes}
            told = {ref: found for ref, found in achieved.items() if found}
            missed = [ref for ref, found in told.items() if found != self._asked[ref]]
            text = f"{len(told) - len(missed)} of {len(told)} painted nodes run as painted"
            rest = len(self._asked) - len(told)
            text += f"; {missed[0]} got {told[missed[0]]}, not {self._asked[missed[0]]}" if missed else ""
            text += f"; {count_text(rest, 'node')} without a kernel that says its precision" if rest else ""
            self._window.say(text, error=bool(missed))
            self._end()

    def _end(self) -> None:
        self._tab.changed.disconnect(self._look)
        self.deleteLater()
