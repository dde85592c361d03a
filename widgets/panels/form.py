"""The form of an operation, made from its parameters, and the dialog around it."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import Operation, make
from graftwerk.widgets.panels.editors import Editor, make_editor
from graftwerk.widgets.panels.parts import blocked_at, doc_html, note, scrolling

#: Waits for a pause in typing before the operation is asked whether it can be done, milliseconds.
PAUSE = 120


class OperationForm(QWidget):
    """One editor for each parameter, and why the operation can't be done as it stands.

    `checked` carries the Reason, or None; it follows every change after a short pause.
    """

    checked = Signal(object)

    def __init__(self, operation: Operation, graph: Graph, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.info = operation.info
        self.graph = graph
        self._timer = QTimer(self, singleShot=True, interval=PAUSE)
        self._timer.timeout.connect(self.check)
        self.editors: dict[str, Editor] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for parameter in self.info.parameters:
            editor = make_editor(parameter, graph)
            editor.set_value(getattr(operation, parameter.name))
            editor.changed.connect(self._timer.start)
            self.editors[parameter.name] = editor
            row = grid.rowCount()
            label = QLabel(parameter.label)
            label.setBuddy(editor)
            label.setContentsMargins(0, 6, 0, 0)
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(editor, row, 1)
            if parameter.help:
                grid.addWidget(note(parameter.help), row + 1, 1)
            grid.setRowMinimumHeight(grid.rowCount(), 4)
        grid.setRowStretch(grid.rowCount(), 1)

    def operation(self) -> Operation:
        """The operation as the form says. Raises Fault where something typed can't be read or doesn't fit."""
        return make(self.info.id, {name: editor.value() for name, editor in self.editors.items()})

    def check(self) -> Reason | None:
        """Why it can't be done now; marks the parameter that is to blame where that is known."""
        self._timer.stop()
        try:
            where, reason = blocked_at(self.operation(), self.graph)
        except Fault as fault:
            where, reason = fault.where, Reason(fault.message, fault.hint)
        for name, editor in self.editors.items():
            editor.set_invalid(name == where)
        self.checked.emit(reason)
        return reason

    def focus_first(self) -> bool:
        """Puts the cursor where the user has to type: the first empty required parameter, else the first of one line,
        where Enter applies. False where there is none: what to work on was chosen before."""
        missing = [e for e in self.editors.values() if e.parameter.required and _empty(e)]
        typed = [e for e in self.editors.values() if e.parameter.kind in _TYPED]
        for editor in (*missing, *typed):
            editor.setFocus(Qt.FocusReason.TabFocusReason)  # selects what is in it
            return True
        return False


_TYPED = ("text", "number", "integer")


def _empty(editor: Editor) -> bool:
    try:
        return editor.value() in ("", [])
    except Fault:
        return True


class OperationDialog(QDialog):
    """The form with the operation's title and documentation; stays open beside the window until it is answered.

    `accepted_operation` carries the Operation.
    """

    accepted_operation = Signal(object)

    def __init__(self, operation: Operation, graph: Graph, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        info = operation.info
        self.setWindowTitle(info.title)
        self.form = OperationForm(operation, graph)
        self.form.checked.connect(self._on_checked)
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
        for keys in ("Ctrl+Return", "Ctrl+Enter"):  # also where Enter alone begins a new line
            QShortcut(QKeySequence(keys), self, self._apply)
        self._lay_out(info.title, info.doc)
        self.form.check()

    def _lay_out(self, title: str, doc: str) -> None:
        heading = QLabel(title)
        heading.setProperty("role", "title")
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(20, 0, 20, 4)
        column.setSpacing(10)
        column.addWidget(Documentation(doc))
        column.addWidget(self.form, 1)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.apply_button)
        foot = QVBoxLayout()
        foot.setContentsMargins(20, 0, 20, 16)
        foot.setSpacing(10)
        foot.addWidget(self.reason)
        foot.addLayout(buttons)
        heading.setContentsMargins(20, 18, 20, 0)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(8)
        outer.addWidget(heading)
        outer.addWidget(scrolling(inside), 1)
        outer.addLayout(foot)
        self._inside = inside
        self.resize(500, 400)

    def add_below(self, widget: QWidget) -> None:
        """Shows something more under the parameters."""
        layout = self._inside.layout()
        assert layout is not None
        layout.addWidget(widget)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        wanted = self.height() - self._scroll_height() + self._inside.heightForWidth(self.width())
        self.resize(self.width(), min(max(wanted, 240), int(self.screen().availableGeometry().height() * 0.85)))
        if not self.form.focus_first():
            self.apply_button.setFocus()

    def _scroll_height(self) -> int:
        viewport = self._inside.parentWidget()
        return viewport.height() if viewport is not None else 0

    def _on_checked(self, reason: Reason | None) -> None:
        self.apply_button.setEnabled(reason is None)
        text = "" if reason is None else "\n".join(filter(None, [reason.text, reason.hint]))
        self.reason.setText(text)
        self.reason.setToolTip(text)
        self.apply_button.setToolTip(text or "Ctrl+Enter")

    def _apply(self) -> None:
        if self.form.check() is None:
            self.accepted_operation.emit(self.form.operation())
            self.accept()


class Documentation(QWidget):
    """The first paragraph of a documentation, and the rest behind a button."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        first, _, rest = text.partition("\n\n")
        self._first = note(doc_html(first))
        self._rest = note(doc_html(rest))
        self._rest.hide()
        self._more = QPushButton("More")
        self._more.setFlat(True)
        self._more.setAutoDefault(False)
        self._more.setStyleSheet("padding-left: 0; padding-right: 0;")  # it stands under the text, not in it
        self._more.setVisible(bool(rest.strip()))
        self._more.clicked.connect(self._toggle)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self._first)
        column.addWidget(self._rest)
        column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)

    def _toggle(self) -> None:
        self._rest.setVisible(self._rest.isHidden())
        self._more.setText("More" if self._rest.isHidden() else "Less")
