"""The palette of operators: searched, grouped, documented, and dragged onto the canvas."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QLineEdit,
    QSplitter,
    QTextBrowser,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.graph.families import FAMILIES
from graftwerk.backend.graph.operators import Attribute, Operator, Port
from graftwerk.widgets.panels.attribute_form import about
from graftwerk.widgets.panels.fuzzy import Fuzzy
from graftwerk.widgets.theme import LIGHT, Theme

_OPERATOR = Qt.ItemDataRole.UserRole
_HINT = "Drag an operator onto an edge to insert it, or onto free space to add it"


class Operators(QWidget):
    """Shows the operators that it is given.

    `dragged` carries an Operator and the place on the screen while it is dragged, `dropped` the Operator when it is let
    go, `drag_cancelled` that Esc was pressed; `add_requested` carries the one that was double-clicked or entered.
    """

    dragged = Signal(object, QPoint)
    dropped = Signal(object)
    drag_cancelled = Signal()
    add_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._operators: tuple[Operator, ...] = ()
        self._fuzzy = Fuzzy(())
        self._theme = LIGHT
        self.search = QLineEdit()
        self.search.setProperty("role", "search")
        self.search.setPlaceholderText("Search operators")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._fill)
        self.search.returnPressed.connect(self._enter)
        self.tree = _Tree(self)
        self.tree.currentItemChanged.connect(self._on_current)
        self.tree.itemActivated.connect(self._activate)
        self.tree.dragged.connect(self.dragged)
        self.tree.dropped.connect(self.dropped)
        self.tree.drag_cancelled.connect(self.drag_cancelled)
        self.page = QTextBrowser()
        self.page.setOpenLinks(False)
        self.page.setFrameShape(QTextBrowser.Shape.NoFrame)
        self.empty = QLabel("Open a model to see the operators of its opsets.")
        self.empty.setProperty("role", "muted")
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setMargin(24)
        self._split = QSplitter(Qt.Orientation.Vertical)
        self._split.setChildrenCollapsible(False)
        self._split.addWidget(self.tree)
        self._split.addWidget(self.page)
        self._split.setSizes([260, 240])
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        column.addWidget(self.search)
        column.addWidget(self.empty, 1)
        column.addWidget(self._split, 1)
        self.set_operators(())

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._on_current(self.tree.currentItem())

    def set_operators(self, operators: Sequence[Operator]) -> None:
        """Shows others; those it shows already change nothing."""
        if tuple(operators) == self._operators and operators:
            return
        self._operators = tuple(operators)
        self._fuzzy = Fuzzy([f"{one.title} {one.keywords}".strip() for one in self._operators])
        self.empty.setVisible(not operators)
        self._split.setVisible(bool(operators))
        self.search.setVisible(bool(operators))
        self._fill(self.search.text())

    def operator(self) -> Operator | None:
        """The one that is marked."""
        item = self.tree.currentItem()
        found: Operator | None = item.data(0, _OPERATOR) if item is not None else None
        return found

    def show_operator(self, name: str, domain: str = "") -> None:
        """Marks an operator and shows its page."""
        self.search.clear()
        for item in self.tree.rows():
            operator = item.data(0, _OPERATOR)
            if (operator.name, operator.domain) == (name, domain):
                self.tree.setCurrentItem(item)
                self.tree.scrollToItem(item)
                return

    def _fill(self, query: str) -> None:
        """All of them by group; those that match a query in one list, the best first."""
        self.tree.clear()
        if query.strip():
            for row in self._fuzzy.search(query):
                self.tree.addTopLevelItem(_item(self._operators[row]))
            first = self.tree.topLevelItem(0)
            if first is not None:
                self.tree.setCurrentItem(first)
            return
        groups: dict[str, QTreeWidgetItem] = {}
        order = {title: at for at, title in enumerate(FAMILIES.values())}
        for operator in sorted(self._operators, key=lambda one: order.get(one.group, len(order))):
            group = groups.get(operator.group)
            if group is None:
                group = groups[operator.group] = QTreeWidgetItem()
                self.tree.addTopLevelItem(group)
            group.addChild(_item(operator))
        for title, group in groups.items():
            group.setText(0, f"{title}  {group.childCount()}")
            group.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self._on_current(None)

    def _on_current(self, item: QTreeWidgetItem | None, _: object = None) -> None:
        operator = item.data(0, _OPERATOR) if item is not None else None
        text = page_html(operator, self._theme) if operator is not None else f"<p>{_HINT}.</p>"
        self.page.setHtml(text)

    def _activate(self, item: QTreeWidgetItem) -> None:
        operator = item.data(0, _OPERATOR)
        if operator is not None:
            self.add_requested.emit(operator)

    def _enter(self) -> None:
        if self.operator() is not None:
            self.add_requested.emit(self.operator())


def _item(operator: Operator) -> QTreeWidgetItem:
    item = QTreeWidgetItem([operator.name])
    item.setData(0, _OPERATOR, operator)
    first = operator.doc.strip().splitlines()[0] if operator.doc.strip() else ""
    item.setToolTip(0, "\n".join(filter(None, ["Deprecated" if operator.deprecated else "", first, _HINT])))
    if operator.deprecated:
        font = item.font(0)
        font.setStrikeOut(True)
        item.setFont(0, font)
    return item


class _Tree(QTreeWidget):
    """The list. Its drags are its own: the mouse stays with it, and the canvas is told where it is."""

    dragged = Signal(object, QPoint)
    dropped = Signal(object)
    drag_cancelled = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setHeaderHidden(True)
        self.setFrameShape(QTreeWidget.Shape.NoFrame)
        self.setIndentation(14)
        self.setAccessibleName("Operators")
        self._pressed: tuple[Operator, QPoint] | None = None
        self._dragging = False

    def rows(self) -> list[QTreeWidgetItem]:
        """The rows with an operator, whatever group they are in."""
        tops = [item for row in range(self.topLevelItemCount()) if (item := self.topLevelItem(row)) is not None]
        found = [item for item in tops if item.data(0, _OPERATOR) is not None]
        return found + [child for item in tops for row in range(item.childCount()) if (child := item.child(row))]

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        item = self.itemAt(event.position().toPoint())
        operator = item.data(0, _OPERATOR) if item is not None else None
        left = event.button() == Qt.MouseButton.LeftButton
        self._pressed = (operator, event.position().toPoint()) if operator is not None and left else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None or not event.buttons() & Qt.MouseButton.LeftButton:
            super().mouseMoveEvent(event)
            return
        operator, start = self._pressed
        way = (event.position().toPoint() - start).manhattanLength()
        if not self._dragging and way >= QApplication.startDragDistance():
            self._dragging = True
            self.viewport().setCursor(Qt.CursorShape.DragCopyCursor)
        if self._dragging:
            self.dragged.emit(operator, event.globalPosition().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        pressed, self._pressed = self._pressed, None
        if self._dragging and pressed is not None:
            self._end()
            self.dropped.emit(pressed[0])
        else:
            super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._dragging:
            self._pressed = None
            self._end()
            self.drag_cancelled.emit()
        else:
            super().keyPressEvent(event)

    def _end(self) -> None:
        self._dragging = False
        self.viewport().unsetCursor()


# The documentation of an operator


def page_html(operator: Operator, theme: Theme) -> str:
    """An operator's page as rich text."""
    muted = f"color:{theme.muted}"
    where = operator.domain or "ai.onnx"
    state = f" · <b style='color:{theme.error}'>deprecated</b>" if operator.deprecated else ""
    since = f" · since version {operator.since}" if operator.constraints else ""
    parts = [
        f"<h3 style='margin-bottom:0'>{html.escape(operator.name)}</h3>",
        f"<p style='margin-top:2px;{muted}'>{html.escape(where)}{since}{state}<br>"
        f"from {html.escape(operator.source)}</p>",
        _doc(operator.doc),
        _ports("Inputs", operator.inputs, muted), _ports("Outputs", operator.outputs, muted),
        _attributes(operator.attributes, muted),
    ]  # fmt: skip
    if operator.constraints:
        rows = "".join(
            f"<p><b>{html.escape(name)}</b>: {html.escape(', '.join(types))}"
            f"<br><span style='{muted}'>{html.escape(doc)}</span></p>"
            for name, types, doc in operator.constraints
        )
        parts.append(f"<h4>Types</h4>{rows}")
    return "".join(parts)


