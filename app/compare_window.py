"""Two models side by side or in one graph, what differs coloured, and the list of the differences."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.compare.compare import Progress, compare, with_values
from graftwerk.backend.compare.result import KINDS, Comparison, NodeDifference, WeightDifference
from graftwerk.backend.compare.union import Union, union
from graftwerk.backend.graph.decode import uncollected
from graftwerk.backend.graph.diagram_picture import Picture, draw
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.widgets.canvas.linked import Link
from graftwerk.widgets.canvas.overlay import LegendLine, Overlay
from graftwerk.widgets.canvas.view import Canvas
from graftwerk.widgets.panels.differences import Differences, Row, rows_of
from graftwerk.widgets.theme import DIFFERENCE_COLORS, Theme

if TYPE_CHECKING:
    from graftwerk.app.window import Window


@dataclass(frozen=True)
class Side:
    """One of the two: what it is called, and its graph."""

    title: str
    graph: Graph


@dataclass(frozen=True)
class Told:
    """A comparison as it is shown, made on a thread: rows of the list, and the colours of the three graphs."""

    found: Comparison
    rows: list[Row]
    overlays: tuple[Overlay, Overlay, Overlay]

    @classmethod
    def of(cls, found: Comparison, before: Graph, after: Graph, whole: Union) -> Told:
        first, second = _kinds(found, before, after)
        both = second | dict.fromkeys(whole.gone.values(), "removed")
        overlays = _overlay(first, found), _overlay(second, found), _overlay(both, found)
        return cls(found, rows_of(found), overlays)


@dataclass(frozen=True)
class Shown:
    """Everything that is drawn, made on a thread."""

    first: Picture
    second: Picture
    union: Union
    both: Picture
    told: Told


def make(before: Graph, after: Graph) -> Shown:
    """Compares two graphs, but for the values of their weights, and lays them out."""
    with uncollected(), giving_way():  # a collection would stop the window while it walks through all made here
        found = compare(before, after, weights=False)
        whole = union(before, after, found)
        told = Told.of(found, before, after, whole)
        return Shown(_drawn(before), _drawn(after), whole, _drawn(whole.graph), told)


@contextmanager
def giving_way() -> Iterator[None]:
    """Lets the window's thread go on far sooner than usual where it waits for this one: a picture has many places
    where it lets go of the interpreter, and waits for it again at each."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 50)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def make_values(shown: Shown, before: Graph, after: Graph, progress: Progress) -> Told:
    """What was shown with the values of the weights compared too."""
    with giving_way():
        found = with_values(shown.told.found, before, after, progress)
        return Told.of(found, before, after, shown.union)


def _drawn(graph: Graph) -> Picture:
    return draw(graph, frozenset(), {})


