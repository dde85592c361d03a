"""The coach among the problems: it finds a pair in the way, its button mends it, the next compile judges that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from graftwerk.app.main import main
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.operations.registry import make
from graftwerk.backend.quantize.obstacles import obstacles
from tests.app.driving import LEFT, finish, nodes_of, wait_until


def said(window: Window) -> str:
    return " ".join(label.text() for label in window.statusBar().findChildren(QLabel))


def build(window: Window, tab: Tab) -> None:
    finish(window.engines.build())
    wait_until(lambda: tab.report_revision == tab.document.graph.revision)


def test_a_pair_in_the_way_is_found_and_mended(window: Window, digits: Tab) -> None:
    digits.document.apply(make("qdq.place", {}))
    graph = digits.graph
    made = (name for node in nodes_of(graph, "Add") for name in graph.nodes[node].input)
    branch = next(name for name in made if graph.nodes[graph.producers[name]].op_type == "Conv")
    digits.document.apply(make("qdq.insert", {"tensor": branch}))
    build(window, digits)
    wait_until(lambda: any(one.fix is not None for one in digits.problems), "for the coach")
    window.docks.show("problems")
    panel = window.docks.problems
    row = next(at for at, one in enumerate(panel.model.given) if "into an Add" in one.message)
    assert "TensorRT developer guide" in panel.model.given[row].hint
    wait_until(lambda: not panel.button_rect(row).isEmpty())
    QTest.mouseClick(panel.list.viewport(), LEFT, pos=panel.button_rect(row).center())
    assert obstacles(digits.graph) == []
    build(window, digits)
    wait_until(lambda: "kernels" in said(window), "for the verdict")
    assert "kept for TensorRT 8.6" in said(window) or "confirmed" in said(window)
    assert not any("into an Add" in one.message for one in digits.problems)


@pytest.mark.parametrize("target", ["", "sm89"])
def test_the_command_mends_and_proves(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    source, out = tmp_path / "bad.onnx", tmp_path / "good.onnx"
    assert main(["quantize", str(models / "digits.onnx"), "-o", str(source), "--no-residual"]) == 0
    proof = ["--target", target] if target else []
    assert main(["coach", str(source), "--json", *proof]) == 1
    capsys.readouterr()
    assert main(["coach", str(source), "-o", str(out), "--json", *proof]) == 0
    told = json.loads(capsys.readouterr().out)
    (step,) = told["steps"]
    assert (step["rule"], step["kept"], step["fix"]["operation"]) == ("residual", True, "qdq.place")
    assert told["after"]["kernels"] < told["before"]["kernels"]
    assert (told["compiled"] is not None) == bool(target)
    assert main(["coach", str(out)]) == 0
    assert "Nothing to mend" in capsys.readouterr().out
