"""The scopes of a graph as a Qt model that knows only what was opened in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.scopes import scope_of
from graftwerk.widgets.panels.readout import count_text, number_text

ScopePath = tuple[str, ...]
Index = QModelIndex | QPersistentModelIndex
#: Rows that are given to the view at a time: it asks about every row that it has.
BATCH = 500
#: Role of the number of nodes in a scope, as a text; None for a node.
COUNT = Qt.ItemDataRole.UserRole


class Item:
    """A scope with all nodes in it and below, or one node (`path` is None then)."""

    __slots__ = ("children", "node", "nodes", "parent", "path", "row", "scopes", "shown")

    def __init__(self, parent: Item | None, row: int, path: ScopePath | None, nodes: Sequence[NodeId]) -> None:
        self.parent = parent
        self.row = row
        self.path = path
        self.nodes = nodes
        self.shown = 0
        self.children: list[Item] = []
        self.scopes: dict[str, Item] = {}


class Scopes:
    """The scope of every node of a graph, kept up over its edits."""

    def __init__(self) -> None:
        self.graph: Graph | None = None
        self._paths: dict[NodeId, ScopePath] = {}
        self._same: dict[ScopePath, ScopePath] = {}

    def start(self, graph: Graph) -> Iterator[None]:
        """Takes another graph; the work is done in steps of a few milliseconds, one for each `next`."""
        self._paths.clear()
        self._same.clear()
        self.graph = graph
        for number, node in enumerate(graph.nodes, 1):
            self._put(graph, node)
            if number % 4000 == 0:
                yield

    def follow(self, graph: Graph) -> bool:
        """Takes another revision of the same model; whether anything that the outline shows has changed."""
        assert self.graph is not None
        before, self.graph = self.graph, graph
        change = diff(before, graph)
        for node in change.removed:
            del self._paths[node]
        shown = bool(change.added or change.removed)
        for node in change.added | change.changed:
            old = self._paths.get(node)
            self._put(graph, node)
            if node in change.changed:
                shown |= old != self._paths[node] or _label(before, node) != _label(graph, node)
        return shown

    def path(self, node: NodeId) -> ScopePath:
        return self._paths[node]

    def _put(self, graph: Graph, node: NodeId) -> None:
        path = scope_of(graph.nodes[node])
        self._paths[node] = self._same.setdefault(path, path)


class OutlineModel(QAbstractItemModel):
    """Names of scopes and nodes; in `COUNT`, how many nodes a scope has."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._graph: Graph | None = None
        self._scopes = Scopes()
        self._top = Item(None, 0, None, ())

    def set_graph(self, graph: Graph | None, scopes: Scopes) -> None:
        self.beginResetModel()
        self._graph, self._scopes = graph, scopes
        self._top = Item(None, 0, None, ())
        if graph is not None:
            self._top.children = [Item(self._top, 0, (), list(graph.nodes))]
            self._top.shown = 1
        self.endResetModel()

    # What the panel asks

    def item(self, index: Index) -> Item:
        found = index.internalPointer() if index.isValid() else self._top
        assert isinstance(found, Item)
        return found

    def index_of(self, item: Item) -> QModelIndex:
        """The index of an item, given to the view where it had not asked that far."""
        parent = item.parent
        if parent is None:
            return QModelIndex()
        while parent.shown <= item.row:
            self.fetchMore(self.index_of(parent))
        return self.createIndex(item.row, 0, item)

    def find_scope(self, path: ScopePath) -> Item | None:
        item: Item | None = self._top.children[0] if self._top.children else None
        for part in path:
            if item is None:
                break
            self._open(item)
            item = item.scopes.get(part)
        return item

    def find_node(self, node: NodeId) -> Item | None:
        if self._graph is None or node not in self._graph.nodes:
            return None
        scope = self.find_scope(self._scopes.path(node))
        if scope is None:
            return None
        self._open(scope)
        return next((child for child in scope.children if child.path is None and child.nodes[0] == node), None)

    def _open(self, item: Item) -> None:
        """Sorts the nodes of a scope into the scopes and nodes right below it; scopes stand where their first node
        does."""
        if item.children or item.path is None:
            return
        depth = len(item.path)
        below: dict[str, list[NodeId]] = {}
        for node in item.nodes:
            path = self._scopes.path(node)
            if len(path) == depth:
                item.children.append(Item(item, len(item.children), None, (node,)))
                continue
            part = path[depth]
            members = below.get(part)
            if members is None:
                members = below[part] = []
                scope = Item(item, len(item.children), path[: depth + 1], members)
                item.children.append(scope)
                item.scopes[part] = scope
            members.append(node)

    # Qt's questions

    def index(self, row: int, column: int, parent: Index | None = None) -> QModelIndex:
        above = self.item(parent) if parent is not None else self._top
        if row < len(above.children) and column == 0:
            return self.createIndex(row, column, above.children[row])
        return QModelIndex()

    def parent(self, index: Index | None = None) -> Any:
        if index is None:  # QObject's parent() goes by the same name
            return QObject.parent(self)
        above = self.item(index).parent
        return self.createIndex(above.row, 0, above) if above is not None and above is not self._top else QModelIndex()

    def rowCount(self, parent: Index | None = None) -> int:
        return self.item(parent).shown if parent is not None else self._top.shown

    def columnCount(self, parent: Index | None = None) -> int:
        return 1

    def hasChildren(self, parent: Index | None = None) -> bool:
        return parent is None or not parent.isValid() or self.item(parent).path is not None

    def canFetchMore(self, parent: Index) -> bool:
        item = self.item(parent)
        self._open(item)
        return item.shown < len(item.children)

    def fetchMore(self, parent: Index) -> None:
        item = self.item(parent)
        self._open(item)
        end = min(item.shown + BATCH, len(item.children))
        if end > item.shown:
            self.beginInsertRows(parent, item.shown, end - 1)
            item.shown = end
            self.endInsertRows()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if self._graph is None:
            return None
        item = self.item(index)
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(item)
        if role == COUNT and item.path is not None:
            return number_text(len(item.nodes))
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(item)
        return None

    def _text(self, item: Item) -> str:
        assert self._graph is not None
        if item.path is None:
            return _label(self._graph, item.nodes[0])
        return item.path[-1] if item.path else self._graph.skeleton.name or "Graph"

    def _tip(self, item: Item) -> str:
        assert self._graph is not None
        if item.path is None:
            record = self._graph.nodes[item.nodes[0]]
            return f"{record.op_type}  {self._graph.ref(item.nodes[0])}"
        count = count_text(len(item.nodes), "node")
        return f"/{'/'.join(item.path)}: {count}" if item.path else count


def _label(graph: Graph, node: NodeId) -> str:
    """A node's name within its scope; its operator where it has no name."""
    record = graph.nodes[node]
    return record.name.rstrip("/").rpartition("/")[2] or record.op_type
