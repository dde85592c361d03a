"""One edit in the real window, with its picture, and its undo: from the operation to the second repaint.

Panels that show all of a model (the outline, the overview in the inspector) follow when the hands rest, and are not
part of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

from PySide6.QtWidgets import QApplication

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.app.gui import make_application
from graftwerk.app.settings import Settings
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.operations.registry import Operation, make
from tests.bench.rows import Row, model

REPEATS = 9


def main() -> list[Row]:
    application = make_application()
    rows = []
    for name, bound in (("llm10k", 30.0), ("llm50k", 100.0), ("moe50k", 100.0)):
        with shown(model(name)) as tab:
            for title, operation in edits(tab):
                rows.append(Row(f"{title} and undo, {name}", edited(application, tab, operation), "ms", bound=bound))
            tab.canvas.zoom_fit()
            title, operation = next(edits(tab))
            what = f"{title} and undo, {name}, whole graph in view"
            rows.append(Row(what, edited(application, tab, operation), "ms", bound=bound))
    return rows


@contextmanager
def shown(path: Path) -> Iterator[Tab]:
    """A window with all its panels on a model whose shapes are inferred."""
    with tempfile.TemporaryDirectory() as folder:
        window = Window(Settings(Path(folder) / "window.ini"))
        window.show()
        window.files.open([path])
        tab = window.tab
        assert tab is not None
        settle(tab)
        yield tab
        window.files.may_close = lambda tab: True  # type: ignore[method-assign]
        window.close()
        window.deleteLater()


def settle(tab: Tab) -> None:
    """Until shape inference, in a worker and on threads, leaves the machine to what is measured."""
    while not tab.inference.known:
        QApplication.processEvents()


def edits(tab: Tab) -> Iterator[tuple[str, Operation]]:
    """What changes a few nodes in the middle of the graph."""
    graph = tab.document.graph
    middle = len(graph.nodes) // 2
    node = next(node for node in graph.nodes if node >= middle and graph.nodes[node].op_type == "Sigmoid")
    record = graph.nodes[node]
    yield "insert Q/DQ", make("qdq.insert", {"tensor": record.input[0]})
    yield "delete a node", make("node.delete", {"nodes": [graph.ref(node)], "bridge": True})
    yield "rename a tensor", make("tensor.rename", {"tensor": record.output[0], "name": "renamed"})


def edited(application: QApplication, tab: Tab, operation: Operation) -> float:
    """Milliseconds, the median. Nothing waits: events are handled until the canvas and the panels are painted."""
    times = []
    for _ in range(REPEATS):
        begin = perf_counter()
        for change in (lambda: tab.document.apply(operation), tab.document.undo):
            change()
            tab.canvas.repaint()
            application.processEvents()
        times.append(perf_counter() - begin)
        settle(tab)
    return 1e3 * median(times)
