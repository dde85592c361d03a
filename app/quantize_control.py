"""Calibrations in the window: measured on data or read from a file, looked into, chosen from, and used."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog

from graftwerk.app.actions import Action, needs_tab
from graftwerk.app.jobs import Task
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.protocol import Failed, Finished, Job
from graftwerk.backend.operations.registry import FilePath, Operation

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.graph.graph import Graph
    from graftwerk.backend.quantize.calibration import Calibration
    from graftwerk.backend.quantize.collect import Plan
    from graftwerk.widgets.panels.calibrate_form import CalibrateDialog
    from graftwerk.widgets.panels.calibration_view import CalibrationView

_KINDS = "Calibrations (*.npz *.cache *.calibration)"


def calibration_actions() -> Iterator[Action]:
    """For the menu Quantize."""
    yield Action("quantize.measure", "Calibrate on Data…", "Quantize", ask, "", needs_tab)
    yield Action("quantize.open", "Open Calibration…", "Quantize", choose_and_open, "", needs_tab)


def ask(window: Window) -> CalibrateDialog:
    """Opens the form of a calibration of the shown model."""
    from graftwerk.widgets.panels.calibrate_form import CalibrateDialog

    tab = window.need_tab()
    dialog = CalibrateDialog(tuple(window.engines.data_of(tab).get("files", ())), window)
    dialog.accepted.connect(lambda: measure(window, tab, dialog))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def measure(window: Window, tab: Tab, asked: CalibrateDialog) -> Task:
    """Runs the revision that the tab holds now on the data, and shows what was found."""
    graph = tab.document.graph
    options, batch, method, percentile = asked.options(), asked.batch, asked.method, asked.percentile
    plans: list[Plan] = []

    def prepare(folder: Path) -> Job:
        from graftwerk.backend.quantize.calibrate import plan

        plans.append(plan(graph, options, batch, folder / "staged"))
        (job,) = plans[0].jobs(1, 0)
        return job

    def done(outcome: Finished | Failed) -> None:
        from graftwerk.backend.quantize.calibrate import together

        if tab not in window.tabs():
            return
        if isinstance(outcome, Failed):
            if not outcome.cancelled:
                fault = Fault(outcome.message, outcome.where, outcome.hint)
                window.show_fault(fault, "The calibration failed", outcome.details)
            return
        result, title = outcome.result, tab.title
        window.jobs.compute(lambda: together(plans[0], result, title, method, percentile), shown)

    def shown(ready: Future[Calibration]) -> None:
        if tab in window.tabs():
            window.attempt(lambda: show(window, tab, ready.result()))

    task = window.jobs.submit(f"Calibrate {tab.title}", prepare, done)
    window.docks.show("jobs")
    return task


def choose_and_open(window: Window) -> None:
    """Asks for a file, and shows the calibration in it."""
    from graftwerk.backend.quantize.calibration import load

    tab = window.need_tab()
    chosen, _ = QFileDialog.getOpenFileName(window, "Open a calibration", "", _KINDS)
    if chosen:
        window.attempt(lambda: show(window, tab, load(Path(chosen)), Path(chosen).name))


def show(window: Window, tab: Tab, calibration: Calibration, name: str = "") -> CalibrationView:
    """Opens a view of a calibration for the model of a tab; it closes with the tab."""
    from graftwerk.widgets.panels.calibration_view import CalibrationView

    view = CalibrationView(calibration, f"Calibration of {tab.title}{f', {name}' if name else ''}", window)
    view.set_theme(window.theme)
    view.selected.connect(lambda tensor: _select(tab, tensor))
    view.save.connect(lambda: _save(window, view))
    view.compare.connect(lambda: _compare(window, view))
    view.use.connect(lambda: window.attempt(lambda: _use(window, tab, view, place=False)))
    view.place.connect(lambda: window.attempt(lambda: _use(window, tab, view, place=True)))
    tab.destroyed.connect(view.close)
    view.finished.connect(view.deleteLater)
    view.show()
    return view


def _select(tab: Tab, tensor: str) -> None:
    from graftwerk.backend.operations.registry import Selection

    graph: Graph = tab.graph
    if graph.defines(tensor):
        tab.select(Selection((), (tensor,)), reveal=True)


def _save(window: Window, view: CalibrationView) -> None:
    chosen, _ = QFileDialog.getSaveFileName(
        window, "Save the calibration", "model.calibration.npz", "Calibration (*.npz);;TensorRT's cache (*.cache)"
    )
    if chosen:
        window.attempt(lambda: _write(Path(chosen), view.calibration), f"Saved {Path(chosen).name}")


def _write(path: Path, calibration: Calibration) -> None:
    from graftwerk.backend.quantize.trt_cache import write_cache

    if path.suffix == ".cache":
        write_cache(path, {name: calibration.amax(name) or 0.0 for name in calibration.tensors})
    else:
        calibration.save(path)


def _compare(window: Window, view: CalibrationView) -> None:
    """Asks for another calibration, and lists the tensors whose ranges differ."""
    from graftwerk.backend.quantize.calibration import differences, load
    from graftwerk.widgets.panels.table_dialog import Row, TableDialog

    chosen, _ = QFileDialog.getOpenFileName(window, "Compare with", "", _KINDS)
    if not chosen:
        return

    def compared() -> None:
        found = differences(load(Path(chosen)), view.calibration)
        rows = [
            Row(
                (one.tensor, _range(one.before), _range(one.after), f"{one.ratio:.3f}" if one.ratio else ""),
                (None, one.before, one.after, one.ratio), (one.tensor,),
            )
            for one in found
        ]  # fmt: skip
        same = len(set(view.calibration.tensors)) - sum(one.after is not None for one in found)
        text = f"Ranges that differ by more than 1 %; {same:,} tensors agree."
        headers = ("Tensor", Path(chosen).name, "Here", "Times")
        dialog = TableDialog(f"{view.windowTitle()} against {Path(chosen).name}", text, headers, rows, {}, view)
        dialog.selected.connect(lambda tensors: view.select_tensor(tensors[0]) if tensors else None)
        dialog.show()

    window.attempt(compared)


def _range(value: float | None) -> str:
    return "not known" if value is None else f"{value:.5g}"


def _use(window: Window, tab: Tab, view: CalibrationView, place: bool) -> None:
    """Keeps the calibration as it is now, so that a recipe finds it again, and asks for what is done with it."""
    from graftwerk.backend import assets
    from graftwerk.backend.operations.qdq_calibrate import CalibrateQdq
    from graftwerk.backend.operations.qdq_place import PlaceQdq

    with tempfile.TemporaryDirectory(prefix="graftwerk-") as folder:
        path = Path(folder) / "chosen.calibration.npz"
        view.calibration.save(path)
        kept = FilePath(str(assets.keep(path, ".calibration.npz")))
    window.show_tab(tab)
    operation: Operation = PlaceQdq(calibration=kept) if place else CalibrateQdq(file=kept)
    window.edits.ask(operation)
