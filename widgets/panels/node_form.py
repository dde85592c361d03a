"""The forms of nodes: a new one, the attributes of one that is there, another operator for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.operators import STANDARD, Operator
from graftwerk.backend.graph.standin import DOMAIN as STAND_INS
from graftwerk.backend.operations.registry import Operation
from graftwerk.widgets.panels.attribute_form import AttributeForm, Text
from graftwerk.widgets.panels.form import PAUSE
from graftwerk.widgets.panels.name_edit import NameEdit, Names
from graftwerk.widgets.panels.parts import blocked_at, fit_height, mark_invalid, note, scrolling, section
from graftwerk.widgets.theme import mono_font

_WIDTH = 560
#: Lines for a variadic input, beyond those that are filled.
_FREE = 2


class NodeDialog(QDialog):
    """Base: a title (`name` is the window's), a text, a part that scrolls, why it can't be done, and the buttons.

    `accepted_operation` carries the Operation. It stays open beside the window until it is answered.
    """

    accepted_operation = Signal(object)

    def __init__(self, name: str, title: str, doc: str, graph: Graph, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(name)
        self.graph = graph
        self._timer = QTimer(self, singleShot=True, interval=PAUSE)
        self._timer.timeout.connect(self.check)
        self.form = AttributeForm()
        self.form.changed.connect(self._timer.start)
        self.reason = note(role="warning")
        self.reason.setMinimumHeight(2 * self.reason.fontMetrics().lineSpacing())
        self.reason.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.apply_button = QPushButton("Apply")
        self.apply_button.setProperty("primary", True)
        self.apply_button.setDefault(True)
        self.apply_button.clicked.connect(self._apply)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setAutoDefault(False)
        self.cancel_button.clicked.connect(self.reject)
        QShortcut(QKeySequence("Ctrl+Return"), self, self._apply)
        self._lay_out(title, doc)

    def _lay_out(self, title: str, doc: str) -> None:
        heading = QLabel(title)
        heading.setProperty("role", "title")
        heading.setContentsMargins(20, 18, 20, 0)
        self._inside = QWidget()
        self.column = QVBoxLayout(self._inside)
        self.column.setContentsMargins(20, 0, 20, 4)
        self.column.setSpacing(8)
        self.column.addWidget(Text("", doc))
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.apply_button)
        self._foot = QVBoxLayout()
        self._foot.setContentsMargins(20, 0, 20, 16)
        self._foot.setSpacing(10)
        self._foot.addWidget(self.reason)
        self._foot.addLayout(buttons)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(8)
        outer.addWidget(heading)
        outer.addWidget(scrolling(self._inside), 1)
        outer.addLayout(self._foot)
        self.resize(_WIDTH, 480)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        fit_height(self, self._inside, self._foot, max(self.width(), _WIDTH))

    def operation(self) -> Operation:
        """What the form says. Raises Fault where it can't be read."""
        raise NotImplementedError

    def mark(self, where: str) -> None:
        self.form.mark(where)

    def check(self) -> Reason | None:
        """Why it can't be done now; marks what is to blame where that is known."""
        self._timer.stop()
        where, reason = "", None
        try:
            where, reason = blocked_at(self.operation(), self.graph)
        except Fault as fault:
            where, reason = fault.where, Reason(fault.message, fault.hint)
        self.mark(where)
        text = "" if reason is None else "\n".join(filter(None, [reason.text, reason.hint]))
        self.show_state(reason, text)
        return reason

    def show_state(self, reason: Reason | None, text: str) -> None:
        self.apply_button.setEnabled(reason is None)
        self.apply_button.setToolTip(text or "Ctrl+Enter")
        self.reason.setText(text)

    def _apply(self) -> None:
        if self.check() is None:
            self.accepted_operation.emit(self.operation())
            self.accept()


Build = Callable[[list[str], dict[str, Any], str], Operation]


class NewNodeDialog(NodeDialog):
    """Asks for what a new node of an operator reads, and its attributes; `build` makes the operation of it.

    `inputs` are filled in; the first `fixed` of them were chosen already. An input that is needed may stay open where
    `may_be_open`: the node is called incomplete then.
    """

    def __init__(
        self, operator: Operator, graph: Graph, build: Build, inputs: Sequence[str] = (),
        attributes: Mapping[str, Any] | None = None, *, fixed: int = 0, may_be_open: bool = True,
        parent: QWidget | None = None,
    ) -> None:  # fmt: skip
        verb = "Insert" if fixed else "Add"
        super().__init__(f"{verb} node", f"{verb} {operator.title}", operator.doc, graph, parent)
        self.operator, self._build, self._fixed, self._may_be_open = operator, build, fixed, may_be_open
        self.inputs: list[NameEdit] = []
        self._names = Names.of_tensors(graph)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self.name = QLineEdit()
        self.name.setFont(mono_font())
        self.name.setPlaceholderText("made up")
        self.name.setAccessibleName("Node name")
        self.name.textChanged.connect(self._timer.start)
        if operator.inputs:
            self.column.addWidget(section("Inputs"))
            self.column.addLayout(self._grid)
        for at in range(self._count(inputs)):
            self._add_input(at, inputs[at] if at < len(inputs) else "")
        self.column.addWidget(section("Attributes"))
        others = operator.domain not in STANDARD
        self.form.show_operator(operator, {**_preset(operator), **(attributes or {})}, others)
        self.column.addWidget(self.form)
        self.column.addWidget(section("Name"))
        self.column.addWidget(self.name)
        self.column.addStretch(1)
        self.check()

    def _count(self, inputs: Sequence[str]) -> int:
        formal = self.operator.inputs
        variadic = bool(formal) and formal[-1].option == "variadic"
        return max(len(formal) + (_FREE if variadic else 0), len(inputs) + (1 if variadic else 0))

    def _add_input(self, at: int, tensor: str) -> None:
        port = self.operator.input_at(at)
        edit = NameEdit(self._names)
        edit.setText(tensor)
        edit.setCursorPosition(0)
        edit.setReadOnly(at < self._fixed)
        edit.textChanged.connect(self._timer.start)
        name = port.name if port is not None else str(at)
        if port is not None and port.option == "variadic":
            name = f"{name} {at}"
        edit.setAccessibleName(name)
        kinds = _kinds(self.operator, port.types if port is not None else "")
        needed = port is not None and port.option == "single"
        edit.setPlaceholderText("a tensor; needed" if needed else "a tensor, or nothing")
        label = QLabel(name)
        label.setContentsMargins(0, 6, 0, 0)
        label.setToolTip(port.doc if port is not None else "")
        row = self._grid.rowCount()
        self._grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(edit, row, 1)
        told = " · ".join(filter(None, [kinds, " ".join((port.doc if port is not None else "").split())]))
        hint = note(told if len(told) < 160 else told[:160].rpartition(" ")[0] + " …")
        hint.setTextFormat(Qt.TextFormat.PlainText)
        self._grid.addWidget(hint, row + 1, 1)
        self.inputs.append(edit)

    def tensors(self) -> list[str]:
        """The names that were typed, without the empty ones at the end."""
        found = [edit.text().strip() for edit in self.inputs]
        while found and not found[-1]:
            found.pop()
        return found

    def operation(self) -> Operation:
        missing = self._missing()
        if missing and not self._may_be_open:
            raise Fault(f"{missing[0]} is needed: the name of a tensor", "", "Names are offered while you type")
        return self._build(self.tensors(), self.form.values(), self.name.text().strip())

    def _missing(self) -> list[str]:
        """Inputs that the operator needs and that are empty."""
        there = [edit.text().strip() for edit in self.inputs]
        return [port.name for at, port in enumerate(self.operator.inputs)
                if port.option == "single" and (at >= len(there) or not there[at])]  # fmt: skip

    def mark(self, where: str) -> None:
        super().mark(where)
        for edit in self.inputs:
            mark_invalid(edit, bool(where) and edit.text().strip() == where)

    def show_state(self, reason: Reason | None, text: str) -> None:
        super().show_state(reason, text)
        missing = self._missing()
        if reason is None and missing:
            left = f"{', '.join(missing)} stay{'s' if len(missing) == 1 else ''} open"
            self.reason.setText(f"{left}: the model is incomplete, and can't run, until something is connected")


def _preset(operator: Operator) -> dict[str, Any]:
    """What a new node is best given: a plugin's newest version, where version 1 is not it."""
    found = operator.attribute("plugin_version")
    return {"plugin_version": found.choices[-1]} if found is not None and found.required else {}


def _kinds(operator: Operator, label: str) -> str:
    """The datatypes behind the label of a constraint."""
    types = next((types for name, types, _ in operator.constraints if name == label), ())
    return ", ".join(types[:8]) + (f" and {len(types) - 8} more" if len(types) > 8 else "")


class AttributesDialog(NodeDialog):
    """All attributes of a node that is there; ends in one operation that sets and removes."""

    def __init__(self, node: str, operator: Operator | None, graph: Graph, before: Mapping[str, Any],
                 parent: QWidget | None = None) -> None:  # fmt: skip
        record = graph.nodes[graph.find(node)]
        doc = operator.doc if operator is not None else ""
        super().__init__("Edit attributes", f"Attributes of {record.op_type} {record.name}".strip(), doc, graph, parent)
        self._node, self._before = node, dict(before)
        known = operator is not None and operator.domain in STANDARD and record.domain != STAND_INS
        self.form.show_operator(operator, before, not known)
        self.column.addWidget(self.form)
        self.column.addStretch(1)
        self.check()

    def operation(self) -> Operation:
        from graftwerk.backend.graph.graph import NodeRef
        from graftwerk.backend.operations.attributes import SetAttributes

        values = self.form.values()
        changed = {name: value for name, value in values.items() if self._before.get(name) != value}
        gone = tuple(name for name in self._before if name not in values)
        return SetAttributes(NodeRef(self._node), changed, gone)


class SwapDialog(NodeDialog):
    """Chooses another operator for nodes, and shows what becomes of their attributes."""

    def __init__(
        self, nodes: Sequence[str], graph: Graph, describe: Callable[[str], Operator | None],
        names: Callable[[], Sequence[str]], op_type: str = "", parent: QWidget | None = None,
    ) -> None:  # fmt: skip
        shown = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
        doc = "Inputs, outputs and names stay. Attributes that the new operator has too are kept."
        super().__init__("Change operator", f"Change the operator of {shown}", doc, graph, parent)
        self._nodes, self._describe = tuple(nodes), describe
        self.operator: Operator | None = None
        self.op_type = NameEdit(Names(names))
        self.op_type.setAccessibleName("Operator")
        self.op_type.setPlaceholderText("Such as Gelu, or a plugin as domain::Name")
        self.op_type.textChanged.connect(self._choose)
        self.fate = note()
        self.fate.setTextFormat(Qt.TextFormat.PlainText)
        self.column.addWidget(section("Operator"))
        self.column.addWidget(self.op_type)
        self.column.addWidget(self.fate)
        self.column.addWidget(section("Attributes"))
        self.column.addWidget(self.form)
        self.column.addStretch(1)
        self.op_type.setText(op_type)
        self._choose(op_type)
        self.op_type.setFocus()

    def _choose(self, text: str) -> None:
        from graftwerk.backend.operations.swap import carried

        domain, _, name = text.strip().rpartition("::")
        self.operator = self._describe(text.strip())
        record = self.graph.nodes[self.graph.find(self._nodes[0])]
        if self.operator is None and not domain:
            self.form.show_operator(None, {})
            self.fate.setText("")
        else:
            from graftwerk.backend.graph.attributes import json_value

            there = carried(self.graph, record, name, domain)
            kept = {one.name: json_value(one) for one in there.kept if json_value(one) is not None}
            self.form.show_operator(self.operator, kept, domain not in STANDARD)
            lines = [f"Kept: {', '.join(kept)}"] if kept else []
            lines += [f"Goes: {name}, {why}" for name, why in there.dropped]
            lines += [f"Needed: {', '.join(there.missing)}"] if there.missing else []
            self.fate.setText("\n".join(lines) or "No attributes are affected")
        self._timer.start()

    def operation(self) -> Operation:
        from graftwerk.backend.graph.graph import NodeRef
        from graftwerk.backend.operations.swap import SwapOperator

        text = self.op_type.text().strip()
        if not text:
            raise Fault("An operator is needed", "", "Such as Gelu, or a plugin as domain::Name")
        domain, _, name = text.rpartition("::")
        return SwapOperator(tuple(map(NodeRef, self._nodes)), name, self.form.values(), domain)
