"""One editor for each kind of parameter that an operation can have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.schema import operator_names
from graftwerk.backend.operations.registry import Parameter
from graftwerk.widgets.panels.name_edit import NameEdit, Names, NamesEdit
from graftwerk.widgets.panels.parts import mark_invalid, note
from graftwerk.widgets.theme import mono_font

_MOST = 2**31 - 1
_JSON_LINES = 4
_MOST_LINES = 14


class Editor(QWidget):
    """Shows and takes the value of one parameter, as JSON. `input` is the widget that has the focus and the border."""

    changed = Signal()

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.parameter = parameter
        self.input: QWidget = self
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._column = column

    def value(self) -> Any:
        """Raises Fault where what was typed can't be read."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        raise NotImplementedError

    def set_invalid(self, invalid: bool) -> None:
        mark_invalid(self.input, invalid)

    def _hold(self, widget: QWidget, stretch: bool = True) -> None:
        self.input = widget
        self.setFocusProxy(widget)
        widget.setAccessibleName(self.parameter.label)
        alignment = Qt.AlignmentFlag(0) if stretch else Qt.AlignmentFlag.AlignLeft
        self._column.addWidget(widget, 0, alignment)

    def _fault(self, text: str, hint: str = "") -> Fault:
        return Fault(f"{self.parameter.label}: {text}", self.parameter.name, hint)


class _Name(Editor):
    def __init__(self, parameter: Parameter, names: Names) -> None:
        super().__init__(parameter)
        self._line = NameEdit(names)
        self._line.textChanged.connect(self.changed)
        self._hold(self._line)

    def value(self) -> str:
        return self._line.text().strip()

    def set_value(self, value: Any) -> None:
        self._line.setText(value)
        self._line.setCursorPosition(0)


class _Names(Editor):
    def __init__(self, parameter: Parameter, names: Names) -> None:
        super().__init__(parameter)
        self._edit = NamesEdit(names)
        self._edit.changed.connect(self.changed)
        self._hold(self._edit)
        self.input = self._edit.add
        self.setFocusProxy(self._edit.add)

    def value(self) -> list[str]:
        return list(self._edit.names())

    def set_value(self, value: Any) -> None:
        self._edit.set_names(value)


class _Text(Editor):
    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self._line = QLineEdit()
        self._line.textChanged.connect(self.changed)
        self._hold(self._line)

    def value(self) -> str:
        return self._line.text().strip()

    def set_value(self, value: Any) -> None:
        self._line.setText(value)
        self._line.setCursorPosition(0)


class _Lines(Editor):
    """A text of several lines, as high as they are."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self._text = QPlainTextEdit()
        self._text.setFont(mono_font())
        self._text.setTabChangesFocus(True)
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._text.textChanged.connect(self.changed)
        self._text.textChanged.connect(lambda: fit_lines(self._text, _MOST_LINES))
        fit_lines(self._text, _MOST_LINES)
        self._hold(self._text)

    def value(self) -> str:
        return self._text.toPlainText().strip()

    def set_value(self, value: Any) -> None:
        self._text.setPlainText(value)


class _Texts(_Text):
    """Several texts in one line, with commas between them."""

    def value(self) -> Any:
        return [part for part in map(str.strip, self._line.text().split(",")) if part]

    def set_value(self, value: Any) -> None:
        super().set_value(", ".join(value))


class _File(Editor):
    """A path, with a button that opens the system's dialog."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self._line = QLineEdit()
        self._line.textChanged.connect(self.changed)
        browse = QPushButton("Browse…")
        browse.setAccessibleName(f"Browse for {parameter.label}")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.addWidget(browse)
        self._hold(self._line)
        row.insertWidget(0, self._line)
        self._column.addLayout(row)

    def value(self) -> str:
        return self._line.text().strip()

    def set_value(self, value: Any) -> None:
        self._line.setText(value)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.parameter.label, self.value())
        if path:
            self._line.setText(path)


class _Integer(Editor):
    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self._box = QSpinBox()
        low = -_MOST if parameter.minimum is None else int(parameter.minimum)
        self._box.setRange(low, _MOST if parameter.maximum is None else int(parameter.maximum))
        self._box.valueChanged.connect(self.changed)
        self._hold(self._box, stretch=False)

    def value(self) -> int:
        return self._box.value()

    def set_value(self, value: Any) -> None:
        self._box.setValue(value)


