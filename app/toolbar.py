"""The bar at the top: the commands of every minute, the search field, the target, Build and Profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QPushButton, QSizePolicy, QToolBar, QToolButton, QWidget

from graftwerk.widgets.icons import theme_icon
from graftwerk.widgets.theme import Theme

if TYPE_CHECKING:
    from graftwerk.app.window import Window

_BUTTONS = ("file.open", "file.save", "edit.undo", "edit.redo")
_ICONS = {"file.open": "open", "file.save": "save", "edit.undo": "undo", "edit.redo": "redo"}


class ToolBar(QToolBar):
    """Views of the window's actions; the target button holds a menu of all targets, several may be checked."""

    def __init__(self, window: Window) -> None:
        super().__init__("Main", window)
        self._window = window
        self._theme: Theme | None = None
        self.setObjectName("main toolbar")
        self.setMovable(False)
        self.setIconSize(QSize(18, 18))
        self.toggleViewAction().setEnabled(False)
        name = QLabel("Graftwerk", self)
        name.setProperty("role", "title")
        name.setContentsMargins(8, 0, 16, 0)
        self.addWidget(name)
        for key in _BUTTONS:
            self.addAction(window.menus.shown[key])
        self._search = QPushButton("Search nodes, tensors, actions", self)
        self._search.setProperty("role", "search")
        self._search.setShortcut("")
        self._search.setToolTip("Find a node, an operator or a tensor (Ctrl+F), or any command (Ctrl+Shift+P)")
        self._search.setMinimumWidth(280)
        self._search.clicked.connect(lambda: window.searching.everything())
        middle = QWidget(self)
        row = QHBoxLayout(middle)
        row.setContentsMargins(12, 0, 12, 0)
        row.addStretch(1)
        row.addWidget(self._search, 2)
        row.addStretch(1)
        middle.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(middle)
        self._targets = QToolButton(self)
        self._targets.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self._targets.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._targets.setToolTip("What to compile for; no GPU is needed")
        self._menu = QMenu(self._targets)
        self._menu.aboutToShow.connect(self._fill)
        self._targets.setMenu(self._menu)
        self.addWidget(self._targets)
        self.build = QPushButton("Build", self)
        self.build.setProperty("primary", True)
        self.build.clicked.connect(window.menus.shown["engine.build"].trigger)
        self.profile = QPushButton("Profile", self)
        self.profile.clicked.connect(window.menus.shown["engine.profile"].trigger)
        for button in (self.build, self.profile):
            self.addWidget(button)

    def refresh(self) -> None:
        """Shows the state of the window's actions and the chosen targets."""
        window = self._window
        if self._theme is not window.theme:  # icons are drawn, which takes longer than all the rest here
            self._theme = window.theme
            for key, name in _ICONS.items():
                window.menus.shown[key].setIcon(theme_icon(name, window.theme))
            self._search.setIcon(theme_icon("search", window.theme))
        tab = window.tab
        chosen = window.engines.settings(tab).targets if tab is not None else ()
        self._targets.setText(f"{window.engines.compiler} · {', '.join(chosen).upper() or 'no GPU needed'}")
        self._targets.setEnabled(tab is not None)
        for button, key in ((self.build, "engine.build"), (self.profile, "engine.profile")):
            action = window.menus.shown[key]
            button.setEnabled(action.isEnabled())
            button.setToolTip(action.toolTip())

    def _fill(self) -> None:
        self._menu.clear()
        window = self._window
        if window.engines.missing:
            self._menu.addAction(window.engines.missing).setEnabled(False)
        chosen = window.engines.settings(window.need_tab()).targets
        for name in window.engines.library.get("targets", ()):
            action = QAction(name.upper(), self._menu)
            action.setCheckable(True)
            action.setChecked(name in chosen)
            action.toggled.connect(lambda on, one=name: self._toggle(one, on))
            self._menu.addAction(action)
        self._menu.addSeparator()
        self._menu.addAction(window.menus.shown["engine.settings"])

    def _toggle(self, name: str, on: bool) -> None:
        chosen = self._window.engines.settings(self._window.need_tab()).targets
        order = self._window.engines.library.get("targets", ())
        wanted = tuple(one for one in order if (one in chosen or one == name) and (on or one != name))
        self._window.engines.set_targets(wanted or (name,))
