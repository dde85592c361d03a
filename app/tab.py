"""One open model in the window: its document, what the compilers said of it, and the canvas that shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from graftwerk.app.coaching import Coaching
from graftwerk.app.inference import Inference
from graftwerk.app.preview import Preview
from graftwerk.app.validation import Validation
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.graph import Graph, NodeId, Problem
from graftwerk.backend.operations.registry import Selection
from graftwerk.widgets.breadcrumbs import Breadcrumbs
from graftwerk.widgets.canvas.overlay import NONE
from graftwerk.widgets.canvas.state import ViewState
from graftwerk.widgets.canvas.view import Canvas
from graftwerk.widgets.overlay_switch import OverlaySwitch
from graftwerk.widgets.theme import Theme

if TYPE_CHECKING:  # what is imported inside functions here is not needed for the first picture
    from graftwerk.app.window import Window
    from graftwerk.backend.engines.report import Profile, Report, Verification
    from graftwerk.widgets.canvas.overlay import Overlay


@dataclass(frozen=True)
class Inside:
    """A graph that was opened inside another, where it is in the model, and how the view of the other was left."""

    label: str
    path: tuple[str, ...]
    graph: Graph
    left: ViewState


class Tab(QWidget):
    """Holds a document and shows one of its graphs: the model's own, or a nested one that was opened in it.

    `changed` says that graph, report, profile or overlay are others now; `selection_changed` what the name says.
    """

    changed = Signal()
    selection_changed = Signal()
    operation_requested = Signal(object)
    failed = Signal(object)

    def __init__(self, document: Document, window: Window) -> None:
        super().__init__()
        self.document = document
        self._window = window
        self.selection = Selection()
        self.report: Report | None = None
        self.report_revision = -1
        self.profile: Profile | None = None
        self.profile_revision = -1
        self.verification: Verification | None = None
        self.verification_revision = -1
        self.refusals: dict[str, Problem] = {}
        self.overlay = "none"
        self.preview = Preview(self, window)
        self.engine: Path | None = None
        #: What is shown in place of an overlay while precisions are painted.
        self.painting: Callable[[], Overlay] | None = None
        self._path: list[Inside] = []
        self._shown_revision = -1
        self._drawn: Graph | None = None
        self.inference = Inference(document, window.jobs, self.changed.emit, self)
        self.validation = Validation(self, window)
        self.coaching = Coaching(self, window)

        self.canvas = Canvas(self)
        self.breadcrumbs = Breadcrumbs(self)
        self.switch = OverlaySwitch(self)
        self._lay_out()
        self.canvas.selection_changed.connect(self._on_canvas_selection)
        self.canvas.operation_requested.connect(self.operation_requested)
        self.canvas.open_nested.connect(self.open_nested)
        self.breadcrumbs.activated.connect(self.go_up)
        self.switch.chosen.connect(self.set_overlay)
        document.listeners.append(self._on_document)
        self.show_furniture()
        self.set_theme(window.theme)
        self._on_document()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setContentsMargins(16, 8, 12, 8)
        top.addWidget(self.breadcrumbs, 1)
        top.addWidget(self.switch)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self.canvas, 1)

    # What is shown

    @property
    def graph(self) -> Graph:
        """The graph on the canvas: the model's, or the nested one that was opened."""
        return self._path[-1].graph if self._path else self.document.graph

    @property
    def title(self) -> str:
        return self.document.path.name if self.document.path else self.document.origin or "untitled"

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is doubtful in the model, and what the last compile refused."""
        checked = self.validation.problems  # of the file, until the first check is done
        found = (self.document.graph.problems if checked is None else checked) + self.inference.problems
        found += self.validation.parser if not self.refusals else tuple(self.refusals.values())
        found += self.coaching.problems
        incomplete = self.document.graph.incomplete
        return (*found, Problem(incomplete.text, "", incomplete.hint)) if incomplete else found

    @property
    def path(self) -> tuple[str, ...]:
        """Where the shown graph is in the model, for `graph.within`; empty for the model's own."""
        return self._path[-1].path if self._path else ()

    def set_theme(self, theme: Theme) -> None:
        self.canvas.set_theme(theme)
        self._show_overlay()

    def show_furniture(self) -> None:
        """The legend and the minimap, where they are wanted."""
        wanted = self._window.settings.read
        self.canvas.show_furniture(legend=wanted("legend", True), minimap=wanted("minimap", True))

    def select(self, selection: Selection, reveal: bool = False) -> None:
        """Selects on the canvas and everywhere; with `reveal`, brings it into view."""
        self.canvas.select(selection.nodes, selection.tensors)
        if reveal and (selection.nodes or selection.tensors):
            self.canvas.reveal(selection.nodes[0] if selection.nodes else selection.tensors[0])

    def select_refs(self, refs: tuple[str, ...], reveal: bool = True) -> None:
        """Selects nodes by their references; those that are gone by now are left out. Where none is in the body that
        is open, but in the model, goes back to the model."""
        if self._path and not _any_of(self.graph, refs) and _any_of(self.document.graph, refs):
            self.go_up(0)
        graph = self.graph
        found = []
        for ref in refs:
            try:
                found.append(graph.find(ref))
            except Fault:
                continue  # an edit has removed it since
        if found:
            self.select(Selection(tuple(found)), reveal)
        elif len(refs) == 1 and graph.defines(refs[0]):
            self.select(Selection((), refs), reveal)

    def set_overlay(self, key: str) -> None:
        self.overlay = key
        self._show_overlay()
        self.changed.emit()

    def set_report(self, report: Report | None, revision: int) -> None:
        """Takes what a compiler made of a revision."""
        self.report, self.report_revision = report, revision
        if report is not None:
            self.refusals.pop(report.backend, None)
            self.coaching.report_came(report, revision)
        if report is not None and self.overlay == "none":
            self.overlay = "fusion"
        self._show_overlay()
        self.changed.emit()

    def set_profile(self, profile: Profile, revision: int) -> None:
        """Takes the times of a revision."""
        self.profile, self.profile_revision = profile, revision
        self.refusals.pop(profile.backend, None)
        self.overlay = "time"
        self._show_overlay()
        self.changed.emit()

    def set_verification(self, verification: Verification, revision: int) -> None:
        """Takes how a revision compares with the model as it was opened."""
        self.verification, self.verification_revision = verification, revision
        self.refusals.pop(verification.backend, None)
        self.changed.emit()

    def set_refusal(self, problem: Problem, backend: str) -> None:
        """Takes what a backend refused, until it has taken the model, and selects the node that it names, unless a body
        is open: a preview that runs by itself is not to lead away from it."""
        self.refusals[backend] = problem
        if not self._path:
            self.select_refs((problem.where,))
        self.changed.emit()

    # Nested graphs

    def open_nested(self, node: NodeId, label: str = "") -> None:
        """Shows the graph behind a node: a body, or the local function that it calls. Asks which, if there are several
        and none is named."""
        from graftwerk.backend.graph.nested import inside, labels, path_to

        there = labels(self.graph, node)
        if not there:
            return
        if not label and len(there) > 1:
            self._ask_inside(node, there)
            return
        label = label or there[0]
        record, path = self.graph.nodes[node], path_to(self.graph, self.path, node, label)
        title = f"{record.name or record.op_type} · {label}"
        self._path.append(Inside(title, path, inside(self.document.graph, path), self.canvas.state))
        self._drawn = None
        self._show_graph()

    def _ask_inside(self, node: NodeId, labels: list[str]) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for label in labels:
            menu.addAction(label).triggered.connect(lambda _=False, one=label: self.open_nested(node, one))
        menu.popup(QCursor.pos())

    def go_up(self, depth: int) -> None:
        """Goes back to the graph at a depth of the breadcrumbs, 0 the model's own."""
        if 0 <= depth < len(self._path):
            state = self._path[depth].left
            del self._path[depth:]
            self._drawn = None
            self._show_graph(state)

    @property
    def nesting(self) -> int:
        """How far inside the shown graph is, 0 the model's own."""
        return len(self._path)

    def _on_canvas_selection(self, nodes: tuple[NodeId, ...], tensors: tuple[str, ...]) -> None:
        self.selection = Selection(tuple(nodes), tuple(tensors))
        self.selection_changed.emit()

    def select_all(self) -> None:
        self.canvas.select(self.graph.nodes)

    # Following the document

    def _on_document(self) -> None:
        graph = self.document.graph
        if self._follow():
            self._show_graph()
        if self._shown_revision != graph.revision:
            self.refusals.clear()  # they were about another revision
        self._shown_revision = graph.revision
        if self._window.completed:  # no worker is started beside the first picture
            self.inference.graph_changed()
            self.validation.graph_changed()
        self.preview.graph_changed()

    def _follow(self) -> bool:
        """Looks anew at what is open inside the model; goes up, and says False, where it is there no more."""
        if self._path:
            from graftwerk.backend.graph.aligned import aligned
            from graftwerk.backend.graph.nested import inside

            for depth, each in enumerate(self._path):
                try:
                    graph = inside(self.document.graph, each.path)
                except Fault:
                    self.go_up(depth)
                    return False
                self._path[depth] = replace(each, graph=aligned(graph, each.graph))
        return True

    def _show_graph(self, state: ViewState | None = None) -> None:
        graph = self.graph
        change = diff(self._drawn, graph) if self._drawn is not None else None
        self.canvas.set_graph(graph, change, state)
        self._drawn = graph
        selection = Selection(self.canvas.selected_nodes, self.canvas.selected_tensors)
        if change is not None and change.added and (self.selection.nodes and not selection.nodes):
            self.canvas.select(sorted(change.added))  # what was selected is gone: a plugin took its place, say
            self.canvas.reveal(min(change.added))
            selection = Selection(self.canvas.selected_nodes, self.canvas.selected_tensors)
        other, self.selection = selection != self.selection, selection
        self.breadcrumbs.set_path([self.title, *(inside.label for inside in self._path)])
        self._show_overlay()
        self.changed.emit()
        if other:
            self.selection_changed.emit()

    def _show_overlay(self) -> None:
        self.switch.set_state(self.overlay, has_report=self.report is not None, has_profile=self.profile is not None)
        shown = self.profile_revision if self.overlay == "time" else self.report_revision
        stale = "" if shown == self.graph.revision else " · of an earlier revision"
        key = "none" if self._path else self.overlay
        theme = self._window.theme
        if self.painting is not None:
            self.canvas.set_overlay(self.painting())
            return
        if key == "none":
            self.canvas.set_overlay(NONE)
            return
        from graftwerk.app.overlays import overlay_for

        self.canvas.set_overlay(overlay_for(key, self.graph, self.report, self.profile, theme, stale))

    def show_overlay(self) -> None:
        """Brings the overlay up to date with what it is made of."""
        self._show_overlay()

    def shut(self) -> None:
        """Stops what runs for this tab; to be called before it goes."""
        self.document.listeners.clear()
        self.inference.stop()
        self.validation.stop()

    # Scopes

    def collapse_all(self) -> None:
        """Draws every outermost scope as one box."""
        from graftwerk.backend.graph.scopes import scope_tree

        self.canvas.set_collapsed(frozenset(child.path for child in scope_tree(self.graph).children.values()))

    def expand_all(self) -> None:
        self.canvas.set_collapsed(frozenset())


def _any_of(graph: Graph, refs: tuple[str, ...]) -> bool:
    """Whether a graph has a node or a tensor of these names."""
    return any(ref in graph.names or graph.defines(ref.removeprefix("output:")) for ref in refs)
