"""Everything that can be done in the window, as data: menus, tool bar, palette and shortcuts are views of this."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from graftwerk.backend.fault import Reason
from graftwerk.backend.operations.registry import OperationInfo, operations, why_blocked

if TYPE_CHECKING:
    from graftwerk.app.window import Window


@dataclass(frozen=True, slots=True)
class Action:
    """One command. `why_not` says why it can't be done now; `menu` is where it stands, "" for the palette only."""

    id: str
    title: str
    menu: str
    run: Callable[[Window], object]
    shortcut: str = ""
    why_not: Callable[[Window], Reason | None] = lambda window: None
    icon: str = ""
    checked: Callable[[Window], bool] | None = None


def needs_tab(window: Window) -> Reason | None:
    return None if window.tab is not None else Reason("Open a model first")


def _needs_undo(window: Window) -> Reason | None:
    return needs_tab(window) or (None if window.tab and window.tab.document.can_undo else Reason("Nothing to undo"))


def _needs_redo(window: Window) -> Reason | None:
    return needs_tab(window) or (None if window.tab and window.tab.document.can_redo else Reason("Nothing to redo"))


def _needs_selection(window: Window) -> Reason | None:
    chosen = window.tab.selection if window.tab else None
    return None if chosen and (chosen.nodes or chosen.tensors) else Reason("Select a node or a tensor first")


def _needs_two(window: Window) -> Reason | None:
    chosen = window.tab.selection if window.tab else None
    return None if chosen and len(chosen.nodes) == 2 else Reason("Select two nodes first")


def _needs_inside(window: Window) -> Reason | None:
    return None if window.tab and window.tab.nesting else Reason("Double-click a node that has a graph inside")


def _needs_report(window: Window) -> Reason | None:
    return None if window.tab and window.tab.report else Reason("Build first, or switch the live preview on")


def _needs_engine(window: Window) -> Reason | None:
    return None if window.tab and window.tab.engine else Reason("Build first")


def _needs_profile(window: Window) -> Reason | None:
    return None if window.tab and window.tab.profile else Reason("Profile first")


def _zoom(factor: float, window: Window) -> None:
    canvas = window.need_tab().canvas
    canvas.set_zoom(canvas.camera.zoom * factor)


def _select_path(window: Window) -> None:
    if not window.need_tab().canvas.select_path():
        window.say("There is no path between the two nodes")


def _show_overlay(key: str, window: Window) -> None:
    window.need_tab().set_overlay(key)


def _toggle_furniture(name: str, window: Window) -> None:
    window.settings.write(name, not _shows_furniture(name, window))
    for tab in window.tabs():
        tab.show_furniture()


def _shows_furniture(name: str, window: Window) -> bool:
    return bool(window.settings.read(name, True))


_OVERLAYS = (
    ("none", "Operators", needs_tab), ("fusion", "Fusion", _needs_report), ("precision", "Precision", _needs_report),
    ("time", "Time", _needs_profile),
)  # fmt: skip


