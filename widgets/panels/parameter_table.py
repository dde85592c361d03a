"""The parameters at the top of a recipe: names with values that its steps use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QWidget

_NAME = re.compile(r"[A-Za-z_]\w*")
_MOST_ROWS = 5


class ParameterTable(QTableWidget):
    """Two columns, name and value; the last row takes a new one. `changed` carries all values as a dict.

    A value is JSON, or else a text. A name that is cleared takes its parameter away.
    """

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 2, parent)
        self.setHorizontalHeaderLabels(["Parameter", "Value"])
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().hide()
        self.setAccessibleName("Parameters of the recipe")
        self._values: dict[str, Any] = {}
        self._wanted = False
        self.cellChanged.connect(lambda row, column: self._take(row))
        self.set_values({})

    def start(self) -> None:
        """Shows the table where it is hidden, with the cursor in the row for a new parameter."""
        self._wanted = True
        self.set_values(self._values)
        self.setFocus()
        self.setCurrentCell(self.rowCount() - 1, 0)
        self.edit(self.currentIndex())

    def set_values(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self.blockSignals(True)
        rows = [*((name, _text(value)) for name, value in values.items()), ("", "")]
        self.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if row == len(rows) - 1:
                    item.setToolTip("A new parameter: its name, then its value")
                self.setItem(row, column, item)
        self.blockSignals(False)
        shown = min(len(rows), _MOST_ROWS)
        header = self.horizontalHeader().sizeHint().height()
        self.setFixedHeight(header + shown * self.rowHeight(0) + 2 * self.frameWidth())
        self.setVisible(bool(values) or self._wanted)

    def _take(self, row: int) -> None:
        name, text = (str(self.model().index(row, column).data() or "").strip() for column in (0, 1))
        entries = list(self._values.items())
        new = row == len(entries)
        if new and not (name and text):
            return  # half of a new row
        others = {key for at, (key, _) in enumerate(entries) if at != row}
        if (name and not _NAME.fullmatch(name)) or name in others:
            self.set_values(self._values)  # as it was: a step could not name it
            return
        entries[row : row + 1] = [(name, _value(text))] if name else []
        self.changed.emit(dict(entries))


def _text(value: Any) -> str:
    return value if isinstance(value, str) and _value(value) == value else json.dumps(value, ensure_ascii=False)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


