"""Work in other processes: whatever happens to it, the job fails with its last words and the window goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import platformdirs
import pytest
from onnx import TensorProto, helper
from PySide6.QtCore import QElapsedTimer, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolButton

from graftwerk.app.jobs import Task
from graftwerk.app.settings import Settings
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.engine_jobs import BuildSettings
from graftwerk.backend.graph.graph import NodeRef
from graftwerk.backend.graph.standin import plugin_nodes
from graftwerk.backend.jobs.protocol import Job, Started
from graftwerk.backend.operations.qdq_insert import InsertQdqLayer
from graftwerk.backend.operations.qdq_remove import RemoveQdq
from graftwerk.widgets.panels.job_list import VIEW
from tests.app import driving
from tests.app.driving import children, finish, nodes_of, wait_until
from tests.backend.jobs.sample_jobs import Die, Memory, Wait

Open = Callable[[Path], Tab]
ROOT = Path(__file__).resolve().parents[2]
SEVERAL = ("sm80", "sm86", "sm89", "sm120", "sm121")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the jobs of tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def bert(open_model: Open, shared: Path) -> Tab:
    return open_model(shared / "models" / "bert_ts.onnx")


def pid_of(window: Window, start: Callable[[], Task]) -> tuple[Task, int]:
    """Starts a job and waits until its worker has begun with it."""
    pids: dict[Task, int] = {}
    window.jobs._event.connect(lambda task, event: pids.update({task: event.pid} if isinstance(event, Started) else {}))
    task = start()
    wait_until(lambda: task in pids, "for a worker")
    return task, pids[task]


def run(window: Window, job: Job) -> Task:
    return finish(window.jobs.submit("A bad day", lambda folder: job, lambda outcome: None))


def shown_failure(window: Window, task: Task) -> str:
    """All that the jobs panel says of a failed job."""
    panel = window.docks.jobs
    window.docks.show("jobs")
    rows = [panel.model.index(row) for row in range(panel.model.rowCount())]
    panel.list.setCurrentIndex(next(row for row in rows if row.data(VIEW) is task.view))
    detail = panel.detail
    wait_until(detail.failure.isVisible, "for the failure")
    if detail.failure.details_button.isVisible():
        QTest.mouseClick(detail.failure.details_button, driving.LEFT)
    return "\n".join([detail.failure.message.text(), detail.failure.hint.text(), detail.details.toPlainText()])


def still_builds(window: Window, tab: Tab) -> None:
    task = finish(window.engines.build())
    assert task.view.state == "done"
    assert tab.report_revision == tab.graph.revision


def test_a_worker_that_is_killed_while_it_builds(window: Window, bert: Tab) -> None:
    task, pid = pid_of(window, window.engines.build)
    os.kill(pid, signal.SIGKILL)
    finish(task)
    assert task.view.state == "failed"
    assert "SIGKILL" in shown_failure(window, task)
    assert window.isVisible()
    still_builds(window, bert)


@pytest.mark.parametrize("how", ["abort", "segfault", "exit"])
def test_a_process_that_ends_itself(window: Window, digits: Tab, how: str) -> None:
    task = run(window, Die(how))
    assert task.view.state == "failed"
    said = shown_failure(window, task)
    assert "the worker process died" in said
    if how != "exit":
        assert "last words" in said
    still_builds(window, digits)


def test_a_process_that_has_no_memory_left(window: Window, digits: Tab) -> None:
    task = run(window, Memory())
    assert task.view.state == "failed"
    assert "memory" in shown_failure(window, task)
    still_builds(window, digits)


def test_cancel_in_the_panel_and_in_the_status_line(window: Window, digits: Tab) -> None:
    for press in (lambda: window.docks.jobs.detail.cancel_button, lambda: window.status._cancel):
        task, pid = pid_of(window, lambda: window.jobs.submit("Wait", lambda folder: Wait(True), lambda outcome: None))
        window.docks.show("jobs")
        wait_until(lambda: task.view.phase == "waiting")  # noqa: B023 - waited for here
        wait_until(lambda: press().isVisible())  # noqa: B023
        QTest.mouseClick(press(), driving.LEFT)
        finish(task)
        assert task.view.state == "cancelled"
        wait_until(lambda: pid not in children())  # noqa: B023
    assert not window.docks.jobs.detail.failure.isVisible()
    still_builds(window, digits)


def test_the_cancel_button_stops_a_preview(window: Window, bert: Tab) -> None:
    bert.preview.set_on(True)
    wait_until(lambda: bert.preview.task is not None)
    task = bert.preview.task
    assert task is not None
    button = window.status._cancel
    assert isinstance(button, QToolButton)
    wait_until(button.isVisible)
    QTest.mouseClick(button, driving.LEFT)
    finish(task)
    assert task.view.state == "cancelled"
    assert bert.report is None
    assert not bert.problems


def test_a_newer_report_is_not_replaced_by_an_older_one(window: Window, digits: Tab) -> None:
    slow = window.engines.submit(digits, "Build for several", BuildSettings(SEVERAL))
    digits.document.apply(InsertQdqLayer(digits.graph.ref(nodes_of(digits.graph, "Conv")[0])))
    digits.preview.set_on(True)
    wait_until(lambda: digits.report_revision == digits.graph.revision)
    finish(slow)
    assert slow.view.state == "done"
    assert digits.report_revision == digits.graph.revision
    assert digits.report is not None
    assert digits.report.targets == ("sm89",)


# What a compiler refuses


def refused_model(path: Path, zero_point: int) -> Path:
    """Y = Relu(DQ(Q(X))) with a zero point, and beside it something that compiles."""
    info = helper.make_tensor_value_info
    scale = helper.make_tensor("s", TensorProto.FLOAT, [], [0.1])
    zero = helper.make_tensor("z", TensorProto.INT8, [], [zero_point])
    nodes = [
        helper.make_node("Neg", ["x"], ["n"], name="first"),
        helper.make_node("QuantizeLinear", ["n", "s", "z"], ["q"], name="asymmetric_q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="asymmetric_dq"),
        helper.make_node("Relu", ["d"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes, "g", [info("x", TensorProto.FLOAT, [1, 8])], [info("y", TensorProto.FLOAT, [1, 8])], [scale, zero]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_refusal_names_the_node_and_selects_it(window: Window, open_model: Open, tmp_path: Path) -> None:
    tab = open_model(refused_model(tmp_path / "asymmetric.onnx", 3))
    task = finish(window.engines.build())
    assert task.view.state == "failed"
    (node,) = tab.selection.nodes
    assert tab.graph.ref(node) in ("asymmetric_q", "asymmetric_dq")
    assert tab.canvas.selected_nodes == (node,)
    (problem,) = tab.problems
    assert "zero point" in problem.message
    assert "TensorRT-RTX" in problem.message
    panel = window.docks.problems
    assert panel.isVisible()
    assert panel.count == 1
    assert window.docks._docks["problems"].windowTitle() == "Problems 1"
    tab.select_refs(("first",))
    panel.activated.emit(problem.where)
    assert tab.selection.nodes == (node,)
    assert tab.report is None
    assert tab.overlay == "none"


def test_an_operator_that_the_compiler_lacks(window: Window, open_model: Open, shared: Path) -> None:
    tab = open_model(shared / "onnx-edge" / "custom_op_node.onnx")
    finish(window.engines.build())
    assert [tab.graph.nodes[node].op_type for node in tab.selection.nodes] == ["NegPos"]
    assert any("NegPos" in problem.message for problem in tab.problems)
    assert plugin_nodes(tab.graph) == []


def test_a_refusal_goes_with_the_next_build_that_works(window: Window, open_model: Open, tmp_path: Path) -> None:
    tab = open_model(refused_model(tmp_path / "asymmetric.onnx", 3))
    finish(window.engines.build())
    assert tab.problems
    finish(window.engines.profile())  # what one runtime takes says nothing of the other
    assert len(tab.problems) == 1
    tab.document.apply(RemoveQdq(NodeRef("asymmetric_dq")))
    still_builds(window, tab)
    assert not tab.problems


# What is left behind


def job_folders() -> set[Path]:
    base = Path(platformdirs.user_cache_dir("graftwerk", appauthor=False)) / "jobs"
    return {path for path in base.iterdir() if path.is_dir()} if base.is_dir() else set()


def test_closing_the_window_while_it_builds_leaves_nothing(settings: Settings, shared: Path) -> None:
    before, folders = children(), job_folders()
    window = Window(settings)
    window.show()
    window.files.open([shared / "models" / "bert_ts.onnx"])
    pid_of(window, window.engines.build)
    assert children() > before
    window.close()
    assert children() <= before
    assert job_folders() <= folders
    window.deleteLater()


CRASHES = """
import os, signal, sys
from pathlib import Path
from graftwerk.app.gui import make_application
from graftwerk.app.settings import Settings
from graftwerk.app.shot import wait
from graftwerk.app.window import Window
from tests.backend.jobs.sample_jobs import Wait

