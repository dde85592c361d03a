"""The edits that lead from the file to what is shown: the undo history, and the recipe that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QListView,
    QMenu,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)  # fmt: skip

from graftwerk.backend.document import Document
from graftwerk.backend.operations.recipe_lines import as_parameter, moved, with_selector
from graftwerk.backend.operations.step import Step
from graftwerk.widgets.panels.history_rows import Card, Rows, step_title
from graftwerk.widgets.panels.parameter_table import ParameterTable
from graftwerk.widgets.panels.parts import Empty
from graftwerk.widgets.panels.step_text import StepText
from graftwerk.widgets.theme import Theme

_NO_STEPS = "There are no edits yet"


class History(QWidget):
    """One card for each step; those that are undone, left out or wait are grey.

    `go` carries the index of the revision to show, `save_recipe` asks for the recipe to be saved, `edit` carries the
    index of a step whose form is to be shown, `changed` another recipe: its steps and its parameters, and `put_back`
    the index of steps that the document has set aside.
    """

    go = Signal(int)
    save_recipe = Signal()
    edit = Signal(int)
    changed = Signal(object, object)
    put_back = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self.model = Rows(self)
        self.model.moved.connect(self._move)
        self.list = _List()
        self.list.setModel(self.model)
        self._delegate = Card(self.list)
        self.list.setItemDelegate(self._delegate)
        self.list.clicked.connect(lambda index: self._go(index.row()))
        self.list.key.connect(self._key)
        self.list.menu.connect(self._show_menu)
        self.list.doubleClicked.connect(lambda index: self._edit(index.row()))
        self.parameters = ParameterTable()
        self.parameters.changed.connect(lambda values: self.changed.emit(self.steps(), values))
        self.save_button = _button("Save recipe…", self.save_recipe.emit)
        self.copy_button = _button("Copy", self.copy)
        self.parameter_button = _button("Parameters", self.parameters.start)
        self.parameter_button.setToolTip("Values at the top of the recipe, which its steps use as $NAME")
        self.aside_button = _button("", self._show_aside)
        self.aside_button.setToolTip("Undone steps that an edit took the place of: they can be put back behind it")
        buttons = QHBoxLayout()
        buttons.setContentsMargins(8, 2, 8, 6)
        for button in (self.save_button, self.copy_button, self.parameter_button):
            buttons.addWidget(button)
        buttons.addStretch(1)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.parameters)
        column.addWidget(self.list, 1)
        column.addWidget(self.aside_button, alignment=Qt.AlignmentFlag.AlignLeft)
        column.addLayout(buttons)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(Empty("Open a model. Its edits are listed here, and can be saved as a recipe."))
        self._stack.addWidget(content)

    def set_theme(self, theme: Theme) -> None:
        self._delegate.theme = theme
        self.list.viewport().update()

    def set_document(self, document: Document | None) -> None:
        self._document = document
        self.refresh()

    def refresh(self) -> None:
        """Reads the document's revisions again."""
        document = self._document
        self.model.read(document)
        self._stack.setCurrentIndex(0 if document is None else 1)
        steps = document is not None and bool(document.recipe.steps)
        for button, tip in ((self.save_button, "Write the edits as a recipe that can be applied to another export"),
                            (self.copy_button, "Copy the recipe as JSON")):  # fmt: skip
            button.setEnabled(steps)
            button.setToolTip(tip if steps else _NO_STEPS)
        aside = sum(map(len, document.aside)) if document is not None else 0
        self.aside_button.setText(f"{aside} step{'s' * (aside != 1)} set aside ▾")
        self.aside_button.setVisible(aside > 0)
        if document is not None:
            self.parameters.set_values(document.history.parameters)
            self.list.setCurrentIndex(self.model.index(document.at))
            self.list.scrollTo(self.model.index(document.at))

    def steps(self) -> list[Step]:
        """All steps that are listed, the undone and waiting ones included."""
        if self._document is None:
            return []
        history = self._document.history
        return [step for r in history.revisions if (step := r.line) is not None] + list(history.waiting)

    def copy(self) -> None:
        """Puts the recipe on the clipboard, as JSON."""
        if self._document is not None:
            QGuiApplication.clipboard().setText(self._document.recipe.dumps())

    def aside_menu(self) -> QMenu:
        """What can be done with the steps that were set aside: a line for each edit that took the place of some."""
        menu = QMenu(self)
        assert self._document is not None
        for index, steps in enumerate(self._document.aside):
            said = ", ".join(step_title(step, self._document.history.parameters) for step in steps)
            menu.addAction(f"Put back: {said}"[:90], partial(self.put_back.emit, index))
        menu.addSeparator()
        menu.addAction("Forget all", lambda: self._forget_aside())
        return menu

    def _show_aside(self) -> None:
        menu = self.aside_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.aside_button.mapToGlobal(QPoint(0, 0)))

    def _forget_aside(self) -> None:
        if self._document is not None:
            self._document.forget_aside(*range(len(self._document.aside)))

    # What can be done to one row: rows count from 1, row 0 is the model that was opened

    def _go(self, row: int) -> None:
        if self._document is not None and row < len(self._document.revisions):
            self.go.emit(row)

    def _edit(self, row: int) -> None:
        if row:
            self.edit.emit(row)

    def _replace(self, row: int, *others: Step) -> None:
        steps = self.steps()
        steps[row - 1 : row] = others
        self._change(steps)

    def _change(self, steps: Sequence[Step], parameters: Mapping[str, Any] | None = None) -> None:
        if self._document is not None:
            self.changed.emit(list(steps), self._document.history.parameters if parameters is None else parameters)

    def _move(self, start: int, end: int) -> None:
        if end != start and 1 <= end <= len(self.steps()):
            self._change(moved(self.steps(), start - 1, end - 1))

    def _key(self, event: QKeyEvent, row: int) -> None:
        alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        keys = Qt.Key
        if event.key() in (keys.Key_Return, keys.Key_Enter):
            self._go(row)
        elif row and event.key() == keys.Key_Delete:
            self._replace(row)
        elif row and event.key() == keys.Key_Space:
            self._toggle(row)
        elif row and event.key() == keys.Key_F2:
            self._edit(row)
        elif row and alt and event.key() in (keys.Key_Up, keys.Key_Down):
            self._move(row, row + (1 if event.key() == keys.Key_Down else -1))

    def _toggle(self, row: int) -> None:
        step = self.steps()[row - 1]
        self._replace(row, Step(step.id, step.values, step.comment, not step.enabled))

    def _show_menu(self, position: QPoint, row: int) -> None:
        menu = self.menu_for(row)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(position)

    def menu_for(self, row: int) -> QMenu:
        """The context menu of a row."""
        menu = QMenu(self)
        if row < 1 or self._document is None:
            menu.addAction("Show the model as it was opened", lambda: self._go(0))
            return menu
        step = self.steps()[row - 1]
        shown = menu.addAction("Show the model after this step", lambda: self._go(row))
        shown.setEnabled(row < len(self._document.revisions))
        menu.addSeparator()
        menu.addAction("Edit…", lambda: self._edit(row)).setShortcut(QKeySequence("F2"))
        menu.addAction("Edit as text…", lambda: self._edit_text(row))
        menu.addAction("Comment…", lambda: self._comment(row))
        menu.addAction("Leave out" if step.enabled else "Apply", lambda: self._toggle(row)).setShortcut("Space")
        up = menu.addAction("Move up", lambda: self._move(row, row - 1))
        down = menu.addAction("Move down", lambda: self._move(row, row + 1))
        up.setEnabled(row > 1)
        down.setEnabled(row < len(self.steps()))
        self._add_parameters(menu.addMenu("Make a parameter of"), row)
        self._add_selectors(menu.addMenu("Select by"), row)
        menu.addSeparator()
        menu.addAction("Delete", lambda: self._replace(row)).setShortcut("Del")
        return menu

    def _add_parameters(self, menu: QMenu, row: int) -> None:
        assert self._document is not None
        step, known = self.steps()[row - 1], self._document.history.parameters
        for name, value in step.values.items():
            if not (isinstance(value, str) and value.startswith("$")):
                menu.addAction(f"{name}: {value}"[:60], partial(self._parameter, row, name, known))
        menu.setEnabled(not menu.isEmpty())

    def _parameter(self, row: int, name: str, known: Mapping[str, Any]) -> None:
        steps = self.steps()
        steps[row - 1], values = as_parameter(steps[row - 1], name, known)
        self._change(steps, values)

    def _add_selectors(self, menu: QMenu, row: int) -> None:
        assert self._document is not None
        revisions = self._document.revisions
        if row < len(revisions):
            for step in with_selector(self.steps()[row - 1], revisions[row - 1].graph):
                text = next(str(value) for value in step.values.values() if "@" in str(value))
                menu.addAction(text.strip("[]'"), partial(self._replace, row, step))
        menu.setEnabled(not menu.isEmpty())

    def _comment(self, row: int) -> None:
        step = self.steps()[row - 1]
        text, done = QInputDialog.getMultiLineText(self, "Comment", "What this step is for", step.comment)
        if done:
            self._replace(row, Step(step.id, step.values, text.strip(), step.enabled))

    def _edit_text(self, row: int) -> None:
        assert self._document is not None
        dialog = StepText(self.steps()[row - 1], self._document.history.parameters, self)
        dialog.accepted_step.connect(lambda step: self._replace(row, step))
        dialog.show()


def _button(text: str, action: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setFlat(True)
    button.clicked.connect(lambda: action())
    return button


class _List(QListView):
    """`key` carries an event and the row that it is for, `menu` a place on the screen and the row there."""

    key = Signal(object, int)
    menu = Signal(QPoint, int)

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setStyleSheet("QListView { background: transparent; border: none; }")
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = Qt.Key
        taken = (keys.Key_Return, keys.Key_Enter, keys.Key_Delete, keys.Key_Space, keys.Key_F2)
        moves = event.key() in (keys.Key_Up, keys.Key_Down) and event.modifiers() & Qt.KeyboardModifier.AltModifier
        if self.currentIndex().isValid() and (event.key() in taken or moves):
            self.key.emit(event, self.currentIndex().row())
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        index = self.indexAt(event.pos())
        if index.isValid():
            self.menu.emit(event.globalPos(), index.row())


