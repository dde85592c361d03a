"""Range check, rounded verification, sparsity and sensitivity in the window, on real jobs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from graftwerk.app.precision_control import check_range, verify_rounded
from graftwerk.app.pruning_control import FLAG, measure_sensitivity, show_sparsity
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.graph.files import save
from graftwerk.backend.operations.precision_retype import Retype
from graftwerk.backend.operations.prune_channels import PruneChannels
from graftwerk.backend.operations.prune_sparse import PruneSparse
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.table_dialog import TableDialog
from tests.app.conftest import Open
from tests.app.driving import LEFT, dialog_of, finish, wait_until
from tests.backend.precision.test_retype import planted


def test_the_range_check_opens_a_retype_that_keeps_what_overflows(
    window: Window, open_model: Open, tmp_path: Path
) -> None:
    save(planted(), tmp_path / "planted.onnx")
    np.savez(tmp_path / "data.npz", x=np.full((2, 4), 300, np.float32))
    tab = open_model(tmp_path / "planted.onnx")
    window.engines._profiles[tab] = {"files": (str(tmp_path / "data.npz"),)}
    tab.document.apply(Retype())
    wait_until(lambda: tab.inference.known)
    finish(verify_rounded(window))
    wait_until(lambda: any(problem.where == "big" for problem in tab.problems))
    assert tab.verification is not None
    assert not tab.verification.same
    assert "rounded to FP16" in tab.verification.precision
    assert any("accumulated in FP16" in text for text in tab.verification.not_checked)

    tab.document.undo()
    wait_until(lambda: tab.inference.known)
    finish(check_range(window))
    dialog = dialog_of(window, OperationDialog)
    made = dialog.form.operation()
    assert isinstance(made, Retype)
    assert made.keep_tensors == ("big",)
    tab.document.apply(made)
    dialog.close()
    wait_until(lambda: tab.inference.known)
    finish(verify_rounded(window))
    wait_until(lambda: tab.verification_revision == tab.document.graph.revision)
    assert tab.verification.same


def press(dialog: TableDialog, key: str) -> None:
    QTest.mouseClick(dialog.buttons[key], LEFT, Qt.KeyboardModifier.NoModifier)


def test_sparsity_is_shown_pruned_and_built(window: Window, digits: Tab) -> None:
    window.engines.ask_library()
    wait_until(lambda: window.engines.library, "for TensorRT-RTX")
    show_sparsity(window)
    dialog = dialog_of(window, TableDialog)
    rows = dialog.table.rowCount()
    assert rows == sum(record.op_type in ("Conv", "Gemm") for record in digits.graph.nodes.values())
    press(dialog, "prune")
    wait_until(lambda: digits.document.at == 1, "for the pruning")
    assert isinstance(digits.document.revisions[1].operation, PruneSparse)
    wait_until(lambda: not any(one.isVisible() for one in window.findChildren(TableDialog)))
    show_sparsity(window)
    dialog = dialog_of(window, TableDialog)
    told = [item.text() for row in range(rows) if (item := dialog.table.item(row, 2))]
    assert told.count("yes") == rows - 1  # the stem sums over one channel
    press(dialog, "build")
    assert window.engines.settings(digits).options[FLAG] is True
    wait_until(lambda: digits.report is not None, "for the build")


def test_sensitivity_leads_to_pruning(window: Window, digits: Tab) -> None:
    finish(measure_sensitivity(window))
    table = dialog_of(window, TableDialog)
    table.table.selectRow(0)
    layers = table.refs()
    assert digits.selection.nodes == tuple(digits.graph.find(ref) for ref in layers)
    press(table, "prune")
    dialog = dialog_of(window, OperationDialog)
    made = dialog.form.operation()
    assert isinstance(made, PruneChannels)
    assert made.nodes == layers
    dialog.close()
