"""The coach in the window: after each compile it says among the problems what the Q/DQ pairs cost; a fix that the next
compile does not confirm is taken back."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftwerk.backend.graph.graph import Graph, Problem
from graftwerk.backend.operations.registry import Operation

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.engines.report import Report
    from graftwerk.backend.quantize.merit import Figures


@dataclass(frozen=True)
class _Judgement:
    """What there is to say of one compiled revision."""

    problems: tuple[Problem, ...]
    fixes: tuple[Operation, ...]
    foretold: Figures
    compiled: Figures


class Coaching:
    """Belongs to one tab."""

    def __init__(self, tab: Tab, window: Window) -> None:
        self._tab, self._window = tab, window
        self._known: dict[int, _Judgement] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is to be said of the shown revision."""
        found = self._known.get(self._tab.document.graph.revision)
        return found.problems if found is not None else ()

    def report_came(self, report: Report, revision: int) -> None:
        """To be called with what a compiler made of a revision."""
        graph = self._tab.document.graph
        if graph.revision != revision or not any(one.op_type == "QuantizeLinear" for one in graph.nodes.values()):
            return

        def take(ready: Future[_Judgement]) -> None:
            if self._tab in self._window.tabs():
                self._known[revision] = ready.result()
                if revision == self._tab.document.graph.revision:
                    self._prove(report)
                    self._tab.changed.emit()

        self._window.jobs.compute(lambda: _judgement(graph, report), take)

    def _prove(self, report: Report) -> None:
        """Says whether the step that was done last, if it was a fix, has helped; takes it back if it has not."""
        from graftwerk.backend.quantize.coach import judged

        document = self._tab.document
        step = document.revisions[document.at].operation
        before = self._known.get(document.revisions[document.at - 1].graph.revision) if document.at else None
        if before is None or step is None or step not in before.fixes:
            return
        after = self._known[document.graph.revision]
        kept, verdict = judged((before.foretold, after.foretold), (before.compiled, after.compiled), report)
        change = f"{before.compiled.kernels} → {after.compiled.kernels} kernels, {_megabytes(before.compiled)} → " \
                 f"{_megabytes(after.compiled)} moved"  # fmt: skip
        if not kept:
            document.undo()
        self._window.say(f"{step.summary()}: {verdict} ({change})", error=not kept)


def _judgement(graph: Graph, report: Report) -> _Judgement:
    from graftwerk.backend.quantize.coach import RULES, findings
    from graftwerk.backend.quantize.forecast import forecast
    from graftwerk.backend.quantize.merit import figures

    found = findings(graph, report)
    problems = tuple(
        Problem(one.text, one.nodes[0] if one.nodes else "", f"{RULES[one.rule].title}. {RULES[one.rule].source}",
                "warning", one.fix)
        for one in found
    )  # fmt: skip
    fixes = tuple(one.fix for one in found if one.fix is not None)
    return _Judgement(problems, fixes, figures(forecast(graph), graph), figures(report.layers, graph))


def _megabytes(figures: Figures) -> str:
    return f"{figures.moved_bytes / 1e6:,.1f} MB"
