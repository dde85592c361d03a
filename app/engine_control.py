"""Building and profiling the shown model: settings, jobs, and what is done with their results."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QFileDialog

from graftwerk.app.jobs import Task
from graftwerk.backend.atomic import atomic
from graftwerk.backend.engine_jobs import BuildSettings, build_job, profile_job, verify_job
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Problem
from graftwerk.backend.jobs.protocol import Failed, Finished

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window


class EngineControl:
    """The window's commands about engines. `library` is what the installed TensorRT-RTX says of itself, once known.

    Forms and compilers' files are imported when they are used: the first picture does not wait for them.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.library: dict[str, Any] = {}
        self.missing = ""
        self._builds: dict[Tab, BuildSettings] = {}
        self._profiles: dict[Tab, dict[str, Any]] = {}

    def ask_library(self) -> None:
        """Starts the workers and asks the library for its version, targets and options."""
        from graftwerk.backend.engines.tensorrt_rtx import QueryRtx

        self.window.jobs.submit("Look for TensorRT-RTX", lambda folder: QueryRtx(), self._on_library, listed=False)

    def _on_library(self, outcome: Finished | Failed) -> None:
        if isinstance(outcome, Finished):
            self.library, self.missing = outcome.result, ""
        else:
            self.missing = f"{outcome.message}. {outcome.hint}".strip()
        self.window.refresh()

    @property
    def compiler(self) -> str:
        return f"TensorRT-RTX {self.library['version']}" if self.library else "TensorRT-RTX"

    def settings(self, tab: Tab) -> BuildSettings:
        """What the next build of a model is asked."""
        targets = tuple(name for name in self.window.settings.read("targets", ["sm89"]) if isinstance(name, str))
        known = self.library.get("targets", list(targets))
        return self._builds.get(tab, BuildSettings(tuple(name for name in targets if name in known) or ("sm89",)))

    def set_settings(self, tab: Tab, settings: BuildSettings) -> None:
        """What the next builds of a model are asked."""
        self._builds[tab] = settings
        tab.preview.settings_changed()

    def set_targets(self, targets: tuple[str, ...]) -> None:
        """Chooses targets for the shown model, and for those opened later."""
        tab = self.window.need_tab()
        self._builds[tab] = replace(self.settings(tab), targets=targets)
        self.window.settings.write("targets", list(targets))
        tab.preview.settings_changed()
        self.window.refresh()

    def build_settings(self) -> None:
        """Asks for targets, shapes, options and the engine's place, and builds."""
        from graftwerk.widgets.panels.build_form import BuildDialog

        tab = self.window.need_tab()
        dialog = BuildDialog(tab.document.graph, self.library, self.settings(tab), self._engine_path(tab), self.window)
        if dialog.exec():
            self._builds[tab] = dialog.settings()
            self.window.settings.write("targets", list(dialog.settings().targets))
            self.build()

    def build(self) -> Task:
        """Builds with the settings as they are."""
        tab = self.window.need_tab()
        settings = self.settings(tab)
        names = ", ".join(name.upper() for name in settings.targets)
        task = self.submit(tab, f"Build {tab.title} for {names}", settings)
        self.window.docks.show("jobs")
        return task

    def submit(self, tab: Tab, title: str, settings: BuildSettings, listed: bool = True) -> Task:
        """Starts a build of the model's shown revision."""
        graph = tab.document.graph

        def done(outcome: Finished | Failed) -> None:
            self._on_built(tab, graph.revision, outcome, settings if listed else None)
            if not listed:
                self.window.jobs.discard(task)

        task = self.window.jobs.submit(title, lambda folder: build_job(graph, folder, settings), done, listed)
        return task

    def _on_built(self, tab: Tab, revision: int, outcome: Finished | Failed, settings: BuildSettings | None) -> None:
        if tab not in self.window.tabs():
            return
        if isinstance(outcome, Failed):
            self._refused(tab, outcome, "tensorrt-rtx", loud=settings is not None)
            return
        from graftwerk.backend.engines.report_file import read_report

        try:
            report = read_report(Path(outcome.result["report"]))
        except Fault as fault:
            self.window.show_fault(fault, "The report can't be read")
            return
        shown = tab.document.graph.revision
        if revision == shown or tab.report_revision != shown:  # a newer report is not replaced by an older one
            tab.set_report(report, revision)
        if settings is not None:
            tab.engine = Path(outcome.result["engine"])
            kept = f" to {tab.engine}" if settings.engine else "; keep it with Save Engine"
            self.window.say(f"Built {len(report.layers)} layers in {report.seconds:.1f} s{kept}")
            self.window.docks.show("layers")

    def save_engine(self) -> None:
        """Copies the engine that was built last, with its report, to where the user wants it."""
        tab = self.window.need_tab()
        if tab.engine is None:
            return
        start = Path(self._engine_path(tab) or "model.engine")
        name, _ = QFileDialog.getSaveFileName(self.window, "Save the engine", str(start), "Engines (*.engine *.plan)")
        if name:
            target, engine = Path(name), tab.engine
            self.window.attempt(lambda: _copy_engine(engine, target), f"Saved {target}, its report beside it")

    def profile_settings(self) -> None:
        """Asks for inputs and iterations, and profiles."""
        from graftwerk.widgets.panels.profile_form import ProfileDialog

        tab = self.window.need_tab()
        dialog = ProfileDialog(tab.document.graph, self._profiles.get(tab, {}), self.window)
        if dialog.exec():
            self._profiles[tab] = dialog.settings()
            self.profile()

    def profile(self) -> Task:
        """Times the shown revision with ONNX Runtime."""
        tab = self.window.need_tab()
        graph, settings = tab.document.graph, self._profiles.get(tab, {})

        def done(outcome: Finished | Failed) -> None:
            self._on_profiled(tab, graph.revision, outcome)

        title = f"Profile {tab.title} with ONNX Runtime"
        task = self.window.jobs.submit(title, lambda folder: profile_job(graph, folder, **settings), done)
        self.window.docks.show("jobs")
        return task

    def _on_profiled(self, tab: Tab, revision: int, outcome: Finished | Failed) -> None:
        def take(result: dict[str, Any]) -> None:
            from graftwerk.backend.engines.report_file import read_profile

            tab.set_profile(read_profile(Path(result["profile"])), revision)
            self.window.docks.show("timeline")

        self._take(tab, outcome, take)

    def data_of(self, tab: Tab) -> dict[str, Any]:
        """The inputs that a model is run on: files, shapes and seed as its profile settings say."""
        given = self._profiles.get(tab, {})
        return {key: given[key] for key in ("files", "shapes", "seed") if key in given}

    def verify(self) -> Task:
        """Runs the shown revision and the model as it was opened on the same inputs, and compares."""
        tab = self.window.need_tab()
        graph, reference = tab.document.graph, tab.document.revisions[0].graph
        settings = self.data_of(tab)

        def done(outcome: Finished | Failed) -> None:
            self._on_verified(tab, graph.revision, outcome)

        title = f"Verify {tab.title} with ONNX Runtime"
        return self.window.jobs.submit(title, lambda folder: verify_job(reference, graph, folder, **settings), done)

    def _on_verified(self, tab: Tab, revision: int, outcome: Finished | Failed) -> None:
        def take(result: dict[str, Any]) -> None:
            from graftwerk.backend.engines.report_file import read_verification

            tab.set_verification(read_verification(Path(result["verification"])), revision)

        self._take(tab, outcome, take)

    def _take(self, tab: Tab, outcome: Finished | Failed, take: Callable[[dict[str, Any]], None]) -> None:
        """Takes what ONNX Runtime found of a model that is still open, or shows what it refused."""
        if tab not in self.window.tabs():
            return
        if isinstance(outcome, Failed):
            self._refused(tab, outcome, "onnxruntime")
            return
        try:
            take(outcome.result)
        except Fault as fault:
            self.window.show_fault(fault, "The result can't be read")

    def _refused(self, tab: Tab, outcome: Failed, backend: str, loud: bool = True) -> None:
        """Shows what a compiler or runtime refused; a job that was cancelled is no refusal."""
        if outcome.cancelled:
            return
        from graftwerk.widgets.panels.readout import backend_name

        by = self.compiler if backend == "tensorrt-rtx" else backend_name(backend)
        message = f"{by}: {outcome.message}"
        tab.set_refusal(Problem(message, outcome.where, outcome.hint, "error"), backend)
        self.window.say(message, error=True)
        if loud:
            self.window.docks.show("problems")

    def toggle_preview(self) -> None:
        tab = self.window.need_tab()
        tab.preview.set_on(not tab.preview.on)
        self.window.refresh()

    def forget(self, tab: Tab) -> None:
        """Drops what is kept of a tab that closes."""
        tab.preview.set_on(False)
        self._builds.pop(tab, None)
        self._profiles.pop(tab, None)

    def _engine_path(self, tab: Tab) -> str:
        path = tab.document.path
        return str(path.with_suffix(".engine")) if path is not None else ""


def _copy_engine(engine: Path, target: Path) -> None:
    """Raises Fault where it can't be written."""
    try:
        for origin, place in ((engine, target), (_report_of(engine), _report_of(target))):
            with origin.open("rb") as source, atomic(place) as out:
                shutil.copyfileobj(source, out)
    except OSError as error:
        raise Fault(f"Can't write: {error.strerror}", str(target), "Save it elsewhere") from error


def _report_of(engine: Path) -> Path:
    return engine.with_name(f"{engine.name}.json")
