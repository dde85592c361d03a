"""Operations that may take long run in a job and come back as one revision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PySide6.QtTest import QTest

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.graph.graph import NodeRef
from graftwerk.backend.operations.rename import RenameNode
from graftwerk.widgets.panels.form import OperationDialog
from tests.app import driving
from tests.app.driving import dialog_of, finish, wait_until

Open = Callable[[Path], Tab]


@pytest.fixture
def foldable(tmp_path: Path) -> Path:
    """y = x·W + (a + b), weights in a file of their own."""
    random = np.random.default_rng(0)
    info = helper.make_tensor_value_info
    weights = {"W": random.normal(size=(64, 64)), "a": random.normal(size=64), "b": random.normal(size=64)}
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["a", "b"], ["sum"], name="constant"),
            helper.make_node("MatMul", ["x", "W"], ["product"], name="product"),
            helper.make_node("Add", ["product", "sum"], ["y"], name="total"),
        ],
        "g", [info("x", TensorProto.FLOAT, [1, 64])], [info("y", TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )  # fmt: skip
    path = tmp_path / "external.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=16)
    return path


def start_folding(window: Window) -> None:
    window.menus.shown["operation.graph.fold_constants"].trigger()
    QTest.mouseClick(dialog_of(window, OperationDialog).apply_button, driving.LEFT)


def test_folding_runs_in_a_job_and_is_one_step(
    window: Window, open_model: Open, foldable: Path, tmp_path: Path
) -> None:
    tab = open_model(foldable)
    before = tab.document.graph
    start_folding(window)
    assert tab.document.graph.revision == before.revision
    finish(window.jobs.tasks[-1])
    assert [record.name for record in tab.graph.nodes.values()] == ["product", "total"]
    assert tab.graph.initializers["W"] is before.initializers["W"]
    assert tab.graph.nodes[before.find("product")] is before.nodes[before.find("product")]
    assert len(tab.document.recipe.steps) == 1
    assert tab.canvas.graph is tab.graph
    wait_until(lambda: tab.inference.known)
    saved = tmp_path / "saved" / "folded.onnx"
    saved.parent.mkdir()
    tab.document.save(saved)
    feeds = {"x": np.random.default_rng(1).normal(size=(1, 64)).astype(np.float32)}
    np.testing.assert_allclose(run_model(saved, feeds)["y"], run_model(foldable, feeds)["y"], rtol=1e-5, atol=1e-5)
    tab.document.undo()
    assert tab.graph.revision == before.revision
    assert not tab.document.dirty or tab.document.path == saved


def test_an_edit_meanwhile_wins_and_is_told(window: Window, open_model: Open, foldable: Path) -> None:
    tab = open_model(foldable)
    start_folding(window)
    tab.document.apply(RenameNode(NodeRef("product"), "mine"))
    finish(window.jobs.tasks[-1])
    assert [record.name for record in tab.graph.nodes.values()] == ["constant", "mine", "total"]
    assert len(tab.document.recipe.steps) == 1
    assert "edited meanwhile" in window.status._message.text()


def test_a_model_that_was_closed_meanwhile_is_left_alone(window: Window, open_model: Open, foldable: Path) -> None:
    tab = open_model(foldable)
    document = tab.document
    start_folding(window)
    window.close_tab()
    finish(window.jobs.tasks[-1])
    assert len(document.revisions) == 1
    assert window.tabs() == []


def test_a_model_with_external_data_builds_and_is_profiled(window: Window, open_model: Open, foldable: Path) -> None:
    tab = open_model(foldable)
    finish(window.engines.build())
    assert tab.report is not None
    assert tab.report.nodes["product"].layer
    assert tab.report.nodes["constant"].state == "folded"
    finish(window.engines.profile())
    assert tab.profile is not None
    (foldable.parent / "weights.bin").unlink()
    finish(window.engines.build())
    assert window.jobs.tasks[-1].view.state in ("done", "failed")
    window.files.open([foldable])
    assert len(window.tabs()) == 1