def standard_actions() -> Iterator[Action]:
    """The window's own commands, in the order of the menus."""
    yield Action("file.new", "New…", "File", lambda w: w.files.new(), "Ctrl+N")
    yield Action("file.open", "Open…", "File", lambda w: w.files.choose_and_open(), "Ctrl+O", icon="open")
    yield Action("file.save", "Save", "File", lambda w: w.files.save(), "Ctrl+S", needs_tab, "save")
    yield Action("file.save_as", "Save As…", "File", lambda w: w.files.save_as(), "Ctrl+Shift+S", needs_tab)
    yield Action(
        "file.export_deployable", "Export for Deployment…", "File",
        lambda w: w.files.export_deployable(), "", needs_tab,
    )
    yield Action("file.save_recipe", "Save Recipe…", "File", lambda w: w.files.save_recipe(), "", needs_tab)
    yield Action("file.export_script", "Export Script…", "File", lambda w: w.files.export_script(), "", needs_tab)
    yield Action("file.apply_recipe", "Apply Recipe…", "File", lambda w: w.files.apply_recipe(), "", needs_tab)
    yield Action(
        "file.export_picture", "Export Picture…", "File",
        lambda w: w.files.export_picture(), "Ctrl+E", needs_tab, "export",
    )
    yield Action("file.close", "Close Tab", "File", lambda w: w.close_tab(), "Ctrl+W", needs_tab)
    yield Action("file.quit", "Quit", "File", lambda w: w.close(), "Ctrl+Q")

    yield Action("edit.undo", "Undo", "Edit", lambda w: w.edits.undo(), "Ctrl+Z", _needs_undo, "undo")
    yield Action("edit.redo", "Redo", "Edit", lambda w: w.edits.redo(), "Ctrl+Shift+Z or Ctrl+Y", _needs_redo, "redo")
    yield Action("edit.cut", "Cut", "Edit", lambda w: w.clipboard.cut(), "Ctrl+X", lambda w: w.clipboard.why_not_copy())
    yield Action(
        "edit.copy", "Copy", "Edit", lambda w: w.clipboard.copy(), "Ctrl+C", lambda w: w.clipboard.why_not_copy(),
    )
    yield Action(
        "edit.paste", "Paste", "Edit", lambda w: w.clipboard.paste(), "Ctrl+V", lambda w: w.clipboard.why_not_paste(),
    )
    yield Action("edit.find", "Find…", "Edit", lambda w: w.searching.find(), "Ctrl+F", needs_tab, "search")
    yield Action("edit.palette", "Commands…", "Edit", lambda w: w.searching.commands(), "Ctrl+Shift+P")
    yield Action("select.all", "Select All", "Select", lambda w: w.need_tab().select_all(), "Ctrl+A", needs_tab)
    yield Action(
        "select.upstream", "Upstream", "Select",
        lambda w: w.need_tab().canvas.select_upstream(), "Ctrl+Up", _needs_selection,
    )
    yield Action(
        "select.downstream", "Downstream", "Select",
        lambda w: w.need_tab().canvas.select_downstream(), "Ctrl+Down", _needs_selection,
    )
    yield Action(
        "select.between", "Path Between Two", "Select", _select_path, "Ctrl+B", _needs_two,
    )

    yield Action("view.fit", "Fit", "View", lambda w: w.need_tab().canvas.zoom_fit(), "F", needs_tab, "fit")
    yield Action(
        "view.actual", "Actual Size", "View", lambda w: w.need_tab().canvas.set_zoom(1.0), "Ctrl+0", needs_tab,
    )
    yield Action("view.zoom_in", "Zoom In", "View", partial(_zoom, 1.25), "Ctrl++", needs_tab)
    yield Action("view.zoom_out", "Zoom Out", "View", partial(_zoom, 0.8), "Ctrl+-", needs_tab)
    yield Action(
        "view.collapse", "Collapse Scopes", "View",
        lambda w: w.need_tab().collapse_all(), "Ctrl+Shift+[", needs_tab, "collapse",
    )
    yield Action(
        "view.expand", "Expand Scopes", "View",
        lambda w: w.need_tab().expand_all(), "Ctrl+Shift+]", needs_tab, "expand",
    )
    yield Action("view.arrange", "Arrange Anew", "View", lambda w: w.need_tab().canvas.reset_moved(), "", needs_tab)
    yield Action(
        "view.up", "Back to the Outer Graph", "View",
        lambda w: w.need_tab().go_up(w.need_tab().nesting - 1), "Backspace", _needs_inside,
    )
    yield Action("view.compare", "Compare With…", "View", lambda w: w.comparing.ask(), "Ctrl+Shift+D", needs_tab)
    for key, title, why in _OVERLAYS:
        yield Action(f"overlay.{key}", f"Show {title}", "View", partial(_show_overlay, key), "", why)
    yield Action("view.next", "Next Tab", "View", lambda w: w.step_tab(1), "Ctrl+PgDown or Ctrl+Tab", needs_tab)
    yield Action("view.previous", "Previous Tab", "View", lambda w: w.step_tab(-1), "Ctrl+PgUp", needs_tab)
    yield Action(
        "view.theme", "Dark Theme", "View", lambda w: w.toggle_theme(), "", checked=lambda w: w.theme.dark,
    )
    for name in ("legend", "minimap"):
        yield Action(
            f"view.{name}", name.capitalize(), "View", partial(_toggle_furniture, name), "",
            checked=partial(_shows_furniture, name),
        )
    yield Action("view.reset", "Reset Layout", "View", lambda w: w.docks.reset())

    yield Action("weights.view", "View Values…", "Weights", lambda w: w.weights.view_selected(), "Ctrl+I",
                 lambda w: w.weights.why_not())  # fmt: skip
    yield Action("weights.export", "Export…", "Weights", lambda w: w.weights.export_selected(), "",
                 lambda w: w.weights.why_not())  # fmt: skip

    yield Action(
        "subgraph.extract", "Extract to New Tab", "Subgraph",
        lambda w: w.subgraphs.extract(), "Ctrl+Shift+E", _needs_selection,
    )
    yield Action("subgraph.split", "Split in Two", "Subgraph", lambda w: w.subgraphs.split(), "", _needs_selection)

    yield Action("engine.build", "Build", "Engine", lambda w: w.engines.build(), "F5", needs_tab, "build")
    yield Action(
        "engine.settings", "Build Settings…", "Engine", lambda w: w.engines.build_settings(), "Shift+F5", needs_tab,
    )
    yield Action("engine.save", "Save Engine…", "Engine", lambda w: w.engines.save_engine(), "", _needs_engine)
    yield Action("engine.profile", "Profile", "Engine", lambda w: w.engines.profile(), "F6", needs_tab, "profile")
    yield Action(
        "engine.profile_settings", "Profile Settings…", "Engine",
        lambda w: w.engines.profile_settings(), "Shift+F6", needs_tab,
    )
    yield Action(
        "engine.verify", "Verify Against the Opened Model", "Engine", lambda w: w.engines.verify(), "F8", needs_tab,
    )
    yield Action("engine.preview", "Live Preview", "Engine", lambda w: w.engines.toggle_preview(), "F7", needs_tab,
                 checked=lambda w: w.tab is not None and w.tab.preview.on)  # fmt: skip
    yield Action("help.tour", "Open a Sample", "Help", lambda w: w.files.open_sample())
    yield Action("help.about", "About Graftwerk", "Help", lambda w: w.about())


def operation_actions() -> Iterator[Action]:
    """One action for every registered operation."""
    for found in operations().values():
        title = found.title + ("…" if found.parameters or found.tells else "")
        start, why = partial(_start, found), partial(_why_not, found)
        yield Action(f"operation.{found.id}", title, found.menu, start, found.shortcut, why)


def _start(found: OperationInfo, window: Window) -> None:
    window.edits.start(found)


_SELECTED = ("node", "nodes", "tensor", "tensors")


def _why_not(found: OperationInfo, window: Window) -> Reason | None:
    """Why an operation can't be started on what is selected. Missing parameters are no reason: its form asks."""
    blocked = needs_tab(window)
    if blocked is not None or window.tab is None:
        return blocked
    suggested = found.cls.suggest(window.tab.graph, window.tab.selection)
    if isinstance(suggested, Reason):
        return suggested
    # What the selection doesn't give is asked in the form, which then says itself what is wrong.
    asked = any(p.required and (p.kind not in _SELECTED or not getattr(suggested, p.name)) for p in found.parameters)
    return None if asked else why_blocked(suggested, window.tab.graph)
