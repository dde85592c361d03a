"""What is selected, in detail: a node, a tensor, a weight, several of them, or the model."""

from __future__ import annotations

from onnx import AttributeProto
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QToolButton, QVBoxLayout, QWidget

from graftwerk.backend.engines.report import Profile, Report
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.attributes import find_attribute
from graftwerk.backend.graph.graph import Graph, NodeId, TensorName
from graftwerk.backend.graph.operators import Attribute
from graftwerk.backend.graph.schema import TYPE_WORDS
from graftwerk.backend.graph.statistics import Statistics
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.attributes import RemoveAttribute, SetAttribute, SetAttributes
from graftwerk.backend.operations.registry import Operation, Selection
from graftwerk.backend.operations.rename import RenameNode, RenameTensor
from graftwerk.plugins.operators import described
from graftwerk.widgets.icons import theme_icon
from graftwerk.widgets.panels.attribute_form import typed
from graftwerk.widgets.panels.compiled_rows import Compiled, Timed
from graftwerk.widgets.panels.elided_edit import ElidedEdit
from graftwerk.widgets.panels.inspector_page import Page, Row
from graftwerk.widgets.panels.inspector_rows import page
from graftwerk.widgets.panels.parts import ElidedLabel, Empty, blocked_at, doc_html, mark_invalid, note
from graftwerk.widgets.panels.readout import count_text, number_text
from graftwerk.widgets.panels.rows_view import Line, RowsView
from graftwerk.widgets.panels.weight_loader import WeightLoader
from graftwerk.widgets.theme import LIGHT, Theme, mono_font

_SHORT_DOC = 700


