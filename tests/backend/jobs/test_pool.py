"""Real worker processes, and every way in which they end."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.folders import JobFolders
from graftwerk.backend.jobs.pool import JobHandle, JobPool, run_here
from graftwerk.backend.jobs.protocol import Event, Failed, Finished, Job, Log, Phase, Progress, Started
from tests.backend.jobs.sample_jobs import Count, Die, Echo, Garbage, Large, Memory, Raise, Talker, Wait

HERE = {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}  # where workers find the sample jobs
LONG = 60.0  # seconds that nothing here takes


class Events:
    """What `on_event` got, and a way to wait for one."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self._new: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def __call__(self, event: Event) -> None:
        self.all.append(event)
        self._new.put(event)

    def until(self, wanted: type[Event]) -> Event:
        while not isinstance(event := self._new.get(timeout=LONG), wanted):
            pass
        return event


MakePool = Callable[..., JobPool]


@pytest.fixture
def make_pool(tmp_path: Path) -> Iterator[MakePool]:
    pools = []

    def make(size: int = 1, **options: Any) -> JobPool:
        pools.append(JobPool(size, base=tmp_path / "jobs", environment=HERE, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
    assert not [path for path in (tmp_path / "jobs").glob("*") if path.is_dir()]


@pytest.fixture
def pool(make_pool: MakePool) -> JobPool:
    return make_pool()


def run(pool: JobPool, job: Job) -> tuple[Finished | Failed, list[Event]]:
    events = Events()
    outcome = pool.submit(job, events).wait(LONG)
    assert events.all[-1] is outcome
    assert not [event for event in events.all[:-1] if isinstance(event, (Finished, Failed))]
    return outcome, events.all


def result(pool: JobPool, job: Job) -> dict[str, Any]:
    outcome, _ = run(pool, job)
    assert isinstance(outcome, Finished), outcome
    return outcome.result


def failure(pool: JobPool, job: Job) -> Failed:
    outcome, _ = run(pool, job)
    assert isinstance(outcome, Failed), outcome
    return outcome


def gone(pid: int) -> bool:
    """Whether the process has ended, waiting for it where it has not; it may be another one's zombie."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    import select

    ended = bool(select.select([descriptor], [], [], LONG)[0])
    os.close(descriptor)
    return ended


def test_a_job_reports_in_order_and_its_parameters_survive_the_way(pool: JobPool) -> None:
    value = ("é\n", 1, 2.5, None, ("nested", {"key": (1,)}))
    outcome, events = run(pool, Echo(value))
    assert isinstance(outcome, Finished)
    pid = outcome.result["pid"]
    assert events == [
        Started("test.echo", pid),
        Phase("echo"),
        Progress(1, 2),
        Log("warning", "a line\nof two"),
        outcome,
    ]
    assert pid != os.getpid()
    assert outcome.result["is_tuple"]
    assert outcome.result["value"] == ["é\n", 1, 2.5, None, ["nested", {"key": [1]}]]
    assert outcome.result["modules"] == [], "a worker imports only what its jobs need"


def test_a_process_is_used_again_after_success_and_only_then(pool: JobPool) -> None:
    first = result(pool, Echo())["pid"]
    assert result(pool, Echo())["pid"] == first
    failure(pool, Raise("fault"))
    assert gone(first)
    assert result(pool, Echo())["pid"] != first


def test_modules_are_loaded_ahead_and_a_missing_one_does_no_harm(make_pool: MakePool) -> None:
    pool = make_pool(preload=("no_such_module", "fractions"))
    assert result(pool, Echo())["modules"] == ["fractions"]


def test_files_of_the_working_directory_are_no_modules(
    make_pool: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "queue", "fractions", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not me')")
    monkeypatch.chdir(tmp_path)
    assert result(make_pool(preload=("fractions",)), Echo())["modules"] == ["fractions"]


def test_niceness(make_pool: MakePool) -> None:
    assert result(make_pool(nice=5), Echo())["nice"] == os.nice(0) + 5


def test_jobs_run_side_by_side_up_to_the_size_and_the_rest_wait(make_pool: MakePool) -> None:
    pool = make_pool(2)
    waiting = [(pool.submit(Wait(polite=True), events), events) for events in (Events(), Events())]
    for _, events in waiting:
        events.until(Phase)
    third = pool.submit(Echo(), Events())
    assert third.outcome is None
    waiting[0][0].cancel()
    assert isinstance(third.wait(LONG), Finished)
    assert waiting[1][0].outcome is None


def test_a_fault_arrives_whole(pool: JobPool) -> None:
    assert failure(pool, Raise("fault")) == Failed("no such thing", "node 7", "Try another.")


@pytest.mark.parametrize(
    ("what", "message"),
    [("key", "KeyError: 'key'"), ("exit", "SystemExit: 3"), ("not json", "the job's result is not JSON")],
)
def test_a_defect_comes_with_its_traceback(pool: JobPool, what: str, message: str) -> None:
    failed = failure(pool, Raise(what))
    assert failed.message == message
    assert "Traceback" in failed.details
    assert not failed.cancelled


@pytest.mark.parametrize(
    ("how", "why"), [("abort", "SIGABRT"), ("segfault", "SIGSEGV"), ("exit", "exit status 7"), ("kill", "SIGKILL")]
)
def test_a_death_is_told_with_the_last_words(pool: JobPool, how: str, why: str) -> None:
    failed = failure(pool, Die(how))
    assert why in failed.message
    assert failed.details.startswith("python's last words\nC's last words")
    assert ("sample_jobs.py" in failed.details) == (how in ("abort", "segfault")), "the Python stack of a crash"
    assert ("memory" in failed.hint) == (how == "kill")
    assert not failed.cancelled
    assert result(pool, Echo())


def test_killed_from_outside(pool: JobPool) -> None:
    events = Events()
    handle = pool.submit(Wait(polite=False), events)
    started = events.until(Started)
    child = events.until(Log)
    events.until(Phase)
    assert isinstance(started, Started)
    assert isinstance(child, Log)
    os.kill(started.pid, signal.SIGKILL)
    outcome = handle.wait(LONG)
    assert isinstance(outcome, Failed)
    assert "SIGKILL" in outcome.message
    assert not outcome.cancelled
    assert gone(int(child.text)), "its children end with it"


def test_a_worker_that_dies_idle_is_replaced(pool: JobPool) -> None:
    pid = result(pool, Echo())["pid"]
    os.kill(pid, signal.SIGKILL)
    assert result(pool, Echo())["pid"] != pid, "be it before or after its death was noticed"


def test_out_of_memory(pool: JobPool) -> None:
    failed = failure(pool, Memory())
    assert "memory" in failed.message
    assert "smaller" in failed.hint
    assert result(pool, Echo())


def test_prints_and_stdin_are_harmless(pool: JobPool) -> None:
    events = Events()
    handle = pool.submit(Garbage(private=False), events)
    assert handle.wait(LONG) == Finished({"read": ""})
    assert [type(event) for event in events.all] == [Started, Finished]
    assert b"from a child" in (handle.folder / "output.log").read_bytes()


def test_a_broken_protocol_is_one_failure(pool: JobPool) -> None:
    assert "broke the protocol" in failure(pool, Garbage(private=True)).message
    assert result(pool, Echo())


def test_large_results_and_many_lines(pool: JobPool) -> None:
    outcome, events = run(pool, Large(8))
    assert isinstance(outcome, Finished)
    assert outcome.result["text"] == "é" * (8 << 20)
    assert [event.text.split()[1] for event in events if isinstance(event, Log)] == [str(n) for n in range(5000)]


def test_progress_is_thinned_out_but_begins_and_ends_each_phase(pool: JobPool) -> None:
    total = 50_000
    _, events = run(pool, Count(total))
    assert len(events) < total / 10
    second = events.index(Phase("second"))
    for part in (events[2:second], events[second + 1 : -1]):
        assert (part[0], part[-1]) == (Progress(1, total), Progress(total, total))
        counts = [event.done for event in part if isinstance(event, Progress)]
        assert counts == sorted(set(counts))


def test_what_a_job_leaves_running_can_not_speak_into_the_next(pool: JobPool) -> None:
    run(pool, Talker())
    _, events = run(pool, Echo())
    assert [type(event) for event in events] == [Started, Phase, Progress, Log, Finished]


def test_an_unknown_module_and_an_unknown_job(pool: JobPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "__module__", "no_such_module")
    failed = failure(pool, Echo())
    assert failed.message == "the worker's Python can't import no_such_module"
    assert failed.hint
    monkeypatch.setattr(Echo, "__module__", "json")
    assert failure(pool, Echo()).message == "json defines no job 'test.echo'"


def test_a_parameter_that_is_not_json_is_refused_at_once(pool: JobPool) -> None:
    with pytest.raises(TypeError):
        pool.submit(Echo({1, 2}), Events())


def test_cancel_by_asking(make_pool: MakePool) -> None:
    pool = make_pool(grace=LONG)
    events = Events()
    handle = pool.submit(Wait(polite=True), events)
    events.until(Phase)
    handle.cancel()
    handle.cancel()
    assert handle.wait(LONG) == Failed("cancelled", cancelled=True)


def test_cancel_by_killing_takes_the_children_too(make_pool: MakePool) -> None:
    pool = make_pool(grace=0.05)
    events = Events()
    handle = pool.submit(Wait(polite=False), events)
    child = events.until(Log)
    events.until(Phase)
    handle.cancel()
    assert handle.wait(LONG) == Failed("cancelled", cancelled=True)
    assert isinstance(child, Log)
    assert gone(int(child.text))


def test_the_next_job_does_not_wait_for_a_cancelled_one_to_die(make_pool: MakePool) -> None:
    pool = make_pool(grace=LONG * 10)
    events = Events()
    stubborn = pool.submit(Wait(polite=False), events)
    events.until(Phase)
    stubborn.cancel()
    assert result(pool, Echo())
    assert stubborn.outcome is None


def test_cancel_before_it_runs_and_after_it_ended(pool: JobPool) -> None:
    events, unrun = Events(), Events()
    first = pool.submit(Wait(polite=True), events)
    second = pool.submit(Echo(), unrun)
    second.cancel()
    assert second.wait(LONG) == Failed("cancelled", cancelled=True)
    assert unrun.all == [second.outcome]
    first.cancel()
    first.wait(LONG)
    done = pool.submit(Echo(), Events())
    outcome = done.wait(LONG)
    done.cancel()
    assert done.outcome is outcome


def test_cancel_from_inside_on_event(make_pool: MakePool) -> None:
    pool = make_pool(grace=LONG)
    handles: queue.SimpleQueue[JobHandle] = queue.SimpleQueue()

    def on_event(event: Event) -> None:
        if isinstance(event, Phase):
            handles.get(timeout=LONG).cancel()

    handle = pool.submit(Wait(polite=True), on_event)
    handles.put(handle)
    outcome = handle.wait(LONG)
    assert isinstance(outcome, Failed)
    assert outcome.cancelled


def test_a_defect_in_on_event_is_reported_and_the_job_goes_on(pool: JobPool, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def on_event(event: Event) -> None:
        raise ZeroDivisionError

    assert isinstance(pool.submit(Echo(), on_event).wait(LONG), Finished)
    assert [args.exc_type for args in reported] == [ZeroDivisionError] * 5


def test_close_ends_what_runs_and_what_waits(make_pool: MakePool) -> None:
    pool = make_pool()
    events = Events()
    running = pool.submit(Wait(polite=False), events)
    waiting = pool.submit(Echo(), Events())
    started = events.until(Started)
    pool.close()
    assert running.outcome == waiting.outcome == Failed("cancelled", cancelled=True)
    assert isinstance(started, Started)
    assert gone(started.pid)
    with pytest.raises(RuntimeError):
        pool.submit(Echo(), Events())


def test_a_python_that_can_not_start_is_one_failure_per_job(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(python=str(tmp_path / "python"))
    for _ in range(2):
        assert "could not be started: No such file" in failure(pool, Echo()).message
    broken = make_pool(python="/bin/false")
    assert "exit status 1" in failure(broken, Echo()).message


def test_a_hundred_jobs_leave_nothing_behind(make_pool: MakePool) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before, threads = descriptors(), threading.active_count()
    pool = make_pool(2)
    handles = [pool.submit(Echo(number) if number % 10 else Die("kill"), Events()) for number in range(100)]
    outcomes = [handle.wait(LONG) for handle in handles]
    assert sum(isinstance(outcome, Finished) for outcome in outcomes) == 90
    pool.close()
    assert descriptors() <= before  # what other tests left open may close meanwhile
    assert threading.active_count() == threads
    pids = {outcome.result["pid"] for outcome in outcomes if isinstance(outcome, Finished)}
    assert all(gone(pid) for pid in pids)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # no zombies


PROGRAM = """
    import sys, threading
    from pathlib import Path
    from graftwerk.backend.jobs.pool import JobPool
    from graftwerk.backend.jobs.protocol import Log, Phase, Started
    from tests.backend.jobs.sample_jobs import Wait

    def on_event(event):
        if isinstance(event, Started):
            print(event.pid, flush=True)
        if isinstance(event, Log):
            print(event.text, flush=True)

    pool = JobPool(base=Path(sys.argv[1]))
    pool.submit(Wait(polite=False), on_event)
    sys.stdin.read()
"""


def test_workers_die_with_the_program_and_the_next_run_cleans_up(tmp_path: Path, make_pool: MakePool) -> None:
    base = tmp_path / "jobs"
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(base)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **HERE},
    )
    assert program.stdout is not None
    assert program.stdin is not None
    worker, child = int(program.stdout.readline()), int(program.stdout.readline())
    folders = JobFolders(base)
    assert folders.clean_up() == [], "a run that is alive keeps its folder"
    with program:
        program.kill()
    assert gone(worker)
    (left,) = folders.clean_up()
    assert not left.exists()
    assert gone(child), "the kernel ends the worker only; what it started is ended here"
    folders.close()


def test_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", HERE["PYTHONPATH"])
    events = Events()
    folder = tmp_path / "here"
    assert run_here(Echo(1), folder, events)["folder"] == str(folder)
    assert isinstance(events.all[-1], Finished)
    with pytest.raises(Fault) as caught:
        run_here(Raise("fault"), folder, events)
    assert (caught.value.message, caught.value.where, caught.value.hint) == ("no such thing", "node 7", "Try another.")
    with pytest.raises(Fault, match="SIGABRT") as caught:
        run_here(Die("abort"), folder, events)
    assert "last words" in caught.value.__notes__[0]
    assert folder.is_dir()


def test_a_folder_that_can_not_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Fault) as caught:
        JobPool(base=tmp_path / "file" / "jobs")
    assert caught.value.hint
    folders = JobFolders(tmp_path / "base")
    folders.path.rename(tmp_path / "moved")
    with pytest.raises(Fault, match="can't make a folder for jobs: No such file"):
        folders.new()
    folders.close()


def test_job_folders_fall_back_to_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file where the cache would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folders = JobFolders()
    assert folders.new().is_dir()
    assert folders.base.parent == tmp_path
    assert folders.base.stat().st_mode & 0o077 == 0
    folders.close()
    folders.base.joinpath(".lock").unlink()
    folders.base.rmdir()
    folders.base.write_text("no folder either")
    with pytest.raises(Fault) as caught:
        JobFolders()
    assert caught.value.hint
