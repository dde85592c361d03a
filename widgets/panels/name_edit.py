"""Typing the name of a node or tensor, with what the graph has offered below; fast with a hundred thousand names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import islice

from PySide6.QtCore import QStringListModel, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCompleter, QLineEdit, QListView, QListWidget, QVBoxLayout, QWidget

from graftwerk.backend.graph.graph import Graph
from graftwerk.widgets.theme import mono_font

OFFERED = 40
ROWS = 5


class Names:
    """All names of one kind, listed when the first is asked for."""

    def __init__(self, listed: Callable[[], Iterable[str]]) -> None:
        self._listed = listed

    @classmethod
    def of_tensors(cls, graph: Graph) -> Names:
        return cls(graph.tensors)

    @classmethod
    def of_nodes(cls, graph: Graph) -> Names:
        return cls(lambda: (graph.ref(node) for node in graph.nodes))

    @cached_property
    def _names(self) -> list[tuple[str, str]]:
        return [(name.lower(), name) for name in self._listed()]

    def like(self, text: str) -> list[str]:
        """Up to `OFFERED` names that begin with a text, then such as hold it somewhere; case doesn't matter."""
        wanted = text.lower()
        begins = (name for lower, name in self._names if lower.startswith(wanted))
        found = list(islice(begins, OFFERED))
        inside = (name for lower, name in self._names if wanted in lower and not lower.startswith(wanted))
        return found + list(islice(inside, OFFERED - len(found)))


class NameEdit(QLineEdit):
    """One name. `finished` is emitted when Enter is pressed or an offered name is taken."""

    finished = Signal(str)

    def __init__(self, names: Names, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFont(mono_font())
        self._names = names
        self._offered = QStringListModel(self)
        completer = QCompleter(self._offered, self)
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        completer.setMaxVisibleItems(12)
        popup = QListView()
        completer.setPopup(popup)  # which the completer owns then
        popup.setFont(mono_font())
        popup.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.textEdited.connect(self._offer)  # before the completer's own connection, which shows what is offered
        self.setCompleter(completer)
        completer.activated.connect(self.finished)
        self.returnPressed.connect(lambda: self.finished.emit(self.text()))

    def _offer(self, text: str) -> None:
        self._offered.setStringList(self._names.like(text) if text else [])


class NamesEdit(QWidget):
    """A list of names: Delete removes the selected ones, the line below adds."""

    changed = Signal()

    def __init__(self, names: Names, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = _List(self)
        self.list.setFont(mono_font())
        self.list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setToolTip("Delete removes what is selected")
        self.list.removal.connect(self._remove)
        self.add = NameEdit(names, self)
        self.add.setPlaceholderText("Add by name")
        self.add.finished.connect(self._add)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.list)
        column.addWidget(self.add)
        self._fit()

    def names(self) -> tuple[str, ...]:
        return tuple(self.list.item(row).text() for row in range(self.list.count()))

    def set_names(self, names: Sequence[str]) -> None:
        self.list.clear()
        self.list.addItems(list(names))
        self._fit()

    def _add(self, name: str) -> None:
        if name and name not in self.names():
            self.list.addItem(name)
            self._fit()
            self.changed.emit()
        # The completer puts the name into the line after it has told us.
        self.add.blockSignals(True)
        self.add.clear()
        self.add.blockSignals(False)

    def _remove(self) -> None:
        for item in self.list.selectedItems():
            self.list.takeItem(self.list.row(item))
        self._fit()
        self.changed.emit()

    def _fit(self) -> None:
        rows = min(self.list.count(), ROWS)
        self.list.setVisible(rows > 0)
        self.list.setFixedHeight(rows * max(self.list.sizeHintForRow(0), 1) + 2 * self.list.frameWidth() + 2)


class _List(QListWidget):
    removal = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.selectedItems():
            self.removal.emit()
        else:
            super().keyPressEvent(event)
