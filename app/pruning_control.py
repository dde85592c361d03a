"""The window's commands about pruning: 2:4 sparsity layer by layer, and the sensitivity of groups of channels."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graftwerk.app.actions import Action, needs_tab
from graftwerk.app.jobs import Task
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import NodeRef
from graftwerk.backend.jobs.protocol import Failed, Finished

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.pruning.sensitivity import GroupError
    from graftwerk.backend.pruning.sparsity import Sparsity
    from graftwerk.widgets.panels.table_dialog import TableDialog

#: The builder's option that has it look for 2:4 weights.
FLAG = "flag.SPARSE_WEIGHTS"


def pruning_actions() -> Iterator[Action]:
    """For the menu Weights."""
    yield Action("weights.sparsity", "2:4 Sparsity and Channels…", "Weights", show_sparsity, "", needs_tab)
    yield Action("weights.sensitivity", "Pruning Sensitivity…", "Weights", measure_sensitivity, "", needs_tab)


def show_sparsity(window: Window) -> None:
    """Reads the weights on a thread, and shows which are 2:4, what making them so would change, and the channels."""
    from graftwerk.backend.pruning.sparsity import layer_weights, sparsity_of, uneven_channels

    tab = window.need_tab()
    graph = tab.document.graph

    def read() -> tuple[list[Sparsity], list[Any]]:
        return [sparsity_of(graph, layer) for layer in layer_weights(graph)], uneven_channels(graph)

    def shown(ready: Future[Any]) -> None:
        if tab in window.tabs():
            window.attempt(lambda: _sparsity_dialog(window, tab, *ready.result()))

    window.jobs.compute(read, shown)


def _sparsity_dialog(window: Window, tab: Tab, found: list[Sparsity], uneven: list[Any]) -> None:
    from graftwerk.widgets.panels.table_dialog import Row, TableDialog

    channels = {node: (f"{inside} → {outside}", missed) for node, inside, outside, missed in uneven}
    rows = []
    for each in found:
        said = "yes" if each.satisfied else each.reason or f"{each.bad / each.groups:.0%} of fours are not"
        sizes, missed = channels.get(each.node, ("", ()))
        idle = f"{sizes}: no multiple of {', '.join(map(str, missed))}" if missed else ""
        error = None if each.reason else each.error
        rows.append(Row(
            (each.node, "×".join(map(str, each.dims)), said, "" if error is None else f"{error:.4f}", idle),
            (None, None, None, error, None), (each.node,), not each.reason,
        ))  # fmt: skip
    sparse = sum(each.satisfied for each in found)
    text = (
        f"{sparse} of {len(found)} weights have two zeros in every four. Error: |w - w'| / |w| if the two smallest of "
        "every four are set to zero. Channels that are no multiple leave tensor cores idle."
    )
    buttons = {"prune": "Prune to 2:4"}
    if any(option["name"] == FLAG for option in window.engines.library.get("options", ())):
        buttons["build"] = "Build with Sparse Weights"
    headers = ("Layer", "Weight", "2:4", "Error", "Channels in → out")
    dialog = TableDialog(f"Sparsity of {tab.title}", text, headers, rows, buttons, window)
    dialog.chosen.connect(lambda key, refs: _on_sparsity(window, tab, dialog, key, refs))
    dialog.selected.connect(lambda refs: tab.select_refs(refs))
    dialog.show()


def _on_sparsity(window: Window, tab: Tab, dialog: TableDialog, key: str, refs: tuple[str, ...]) -> None:
    if tab not in window.tabs():
        return
    dialog.close()
    if key == "prune":
        from graftwerk.backend.operations.prune_sparse import PruneSparse

        window.edits.apply_to(tab, PruneSparse(tuple(NodeRef(ref) for ref in refs)), ())
    else:
        window.show_tab(tab)
        settings = window.engines.settings(tab)
        window.engines.set_settings(tab, replace(settings, options={**settings.options, FLAG: True}))
        window.engines.build()


def measure_sensitivity(window: Window) -> Task:
    """Prunes one group of channels at a time, on the data of the profile settings, and shows the errors."""
    from graftwerk.backend.pruning.sensitivity import read_errors, sensitivity_job

    tab = window.need_tab()
    graph, data = tab.document.graph, window.engines.data_of(tab)

    def done(outcome: Finished | Failed) -> None:
        if tab not in window.tabs():
            return
        if isinstance(outcome, Failed):
            if not outcome.cancelled:
                fault = Fault(outcome.message, outcome.where, outcome.hint)
                window.show_fault(fault, "The sensitivity can't be measured", outcome.details)
            return
        _sensitivity_dialog(window, tab, read_errors(outcome.result))

    title = f"Pruning sensitivity of {tab.title}"
    task = window.jobs.submit(title, lambda folder: sensitivity_job(graph, folder, **data), done)
    window.docks.show("jobs")
    return task


def _sensitivity_dialog(window: Window, tab: Tab, found: list[GroupError]) -> None:
    from graftwerk.widgets.panels.table_dialog import Row, TableDialog

    rows = []
    for each in sorted(found, key=lambda one: (bool(one.frozen), one.error)):
        more = f" and {len(each.layers) - 1} more" if len(each.layers) > 1 else ""
        left = each.frozen or (f"{each.channels} → {each.left}" if each.left < each.channels else "none would go")
        usable = not each.frozen and each.left < each.channels
        rows.append(Row(
            (each.layers[0] + more, f"{each.error:.4f}" if usable else "", f"{each.bytes_saved:,}" if usable else "",
             left),
            (None, each.error if usable else None, each.bytes_saved if usable else None, None), each.layers, usable,
        ))  # fmt: skip
    text = (
        "The error of the model's outputs, |a - b| / |a|, when a quarter of the channels of that group alone is taken "
        "out by L1 norm, to a multiple of 8. Channels that depend on one another are one group."
    )
    headers = ("Layers", "Error", "Bytes less", "Channels")
    dialog = TableDialog(f"Sensitivity of {tab.title}", text, headers, rows, {"prune": "Prune…"}, window)
    dialog.chosen.connect(lambda key, refs: _on_groups(window, tab, dialog, refs))
    dialog.selected.connect(lambda refs: tab.select_refs(refs))
    dialog.show()


def _on_groups(window: Window, tab: Tab, dialog: TableDialog, refs: tuple[str, ...]) -> None:
    if tab not in window.tabs():
        return
    from graftwerk.backend.operations.prune_channels import PruneChannels

    dialog.close()
    window.show_tab(tab)
    window.edits.ask(PruneChannels(tuple(NodeRef(ref) for ref in refs)))
