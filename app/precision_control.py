"""The window's commands about precision: the painter, the range check, and verification with every tensor rounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from graftwerk.app.actions import Action, needs_tab
from graftwerk.app.jobs import Task
from graftwerk.backend.graph.graph import Problem, TensorName
from graftwerk.backend.jobs.protocol import Failed, Finished

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window


def precision_actions() -> Iterator[Action]:
    """Painter, range check and verification, for the menu Precision."""
    yield Action(
        "precision.painter", "Precision Painter", "Precision", toggle_painter, "P", needs_tab,
        checked=lambda w: w.tab is not None and w.tab in w.paintings,
    )  # fmt: skip
    yield Action("precision.check", "Check Range and Retype…", "Precision", check_range, "", needs_tab)
    yield Action("precision.verify", "Verify with Every Tensor Rounded", "Precision", verify_rounded, "", needs_tab)


def toggle_painter(window: Window) -> None:
    """Opens the painter on the shown tab, or closes it."""
    tab = window.need_tab()
    if tab in window.paintings:
        window.paintings[tab].close()
        return
    from graftwerk.app.painter import Painter

    window.paintings[tab] = Painter(tab, window)
    window.refresh()


def check_range(window: Window) -> Task:
    """Runs the shown revision on the data of its profile settings, and opens the form of a retype that keeps in FP32
    what FP16 can't hold."""
    from graftwerk.backend.precision.ranges import range_job

    tab = window.need_tab()
    graph, data = tab.document.graph, window.engines.data_of(tab)
    files = data.get("files", ())
    # Every .npz is a run of its own; other files are the inputs of one run together.
    samples = tuple((name,) for name in files if name.endswith(".npz"))
    rest = tuple(name for name in files if not name.endswith(".npz"))
    samples = (*samples, *((rest,) if rest else ()))

    def done(outcome: Finished | Failed) -> None:
        if tab in window.tabs() and not _failed(window, outcome, "The range check failed"):
            assert isinstance(outcome, Finished)
            _ask_retype(window, tab, graph.revision, outcome)

    title = f"Check the range of {tab.title}"
    return window.jobs.submit(title, lambda folder: range_job(graph, folder, samples, data.get("shapes")), done)


def _ask_retype(window: Window, tab: Tab, revision: int, outcome: Finished) -> None:
    from graftwerk.backend.operations.precision_retype import Retype
    from graftwerk.backend.precision.ranges import out_of_range, read_ranges

    if tab.document.graph.revision != revision:
        window.say("The model was edited meanwhile; check its range again", error=True)
        return
    found = out_of_range(read_ranges(outcome.result))
    data = ", ".join(f"{name}: {words}" for name, words in outcome.result["inputs"].items())
    if found:
        window.say(f"{len(found)} tensors don't fit FP16: {found[0].tensor} {found[0].why} ({data})")
    else:
        window.say(f"All tensors fit FP16 ({data})")
    window.show_tab(tab)
    window.edits.ask(Retype(keep_tensors=tuple(TensorName(each.tensor) for each in found)))


def verify_rounded(window: Window) -> Task:
    """Compares the shown revision with the model as it was opened, every FP16 and BF16 tensor truly rounded."""
    from graftwerk.backend.precision.rounded import rounded_job

    tab = window.need_tab()
    graph, reference, data = tab.document.graph, tab.document.revisions[0].graph, window.engines.data_of(tab)

    def done(outcome: Finished | Failed) -> None:
        if tab in window.tabs() and not _failed(window, outcome, "The verification failed"):
            assert isinstance(outcome, Finished)
            _take_verification(window, tab, graph.revision, outcome)

    title = f"Verify {tab.title}, rounded"
    return window.jobs.submit(title, lambda folder: rounded_job(reference, graph, folder, **data), done)


def _take_verification(window: Window, tab: Tab, revision: int, outcome: Finished) -> None:
    from graftwerk.backend.engines.report_file import read_verification
    from graftwerk.backend.precision.rounded import rounded

    found = read_verification(Path(outcome.result["verification"]))
    left_out = rounded(tab.document.graph).not_covered
    precision = f"FP32 with {outcome.result['rounded']} tensors rounded to FP16 or BF16"
    tab.set_verification(replace(found, precision=precision, not_checked=(*left_out, *found.not_checked)), revision)
    broken = outcome.result["broken"]
    if broken:
        first = broken[0]
        text = f"Infinite or NaN by rounding, {first['infinite'] + first['nans']:,} values"
        hint = "Check Range and Retype keeps such tensors in FP32"
        tab.set_refusal(Problem(text, first["tensor"], hint, "error"), "rounding")
        names = ", ".join(each["tensor"] for each in broken[:3])
        window.say(f"{len(broken)} tensors overflow where they are rounded: {names}", error=True)
        window.docks.show("problems")


def _failed(window: Window, outcome: Finished | Failed, title: str) -> bool:
    if not isinstance(outcome, Failed):
        return False
    if not outcome.cancelled:
        from graftwerk.backend.fault import Fault

        window.show_fault(Fault(outcome.message, outcome.where, outcome.hint), title, outcome.details)
    return True
