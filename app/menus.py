"""The window's actions as Qt shows them: menu bar, context menu, shortcuts and tool tips."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

from graftwerk.app.actions import Action, operation_actions, standard_actions
from graftwerk.app.node_control import node_actions
from graftwerk.app.opset_control import opset_actions
from graftwerk.app.pattern_control import pattern_actions
from graftwerk.app.precision_control import precision_actions
from graftwerk.app.pruning_control import pruning_actions
from graftwerk.app.quantize_control import calibration_actions

if TYPE_CHECKING:
    from graftwerk.app.window import Window

#: The menu bar; another family of operations gets a menu of its own, before Engine.
_MENUS = (
    "File", "Edit", "Select", "View", "Model", "Interface", "Weights", "Subgraph", "Clean up", "Precision", "Plugin",
    "Quantize", "Engine", "Help",
)  # fmt: skip


class Menus:
    """One QAction for every action of `app.actions`, by its id in `shown`; operations come with `complete`."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.shown: dict[str, QAction] = {}
        self._actions: dict[str, Action] = {}
        self._make(standard_actions())
        self._make(node_actions())
        self._make(pattern_actions())
        self._make(precision_actions())
        self._make(pruning_actions())
        self._make(calibration_actions())
        self._make(opset_actions())
        self._menus = {title: window.menuBar().addMenu(title) for title in _MENUS}

    def complete(self) -> None:
        """Makes the operations, and the contents of the menus."""
        self._make(operation_actions())
        for action in self._actions.values():
            if action.menu and action.menu not in self._menus:
                self._menus[action.menu] = made = QMenu(action.menu, self.window)
                self.window.menuBar().insertMenu(self._menus["Engine"].menuAction(), made)
        for title, menu in self._menus.items():
            menu.setToolTipsVisible(True)
            self._fill(menu, [action for action in self._actions.values() if action.menu == title])
        self.window.docks.add_to(self._menus["View"])
        self._add_recent(self._menus["File"])

    def all(self) -> list[Action]:
        return list(self._actions.values())

    def trigger(self, action: Action) -> None:
        """Does an action, or says why it can't be done now."""
        reason = action.why_not(self.window)
        if reason is not None:
            self.window.say(f"{action.title}: {reason.text}")
            return
        self.window.attempt(lambda: action.run(self.window))
        self._refresh(action)

    def refresh(self, menu: str = "") -> None:
        """Brings the actions up to date, or those of one menu; operations are asked when a menu with them opens."""
        for action in self._actions.values():
            if not _is_operation(action) and menu in ("", action.menu):
                self._refresh(action)

    def show_operations(self, position: QPoint, hit: object) -> None:
        """Opens the context menu of the canvas: all operations, on what is selected."""
        del hit  # the selection includes it
        menu = QMenu(self.window)
        menu.setToolTipsVisible(True)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        order = list(self._menus)
        asked = [action for action in self._actions.values() if _is_operation(action)]
        asked.sort(key=lambda action: order.index(action.menu))
        family = ""
        for action in asked:
            if family and action.menu != family:
                menu.addSeparator()
            family = action.menu
            self._refresh(action)
            menu.addAction(self.shown[action.id])
        menu.addSeparator()
        menu.addAction(self.shown["select.like_this"])
        self._refresh(self._actions["select.like_this"])
        menu.aboutToHide.connect(lambda: self._enable(asked))
        menu.popup(position)

    def _make(self, actions: Iterable[Action]) -> None:
        for action in actions:
            made = QAction(action.title, self.window)
            made.setCheckable(action.checked is not None)
            if action.shortcut:
                made.setShortcuts([QKeySequence(one) for one in action.shortcut.split(" or ")])
            made.triggered.connect(lambda _=False, one=action: self.trigger(one))
            self._actions[action.id] = action
            self.shown[action.id] = made
            self.window.addAction(made)

    def _refresh(self, action: Action) -> None:
        made, reason = self.shown[action.id], action.why_not(self.window)
        made.setEnabled(reason is None)
        shortcut = f" ({action.shortcut})" if action.shortcut else ""
        made.setToolTip(action.title + shortcut if reason is None else f"{action.title}: {reason.text}")
        if action.checked is not None:
            made.setChecked(action.checked(self.window))

    def _enable(self, actions: Iterable[Action]) -> None:
        """Lets operations be started by their keys: that they were grey in a menu says nothing of a later selection."""
        for action in actions:
            self.shown[action.id].setEnabled(True)

    def _fill(self, menu: QMenu, actions: list[Action]) -> None:
        for action in actions:
            menu.addAction(self.shown[action.id])
        asked = [action for action in actions if _is_operation(action)]

        def refresh() -> None:
            for action in asked:
                self._refresh(action)

        menu.aboutToShow.connect(refresh)
        menu.aboutToHide.connect(lambda: self._enable(asked))

    def _add_recent(self, menu: QMenu) -> None:
        recent = QMenu("Open Recent", menu)

        def fill() -> None:
            recent.clear()
            for path in self.window.settings.recent:
                action = recent.addAction(f"{path.name}    {path.parent}")
                action.triggered.connect(lambda _=False, one=path: self.window.files.open([one]))
            if recent.isEmpty():
                recent.addAction("Nothing opened yet").setEnabled(False)

        recent.aboutToShow.connect(fill)
        menu.insertMenu(self.shown["file.save"], recent)


def _is_operation(action: Action) -> bool:
    return action.id.startswith("operation.")
