"""How many layers compute in which precision, how long they take, and what nodes asked for against what they got."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette, QShowEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QStackedLayout, QVBoxLayout, QWidget

from graftwerk.backend.engines.report import Profile, Report
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.quantize.requested import precision_requested
from graftwerk.widgets.panels.frame import DetailLabel, Switch, empty_state
from graftwerk.widgets.panels.parts import note
from graftwerk.widgets.panels.readout import count_text, layer_times, report_lines, share_text, time_text
from graftwerk.widgets.theme import LIGHT, PRECISION_COLORS, Theme, precision_color

if TYPE_CHECKING:
    from graftwerk.widgets.panels.stacks import Row, StackedBars

NOTHING = "No engine yet. Build one (F5), or switch the live preview on (F7), to see the precision of its layers."
NO_TIMES = "No device has run this engine, so its layers have no times"
NOTHING_ASKED = "The graph's types are not known, or none of its nodes asks for a precision"
_STATES = {"folded": "computed at build time", "free": "absorbed into a neighbour", "layer": "no layer names it"}


class PrecisionPanel(QWidget):
    """Shows a report. `layers_selected` carries the names of the layers behind the bar that was clicked."""

    layers_selected = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self._report: Report | None = None
        self._times: dict[int, float] = {}
        self._outcomes: dict[str, dict[str, list[str]]] = {}
        self._by_precision: StackedBars | None = None
        self._by_request: StackedBars | None = None
        self._header = DetailLabel()
        self.switch = Switch((("layers", "Layers"), ("time", "Time")))
        self.switch.chosen.connect(lambda _: self._fill())
        self._asked_note = note(NOTHING_ASKED)
        self._asked_note.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._lay_out()
        self.set_report(None, None, None)

    def _lay_out(self) -> None:
        left, right = QLabel("By precision"), QLabel("Asked for, and got")
        titles = QHBoxLayout()
        titles.setSpacing(10)
        titles.addWidget(left)
        titles.addWidget(self.switch)
        titles.addStretch()
        for label in (left, right):
            label.setProperty("role", "section")
        area = QWidget()
        area.setBackgroundRole(QPalette.ColorRole.Base)
        area.setAutoFillBackground(True)
        self._grid = QGridLayout(area)
        self._grid.setContentsMargins(12, 6, 12, 4)
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(2)
        self._grid.addLayout(titles, 0, 0)
        self._grid.addWidget(right, 0, 1)
        self._grid.addWidget(self._asked_note, 1, 1)
        self._grid.setRowStretch(1, 1)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._header.setContentsMargins(12, 7, 12, 7)
        column.addWidget(self._header)
        column.addWidget(area, 1)
        self._page, self._empty = page, empty_state(NOTHING)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(page)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._need_charts()

    def _need_charts(self) -> None:
        """Makes the charts once there is something to see: pyqtgraph is slow to import."""
        if self._by_precision is not None or self._report is None or not self.isVisible():
            return
        from graftwerk.widgets.panels.stacks import StackedBars

        self._by_precision, self._by_request = StackedBars(), StackedBars()
        self._grid.addWidget(self._by_precision, 1, 0)
        self._grid.addWidget(self._by_request, 1, 1)
        self._by_precision.clicked.connect(self._select_precision)
        self._by_request.clicked.connect(self._select_request)
        self.set_theme(self._theme)

    @property
    def charts(self) -> tuple[StackedBars, StackedBars] | None:
        """By precision and by request; None as long as there was nothing to show."""
        if self._by_precision is None or self._by_request is None:
            return None
        return self._by_precision, self._by_request

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        for chart in self.charts or ():
            chart.set_theme(theme)
        self._fill()

    def set_report(
        self, report: Report | None, graph: Graph | None, profile: Profile | None, stale: bool = False
    ) -> None:
        """Shows another report, held against what `graph` asks for; None shows what to do to get one.

        `stale`: it is of another revision of the graph than the one that is shown.
        """
        self._report = report
        self._times = layer_times(report, profile) if report is not None else {}
        self._outcomes = asked_and_got(report, graph) if report is not None and graph is not None else {}
        self._stack.setCurrentWidget(self._page if report is not None else self._empty)
        if report is not None:
            self._header.set_texts(report_lines(report, bool(self._times), stale), "\n".join(report.warnings))
        self.switch.buttons["time"].setEnabled(bool(self._times))
        self.switch.buttons["time"].setToolTip("" if self._times else NO_TIMES)
        if not self._times:
            self.switch.choose("layers")
        self._need_charts()
        self._fill()

    def _fill(self) -> None:
        charts = self.charts
        if charts is None or self._report is None:
            return
        charts[0].set_rows(self._time_rows() if self.switch.current == "time" else self._count_rows())
        charts[1].set_rows(self._request_rows())
        charts[1].setVisible(bool(self._outcomes))
        self._asked_note.setVisible(not self._outcomes)

    def _count_rows(self) -> list[Row]:
        assert self._report is not None
        counts = Counter(layer.precision for layer in self._report.layers)
        return self._rows(counts, lambda value: count_text(int(value), "layer"))

    def _time_rows(self) -> list[Row]:
        assert self._report is not None
        sums: dict[str, float] = defaultdict(float)
        for at, milliseconds in self._times.items():
            sums[self._report.layers[at].precision] += milliseconds
        return self._rows(sums, time_text)

    def _rows(self, values: Mapping[str, float], word: Callable[[float], str]) -> list[Row]:
        from graftwerk.widgets.panels.stacks import Row, Segment

        total = sum(values.values())
        rows = []
        for name in in_order(values):
            text = f"{word(values[name])} · {share_text(values[name] / total if total else 0.0)}"
            title = name or "no arithmetic"
            segment = Segment(values[name], precision_color(name), "", f"{title}: {text}", name)
            rows.append(Row(title, (segment,), text))
        return rows

    def _request_rows(self) -> list[Row]:
        from graftwerk.widgets.panels.stacks import Row, Segment

        rows = []
        for asked in in_order(self._outcomes):
            got = self._outcomes[asked]
            total = sum(map(len, got.values()))
            segments = []
            for name in sorted(in_order(got), key=lambda name: name != asked):  # what was asked for stands first
                words = _STATES.get(name, f"got {name}")
                tip = f"{count_text(len(got[name]), 'node')} asked for {asked}, {words}"
                text = f"{name if name not in _STATES else ''} {len(got[name])}".strip()
                segments.append(Segment(len(got[name]), self._outcome_color(name), text, tip, (asked, name)))
            hit = len(got.get(asked, ()))
            text = count_text(total, "node") + ("" if hit == total else f" · {hit} as asked")
            rows.append(Row(asked, tuple(segments), text))
        return rows

    def _outcome_color(self, name: str) -> str:
        return self._theme.sunken if name in _STATES else precision_color(name)

    def _select_precision(self, name: object) -> None:
        assert self._report is not None
        self._emit(layer.name for layer in self._report.layers if layer.precision == name)

    def _select_request(self, key: object) -> None:
        assert self._report is not None
        assert isinstance(key, tuple)
        asked, got = key
        self._emit(self._report.nodes[ref].layer for ref in self._outcomes[asked][got])

    def _emit(self, names: Iterable[str]) -> None:
        found = tuple(dict.fromkeys(name for name in names if name))
        if found:
            self.layers_selected.emit(found)


def asked_and_got(report: Report, graph: Graph) -> dict[str, dict[str, list[str]]]:
    """References of nodes by the precision that they ask for, and by the one they got or what became of them instead.

    The latter is a state of `NodeOutcome`: "folded", "free", "layer" where no layer does arithmetic for it.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for node in graph.nodes:
        asked, ref = precision_requested(graph, node), graph.ref(node)
        outcome = report.nodes.get(ref)
        if asked and outcome is not None:
            found.setdefault(asked, {}).setdefault(outcome.precision or outcome.state, []).append(ref)
    return found


def in_order(names: Iterable[str]) -> Sequence[str]:
    """In the order of a legend; what is no precision stands last."""
    order = {name: at for at, name in enumerate(PRECISION_COLORS)}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))
