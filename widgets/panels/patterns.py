"""A pattern, where it occurs in the shown graph, and what nearly is an occurrence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QStackedLayout,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.match.library import Entry
from graftwerk.backend.match.matcher import Found, Occurrence
from graftwerk.backend.match.pattern import Pattern, parse
from graftwerk.backend.match.relax import without_attributes, without_values
from graftwerk.backend.operations.registry import Selection
from graftwerk.widgets.panels.parts import Empty, mark_invalid, note
from graftwerk.widgets.theme import Theme, mono_font

_OCCURRENCE = Qt.ItemDataRole.UserRole
_OWN = "Own pattern"
#: Near misses that are listed.
_NEAR = 200
#: Waits for a pause in typing before the text is read, milliseconds.
PAUSE = 150
_HELP = """One line for each node, in an order in which they could be computed:
y = Mul(x, s)                       names are values; x comes from outside, the same name is the same tensor
a = Add|Sub(x, #c)                  one of several operators (* is any); #c is a constant, called c
b = Pow(a, #2)                      a constant of this value; #e=1e-5 has a name too, #c:scalar one element
t = Transpose(x) {perm=[0, 2, 1]}   attributes that are given must be equal, the others may be anything
?d = Cast(b)                        a node that may be missing
r = Resize(d, _, ...)               _ is left out, ... any inputs that follow
-> y                                what may be read outside; without it all that the pattern doesn't read"""


class Patterns(QWidget):
    """Signals: `search` (text), `stop`, `from_selection`, `selected` (Selection), `replace` (text, nodes of the chosen
    occurrences, empty for all), `save` (text), `delete` (name). Text is a library name or a pattern's lines."""

    search = Signal(str)
    stop = Signal()
    from_selection = Signal()
    selected = Signal(object)
    replace = Signal(str, object)
    save = Signal(str)
    delete = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: dict[str, Entry] = {}
        self._graph: Graph | None = None
        self._found: Found | None = None
        self._searched = ""
        self._timer = QTimer(self, singleShot=True, interval=PAUSE)
        self._timer.timeout.connect(self._check)
        self.names = QComboBox()
        self.names.setAccessibleName("Pattern")
        self.names.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.names.activated.connect(self._choose)
        self.text = QPlainTextEdit()
        self.text.setFont(mono_font())
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName("Lines of the pattern")
        self.text.setPlaceholderText("a = Sigmoid(x)\ny = Mul(x, a)")
        self.text.setToolTip(_HELP)
        self.text.textChanged.connect(self._timer.start)
        self.problem = note(role="warning")
        self.take = _button("Selection", "Take the selected nodes as the pattern", self.from_selection.emit)
        self.loosen = _menu_button("Relax", "Let the pattern ask for less")
        self.no_attributes = _entry(self.loosen, "Any attributes", self._relax(without_attributes))
        self.no_values = _entry(self.loosen, "Any constants", self._relax(without_values))
        self.library = _menu_button("Library", "Your own patterns")
        self.keep = _entry(self.library, "Save…", lambda: self.save.emit(self.pattern_text()))
        self.remove = _entry(self.library, "Delete", lambda: self.delete.emit(self._name()))
        self.find_button = _button("Find", "Look for it in the shown graph", self._search)
        self.find_button.setFlat(False)
        self.find_button.setProperty("primary", True)
        self.state = note()
        self.rows = QTreeWidget()
        self.rows.setHeaderHidden(True)
        self.rows.setFrameShape(QTreeWidget.Shape.NoFrame)
        self.rows.setRootIsDecorated(False)
        self.rows.setUniformRowHeights(True)
        self.rows.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.rows.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.rows.setAccessibleName("Occurrences")
        self.rows.itemSelectionChanged.connect(self._select)
        self.rows.itemChanged.connect(lambda item, column: self._show_state())
        self.select_all = _button("Select", "Select the nodes of all ticked occurrences", self._select_ticked)
        self.replace_all = _button("Replace…", "Put one node in the place of each ticked occurrence", self._replace)
        self._lay_out()
        self.set_entries({})
        self.set_graph(None)

    def _lay_out(self) -> None:
        actions = QHBoxLayout()
        actions.setSpacing(0)
        for button in (self.take, self.loosen, self.library):
            actions.addWidget(button)
        actions.addStretch(1)
        upper, lower = QWidget(), QWidget()
        top = QVBoxLayout(upper)
        top.setContentsMargins(0, 0, 0, 4)
        top.setSpacing(6)
        top.addWidget(self.names)
        top.addWidget(self.text, 1)
        top.addWidget(self.problem)
        top.addLayout(actions)
        foot = QHBoxLayout()
        foot.setSpacing(0)
        foot.addWidget(self.find_button)
        foot.addStretch(1)
        foot.addWidget(self.select_all)
        foot.addWidget(self.replace_all)
        bottom = QVBoxLayout(lower)
        bottom.setContentsMargins(0, 4, 0, 0)
        bottom.setSpacing(6)
        bottom.addLayout(foot)
        bottom.addWidget(self.state)
        bottom.addWidget(self.rows, 1)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(upper)
        split.addWidget(lower)
        split.setSizes([220, 320])
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(split)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(Empty("Open a model to look for patterns in it."))
        self._stack.addWidget(inside)

    # What is given

    def set_theme(self, theme: Theme) -> None:
        self.rows.viewport().update()

    def set_entries(self, entries: Mapping[str, Entry], current: str = "") -> None:
        """Lists the library; `current` is chosen where it is given."""
        self._entries = dict(entries)
        chosen = current or self._name()
        self.names.clear()
        self.names.addItem(_OWN)
        for name, entry in self._entries.items():
            self.names.addItem(f"{entry.title} (own)" if entry.own else entry.title, name)
            self.names.setItemData(self.names.count() - 1, entry.note, Qt.ItemDataRole.ToolTipRole)
        self.names.setCurrentIndex(max(0, self.names.findData(chosen)))
        if current:
            self._choose()
        self._check()

    def set_graph(self, graph: Graph | None) -> None:
        """Another graph or revision: what was found in the one before is gone."""
        if graph is not None and self._graph is not None and graph.revision == self._graph.revision:
            return
        had = self._found is not None and graph is not None
        self._graph = graph
        self._stack.setCurrentIndex(0 if graph is None else 1)
        self.show_found(None)
        if had:
            self.say_changed()

    def say_changed(self) -> None:
        self.state.setText("The graph has changed. Find again.")

    def set_pattern(self, text: str) -> None:
        """Shows a pattern of the user's own."""
        self.names.setCurrentIndex(0)
        self.text.setPlainText(text)
        self._check()

    def pattern_text(self) -> str:
        """The name of the chosen pattern where its lines are as in the library, else the lines."""
        name = self._name()
        if name and self.text.toPlainText().strip() == _lines(self._entries[name]):
            return name
        return self.text.toPlainText().strip()

    # Searching

    def show_progress(self, done: int, total: int) -> None:
        """While a search runs; total 0 ends that."""
        running = total > 0
        self.find_button.setText("Stop" if running else "Find")
        if running:
            self.state.setText(f"Looked at {done:,} of {total:,} places")

    def show_found(self, found: Found | None) -> None:
        """Lists what a search found; None: nothing was looked for yet."""
        self.show_progress(0, 0)
        self._found = found
        self._searched = self.pattern_text()
        self.rows.blockSignals(True)
        self.rows.clear()
        if found is not None and self._graph is not None:
            overlapping = {id(one) for one in found.apart()[1]}
            places = distinct([self._graph.ref(one.nodes[0]) for one in found.occurrences])
            for one, place in zip(found.occurrences, places, strict=True):
                self.rows.addTopLevelItem(self._row(one, place, id(one) in overlapping))
            for one in found.near[:_NEAR]:
                self.rows.addTopLevelItem(self._near_row(one))
        self.rows.blockSignals(False)
        self._show_state()

    def occurrences(self) -> list[Occurrence]:
        """The ticked ones."""
        rows = (self.rows.topLevelItem(row) for row in range(self.rows.topLevelItemCount()))
        return [row.data(0, _OCCURRENCE) for row in rows if row and row.checkState(0) == Qt.CheckState.Checked
                and not row.data(0, _OCCURRENCE).mismatch]  # fmt: skip

    def _row(self, one: Occurrence, place: str, overlaps: bool) -> QTreeWidgetItem:
        assert self._graph is not None
        item = QTreeWidgetItem([f"{place}{'  · overlaps' if overlaps else ''}"])
        item.setData(0, _OCCURRENCE, one)
        item.setCheckState(0, Qt.CheckState.Unchecked if overlaps else Qt.CheckState.Checked)
        names = "\n".join(self._graph.ref(node) for node in one.nodes[:12])
        more = f"\nand {len(one.nodes) - 12} more" if len(one.nodes) > 12 else ""
        item.setToolTip(0, ("It shares nodes with an occurrence before it\n" if overlaps else "") + names + more)
        return item

    def _near_row(self, one: Occurrence) -> QTreeWidgetItem:
        item = QTreeWidgetItem([f"Not quite: {one.mismatch}"])
        item.setData(0, _OCCURRENCE, one)
        item.setToolTip(0, one.mismatch)
        font = item.font(0)
        font.setItalic(True)
        item.setFont(0, font)
        return item

    def _show_state(self) -> None:
        found, ticked = self._found, len(self.occurrences())
        self.select_all.setEnabled(ticked > 0)
        self.replace_all.setEnabled(ticked > 0)
        if found is None:
            self.state.setText("Choose a pattern, or select nodes and take them as one.")
            return
        count = len(found.occurrences)
        parts = [f"{count or 'No'} occurrence{'s' * (count != 1)}" + (f", {ticked} ticked" if ticked != count else "")]
        if found.near:
            parts.append(f"{len(found.near)} near miss{'es' * (len(found.near) != 1)}")
        if found.stopped:
            parts.append("stopped early")
        if found.gave_up:
            parts.append(f"gave up at {found.gave_up} places with too many ways on")
        self.state.setText(" · ".join(parts))

    # What the user does

    def _name(self) -> str:
        name: str | None = self.names.currentData()
        return name or ""

    def _choose(self) -> None:
        name = self._name()
        if name:
            self.text.setPlainText(_lines(self._entries[name]))
        self._check()

    def _check(self) -> Pattern | None:
        """Reads the text, and says what is wrong with it."""
        self._timer.stop()
        name, text = self._name(), self.text.toPlainText().strip()
        changed = bool(name) and text != _lines(self._entries[name])
        if changed:
            self.names.setCurrentIndex(0)
        own = bool(name) and not changed and self._entries[name].own
        self.remove.setEnabled(own)
        pattern, fault = None, None
        if text:
            try:
                pattern = parse(text)
            except Fault as found:
                fault = found
        if self._found is not None and self.pattern_text() != self._searched:
            self.show_found(None)
            self.state.setText("The pattern has changed. Find again.")
        mark_invalid(self.text, fault is not None)
        self.problem.setVisible(fault is not None)
        if fault is not None:
            self.problem.setText("\n".join(filter(None, [str(fault), fault.hint])))
        self.find_button.setEnabled(bool(text) and fault is None)
        self.keep.setEnabled(pattern is not None and not self._name())
        self.no_attributes.setEnabled(pattern is not None and any(node.attributes for node in pattern.nodes))
        self.no_values.setEnabled(pattern is not None and any(one.value is not None for one in pattern.constants))
        return pattern

    def _relax(self, change: Callable[[Pattern], Pattern]) -> Callable[[], None]:
        def relax() -> None:
            pattern = self._check()
            if pattern is not None:
                self.set_pattern(str(change(pattern)))

        return relax

    def _search(self) -> None:
        if self.find_button.text() == "Stop":
            self.stop.emit()
        elif self._check() is not None:
            self.search.emit(self.pattern_text())

    def _select(self) -> None:
        chosen = [item.data(0, _OCCURRENCE) for item in self.rows.selectedItems()]
        nodes = dict.fromkeys(node for one in chosen for node in one.nodes)
        if nodes:
            self.selected.emit(Selection(tuple(nodes)))

    def _select_ticked(self) -> None:
        self.selected.emit(Selection(tuple(self._ticked_nodes())))

    def _ticked_nodes(self) -> dict[NodeId, None]:
        return dict.fromkeys(node for one in self.occurrences() for node in one.nodes)

    def _replace(self) -> None:
        assert self._found is not None
        all_of_them = len(self.occurrences()) == len(self._found.apart()[0])
        self.replace.emit(self.pattern_text(), () if all_of_them else tuple(self._ticked_nodes()))

    def sizeHint(self) -> QSize:
        return QSize(280, 480)


def _button(text: str, tip: str, act: Callable[[], object]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAutoDefault(False)
    button.setFlat(True)
    button.clicked.connect(lambda: act())
    return button


def _menu_button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAutoDefault(False)
    button.setFlat(True)
    button.setMenu(QMenu(button))
    button.setProperty("menu", True)
    return button


def _entry(button: QPushButton, text: str, act: Callable[[], object]) -> QAction:
    made: QAction = button.menu().addAction(text)
    made.triggered.connect(lambda: act())
    return made


def distinct(names: list[str]) -> list[str]:
    """Names without the scopes that all of them begin and end with: `layer.0/act`, `layer.1/act` become the layers.

    What is left of each has at least its last part, unless that is the same everywhere.
    """
    parts = [name.strip("/").split("/") for name in names]
    if len(parts) < 2:
        return names
    shortest = min(map(len, parts))
    front = next((at for at in range(shortest) if len({one[at] for one in parts}) > 1), shortest - 1)
    most = shortest - front
    back = next((at for at in range(most) if len({one[-1 - at] for one in parts}) > 1), most - 1)
    return ["/".join(one[front : len(one) - back]) for one in parts]


def _lines(entry: Entry) -> str:
    """The first form of a named pattern; where there are others, a comment says so."""
    more = len(entry.forms) - 1
    comment = f"// and {more} other form{'s' * (more != 1)}: `graftwerk patterns show {entry.name}`\n" if more else ""
    return f"{comment}{entry.forms[0]}"
