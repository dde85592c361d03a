"""The attributes of an operator as a form: one editor for each, made from what its description says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from onnx import TensorProto
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QToolButton, QVBoxLayout, QWidget

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.operators import Attribute, Operator
from graftwerk.backend.graph.types import DTYPE_NAMES
from graftwerk.widgets.panels.node_page import attribute_text
from graftwerk.widgets.panels.parts import clear, mark_invalid, note
from graftwerk.widgets.theme import mono_font

#: What can be typed in, and how it is called where something else was typed.
WANTED = {
    "int": "an integer", "float": "a number", "string": "a text", "ints": "integers with commas between them",
    "floats": "numbers with commas between them", "strings": "texts with commas between them",
}
_SHORT = 150
#: Datatypes by their names here and in ONNX.
_NUMBERS = {str(name): int(number) for name, number in TensorProto.DataType.items()}
_NUMBERS |= {name: number for number, name in DTYPE_NAMES.items()}


def typed(attribute: Attribute, text: str) -> Any:
    """What somebody typed for an attribute, as JSON: lists without brackets, texts without quotes; a datatype's name is
    its number. Raises Fault where it is not of the attribute's type, none of its choices, or out of its bounds."""
    value = _read(attribute, text.strip())
    values = value if isinstance(value, list) else [value]
    if attribute.choices and any(_shown(attribute, item) not in map(str, attribute.choices) for item in values):
        listed = ", ".join(map(str, attribute.choices))
        raise Fault(f"{attribute.name} is one of {listed}, not {text.strip()!r}", attribute.name)
    for item in values:
        if attribute.minimum is not None and not isinstance(item, str) and item < attribute.minimum:
            raise Fault(f"{attribute.name} is at least {attribute.minimum:g}, not {item}", attribute.name)
        if attribute.maximum is not None and not isinstance(item, str) and item > attribute.maximum:
            raise Fault(f"{attribute.name} is at most {attribute.maximum:g}, not {item}", attribute.name)
    return value


def _read(attribute: Attribute, text: str) -> Any:
    kind = attribute.type
    if kind in ("ints", "floats", "strings"):
        parts = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
        return [_one(attribute, kind[:-1], part) for part in parts]
    return _one(attribute, kind, text)


def _one(attribute: Attribute, kind: str, text: str) -> Any:
    if kind == "string":
        return text
    if kind == "int" and text.upper() in _NUMBERS and any(isinstance(one, str) for one in attribute.choices):
        return _NUMBERS[text.upper()]
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        return json.loads(text)
    except ValueError:
        wanted = WANTED.get(attribute.type, "JSON")
        raise Fault(f"{attribute.name} is {wanted}, not {text!r}", attribute.name) from None


def about(attribute: Attribute) -> str:
    """Type, range, choices and default in a line."""
    parts = [attribute.type or "any type"]
    if attribute.required:
        parts.append("needed")
    if attribute.minimum is not None and attribute.maximum is not None:
        parts.append(f"{attribute.minimum:g} to {attribute.maximum:g}")
    elif attribute.minimum is not None:
        parts.append(f"{attribute.minimum:g} or more")
    if attribute.default not in (None, ""):
        parts.append(f"default {_shown(attribute, attribute.default)}")
    return " · ".join(parts)


def _shown(attribute: Attribute, value: Any) -> str:
    """A value as it is typed; a datatype by its name."""
    if isinstance(value, int) and any(isinstance(choice, str) for choice in attribute.choices):
        return DTYPE_NAMES.get(value, str(value))
    return attribute_text(value)


