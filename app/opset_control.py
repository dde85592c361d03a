"""The sweep over opsets in the window: a job, and a table of which pass and why others do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graftwerk.app.actions import Action, needs_tab
from graftwerk.app.jobs import Task
from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.jobs.protocol import Failed, Finished

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.widgets.panels.table_dialog import TableDialog

_HEADERS = ("Opset", "Converter", "Checker", "TensorRT-RTX's parser", "Node", "Why")


def opset_actions() -> Iterator[Action]:
    """For the menu Clean up."""
    yield Action("cleanup.opsets", "Try All Opsets…", "Clean up", sweep, "", _why_not)


def _why_not(window: Window) -> Reason | None:
    blocked = needs_tab(window)
    if blocked is None and window.tab is not None and window.tab.document.graph.opset() is None:
        return Reason("The model uses no operator of the standard set")
    return blocked


def sweep(window: Window) -> Task:
    """Tries the shown revision in every opset, in a job, and shows what came of it."""
    from graftwerk.backend.opset_sweep import sweep_job

    tab = window.need_tab()
    graph = tab.document.graph

    def done(outcome: Finished | Failed) -> None:
        window.jobs.discard(task)
        if tab not in window.tabs():
            return
        if isinstance(outcome, Finished):
            _show(window, tab, outcome.result)
        elif not outcome.cancelled:
            fault = Fault(outcome.message, outcome.where, outcome.hint)
            window.show_fault(fault, "The opsets could not be tried", outcome.details)

    task = window.jobs.submit(f"Try all opsets of {tab.title}", lambda folder: sweep_job(graph, folder), done)
    window.docks.show("jobs")
    return task


def _show(window: Window, tab: Tab, result: dict[str, Any]) -> TableDialog:
    from graftwerk.backend.opset_sweep import OpsetTrial
    from graftwerk.widgets.panels.table_dialog import Row, TableDialog

    found = [OpsetTrial(**fields) for fields in result["opsets"]]
    rows = []
    for each in reversed(found):  # the newest first
        mine = each.version == result["current"]
        cells = (f"{each.version}{' (now)' if mine else ''}", each.converter, each.checker, each.parser, each.where,
                 ". ".join(filter(None, [each.why, each.hint])))  # fmt: skip
        usable = each.converter == "passed" and not mine
        rows.append(Row(cells, (each.version, *[None] * 5), (str(each.version),) if usable else (), usable or mine))
    passing = ", ".join(str(each.version) for each in found if each.passed) or "none"
    library = result["parser"]
    parser = f"the parser of TensorRT-RTX {library}" if library else "no parser, for TensorRT-RTX is missing"
    text = f"{tab.title} in each opset, by onnx's converter and checker, and {parser}. All three pass: {passing}."
    dialog = TableDialog("Opsets", text, _HEADERS, rows, {"convert": "Convert…"}, window)
    dialog.chosen.connect(lambda key, refs: _convert(window, tab, refs if dialog.any_chosen() else ()))
    tab.destroyed.connect(dialog.close)
    dialog.show()
    return dialog


def _convert(window: Window, tab: Tab, versions: tuple[str, ...]) -> None:
    """Opens the form of a conversion to the chosen opset."""
    from graftwerk.backend.operations.cleanup_versions import ConvertOpset

    if len(versions) != 1:
        window.say("Choose one opset that the converter can reach", error=True)
        return
    window.show_tab(tab)
    tab.go_up(0)
    window.edits.ask(ConvertOpset(int(versions[0])))
