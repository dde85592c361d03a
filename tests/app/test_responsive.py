"""The window answers while a model is compiled and its report is laid over the graph."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from time import thread_time

import onnx
import pytest
from onnx import TensorProto, helper
from PySide6.QtCore import QTimer

from graftwerk.app.window import Window
from graftwerk.backend.operations.registry import make
from tests.app.conftest import Open
from tests.app.driving import finish, wait_until

#: Seconds of work in the window's thread between two ticks. Its own time is measured, which does not depend on what
#: else the machine does; the 50 ms that are promised by the clock are held by the benchmark `stall`, with room for
#: slower machines here.
MOST = 0.15


@pytest.mark.parametrize("name", ["resnet50", "bert_ts", "gpt2_ts"])
def test_no_long_work_in_the_windows_thread_during_a_build(
    window: Window, open_model: Open, shared: Path, name: str
) -> None:
    tab = open_model(shared / "models" / f"{name}.onnx")
    ticks = [thread_time()]
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(thread_time()))
    timer.start(5)
    finish(window.engines.build())
    seen = len(ticks)
    wait_until(lambda: len(ticks) > seen + 20, "for the report to be shown")
    assert tab.report is not None
    assert len(ticks) > 40
    assert max(later - earlier for earlier, later in pairwise(ticks)) < MOST


def test_an_edit_of_a_whole_large_model_leaves_the_window_free(
    window: Window, open_model: Open, tmp_path: Path
) -> None:
    info = helper.make_tensor_value_info
    count = 6_000
    nodes = [helper.make_node("Relu" if at % 2 else "Neg", [f"t{at}"], [f"t{at + 1}"], f"n{at}") for at in range(count)]
    ends = [info("t0", TensorProto.FLOAT, ["batch", 4])], [info(f"t{count}", TensorProto.FLOAT, ["batch", 4])]
    path = tmp_path / "large.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", *ends), opset_imports=opsets, ir_version=8), path)
    tab = open_model(path)
    ticks = [thread_time()]
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(thread_time()))
    timer.start(5)
    window.edits.apply(make("precision.retype", {}))
    wait_until(lambda: tab.document.at == 1)
    seen = len(ticks)
    wait_until(lambda: len(ticks) > seen + 20)
    assert tab.canvas.graph is tab.graph
    assert max(later - earlier for earlier, later in pairwise(ticks)) < MOST
    window.edits.undo()
    window.edits.apply(make("interface.static_batch", {}))
    assert tab in window.edits.making or tab.document.at == 1
    if tab in window.edits.making:
        window.edits.apply(make("node.rename", {"node": "n0", "name": "first"}))
    wait_until(lambda: tab not in window.edits.making)
    assert [revision.operation for revision in tab.document.revisions[1:]] == [make("interface.static_batch", {})]