class CompareWindow(QWidget):
    """A window of its own. `busy` while something is still being compared."""

    def __init__(self, window: Window, before: Side, after: Side) -> None:
        super().__init__(window, Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(1500, 950)
        self.window_ = window
        self.before, self.after = before, after
        self.shown: Shown | None = None
        self.found: Comparison | None = None
        self._stopped = False
        self._steps: list[Callable[[], None]] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._next_step)
        self.first, self.second, self.both = Canvas(), Canvas(), Canvas()
        self.link = Link(self.first, self.second, self)
        self.differences = Differences()
        self._lay_out()
        self._connect()
        self.set_theme(window.theme)
        self._start()

    @property
    def busy(self) -> bool:
        return self.found is None or not self.found.weights_compared

    def _lay_out(self) -> None:
        self._titles = (QLabel(), QLabel())
        self._state = QLabel()
        self._state.setProperty("role", "muted")
        self.modes = QStackedWidget()
        pair = QSplitter(Qt.Orientation.Horizontal)
        for title, canvas in zip(self._titles, (self.first, self.second), strict=True):
            side = QWidget()
            column = QVBoxLayout(side)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(0)
            title.setContentsMargins(12, 4, 12, 6)
            column.addWidget(title)
            column.addWidget(canvas, 1)
            pair.addWidget(side)
        pair.setSizes([1, 1])
        self.modes.addWidget(pair)
        self.modes.addWidget(self.both)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.modes)
        split.addWidget(self.differences)
        split.setSizes([620, 280])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(self._top())
        whole.addWidget(split, 1)

    def _top(self) -> QHBoxLayout:
        top = QHBoxLayout()
        top.setContentsMargins(12, 8, 12, 8)
        segments = QFrame()
        segments.setProperty("role", "segments")
        row = QHBoxLayout(segments)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for number, (key, text) in enumerate((("pair", "Side by side"), ("both", "One graph"))):
            button = QToolButton()
            button.setText(text)
            button.setCheckable(True)
            button.setChecked(number == 0)
            button.clicked.connect(lambda _=False, at=number: self.show_mode(at))
            self._group.addButton(button)
            self.buttons[key] = button
            row.addWidget(button)
        self.previous, self.next = QPushButton("Previous"), QPushButton("Next")
        self.swap = QPushButton("Swap")
        for push, keys in ((self.previous, "Shift+F8"), (self.next, "F8"), (self.swap, "Ctrl+Shift+X")):
            push.setToolTip(f"{push.text()} ({keys})")
            push.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            QShortcut(QKeySequence(keys), self, push.click)
        top.addWidget(segments)
        top.addSpacing(12)
        top.addWidget(self._state, 1)
        for push in (self.previous, self.next, self.swap):
            top.addWidget(push)
        return top

    def _connect(self) -> None:
        self.differences.chosen.connect(self._show_row)
        self.link.selected.connect(self._on_selected)
        self.both.selection_changed.connect(self._on_both_selected)
        self.previous.clicked.connect(lambda: self.differences.step(-1))
        self.next.clicked.connect(lambda: self.differences.step(1))
        self.swap.clicked.connect(self.swap_sides)

    def show_mode(self, number: int) -> None:
        """0: side by side, 1: one graph."""
        self.modes.setCurrentIndex(number)
        list(self.buttons.values())[number].setChecked(True)
        row = self.differences.current()
        if row is not None:
            self._show_row(row)

    def set_theme(self, theme: Theme) -> None:
        for canvas in (self.first, self.second, self.both):
            canvas.set_theme(theme)
        self.differences.set_theme(theme)

    # Comparing

    def swap_sides(self) -> None:
        self.before, self.after = self.after, self.before
        self._start()

    def _start(self) -> None:
        before, after = self.before, self.after
        self.shown, self.found = None, None
        self.differences.set_rows([])
        self._steps.clear()
        self.setWindowTitle(f"{before.title} ↔ {after.title} – Graftwerk")
        for title, side, name in zip(self._titles, (before, after), ("Before", "After"), strict=True):
            title.setText(f"{name}: {side.title}")
        self._state.setText("Comparing …")
        self.window_.jobs.compute(partial(make, before.graph, after.graph), partial(self._take, before))

    def _take(self, before: Side, ready: Future[Shown]) -> None:
        if self._stopped or before is not self.before:
            return  # closed, or swapped meanwhile
        shown = ready.result()
        self.shown = shown
        self.link.set_pairs(shown.told.found.pairs)
        self._in_turn(
            partial(self._draw, self.first, self.before.graph, shown.first),
            partial(self._draw, self.second, self.after.graph, shown.second),
            partial(self._draw, self.both, shown.union.graph, shown.both),
            partial(self._tell, before, shown.told),
        )
        work = partial(make_values, shown, self.before.graph, self.after.graph, self._goes_on(before))
        self.window_.jobs.compute(work, partial(self._take_values, before))

    def _draw(self, canvas: Canvas, graph: Graph, picture: Picture) -> None:
        with self.link.apart():
            canvas.set_graph(graph, picture=picture)

    def _in_turn(self, *steps: Callable[[], None]) -> None:
        """Each is a frame's work: the window lives between them."""
        self._steps += steps
        if not self._timer.isActive():
            self._timer.start()

    def _next_step(self) -> None:
        if self._steps and not self._stopped:
            self._steps.pop(0)()
            self._timer.start()

    def _goes_on(self, before: Side) -> Progress:
        return lambda done, total: not self._stopped and before is self.before

    def _take_values(self, before: Side, ready: Future[Told]) -> None:
        if not self._stopped and before is self.before:
            self._in_turn(partial(self._tell, before, ready.result()))

    def _tell(self, before: Side, told: Told) -> None:
        if before is not self.before:
            return
        more = "" if told.found.weights_compared else " · comparing the values of the weights …"
        self._state.setText(told.found.summary() + more)

        def list_them() -> None:
            self.differences.set_rows(told.rows)
            self.found = told.found

        canvases = zip((self.first, self.second, self.both), told.overlays, strict=True)
        self._in_turn(*(partial(canvas.set_overlay, overlay) for canvas, overlay in canvases), list_them)

    # Selecting

    def _show_row(self, row: Row) -> None:
        if self.found is None or self.shown is None:
            return
        old, new = self._nodes(row)
        if self.modes.currentIndex() == 0:
            self.link.show(old, new)
        else:
            here = new if new is not None else self.shown.union.gone.get(old) if old is not None else None
            self.both.select(() if here is None else (here,))
            if here is not None:
                self.both.zoom_fit((here,))

    def _nodes(self, row: Row) -> tuple[NodeId | None, NodeId | None]:
        """The node of a row in each model: its own, or the first that reads its weight."""
        source = row.source
        if isinstance(source, NodeDifference):
            return source.before_id, source.after_id
        if isinstance(source, WeightDifference):
            old = next(iter(self.before.graph.consumers(source.before)), None)
            new = next(iter(self.after.graph.consumers(source.after)), None)
            return old, new
        name = row.name.split(" ")[-1]  # an input or output: what reads or makes it
        return _at(self.before.graph, name), _at(self.after.graph, name)

    def _on_selected(self, old: NodeId | None, new: NodeId | None) -> None:
        def is_it(row: Row) -> bool:
            source = row.source
            if isinstance(source, WeightDifference):
                return bool(source.readers) and source.readers[0] == ref and source.kind != "renamed"
            return isinstance(source, NodeDifference) and (source.before_id, source.after_id) == (old, new)

        ref = self.after.graph.ref(new) if new is not None else ""

        self.differences.choose(is_it, tell=False)

    def _on_both_selected(self, nodes: tuple[NodeId, ...], tensors: tuple[str, ...]) -> None:
        del tensors
        if self.modes.currentIndex() == 1 and nodes and self.shown is not None and self.found is not None:
            back = {here: old for old, here in self.shown.union.gone.items()}
            pairs = {new: old for old, new in self.found.pairs.items()}
            here = nodes[-1]
            self._on_selected(*((back[here], None) if here in back else (pairs.get(here), here)))

    def closeEvent(self, event: QCloseEvent) -> None:
        self._stopped = True
        super().closeEvent(event)


