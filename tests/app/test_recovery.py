from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
RENAME = {"operation": "node.rename", "node": "/stem/conv/Conv", "name": "first"}
UNUSED = {"operation": "tensor.rename", "tensor": "logits", "name": "scores"}
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the program with a data folder of the test's own; ends those that still run."""
    running: list[subprocess.Popen[bytes]] = []

    def started(out: Path, what: object, *models: Path) -> subprocess.Popen[bytes]:
        environment = os.environ | {"GRAFTWERK_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
        text = what if isinstance(what, str) else json.dumps(what)
        command = [sys.executable, "-m", "tests.app.restart", str(out), text, *map(str, models)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        running.append(process)
        return process

    yield started
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for(out: Path, process: subprocess.Popen[bytes]) -> None:
    ready = out.with_name(f"{out.name}.ready")
    while not ready.exists():
        assert process.poll() is None or ready.exists(), "the program ended before it was ready"
        time.sleep(0.02)  # another process: there is nothing to wait on but its file


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def edit_and_kill(start: Start, out: Path, steps: list[dict[str, str]], model: Path) -> bytes:
    process = start(out, steps, model)
    wait_for(out, process)
    kill(process)
    return out.read_bytes()


def restored(start: Start, out: Path) -> tuple[bytes | None, str]:
    """The model after a new start and a click on Restore, and what the dialog said, "" where there was none."""
    process = start(out, "restore")
    wait_for(out, process)
    process.wait()
    said = out.with_name(f"{out.name}.dialog")
    return (out.read_bytes() if out.exists() else None), (said.read_text() if said.exists() else "")


@pytest.fixture
def model(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(models / "digits.onnx", tmp_path / "digits.onnx"))


def test_edits_come_back_after_a_kill_byte_for_byte_and_a_clean_end_leaves_nothing(
    start: Start, model: Path, tmp_path: Path
) -> None:
    steps = [RENAME, UNUSED, {"operation": "qdq.insert_layer", "node": "first"}, {"do": "undo"}]
    lost = edit_and_kill(start, tmp_path / "lost", steps, model)
    found, said = restored(start, tmp_path / "found")
    assert found == lost
    assert said.split("\t")[0] == "digits.onnx"
    assert said.split("\t")[2] == "2"
    again, said = restored(start, tmp_path / "again")
    assert (again, said) == (None, "")
    assert not list((tmp_path / "data" / "autosave").glob("*/*.json"))


def test_a_slow_step_and_a_file_that_is_gone_by_then(start: Start, models: Path, tmp_path: Path) -> None:
    model = Path(shutil.copy(models / "digits_bn.onnx", tmp_path / "digits.onnx"))
    values = tmp_path / "values.npy"
    name, shape = bias_of(model)
    np.save(values, np.full(shape, 0.25, np.float32))
    steps = [
        {"operation": "weights.replace", "tensor": name, "file": str(values)},
        {"operation": "cleanup.simplify"},
    ]
    lost = edit_and_kill(start, tmp_path / "lost", steps, model)
    values.unlink()
    found, _ = restored(start, tmp_path / "found")
    assert found == lost


def bias_of(model: Path) -> tuple[str, tuple[int, ...]]:
    from graftwerk.backend.graph.files import load

    weight = next(one for one in load(model).initializers.values() if len(one.dims) == 1)
    return weight.name, weight.dims


def test_edits_behind_a_save_over_the_opened_file(start: Start, model: Path, tmp_path: Path) -> None:
    steps = [RENAME, {"do": "save"}, UNUSED]
    lost = edit_and_kill(start, tmp_path / "lost", steps, model)
    found, said = restored(start, tmp_path / "found")
    assert found == lost
    assert said.split("\t")[2] == "1"


def test_what_was_undone_past_a_save_over_the_opened_file(start: Start, model: Path, tmp_path: Path) -> None:
    steps = [RENAME, UNUSED, {"do": "save"}, {"do": "undo"}]
    lost = edit_and_kill(start, tmp_path / "lost", steps, model)
    found, _ = restored(start, tmp_path / "found")
    assert found == lost


def test_a_model_that_has_changed_or_is_gone_is_said(start: Start, model: Path, tmp_path: Path) -> None:
    edit_and_kill(start, tmp_path / "lost", [RENAME], model)
    shutil.copy(ROOT / "resources" / "models" / "digits_bn.onnx", model)
    found, said = restored(start, tmp_path / "found")
    assert "has changed since" in said
    assert found is not None
    assert b"first" in found


def test_two_running_programs_leave_each_others_edits_alone(start: Start, model: Path, tmp_path: Path) -> None:
    first = start(tmp_path / "first", [RENAME], model)
    wait_for(tmp_path / "first", first)
    found, said = restored(start, tmp_path / "second")
    assert (found, said) == (None, "")
    kill(first)
    found, said = restored(start, tmp_path / "third")
    assert found == (tmp_path / "first").read_bytes()


def test_a_terminated_program_keeps_its_edits(start: Start, model: Path, tmp_path: Path) -> None:
    process = start(tmp_path / "lost", [RENAME], model)
    wait_for(tmp_path / "lost", process)
    process.terminate()
    process.wait()
    found, _ = restored(start, tmp_path / "found")
    assert found == (tmp_path / "lost").read_bytes()
