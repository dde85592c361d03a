"""The graph as a tree of the modules that the exporter named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from onnx import GraphProto
from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QRect, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QStackedLayout,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
    QWidget,
)  # fmt: skip

from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import Selection
from graftwerk.widgets.panels.outline_model import COUNT, Index, OutlineModel, ScopePath, Scopes
from graftwerk.widgets.panels.parts import Empty
from graftwerk.widgets.theme import LIGHT, Theme

#: Models whose open scopes are remembered.
_KEPT = 16
#: Rows of a selection made elsewhere that are marked here.
_MARKED = 500
_PAD = 8


class Outline(QWidget):
    """Scopes with their counts of nodes. `selected` carries the Selection that a click makes: a scope's are all its
    nodes. What is opened stays open over edits."""

    selected = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = OutlineModel(self)
        self.tree = QTreeView(self)
        self.tree.setModel(self.model)
        self.tree.setHeaderHidden(True)
        self.tree.setStyleSheet("QTreeView { background: transparent; border: none; }")
        self.tree.setUniformRowHeights(True)
        self.tree.setIndentation(14)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setAnimated(False)
        self._delegate = _Row(self.tree)
        self.tree.setItemDelegate(self._delegate)
        self.tree.selectionModel().selectionChanged.connect(self._on_selection)
        self.tree.expanded.connect(lambda index: self._opened(index, True))
        self.tree.collapsed.connect(lambda index: self._opened(index, False))
        self._stack = QStackedLayout(self)
        self._stack.addWidget(Empty("Open a model to see its parts by scope."))
        self._stack.addWidget(self.tree)
        self._scopes = Scopes()
        self._steps: Iterator[None] | None = None
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._step)
        self._views: list[_View] = []  # the shown one is the last
        self._selection = Selection()
        self._quiet = False

    @property
    def busy(self) -> bool:
        """Whether a large graph's scopes are still being collected."""
        return self._steps is not None

    def set_theme(self, theme: Theme) -> None:
        self._delegate.theme = theme
        self.tree.viewport().update()

    def set_graph(self, graph: Graph | None) -> None:
        """Shows a graph; another revision of the shown model keeps what is open."""
        before = self._scopes.graph
        if graph is None:
            self._leave()
            self._steps = None
            self._timer.stop()
            self._scopes = Scopes()
            self.model.set_graph(None, self._scopes)
        elif before is graph:
            return
        elif before is not None and not self.busy and before.skeleton is graph.skeleton:
            if self._scopes.follow(graph):
                self._rebuild(self.tree.verticalScrollBar().value())
        else:
            self._leave()
            self._view_of(graph)
            self._selection = Selection()
            self._scopes = Scopes()
            self._steps = self._scopes.start(graph)
            self.model.set_graph(None, self._scopes)
            self._step()
            if self.busy:
                self._timer.start()
        self._stack.setCurrentIndex(0 if graph is None else 1)

    def _leave(self) -> None:
        """Keeps how far down the shown graph was scrolled."""
        if self._views and not self.busy and self._scopes.graph is not None:
            self._views[-1].place = self.tree.verticalScrollBar().value()

    def _view_of(self, graph: Graph) -> None:
        """Makes a model's view the shown one: as it was left, or with the first level open."""
        known = next((view for view in self._views if view.model is graph.skeleton), None)
        if known is not None:
            self._views.remove(known)
        self._views = [*self._views[1 - _KEPT :], known or _View(graph.skeleton)]

    def set_selection(self, selection: Selection) -> None:
        """Marks what is selected; a single node is opened and brought into view."""
        self._selection = selection
        if self.busy or self._scopes.graph is None or selection.nodes == self._chosen():
            return
        self._quiet = True
        try:
            self._mark(selection)
        finally:
            self._quiet = False

    def _mark(self, selection: Selection) -> None:
        chosen = QItemSelection()
        for node in selection.nodes[:_MARKED]:
            if (item := self.model.find_node(node)) is not None and item.parent is not None:
                index = self.model.index_of(item)
                if len(selection.nodes) == 1 or self._visible(index):
                    chosen.select(index, index)
        self.tree.selectionModel().select(chosen, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if len(selection.nodes) == 1 and chosen.indexes():
            index = chosen.indexes()[0]
            self.tree.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.tree.scrollTo(index)

    def _visible(self, index: QModelIndex) -> bool:
        above = index.parent()
        while above.isValid():
            if not self.tree.isExpanded(above):
                return False
            above = above.parent()
        return True

    def _step(self) -> None:
        """Does a part of the work on a large graph, so that the window goes on in between."""
        assert self._steps is not None
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
            self._timer.stop()
            view, selection = self._views[-1], self._selection
            self._selection = Selection()
            self._rebuild(view.place)
            if not view.seen:
                self._open_single()
            view.seen = True
            self.set_selection(selection)

    def _rebuild(self, place: int) -> None:
        graph = self._scopes.graph
        self._quiet = True
        try:
            self.model.set_graph(graph, self._scopes)
            for path in sorted(self._views[-1].opened, key=len):
                item = self.model.find_scope(path)
                if item is not None:
                    self.tree.expand(self.model.index_of(item))
            self._mark(self._selection)
            self.tree.executeDelayedItemsLayout()  # else there is nowhere to scroll to yet
            self.tree.verticalScrollBar().setValue(place)
        finally:
            self._quiet = False

    def _open_single(self) -> None:
        """Opens what holds nothing but one scope: there is no choice to be made there."""
        index = self.model.index(0, 0)
        while index.isValid() and self.model.item(index).path is not None:
            self.tree.expand(index)
            if self.model.rowCount(index) != 1:
                break
            index = self.model.index(0, 0, index)

    def _opened(self, index: QModelIndex, is_open: bool) -> None:
        path = self.model.item(index).path
        if path is not None and self._views:
            opened = self._views[-1].opened
            (opened.add if is_open else opened.discard)(path)

    def _chosen(self) -> tuple[int, ...]:
        rows = self.tree.selectionModel().selectedIndexes()
        return tuple(dict.fromkeys(node for index in rows for node in self.model.item(index).nodes))

    def _on_selection(self) -> None:
        if not self._quiet:
            self._selection = Selection(self._chosen())
            self.selected.emit(self._selection)


@dataclass
class _View:
    """What was open in a model's outline, and how far down it was scrolled. All revisions share the `model` record."""

    model: GraphProto
    opened: set[ScopePath] = field(default_factory=lambda: {()})
    place: int = 0
    seen: bool = False


class _Row(QStyledItemDelegate):
    """A name, and at the right how many nodes a scope has."""

    theme: Theme = LIGHT

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        super().initStyleOption(option, index)
        count = index.data(COUNT)
        if count:
            room = option.rect.width() - option.fontMetrics.horizontalAdvance(count) - 3 * _PAD
            option.text = option.fontMetrics.elidedText(option.text, option.textElideMode, room)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        count = index.data(COUNT)
        if count:
            painter.save()
            painter.setPen(QColor(self.theme.muted))
            area = QRect(option.rect).adjusted(0, 0, -_PAD, 0)
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, count)
            painter.restore()