class AttributeEditor(QWidget):
    """Shows and takes one attribute; nothing is its default. `input` has the focus and the border."""

    changed = Signal()

    def __init__(self, attribute: Attribute, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.attribute = attribute
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.box: QComboBox | None = None
        self.line: QLineEdit | None = None
        self.input: QWidget
        if attribute.choices and attribute.type in ("int", "float", "string"):
            self.input = self.box = QComboBox()
            default = attribute.default
            first = f"default: {_shown(attribute, default)}" if default not in (None, "") else "not set"
            self.box.addItems([first, *(str(choice) for choice in attribute.choices)])
            self.box.currentIndexChanged.connect(self.changed)
        else:
            self.input = self.line = QLineEdit()
            self.line.setFont(mono_font())
            self.line.setEnabled(attribute.type in WANTED or not attribute.type)
            if not self.line.isEnabled():
                self.line.setPlaceholderText(f"a {attribute.type}, which can't be typed in")
            elif attribute.default not in (None, ""):
                self.line.setPlaceholderText(_shown(attribute, attribute.default))
            self.line.textChanged.connect(self.changed)
        self.input.setAccessibleName(attribute.name)
        self.setFocusProxy(self.input)
        row.addWidget(self.input)

    def value(self) -> Any:
        """As JSON, None where it is not set. Raises Fault where what was typed can't be it."""
        if self.box is not None:
            at = self.box.currentIndex()
            return typed(self.attribute, str(self.attribute.choices[at - 1])) if at > 0 else None
        assert self.line is not None
        text = self.line.text()
        return typed(self.attribute, text) if text.strip() and self.line.isEnabled() else None

    def set_value(self, value: Any) -> None:
        shown = "" if value is None else _shown(self.attribute, value)
        if self.box is not None:
            self.box.setCurrentIndex(max(0, self.box.findText(shown)) if shown else 0)
        elif self.line is not None:
            self.line.setText(shown)
            self.line.setCursorPosition(0)

    def set_invalid(self, invalid: bool) -> None:
        mark_invalid(self.input, invalid)


class AttributeForm(QWidget):
    """All attributes of an operator with type, range, default and the specification's text. Plugins, and operators of
    which nothing is known, have a line for others in JSON."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.editors: dict[str, AttributeEditor] = {}
        self.others: QLineEdit | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._grid = QGridLayout()

    def show_operator(self, operator: Operator | None, values: Mapping[str, Any], others: bool = False) -> None:
        """Makes the editors, filled with what is set. `others` are taken too, where not all is known."""
        clear(self._column)
        inside = QWidget()
        self._column.addWidget(inside)
        self._grid = QGridLayout(inside)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self.editors, self.others = {}, None
        known = operator.attributes if operator is not None else ()
        for attribute in sorted(known, key=lambda one: not one.required):
            self._add(attribute, values.get(attribute.name))
        rest = {name: value for name, value in values.items() if name not in self.editors}
        if others:
            self._add_others(rest)
        elif not known:
            self._grid.addWidget(note("It has no attributes"), 0, 0, 1, 2)

    def _add(self, attribute: Attribute, value: Any) -> None:
        editor = AttributeEditor(attribute)
        editor.set_value(value)
        editor.changed.connect(self.changed)
        self.editors[attribute.name] = editor
        label = QLabel(attribute.name)
        label.setBuddy(editor)
        label.setContentsMargins(0, 6, 0, 0)
        row = self._grid.rowCount()
        self._grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(editor, row, 1)
        self._grid.addWidget(Text(about(attribute), attribute.doc), row + 1, 1)
        self._grid.setRowMinimumHeight(row + 2, 6)

    def _add_others(self, values: Mapping[str, Any]) -> None:
        self.others = QLineEdit(json.dumps(values, ensure_ascii=False) if values else "")
        self.others.setFont(mono_font())
        self.others.setPlaceholderText('{"name": value}')
        self.others.setAccessibleName("Other attributes")
        self.others.textChanged.connect(self.changed)
        label = QLabel("others")
        label.setContentsMargins(0, 6, 0, 0)
        row = self._grid.rowCount()
        self._grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(self.others, row, 1)
        self._grid.addWidget(note("Attributes that are not listed, as JSON: 1 is an integer, 1.0 a float"), row + 1, 1)

    def values(self) -> dict[str, Any]:
        """What is set. Raises Fault for the first that can't be, or is needed and not set; `where` names it."""
        found: dict[str, Any] = {}
        for name, editor in self.editors.items():
            value = editor.value()
            if value is not None:
                found[name] = value
            elif editor.attribute.required and editor.attribute.type in WANTED:
                raise Fault(f"{name} is needed: {WANTED[editor.attribute.type]}", name)
        text = self.others.text().strip() if self.others is not None else ""
        if text:
            try:
                more = json.loads(text)
            except ValueError:
                more = None
            if not isinstance(more, dict):
                raise Fault("The other attributes are not JSON", "others", 'Such as {"axis": 1, "eps": 1e-5}')
            found |= more
        return found

    def mark(self, where: str) -> None:
        """Shows which one is to blame."""
        for name, editor in self.editors.items():
            editor.set_invalid(name == where)
        if self.others is not None:
            mark_invalid(self.others, where == "others")


class Text(QWidget):
    """A line about something, and the beginning of a long text, the whole of which a click shows."""

    def __init__(self, line: str, doc: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        if line:
            column.addWidget(note(line))
        plain = " ".join(doc.replace("<br/>", " ").split())
        self._whole, self._label = plain, note()
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._more = QToolButton()
        self._more.setText("more")
        self._more.setAutoRaise(True)
        self._more.setStyleSheet("QToolButton { padding: 0; border: none; text-decoration: underline; }")
        self._more.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._more.clicked.connect(self._toggle)
        self._short = plain if len(plain) <= _SHORT else plain[:_SHORT].rpartition(" ")[0] + " …"
        self._label.setText(self._short)
        self._label.setVisible(bool(plain))
        self._more.setVisible(self._short != plain)
        column.addWidget(self._label)
        column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)

    def _toggle(self) -> None:
        whole = self._label.text() != self._whole
        self._label.setText(self._whole if whole else self._short)
        self._more.setText("less" if whole else "more")
