"""The main window: tabs of models in the middle, panels around them, and one selection that runs through all."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QMainWindow, QMessageBox, QStackedWidget, QTabWidget

from graftwerk.app.cleanup_control import CleanupControl
from graftwerk.app.clipboard_control import ClipboardControl
from graftwerk.app.compare_control import CompareControl
from graftwerk.app.docks import Docks
from graftwerk.app.edit_control import EditControl
from graftwerk.app.engine_control import EngineControl
from graftwerk.app.file_control import FileControl
from graftwerk.app.jobs import Jobs
from graftwerk.app.menus import Menus
from graftwerk.app.node_control import NodeControl
from graftwerk.app.pattern_control import PatternControl
from graftwerk.app.recipe_control import RecipeControl
from graftwerk.app.recovery_control import RecoveryControl
from graftwerk.app.search_control import SearchControl
from graftwerk.app.settings import Settings
from graftwerk.app.status import StatusLine
from graftwerk.app.subgraph_control import SubgraphControl
from graftwerk.app.tab import Tab
from graftwerk.app.toolbar import ToolBar
from graftwerk.app.weight_control import WeightControl
from graftwerk.app.welcome import Welcome
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.widgets.icons import app_icon
from graftwerk.widgets.theme import DARK, LIGHT, Theme, apply_theme

if TYPE_CHECKING:
    from graftwerk.app.painter import Painter


class Window(QMainWindow):
    """Ties documents, jobs and panels together. What it can do are the actions of `app.actions`.

    With `complete` False, what the first picture of a graph can do without is left to a later call of `complete`: the
    contents of panels and menus. Nothing moves then.
    """

    def __init__(self, settings: Settings, complete: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.completed = False
        self._defect: QMessageBox | None = None
        self.theme: Theme = DARK if settings.dark else LIGHT
        self.jobs = Jobs(self)
        self.files = FileControl(self)
        self.recipes = RecipeControl(self)
        self.edits = EditControl(self)
        self.clipboard = ClipboardControl(self)
        self.cleanup = CleanupControl(self)
        self.nodes = NodeControl(self)
        self.patterns = PatternControl(self)
        self.engines = EngineControl(self)
        self.searching = SearchControl(self)
        self.paintings: dict[Tab, Painter] = {}
        self.subgraphs = SubgraphControl(self)
        self.weights = WeightControl(self)
        self.recovery = RecoveryControl(self)
        self.comparing = CompareControl(self)
        self.setWindowTitle("Graftwerk")
        self.setWindowIcon(app_icon())
        self.setAcceptDrops(True)
        self.resize(1600, 1000)
        self._tabs = QTabWidget(self)
        self._tabs.setTabsClosable(True)
        self._tabs.setMovable(True)
        self._tabs.setDocumentMode(True)
        self._tabs.tabBar().setProperty("role", "documents")
        self._welcome = Welcome(self)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self._welcome)
        self._stack.addWidget(self._tabs)
        self.setCentralWidget(self._stack)
        self.menus = Menus(self)
        self.docks = Docks(self)
        self.toolbar = ToolBar(self)
        self.addToolBar(self.toolbar)
        self.status = StatusLine(self)
        self._tabs.currentChanged.connect(self._on_tab)
        self._tabs.tabCloseRequested.connect(self._close_at)
        self.set_theme(self.theme)
        self.docks.restore()
        if complete:
            self.complete()
        else:
            self.refresh()

    def complete(self) -> None:
        """Makes what the window was shown without."""
        import graftwerk.backend.operations.all  # noqa: F401 - registers the operations

        self.menus.complete()
        self.docks.complete()
        self.completed = True
        for tab in self.tabs():
            tab.inference.graph_changed()
            tab.validation.graph_changed()
        self.refresh()

    # Tabs

    @property
    def tab(self) -> Tab | None:
        """The shown tab, None with no model open."""
        widget = self._tabs.currentWidget()
        return widget if isinstance(widget, Tab) else None

    def need_tab(self) -> Tab:
        """The shown tab. Raises Fault with no model open."""
        if self.tab is None:
            raise Fault("No model is open", hint="Open one with Ctrl+O")
        return self.tab

    def tabs(self) -> list[Tab]:
        found = (self._tabs.widget(index) for index in range(self._tabs.count()))
        return [tab for tab in found if isinstance(tab, Tab)]

    def add_tab(self, document: Document) -> Tab:
        """Opens a document in a tab of its own and shows it."""
        tab = Tab(document, self)
        tab.changed.connect(lambda: self._on_changed(tab))
        tab.selection_changed.connect(lambda: self._on_selection(tab))
        tab.operation_requested.connect(self.edits.apply)
        tab.canvas.layer_activated.connect(self.docks.show_layer)
        tab.canvas.context_menu.connect(self.menus.show_operations)
        tab.canvas.layer_hovered.connect(self.docks.hover_layer)
        self.clipboard.watch(tab)
        self.nodes.watch(tab)
        self._tabs.addTab(tab, tab.title)
        self.show_tab(tab)
        self.recovery.watch(tab)
        return tab

    def show_tab(self, tab: Tab) -> None:
        self._tabs.setCurrentWidget(tab)

    def step_tab(self, by: int) -> None:
        """Shows the tab so many places further, round the end."""
        self._tabs.setCurrentIndex((self._tabs.currentIndex() + by) % max(1, self._tabs.count()))

    def close_tab(self) -> None:
        self._close_at(self._tabs.currentIndex())

    def _close_at(self, index: int) -> None:
        tab = self._tabs.widget(index)
        if isinstance(tab, Tab) and self.files.may_close(tab):
            self.discard_tab(tab)

    def discard_tab(self, tab: Tab) -> None:
        """Closes a tab, and asks nothing."""
        self.recovery.forget(tab)
        self.engines.forget(tab)
        tab.shut()
        self._tabs.removeTab(self._tabs.indexOf(tab))
        tab.deleteLater()
        self._on_tab()

    # What is shown

    def refresh(self) -> None:
        """Brings menus, tool bar and status line up to date with the shown tab."""
        self._stack.setCurrentWidget(self._tabs if self._tabs.count() else self._welcome)
        if not self._tabs.count():
            self._welcome.refresh()
        for tab in self.tabs():
            mark = " •" if tab.document.dirty else ""
            self._tabs.setTabText(self._tabs.indexOf(tab), tab.title + mark)
            self._tabs.setTabToolTip(self._tabs.indexOf(tab), str(tab.document.path or ""))
        self.menus.refresh()
        self.setWindowTitle(f"{self.tab.title} – Graftwerk" if self.tab else "Graftwerk")
        self.toolbar.refresh()
        self.status.refresh()

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.settings.dark = theme.dark
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        apply_theme(application, theme)
        for tab in self.tabs():
            tab.set_theme(theme)
        self.docks.set_theme(theme)
        self.comparing.set_theme()
        self.weights.set_theme()

    def toggle_theme(self) -> None:
        self.set_theme(LIGHT if self.theme.dark else DARK)
        self.refresh()

    def say(self, text: str, error: bool = False) -> None:
        """Tells something in the status line."""
        self.status.say(text, error)

    def attempt(self, work: Callable[[], object], done: str = "") -> bool:
        """Does something that may raise a Fault, which is shown; says `done` where it went well."""
        try:
            work()
        except Fault as fault:
            self.show_fault(fault)
            return False
        if done:
            self.say(done)
        return True

    def show_fault(self, fault: Fault, title: str = "That didn't work", details: str = "") -> QMessageBox:
        """Shows what is wrong, where, and what to try; with details, they can be copied with all of it."""
        box = QMessageBox(QMessageBox.Icon.Warning, "Graftwerk", title, QMessageBox.StandardButton.Ok, self)
        box.setInformativeText("\n\n".join(filter(None, [str(fault), fault.hint])))
        if details:
            box.setDetailedText(details)
            copy = box.addButton("Copy", QMessageBox.ButtonRole.ActionRole)
            copy.clicked.disconnect()  # a button of a message closes it
            text = "\n\n".join([title, box.informativeText(), details])
            copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(text))
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()
        return box

    def report_defect(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """The window's `sys.excepthook`: a defect is shown with a text that can be copied, and the window goes on."""
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(text)
        if isinstance(error, Fault):
            self.show_fault(error)
            return
        if self._defect is not None:  # one in a paint event comes again and again
            return
        system = f"Graftwerk {version('graftwerk')}, Python {sys.version.split()[0]}, {sys.platform}"
        fault = Fault("This is a defect of Graftwerk. The details can be copied into a report.", hint=system)
        self._defect = self.show_fault(fault, "Something went wrong inside", text)
        self._defect.finished.connect(self._forget_defect)

    def _forget_defect(self) -> None:
        self._defect = None

    def about(self) -> None:
        lines = [f"Graftwerk {version('graftwerk')}", self.engines.compiler, f"Python {sys.version.split()[0]}"]
        QMessageBox.about(self, "About Graftwerk", "\n".join([*lines, "", "Apache License 2.0"]))

    # Following the tabs

    def _on_tab(self) -> None:
        self.docks.show_tab(self.tab)
        self.searching.graph_changed()
        self.refresh()

    def _on_changed(self, tab: Tab) -> None:
        if tab is self.tab:
            self.docks.show_tab(tab)
            self.searching.graph_changed()
        self.refresh()

    def _on_selection(self, tab: Tab) -> None:
        if tab is self.tab:
            self.docks.show_selection(tab)
            self.menus.refresh("Edit")
            self.menus.refresh("Select")
            self.menus.refresh("Subgraph")

    # Qt's events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        QTimer.singleShot(0, lambda: self.files.open(paths))  # the dragging program waits for this event's end

    def closeEvent(self, event: QCloseEvent) -> None:
        if not all(self.files.may_close(tab) for tab in self.tabs()):
            event.ignore()
            return
        self.docks.save()
        self.recovery.end(keep=False)
        self.shut()
        event.accept()

    def shut(self) -> None:
        """Stops all that runs for the window, and asks nothing; the next start offers edits that are not saved."""
        self.recovery.end(keep=True)
        self.searching.stop()
        for tab in self.tabs():
            self.engines.forget(tab)
            tab.shut()
        self.jobs.close()