def _at(graph: Graph, tensor: str) -> NodeId | None:
    made = graph.producer(tensor)
    return made if made is not None else next(iter(graph.consumers(tensor)), None)


def _kinds(found: Comparison, before: Graph, after: Graph) -> tuple[dict[NodeId, str], dict[NodeId, str]]:
    """The kind of difference of every node that has one, in each model; a node whose weights differ has changed."""
    first: dict[NodeId, str] = {}
    second: dict[NodeId, str] = {}
    for weight in found.weights:
        if weight.kind != "renamed":
            first.update(dict.fromkeys(before.consumers(weight.before), "changed"))
            second.update(dict.fromkeys(after.consumers(weight.after), "changed"))
    for node in found.nodes:
        for colors, here in ((first, node.before_id), (second, node.after_id)):
            if here is not None and (here not in colors or node.kind != "renamed"):
                colors[here] = node.kind
    return first, second


def _overlay(kinds: Mapping[NodeId, str], found: Comparison) -> Overlay:
    counts = Counter(found.counts())
    legend = [LegendLine(DIFFERENCE_COLORS[kind], kind, f"{counts[kind]:,}") for kind in KINDS if counts[kind]]
    values = sum(weight.kind == "changed" for weight in found.weights)
    if values:
        legend.append(LegendLine(DIFFERENCE_COLORS["changed"], "weights changed", f"{values:,}"))
    colors = {node: DIFFERENCE_COLORS[kind] for node, kind in kinds.items()}
    return Overlay("Differences", colors, dict(kinds), tuple(legend) or (LegendLine("", "no difference"),))