def _doc(text: str) -> str:
    blocks = [block.strip() for block in text.replace("<br/>", "\n").split("\n\n") if block.strip()]
    return "".join(f"<p>{html.escape(block)}</p>" for block in blocks)


def _ports(title: str, ports: Sequence[Port], muted: str) -> str:
    rows = "".join(
        f"<p><b>{html.escape(port.name or '…')}</b> <span style='{muted}'>"
        f"{html.escape(' · '.join(filter(None, [port.types, '' if port.option == 'single' else port.option])))}</span>"
        f"<br>{html.escape(' '.join(port.doc.split()))}</p>"
        for port in ports
    )
    return f"<h4>{title}</h4>{rows}" if ports else f"<h4>{title}</h4><p style='{muted}'>none</p>"


def _attributes(attributes: Sequence[Attribute], muted: str) -> str:
    if not attributes:
        return f"<h4>Attributes</h4><p style='{muted}'>none</p>"
    rows = []
    for attribute in sorted(attributes, key=lambda one: not one.required):
        choices = f" · one of {', '.join(map(str, attribute.choices))}" if attribute.choices else ""
        rows.append(
            f"<p><b>{html.escape(attribute.name)}</b> <span style='{muted}'>{html.escape(about(attribute) + choices)}"
            f"</span><br>{html.escape(' '.join(attribute.doc.replace('<br/>', ' ').split()))}</p>"
        )
    return f"<h4>Attributes</h4>{''.join(rows)}"
