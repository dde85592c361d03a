"""A compiler's options as it reports them: grouped, with their notes, and what differs from the default marked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QLineEdit, QSpinBox, QWidget

from graftwerk.backend.fault import Fault
from graftwerk.widgets.panels.parts import mark_invalid, note, set_role
from graftwerk.widgets.theme import mono_font

_GROUPS = {
    "": "Tuning", "flag": "Builder flags", "pool": "Memory limits", "preview": "Preview features", "parser": "Parser",
}  # fmt: skip
_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B?)\s*", re.IGNORECASE)
_MOST = 2**31 - 1


def format_bytes(count: int) -> str:
    """`64 GiB`: with the largest unit that says it exactly."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        size = _UNITS[unit.upper()]
        if count and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} B"


def parse_bytes(text: str) -> int:
    """Raises Fault for what is not a size. K, KB and KiB all are 1024 bytes, as TensorRT's tools have it."""
    match = _BYTES.fullmatch(text)
    if match is None:
        raise Fault(f"{text!r} is not a size", hint="Such as 512 MiB or 4 GiB")
    letter = match[2].upper().rstrip("B").removesuffix("I")
    return int(float(match[1]) * _UNITS[f"{letter}IB" if letter else ""])


class OptionForm(QWidget):
    """`options` are those of `QueryRtx`; `values` what the user chose before."""

    changed = Signal()

    def __init__(
        self, options: Sequence[Mapping[str, Any]], values: Mapping[str, Any], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._options = {option["name"]: option for option in options}
        self.inputs: dict[str, QWidget] = {}
        self._labels: dict[str, QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(2, 1)
        for prefix, title in _GROUPS.items():
            members = [name for name in self._options if name.rpartition(".")[0] == prefix]
            if members:
                heading = QLabel(title)
                heading.setProperty("role", "section")
                heading.setContentsMargins(0, 10 if grid.count() else 0, 0, 2)
                grid.addWidget(heading, grid.rowCount(), 0, 1, 3)
            for name in members:
                self._add(grid, name, values.get(name, self._options[name]["default"]))
        self._mark()
        self.changed.connect(self._mark)

    def values(self) -> dict[str, Any]:
        """The options that differ from the library's defaults. Raises Fault where a size can't be read."""
        found = {name: self._value(name) for name in self._options}
        return {name: value for name, value in found.items() if value != self._options[name]["default"]}

    def _add(self, grid: QGridLayout, name: str, value: Any) -> None:
        option = self._options[name]
        row = grid.rowCount()
        label = QLabel(name.rpartition(".")[2])
        label.setFont(mono_font())
        editor = self._editor(option, value)
        editor.setAccessibleName(name)
        label.setBuddy(editor)
        self.inputs[name], self._labels[name] = editor, label
        grid.addWidget(label, row, 0)
        grid.addWidget(editor, row, 1, Qt.AlignmentFlag.AlignLeft)
        told = note(", ".join(filter(None, [f"default {_shown(option)}", option["note"]])))
        grid.addWidget(told, row, 2)

    def _editor(self, option: Mapping[str, Any], value: Any) -> QWidget:
        if option["kind"] == "bool":
            box = QCheckBox()
            box.setChecked(value)
            box.toggled.connect(self.changed)
            return box
        if option["kind"] == "choice":
            combo = QComboBox()
            combo.addItems(option["choices"])
            combo.setCurrentText(value)
            combo.currentIndexChanged.connect(self.changed)
            return combo
        if option["kind"] == "bytes":
            line = QLineEdit(format_bytes(value))
            line.setMaximumWidth(line.fontMetrics().horizontalAdvance("0" * 14))
            line.textChanged.connect(self.changed)
            return line
        spin = QSpinBox()
        spin.setRange(min(option["default"], 0), _MOST)
        if option["default"] < 0:
            spin.setSpecialValueText("automatic")  # what the library shows where it decides by itself
        spin.setValue(value)
        spin.valueChanged.connect(self.changed)
        return spin

    def _value(self, name: str) -> Any:
        match self.inputs[name]:
            case QCheckBox() as box:
                return box.isChecked()
            case QComboBox() as combo:
                return combo.currentText()
            case QSpinBox() as spin:
                return spin.value()
            case QLineEdit() as line:
                try:
                    return parse_bytes(line.text())
                except Fault as fault:
                    raise Fault(fault.message, name, fault.hint) from None
        raise AssertionError(name)

    def _mark(self) -> None:
        """Texts of what is at its default are muted; what was changed stands out."""
        for name, option in self._options.items():
            try:
                set_role(self._labels[name], "muted" if self._value(name) == option["default"] else "section")
                mark_invalid(self.inputs[name], False)
            except Fault:
                mark_invalid(self.inputs[name], True)


def _shown(option: Mapping[str, Any]) -> str:
    default = option["default"]
    if option["kind"] == "bool":
        return "on" if default else "off"
    if option["kind"] == "bytes":
        return format_bytes(default)
    return "automatic" if default == -1 else str(default)
