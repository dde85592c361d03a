"""What a worker needs runs on Python 3.9 with nothing but the standard library."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graftwerk.backend.jobs.pool import JobPool
from graftwerk.backend.jobs.protocol import Finished
from tests.backend.jobs.sample_jobs import Echo

ROOT = Path(__file__).resolve().parents[3]
WORKER_FILES = ("fault.py", "jobs/__init__.py", "jobs/protocol.py", "jobs/context.py", "jobs/worker.py")
SOURCES = f"{ROOT / 'tests/links'}:{ROOT}"


def old_pythons() -> list[str]:
    """Pythons of this machine that are older than the program's own, 3.9 among them where it is installed."""
    found = [shutil.which(f"python3.{minor}") for minor in (9, 10)]
    found += [str(path) for minor in (9, 10) for path in Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")]
    runs = [path for path in found if path and subprocess.run([path, "-V"], capture_output=True).returncode == 0]
    return [sys.executable, *runs]


@pytest.mark.parametrize("name", WORKER_FILES)
def test_the_syntax_is_old(name: str) -> None:
    ast.parse((ROOT / "backend" / name).read_text(), feature_version=(3, 9))


def test_the_standard_library_is_enough() -> None:
    command = [sys.executable, "-S", "-c", "import graftwerk.backend.jobs.worker"]
    subprocess.run(command, check=True, env={"PYTHONPATH": SOURCES})


@pytest.mark.parametrize("python", old_pythons())
def test_a_job_runs_there(python: str, tmp_path: Path) -> None:
    pool = JobPool(python=python, environment={"PYTHONPATH": SOURCES}, base=tmp_path)
    outcome = pool.submit(Echo(1), lambda event: None).wait(60)
    pool.close()
    assert isinstance(outcome, Finished), outcome
    version = subprocess.run([python, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, check=True)
    assert outcome.result["python"] == [3, int(version.stdout)]