class _Number(Editor):
    """A line rather than a spin box: scales go over many orders of magnitude."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self._line = QLineEdit()
        self._line.setFont(mono_font())
        self._line.setMaximumWidth(self._line.fontMetrics().horizontalAdvance("0" * 22))
        self._line.textChanged.connect(self.changed)
        self._hold(self._line)

    def value(self) -> float:
        try:
            return float(self._line.text())
        except ValueError:
            raise self._fault(f"{self._line.text()!r} is not a number", "Such as 0.05 or 1e-3") from None

    def set_value(self, value: Any) -> None:
        self._line.setText(f"{value:.9g}")


class _Flag(Editor):
    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self._box = QCheckBox()
        self._box.toggled.connect(self.changed)
        self._hold(self._box, stretch=False)

    def value(self) -> bool:
        return self._box.isChecked()

    def set_value(self, value: Any) -> None:
        self._box.setChecked(value)


class _Choice(Editor):
    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self._box = QComboBox()
        self._box.addItems(parameter.choices)
        self._box.currentIndexChanged.connect(self.changed)
        self._hold(self._box, stretch=False)

    def value(self) -> str:
        return self._box.currentText()

    def set_value(self, value: Any) -> None:
        self._box.setCurrentIndex(max(0, self._box.findText(value)))


class _Json(Editor):
    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        self._text = QPlainTextEdit()
        self._text.setFont(mono_font())
        self._text.setTabChangesFocus(True)
        self._text.textChanged.connect(self.changed)
        self._text.textChanged.connect(lambda: fit_lines(self._text, _JSON_LINES))
        fit_lines(self._text, _JSON_LINES)
        self._hold(self._text)

    def value(self) -> Any:
        text = self._text.toPlainText().strip()
        if not text and not self.parameter.required:
            return self.parameter.initial
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            hint = f'A text needs quotes: "{text}"' if text.isidentifier() else "Such as 3, 0.5, \"text\", [1, 1]"
            raise self._fault(f"not JSON ({error.msg})" if text else "missing", hint) from None

    def set_value(self, value: Any) -> None:
        self._text.setPlainText("" if value in ({}, (), []) else json.dumps(value, ensure_ascii=False))


class MappingEditor(Editor):
    """Texts by texts: a row for each, with an empty one at the end to add another."""

    def __init__(self, parameter: Parameter, graph: Graph) -> None:
        super().__init__(parameter)
        self._names = [
            Names.of_nodes(graph) if "node" in column.lower() else Names.of_tensors(graph)
            for column in parameter.columns
        ]
        self.rows: list[tuple[NameEdit, NameEdit]] = []
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        for at, column in enumerate(parameter.columns):
            self._grid.addWidget(note(column), 0, at)
            self._grid.setColumnStretch(at, 1)
        self._column.addLayout(self._grid)
        self._add_row()
        self.input = self.rows[0][0]
        self.setFocusProxy(self.input)

    def _add_row(self, key: str = "", value: str = "") -> None:
        row = len(self.rows) + 1
        made = NameEdit(self._names[0]), NameEdit(self._names[1])
        for at, (edit, text) in enumerate(zip(made, (key, value), strict=True)):
            edit.setText(text)
            edit.setCursorPosition(0)
            edit.setAccessibleName(f"{self.parameter.label}, {self.parameter.columns[at]} {row}")
            edit.textChanged.connect(self._on_change)
            self._grid.addWidget(edit, row, at)
        self.rows.append(made)

    def _on_change(self) -> None:
        if any(edit.text() for edit in self.rows[-1]):
            self._add_row()
        self.changed.emit()

    def value(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in ((key.text().strip(), value.text().strip()) for key, value in self.rows):
            if key in found:
                raise self._fault(f"{key} stands there twice")
            if bool(key) != bool(value):
                raise self._fault(f"{key or value} has nothing beside it", "Empty the row, or fill both sides")
            if key:
                found[key] = value
        return found

    def set_value(self, value: Any) -> None:
        for row in self.rows:
            for edit in row:
                edit.blockSignals(True)
                edit.setText("")
                edit.blockSignals(False)
        for at, (key, text) in enumerate(value.items()):
            for edit, shown in zip(self.rows[at], (key, str(text)), strict=True):
                edit.setText(shown)


def fit_lines(text: QPlainTextEdit, most: int) -> None:
    """Makes an editor as high as its text, within two lines and the most that it may have."""
    shown = min(max(2, text.document().lineCount()), most)
    text.setFixedHeight(text.fontMetrics().lineSpacing() * shown + 18)


def make_editor(parameter: Parameter, graph: Graph) -> Editor:
    """The editor for a parameter; names are completed from the graph."""
    if parameter.name == "op_type":
        return _Name(parameter, Names(lambda: operator_names(graph.opset() or 1)))
    makers: dict[str, Callable[[], Editor]] = {
        "tensor": lambda: _Name(parameter, Names.of_tensors(graph)),
        "node": lambda: _Name(parameter, Names.of_nodes(graph)),
        "tensors": lambda: _Names(parameter, Names.of_tensors(graph)),
        "nodes": lambda: _Names(parameter, Names.of_nodes(graph)),
        "text": lambda: _Text(parameter),
        "lines": lambda: _Lines(parameter),
        "texts": lambda: _Texts(parameter),
        "file": lambda: _File(parameter),
        "integer": lambda: _Integer(parameter),
        "number": lambda: _Number(parameter),
        "flag": lambda: _Flag(parameter),
        "choice": lambda: _Choice(parameter),
        "mapping": lambda: MappingEditor(parameter, graph),
        "json": lambda: _Json(parameter),
    }
    return makers[parameter.kind]()
