"""The panels around the canvas: which there are, where they stand, and what each is given to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QDockWidget, QMenu, QTabWidget, QWidget

from graftwerk.app.tab import Tab
from graftwerk.backend.operations.registry import Selection
from graftwerk.widgets.theme import Theme

if TYPE_CHECKING:
    from graftwerk.app.window import Window
    from graftwerk.widgets.panels.history import History
    from graftwerk.widgets.panels.inspector import Inspector
    from graftwerk.widgets.panels.jobs import JobsPanel
    from graftwerk.widgets.panels.layers import LayerTable
    from graftwerk.widgets.panels.operators import Operators
    from graftwerk.widgets.panels.outline import Outline
    from graftwerk.widgets.panels.patterns import Patterns
    from graftwerk.widgets.panels.precision import PrecisionPanel
    from graftwerk.widgets.panels.problems import Problems
    from graftwerk.widgets.panels.timeline import Timeline
    from graftwerk.widgets.panels.times import TimesPanel

    Panel = (Outline | Operators | Patterns | History | Inspector | Timeline | TimesPanel | LayerTable | PrecisionPanel
             | Problems | JobsPanel)  # fmt: skip

_LEFT, _RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
_BOTTOM = Qt.DockWidgetArea.BottomDockWidgetArea
#: What is left of a title bar to drag a tabbed dock by, pixels.
_GRIP = 5
#: What shows all of a large graph is built anew when the hands rest, milliseconds.
_PAUSE = 120
#: Smallest size of a panel, pixels.
_LEAST = (120, 64)
#: Changes whenever the set of docks does: a layout that was saved for another set is not restored.
_LAYOUT_VERSION = 3


#: Every dock by the key of its panel, with its title and where it stands at first.
_PLACES = (
    ("outline", "Outline", _LEFT), ("operators", "Operators", _LEFT), ("patterns", "Patterns", _LEFT),
    ("recipe", "Recipe", _LEFT), ("inspector", "Inspector", _RIGHT),
    ("timeline", "Timeline", _BOTTOM), ("times", "Times", _BOTTOM), ("layers", "Layers", _BOTTOM),
    ("precision", "Precision", _BOTTOM), ("problems", "Problems", _BOTTOM), ("jobs", "Jobs", _BOTTOM),
)  # fmt: skip


class Docks:
    """Makes the panels, connects them to the window's one selection, and shows the current tab in them.

    The docks stand where they belong at once; `complete` fills them, after the first picture of the graph.
    """

    outline: Outline
    operators: Operators
    patterns: Patterns
    history: History
    inspector: Inspector
    timeline: Timeline
    times: TimesPanel
    layers: LayerTable
    precision: PrecisionPanel
    problems: Problems
    jobs: JobsPanel

    def __init__(self, window: Window) -> None:
        self.window = window
        window.setDockNestingEnabled(True)
        window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        window.setCorner(Qt.Corner.BottomLeftCorner, _LEFT)
        window.setCorner(Qt.Corner.BottomRightCorner, _RIGHT)
        self._docks: dict[str, QDockWidget] = {}
        self._panels: dict[str, Panel] = {}
        self._title_timer = QTimer(window)
        self._title_timer.setSingleShot(True)
        self._title_timer.timeout.connect(self._show_titles)
        self._stale: set[str] = set()
        self._shown: Tab | None = None
        self._pause = QTimer(window)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE)
        self._pause.timeout.connect(self._catch_up_late)
        for key, title, area in _PLACES:
            self._add(key, title, area)
        self.reset()

    def complete(self) -> None:
        """Makes the panels and shows the current tab in them."""
        from graftwerk.widgets.panels.history import History
        from graftwerk.widgets.panels.inspector import Inspector
        from graftwerk.widgets.panels.jobs import JobsPanel
        from graftwerk.widgets.panels.layers import LayerTable
        from graftwerk.widgets.panels.operators import Operators
        from graftwerk.widgets.panels.outline import Outline
        from graftwerk.widgets.panels.patterns import Patterns
        from graftwerk.widgets.panels.precision import PrecisionPanel
        from graftwerk.widgets.panels.problems import Problems
        from graftwerk.widgets.panels.timeline import Timeline
        from graftwerk.widgets.panels.times import TimesPanel

        self.outline, self.history, self.inspector = Outline(), History(), Inspector()
        self.operators, self.patterns = Operators(), Patterns()
        self.timeline, self.times, self.layers = Timeline(), TimesPanel(), LayerTable()
        self.precision, self.problems, self.jobs = PrecisionPanel(), Problems(), JobsPanel()
        self._panels = {
            "outline": self.outline, "operators": self.operators, "patterns": self.patterns, "recipe": self.history,
            "inspector": self.inspector, "timeline": self.timeline, "times": self.times, "layers": self.layers,
            "precision": self.precision, "problems": self.problems, "jobs": self.jobs,
        }  # fmt: skip
        self.set_theme(self.window.theme)
        for key, panel in self._panels.items():
            panel.setMinimumSize(*_LEAST)  # less than its parts would like, so that the window fits a small screen
            self._docks[key].setWidget(panel)
        self._connect()
        self.show_tab(self.window.tab)

    def _add(self, key: str, title: str, area: Qt.DockWidgetArea) -> None:
        dock = QDockWidget(title, self.window)
        dock.setObjectName(key)
        dock.setWidget(QWidget(dock))
        self._docks[key] = dock
        self.window.addDockWidget(area, dock)
        dock.visibilityChanged.connect(lambda visible: self._catch_up(key) if visible else None)
        dock.dockLocationChanged.connect(self._title_timer.start)
        dock.topLevelChanged.connect(self._title_timer.start)

    def _connect(self) -> None:
        window = self.window
        self.outline.selected.connect(self._select)
        window.nodes.connect()
        window.patterns.connect()
        self.inspector.selected.connect(self._select)
        self.inspector.operation_requested.connect(window.edits.apply)
        self.inspector.form_requested.connect(window.edits.ask)
        self.inspector.values_requested.connect(window.weights.view)
        self.history.go.connect(lambda index: window.need_tab().document.go(index))
        self.history.save_recipe.connect(window.files.save_recipe)
        self.history.edit.connect(window.recipes.edit)
        self.history.changed.connect(window.recipes.change)
        self.history.put_back.connect(window.recipes.put_back)
        self.problems.fix_requested.connect(window.edits.apply)
        self.problems.activated.connect(lambda where: window.need_tab().select_refs((where,)))
        self.jobs.cancel.connect(self._cancel)
        self.layers.layers_selected.connect(self.select_layers)
        self.layers.layer_hovered.connect(self._hover_on_canvas)
        self.precision.layers_selected.connect(self.select_layers)
        self.timeline.node_selected.connect(lambda ref: window.need_tab().select_refs((ref,)))
        self.times.node_selected.connect(lambda ref: window.need_tab().select_refs((ref,)))
        window.jobs.changed.connect(lambda task: self.jobs.set_job(task.view) if task.listed else None)

    @property
    def settled(self) -> bool:
        """Whether the panels show all of what they were given."""
        return not (self._pause.isActive() or self.outline.busy or self.inspector.loader.busy)

    def show(self, key: str) -> None:
        """Brings a panel to the front."""
        self._docks[key].show()
        self._docks[key].raise_()

    def show_layer(self, name: str) -> None:
        """Selects a layer of the engine, in the table and its nodes on the canvas, which stays where it is."""
        self.show("layers")
        self._catch_up("layers")
        self.layers.select_layers((name,))
        self.select_layers((name,), reveal=False)

    def hover_layer(self, name: str) -> None:
        """Marks a layer in the table that is pointed at on the canvas."""
        if self._panels:
            self.layers.set_hovered_layer(name)

    def _hover_on_canvas(self, name: str) -> None:
        if self.window.tab is not None:
            self.window.tab.canvas.set_hovered_layer(name)

    def show_tab(self, tab: Tab | None) -> None:
        """Gives the panels what a tab holds now; hidden ones get it when they are shown."""
        if not self._panels:
            return
        self._stale = set(self._docks)
        for key, dock in self._docks.items():
            if dock.isVisible() and not dock.visibleRegion().isEmpty():
                if tab is not None and tab is self._shown and self._may_wait(key, tab):
                    self._pause.start()
                else:
                    self._catch_up(key)
        self._shown = tab
        count = len(tab.problems) if tab is not None else 0
        self._docks["problems"].setWindowTitle(f"Problems {count}" if count else "Problems")

    def _may_wait(self, key: str, tab: Tab) -> bool:
        """Whether a panel that shows all of a model, rather than what is selected, follows an edit a little later."""
        return key == "outline" or (key == "inspector" and tab.selection == Selection())

    def _catch_up_late(self) -> None:
        for key in ("outline", "inspector"):
            if self._docks[key].isVisible():
                self._catch_up(key)

    def _catch_up(self, key: str) -> None:
        if key not in self._stale:
            return
        self._stale.discard(key)
        tab = self.window.tab
        report, profile, graph, old_report, old_profile = None, None, None, False, False
        if tab is not None:
            report, profile, graph = tab.report, tab.profile, tab.document.graph
            old_report, old_profile = tab.report_revision != graph.revision, tab.profile_revision != graph.revision
        fill: dict[str, Callable[[], object]] = {
            "outline": lambda: self.outline.set_graph(tab.graph if tab else None),
            "operators": self.window.nodes.list_operators,
            "patterns": self.window.patterns.fill,
            "recipe": lambda: self.history.set_document(tab.document if tab else None),
            "inspector": lambda: self._inspect(tab),
            "timeline": lambda: self.timeline.set_profile(profile, old_profile),
            "times": lambda: self.times.set_profile(profile, old_profile),
            "layers": lambda: self.layers.set_report(report, graph, profile, old_report),
            "precision": lambda: self.precision.set_report(report, graph, profile, old_report),
            "problems": lambda: self.problems.set_problems(tab.problems if tab else ()),
        }
        if key in fill:
            fill[key]()
            if tab is not None and key != "inspector":
                self._show_selected(key, tab)

    def show_selection(self, tab: Tab) -> None:
        """Shows the tab's selection in all panels that are up to date; the others get it with their content."""
        for key in self._panels.keys() - self._stale:
            self._show_selected(key, tab)

    def _show_selected(self, key: str, tab: Tab) -> None:
        refs = tuple(tab.graph.ref(node) for node in tab.selection.nodes[:2000])
        if key == "outline":
            self.outline.set_selection(tab.selection)
        elif key == "inspector":
            self._inspect(tab)
        elif key == "layers" and tab.report is not None:
            chosen = [tab.report.nodes[ref].layer for ref in refs if ref in tab.report.nodes]
            self.layers.select_layers(tuple(dict.fromkeys(filter(None, chosen))))
        elif key == "timeline":
            self.timeline.set_selection(refs)
        elif key == "times":
            self.times.set_selection(refs)

    def _inspect(self, tab: Tab | None) -> None:
        if tab is None:
            self.inspector.show_nothing()
        else:
            self.inspector.inspect(tab.graph, tab.selection, tab.report, tab.profile)

    def _select(self, selection: Selection) -> None:
        self.window.need_tab().select(selection, reveal=True)

    def select_layers(self, names: tuple[str, ...], reveal: bool = True) -> None:
        """Selects the nodes that became these layers of the engine."""
        tab = self.window.need_tab()
        if tab.report is not None:
            wanted = set(names)
            refs = [ref for layer in tab.report.layers if layer.name in wanted for ref in layer.onnx_nodes]
            tab.select_refs(tuple(dict.fromkeys(refs)), reveal)

    def _cancel(self, view: object) -> None:
        for task in self.window.jobs.tasks:
            if task.view is view:
                self.window.jobs.cancel(task)

    def set_theme(self, theme: Theme) -> None:
        for panel in self._panels.values():
            panel.set_theme(theme)

    # Layout

    def _show_titles(self) -> None:
        """Docks that share a place have their names on its tabs; a title would say them again."""
        for dock in self._docks.values():
            tabbed = not dock.isFloating() and bool(self.window.tabifiedDockWidgets(dock))
            if tabbed and dock.titleBarWidget() is None:
                grip = QWidget(dock)
                grip.setFixedHeight(_GRIP)
                dock.setTitleBarWidget(grip)
            elif not tabbed and (bar := dock.titleBarWidget()) is not None:
                dock.setTitleBarWidget(None)  # type: ignore[arg-type]
                bar.deleteLater()

    def add_to(self, menu: QMenu) -> None:
        """Adds a switch for every panel to a menu."""
        menu.addSeparator()
        for dock in self._docks.values():
            menu.addAction(dock.toggleViewAction())

    def reset(self) -> None:
        """Puts every panel where it stood at first."""
        window = self.window
        for key, _, area in _PLACES:
            dock = self._docks[key]
            dock.setFloating(False)
            window.addDockWidget(area, dock)
            dock.show()
        for key in ("operators", "patterns"):
            window.tabifyDockWidget(self._docks["outline"], self._docks[key])
        self._docks["outline"].raise_()
        first = self._docks["timeline"]
        for key in ("times", "layers", "precision", "problems", "jobs"):
            window.tabifyDockWidget(first, self._docks[key])
        first.raise_()
        window.resizeDocks([self._docks["outline"], self._docks["recipe"]], [480, 300], Qt.Orientation.Vertical)
        window.resizeDocks([self._docks["outline"], self._docks["inspector"]], [250, 310], Qt.Orientation.Horizontal)
        window.resizeDocks([first], [250], Qt.Orientation.Vertical)

    def save(self) -> None:
        settings = self.window.settings
        settings.set_bytes("geometry", self.window.saveGeometry())
        settings.set_bytes("docks", self.window.saveState(_LAYOUT_VERSION))

    def restore(self) -> None:
        """Puts window and panels where they were when the program was closed last."""
        geometry, docks = self.window.settings.bytes("geometry"), self.window.settings.bytes("docks")
        if geometry is not None:
            self.window.restoreGeometry(geometry)
        if docks is not None:
            self.window.restoreState(docks, _LAYOUT_VERSION)