class Inspector(QWidget):
    """`selected` carries the Selection behind a row that was clicked, `operation_requested` the edit that was typed.

    An edit that can't be done is not emitted: why stands below the name, and the row keeps its value.
    """

    selected = Signal(object)
    operation_requested = Signal(object)
    #: an Operation whose form is to be shown
    form_requested = Signal(object)
    #: the name of a weight that was double-clicked
    values_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._graph: Graph | None = None
        self._selection = Selection()
        self._page = Page("")
        self._compiled: Compiled | None = None
        self._timed: Timed | None = None
        self.loader = WeightLoader(self)
        self.loader.loaded.connect(self._on_loaded)
        self.title = ElidedLabel()
        self.title.setProperty("role", "title")
        self.about = QToolButton()
        self.about.setCheckable(True)
        self.about.setToolTip("What this operator does")
        self.about.toggled.connect(self._show_doc)
        self.all_attributes = QToolButton()
        self.all_attributes.setToolTip("All attributes with their defaults and texts (Ctrl+Enter)")
        self.all_attributes.clicked.connect(self._edit_all)
        self.name = ElidedEdit()
        self.name.setFont(mono_font())
        self.name.setStyleSheet(
            "QLineEdit { background: transparent; border-color: transparent; padding-left: 3px; padding-right: 3px; }"
            "QLineEdit:hover:!focus { border-color: palette(mid); } QLineEdit:focus { border-color: palette(accent); }"
        )
        self.name.editingFinished.connect(self._rename)
        self.name.textEdited.connect(lambda: self._say(""))
        self.reason = note(role="error")
        self.doc = note()
        for text in (self.reason, self.doc):
            text.setContentsMargins(6, 2, 0, 2)
        self.rows = RowsView()
        self.rows.activated_row.connect(self._on_row)
        self.rows.double_clicked.connect(self._on_double_click)
        self.rows.why_not = self._why_not
        self.rows.choices = self._choices
        self.rows.edited.connect(self._set_attribute)
        self.rows.left.connect(lambda: self._say(""))
        self.rows.removal.connect(self._remove_attribute)
        self._lay_out()
        self.set_theme(LIGHT)
        self.show_nothing()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setContentsMargins(14, 10, 8, 0)
        top.addWidget(self.title, 1)
        top.addWidget(self.all_attributes)
        top.addWidget(self.about)
        below = QVBoxLayout()
        below.setContentsMargins(8, 0, 14, 0)  # the name's frame shows only around what is typed
        below.setSpacing(2)
        below.addWidget(self.name)
        below.addWidget(self.reason)
        below.addWidget(self.doc)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addLayout(below)
        column.addWidget(self.rows, 1)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(Empty("Open a model to look into it."))
        self._stack.addWidget(content)

    def set_theme(self, theme: Theme) -> None:
        self.about.setIcon(theme_icon("info", theme))
        self.all_attributes.setIcon(theme_icon("rename", theme))
        self.rows.set_theme(theme)

    def show_nothing(self) -> None:
        """No model is open."""
        self._graph = None
        self._selection = Selection()
        self._page = Page("")
        self._compiled = self._timed = None
        self.loader.ask(None)
        self.rows.set_lines(())
        self._stack.setCurrentIndex(0)

    def inspect(self, graph: Graph, selection: Selection, report: Report | None, profile: Profile | None) -> None:
        """Shows what a selection is, and what a compiler and a runtime made of it."""
        kept = tuple(node for node in selection.nodes if node in graph.nodes)
        selection = Selection(kept, selection.tensors)
        other = selection != self._selection or self._graph is None
        self._graph, self._selection = graph, selection
        if report is None or self._compiled is None or self._compiled.report is not report:
            self._compiled = Compiled(report) if report is not None else None
        if profile is None or self._timed is None or self._timed.profile is not profile:
            self._timed = Timed(profile) if profile is not None else None
        self._page = page(graph, selection, self._compiled, self._timed)
        self._stack.setCurrentIndex(1)
        self.title.setText(self._page.title)
        self.name.setVisible(bool(self._page.named))
        if other or not self.name.hasFocus():
            self._show_name()
        if other:
            self._say("")
            self.about.setChecked(False)
        self.about.setVisible(bool(self._page.doc))
        self.all_attributes.setVisible(self._page.named == "node")
        self._show_doc()
        weights = [section.weight for section in self._page.sections if section.weight is not None]
        unknown = [weight for weight in weights if self.loader.known(weight) is None]
        self.loader.ask(unknown[0] if unknown else None)
        if other:
            self.rows.set_lines(self._lines())
        else:
            self.rows.update_lines(self._lines())

    def _show_name(self) -> None:
        self.name.setText(self._page.name)
        self.name.setCursorPosition(0)
        self.name.setToolTip(self._page.name)
        self.name.setPlaceholderText("No name" if self._page.named else "")

    def _lines(self) -> list[Line]:
        lines: list[Line] = []
        for section in self._page.sections:
            lines.append(section.title)
            if section.weight is not None:
                lines += self._weight_lines(section.weight)
            lines += section.rows
        return lines

    def _on_loaded(self) -> None:
        self.rows.update_lines(self._lines())

    def _weight_lines(self, weight: Initializer) -> list[Line]:
        found = self.loader.known(weight)
        if found is None:
            return [Row("", "Reading its values …")]
        if isinstance(found, Fault):
            return [Row("", ". ".join(filter(None, [found.message, found.hint])), str(found))]
        return [found, *statistics_rows(found)]

    def _show_doc(self) -> None:
        text = self._page.doc.strip()
        if len(text) > _SHORT_DOC:
            text = text[:_SHORT_DOC].rpartition(" ")[0] + " …"
        shown = self.about.isChecked() and bool(text)
        self.doc.setText(doc_html(text) if shown else "")
        self.doc.setVisible(shown)

    # Edits

    def _on_row(self, row: Row) -> None:
        if row.target is not None:
            self.selected.emit(row.target)

    def _on_double_click(self) -> None:
        # The first click on a node's weight has selected it.
        chosen = self._selection.tensors if not self._selection.nodes else ()
        if self._graph is not None and len(chosen) == 1 and chosen[0] in self._graph.initializers:
            self.values_requested.emit(chosen[0])

    def _say(self, text: str) -> None:
        self.reason.setText(text)
        self.reason.setVisible(bool(text))
        mark_invalid(self.name, False)

    def _blocked(self, operation: Operation) -> str:
        """Why an edit can't be done, "" where it can; says so below the name."""
        assert self._graph is not None
        _, blocked = blocked_at(operation, self._graph)
        self._say(". ".join(filter(None, [blocked.text, blocked.hint])) if blocked is not None else "")
        return self.reason.text()

    def _request(self, operation: Operation) -> bool:
        if self._blocked(operation):
            return False
        self.operation_requested.emit(operation)
        return True

    def _rename(self) -> None:
        new = self.name.text().strip()
        if self._graph is None or new == self._page.name:
            self._show_name()
            return
        if self._page.named == "node":
            done = self._request(RenameNode(self._graph.ref(self._selection.nodes[0]), new))
        else:
            done = self._request(RenameTensor(TensorName(self._selection.tensors[0]), new))
        if not done:
            mark_invalid(self.name, True)

    def _node(self) -> tuple[Graph, NodeId]:
        assert self._graph is not None
        return self._graph, self._selection.nodes[0]

    def _attribute(self, name: str, text: str) -> SetAttribute | None:
        """What was typed for an attribute; None where the node has gone meanwhile, or the attribute. Raises Fault where
        it can't be that."""
        graph, node = self._node()
        attribute = find_attribute(graph.nodes[node], name)
        if attribute is None:
            return None
        return SetAttribute(graph.ref(node), name, typed(self.described_attribute(attribute), text))

    def described_attribute(self, attribute: AttributeProto) -> Attribute:
        """What is known of an attribute of the shown node: by its operator's description, else its type alone."""
        graph, node = self._node()
        record = graph.nodes[node]
        operator = described(graph, record.op_type, record.domain)
        known = operator.attribute(attribute.name) if operator is not None else None
        word = TYPE_WORDS[attribute.type]
        return known if known is not None and known.type == word else Attribute(attribute.name, word)

    def _choices(self, name: str) -> tuple[str, ...]:
        graph, node = self._node()
        attribute = find_attribute(graph.nodes[node], name)
        return tuple(map(str, self.described_attribute(attribute).choices)) if attribute is not None else ()

    def _why_not(self, name: str, text: str) -> str:
        if len(self._selection.nodes) != 1:
            return ""
        try:
            operation = self._attribute(name, text)
        except Fault as fault:
            self._say(". ".join(filter(None, [fault.message, fault.hint])))
            return self.reason.text()
        return self._blocked(operation) if operation is not None else ""

    def _set_attribute(self, name: str, text: str) -> None:
        if not self._why_not(name, text):
            operation = self._attribute(name, text)
            if operation is not None:
                self._request(operation)

    def _edit_all(self) -> None:
        graph, node = self._node()
        self.form_requested.emit(SetAttributes(graph.ref(node), {}))

    def _remove_attribute(self, name: str) -> None:
        graph, node = self._node()
        self._request(RemoveAttribute(graph.ref(node), name))


def statistics_rows(found: Statistics) -> list[Row]:
    """A weight's statistics in words."""
    rows = [Row("mean ± σ", f"{found.mean:.4g} ± {found.deviation:.4g}")] if found.histogram else []
    rows.append(Row("elements", number_text(found.count)))
    if found.zeros:
        rows.append(Row("zeros", f"{found.zeros / found.count:.2%}", count_text(found.zeros, "element")))
    for word, count in (("NaN", found.nans), ("infinite", found.infinities)):
        if count:
            rows.append(Row(word, number_text(count), tone="warning"))
    return rows