make_application()
window = Window(Settings(Path(sys.argv[1])))
task = window.jobs.submit("Wait", lambda folder: Wait(False), lambda outcome: None)
wait(lambda: task.view.phase == "waiting")
print(task.view.log[0][1], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_run_cleans_up_after_one_that_crashed(window: Window, digits: Tab, tmp_path: Path) -> None:
    """The first window's folder lives as long as it does; that of a run that was killed goes with the next start."""
    ours = job_folders()
    arguments = [sys.executable, "-c", CRASHES, str(tmp_path / "other.ini")]
    crashed = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False)
    assert crashed.returncode == -signal.SIGKILL, crashed.stderr
    child = int(crashed.stdout.split()[-1])
    left = job_folders() - ours
    assert len(left) == 1
    other = Window(Settings(tmp_path / "next.ini"))
    other.engines.ask_library()
    wait_until(lambda: not left & job_folders(), "for the folder to go")
    wait_until(lambda: not Path(f"/proc/{child}").exists() or zombie(child), "for its process to go")
    other.close()
    assert ours <= job_folders()
    still_builds(window, digits)


def zombie(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_window_lives_while_a_model_builds(window: Window, bert: Tab) -> None:
    """The longest that the event loop stood still, with both workers at work, drawing and reading reports included."""
    gaps: list[int] = []
    clock, timer = QElapsedTimer(), QTimer()
    clock.start()
    timer.timeout.connect(lambda: gaps.append(clock.restart()))
    timer.start(5)
    task = window.engines.build()
    bert.preview.set_on(True)
    finish(task)
    wait_until(lambda: not bert.preview.busy)
    timer.stop()
    assert task.view.state == "done"
    assert len(gaps) > 50
    if os.environ.get("GRAFTWERK_SHOW_GAPS"):
        print(f"event loop: {len(gaps)} turns, gaps {sorted(gaps)[-5:]} ms")
    assert max(gaps) < 200, sorted(gaps)[-5:]




def test_previews_and_inference_leave_no_files(window: Window, digits: Tab) -> None:
    """However many edits: their folders go as soon as they are read, or dropped."""
    before = {folder for run in job_folders() for folder in run.iterdir() if folder.is_dir()}
    digits.preview.set_on(True)
    for node in nodes_of(digits.graph, "Conv")[:4]:
        digits.document.apply(InsertQdqLayer(digits.graph.ref(node)))
        wait_until(lambda: digits.preview.task is not None)  # and some of them are dropped
    wait_until(lambda: digits.report_revision == digits.graph.revision and digits.inference.known)
    wait_until(lambda: not digits.preview.busy)

    def left() -> set[Path]:
        return {folder for run in job_folders() for folder in run.iterdir() if folder.is_dir()} - before

    wait_until(lambda: not left(), "for the folders to go")


def test_nothing_is_reported_after_the_end(settings: Settings, models: Path) -> None:
    window = Window(settings)
    window.show()
    window.files.open([models / "digits.onnx"])
    tab = window.need_tab()
    task = window.engines.build()
    window.jobs.close()
    for _ in range(20):
        QApplication.processEvents()
    assert not task.over
    assert tab.report is None
    window.close()
    window.deleteLater()
