"""History, problems and jobs: what they list, and what a click or a key in them asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QListView
from pytestqt.qtbot import QtBot

import graftwerk.backend.operations.all  # noqa: F401
from graftwerk.backend.document import Document
from graftwerk.backend.graph.graph import NodeRef, Problem
from graftwerk.backend.jobs.protocol import Failed, Finished, Log, Phase, Progress, Started
from graftwerk.backend.operations.recipe import Recipe
from graftwerk.backend.operations.rename import RenameNode
from graftwerk.widgets.panels.history import History
from graftwerk.widgets.panels.job_view import LOG_LINES, JobView
from graftwerk.widgets.panels.jobs import JobsPanel
from graftwerk.widgets.panels.problems import Problems


def click(view: QListView, row: int) -> None:
    place = view.visualRect(view.model().index(row, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)


@pytest.fixture
def document(models: Path) -> Document:
    made = Document.open(models / "digits.onnx")
    for number in range(3):
        old = made.graph.ref(next(iter(made.graph.nodes)))
        made.apply(RenameNode(NodeRef(old), f"name_{number}"))
    return made


def test_history_lists_steps_and_goes(document: Document, qtbot: QtBot) -> None:
    history = History()
    qtbot.addWidget(history)
    history.resize(260, 400)
    history.show()
    assert not history.save_button.isVisible()
    history.set_document(document)
    rows = [history.model.index(row).data() for row in range(history.model.rowCount())]
    edits = [revision.operation for revision in document.revisions[1:]]
    assert rows == ["Open digits.onnx", *(edit.summary() for edit in edits if edit)]
    with qtbot.waitSignal(history.go) as asked:
        click(history.list, 1)
    assert asked.args == [1]
    document.go(1)
    history.refresh()
    assert history.list.currentIndex().row() == 1
    history.list.setCurrentIndex(history.model.index(3))
    with qtbot.waitSignal(history.go) as asked:
        QTest.keyClick(history.list, Qt.Key.Key_Return)
    assert asked.args == [3]


def test_history_gives_the_recipe(document: Document, qtbot: QtBot) -> None:
    history = History()
    qtbot.addWidget(history)
    history.set_document(document)
    with qtbot.waitSignal(history.save_recipe):
        history.save_button.click()
    history.copy_button.click()
    assert Recipe.loads(QGuiApplication.clipboard().text()) == document.recipe
    document.go(0)
    history.refresh()
    assert not history.save_button.isEnabled()
    assert "no edits" in history.save_button.toolTip()


def test_problems_lead_to_their_place(qtbot: QtBot) -> None:
    panel = Problems()
    qtbot.addWidget(panel)
    panel.resize(300, 300)
    panel.show()
    assert not panel.list.isVisible()
    wrong = Problem("Wrong", "here", severity="error")
    panel.set_problems((Problem("Doubtful", "somewhere"), Problem("Nowhere"), wrong))
    assert panel.count == 3
    assert [panel.model.index(row).data().split("\n")[0] for row in range(3)] == ["Wrong", "Doubtful", "Nowhere"]
    with qtbot.waitSignal(panel.activated) as asked:
        click(panel.list, 0)
    assert asked.args == ["here"]
    with qtbot.assertNotEmitted(panel.activated):
        click(panel.list, 2)
    with qtbot.waitSignal(panel.activated) as asked:
        panel.list.setCurrentIndex(panel.model.index(1))
        QTest.keyClick(panel.list, Qt.Key.Key_Return)
    assert asked.args == ["somewhere"]
    panel.set_problems(())
    assert not panel.list.isVisible()


@pytest.fixture
def jobs(qtbot: QtBot) -> JobsPanel:
    made = JobsPanel()
    qtbot.addWidget(made)
    made.resize(900, 300)
    made.show()
    return made


def feed(panel: JobsPanel, view: JobView, *events: object) -> None:
    for event in events:
        view.take(event)  # type: ignore[arg-type]
        panel.set_job(view)


def test_a_job_is_followed_while_it_runs(jobs: JobsPanel, qtbot: QtBot) -> None:
    view = JobView("Build")
    feed(jobs, view, Started("build", 1), Phase("Optimizing"), Progress(2, 5))
    feed(jobs, view, Log("info", "one"), Log("verbose", "two"))
    qtbot.waitUntil(lambda: jobs.detail.line.text().startswith("Optimizing 2/5"))
    assert jobs.detail.progress.isVisible()
    assert jobs.detail.progress.value() == 2
    assert jobs.detail.log.toPlainText() == "one"
    feed(jobs, view, Log("warning", "three"))
    qtbot.waitUntil(lambda: jobs.detail.log.toPlainText() == "one\nthree")
    jobs.detail.filter.setCurrentIndex(jobs.detail.filter.findData("verbose"))
    assert jobs.detail.log.toPlainText() == "one\ntwo\nthree"
    jobs.detail.filter.setCurrentIndex(jobs.detail.filter.findData("warning"))
    assert jobs.detail.log.toPlainText() == "three"
    with qtbot.waitSignal(jobs.cancel) as asked:
        jobs.detail.cancel_button.click()
    assert asked.args == [view]
    feed(jobs, view, Failed("Cancelled", cancelled=True))
    qtbot.waitUntil(lambda: jobs.detail.line.text().startswith("cancelled"))
    assert not jobs.detail.cancel_button.isVisible()
    assert not jobs.detail.failure.isVisible()


def test_the_clock_moves_without_events(jobs: JobsPanel, qtbot: QtBot) -> None:
    view = JobView("Build")
    feed(jobs, view, Started("build", 1), Phase("Optimizing"))
    assert view.started is not None
    view.started -= 60
    qtbot.waitUntil(lambda: jobs.detail.line.text() == view.line)
    assert "01:0" in jobs.detail.line.text()


def test_a_failure_says_why_and_can_be_reported(jobs: JobsPanel, qtbot: QtBot) -> None:
    view = JobView("Build digits")
    feed(jobs, view, Started("build", 1), Log("info", "a line"), Failed("It broke", "/conv", "Mend it", "Traceback: x"))
    failure = jobs.detail.failure
    qtbot.waitUntil(failure.isVisible)
    assert [failure.message.text(), failure.where.text(), failure.hint.text()] == ["It broke", "/conv", "Mend it"]
    failure.details_button.click()
    assert jobs.detail.details.isVisible()
    assert jobs.detail.details.toPlainText() == "Traceback: x"
    failure.copy_button.click()
    report = QGuiApplication.clipboard().text()
    assert all(text in report for text in ("Build digits", "It broke", "Traceback: x", "Graftwerk", "Python"))
    other = JobView("Build again")
    feed(jobs, other, Started("build", 1), Failed("Not possible", hint="Do this"))
    qtbot.waitUntil(lambda: failure.message.text() == "Not possible")
    assert jobs.detail.log.isVisible()
    assert not failure.copy_button.isVisible()


def test_a_new_job_is_chosen_unless_another_is_looked_at_running(jobs: JobsPanel, qtbot: QtBot) -> None:
    first, second, third = JobView("first"), JobView("second"), JobView("third")
    feed(jobs, first, Started("a", 1))
    feed(jobs, second, Started("b", 1))
    assert jobs.current is first
    feed(jobs, first, Finished({}))
    feed(jobs, third, Started("c", 1))
    assert jobs.current is third
    click(jobs.list, 2)
    assert jobs.current is first
    assert jobs.detail.title.text() == "first"


def test_a_log_longer_than_is_kept_shows_its_end(jobs: JobsPanel, qtbot: QtBot) -> None:
    view = JobView("Build")
    feed(jobs, view, Started("build", 1), Log("info", "0"))
    for number in range(1, 2 * LOG_LINES):
        view.take(Log("info", str(number)))
    jobs.set_job(view)
    qtbot.waitUntil(lambda: jobs.detail.log.toPlainText().endswith(str(2 * LOG_LINES - 1)))
    lines = jobs.detail.log.toPlainText().split("\n")
    assert lines == [str(number) for number in range(LOG_LINES, 2 * LOG_LINES)]
