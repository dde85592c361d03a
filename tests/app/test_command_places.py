"""Commands on bad days: outputs over inputs, streams that are closed, full or narrow, signals, numbers out of range."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from graftwerk.app.main import main
from graftwerk.backend.graph.files import load

COMMAND = [sys.executable, "-m", "graftwerk.app.main"]


def start(
    arguments: list[str], folder: Path, more: dict[str, str] | None = None, without: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in {**os.environ, **(more or {})}.items() if name not in without}
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def shell(line: str, folder: Path) -> int:
    """The exit code of a shell's line in which `graftwerk` is the command."""
    line = line.replace("graftwerk", " ".join(COMMAND), 1)
    return subprocess.run(["/bin/sh", "-c", line], cwd=folder, check=False).returncode


@pytest.fixture
def digits(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(models / "digits.onnx", tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["build", "m.onnx", "-o", "m.onnx"], "m.onnx"),
        (["build", "m.onnx", "-o", "link.engine"], "link.engine"),
        (["build", "m.onnx", "-o", "d.engine", "--report", "m.onnx"], "m.onnx"),
        (["build", "m.onnx", "-o", "d.engine", "--report", "d.engine"], "d.engine"),
        (["build", "m.onnx", "-o", "d.engine", "--report", "no/x.json"], "no/x.json"),
        (["build", "m.onnx", "-o", "no/d.engine"], "no/d.engine"),
        (["build", "m.onnx", "-o", os.devnull], os.devnull),
        (["profile", "m.onnx", "--report", "m.onnx"], "m.onnx"),
        (["profile", "m.onnx", "--report", "no/x.json"], "no/x.json"),
        (["shot", "m.onnx", "-o", "m.onnx"], "m.onnx"),
        (["apply", "r.json", "m.onnx", "-o", "r.json"], "r.json"),
    ],
)
def test_outputs_are_looked_at_before_the_work(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], place: str
) -> None:
    monkeypatch.chdir(digits.parent)
    Path("link.engine").symlink_to("m.onnx")
    Path("r.json").write_text('{"graftwerk_recipe": 1, "steps": []}')
    before = {path.name: path.read_bytes() for path in digits.parent.iterdir()}
    assert main(arguments) == 3
    said, hint = capsys.readouterr().err.strip().splitlines()
    assert said.startswith(f"graftwerk: {place}: ")
    assert hint.startswith("hint: ")
    assert {path.name: path.read_bytes() for path in digits.parent.iterdir()} == before


def test_external_data_is_not_built_over(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(digits.parent)
    onnx.save(onnx.load(digits), "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0)
    before = Path("e.data").read_bytes()
    for arguments in (["build", "e.onnx", "-o", "e.data"], ["profile", "e.onnx", "--report", "e.data"]):
        assert main(arguments) == 3
        assert "overwrite" in capsys.readouterr().err
    assert Path("e.data").read_bytes() == before


@pytest.mark.parametrize(
    "more",
    [
        ["--iterations", "0"], ["--iterations", "-5"], ["--warmup", "-1"], ["--threads", "-3"], ["--threads", "100000"],
        ["--shapes", "input:0x1x8x8"], ["--shapes", "input:99999999999999999999x1x8x8"],
        ["--shapes", "input:99999999x1x8x8"],
    ],
)  # fmt: skip
def test_a_profile_out_of_range_is_refused(digits: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    assert main(["profile", str(digits), *more]) == 3
    assert len(capsys.readouterr().err.strip().splitlines()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "m.onnx", "m.onnx", "--relative", "nan"], ["verify", "m.onnx", "m.onnx", "--absolute", "-1"],
        ["shot", "m.onnx", "-o", "x.png", "--scale", "nan"], ["shot", "m.onnx", "-o", "x.png", "--scale", "9"],
        ["shot", "m.onnx", "-o", "x.png", "--zoom", "nan"], ["shot", "m.onnx", "-o", "x.png", "--zoom", "99"],
        ["run", "node.rename", "m.onnx", "-o", "x.onnx", "--node", "\udcff", "--name", "x"],
        ["run", "node.insert", "m.onnx", "-o", "x.onnx", "--tensor", "input", "--op-type", "Relu",
         "--attributes", "[" * 50000 + "]" * 50000],
    ],
)  # fmt: skip
def test_values_out_of_range_are_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_shapes_and_options_out_of_range_are_refused(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = ["build", str(digits), "-o", str(digits.with_suffix(".engine"))]
    for more in (
        ["--shapes", "input:99999999999999999999x1x8x8"], ["--shapes", "input:0x1x8x8"],
        ["--option", "pool.WORKSPACE=99999999999999999999999"],
    ):  # fmt: skip
        assert main([*build, *more]) == 3
        said = capsys.readouterr().err
        assert len(said.strip().splitlines()) == 2, said
        assert "incompatible function arguments" not in said
    assert main([*build, "--target", "sm89", "--target", "SM89"]) == 0
    assert "for SM89\n" in capsys.readouterr().out


def test_a_name_with_line_ends_stays_on_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = helper.make_node("Relu", ["x"], ["y"], "two\nlines\x1b[31m")
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph([node], "g", infos[:1], infos[1:])), tmp_path / "m.onnx")
    assert load(tmp_path / "m.onnx").nodes
    assert main(["info", str(tmp_path / "m.onnx"), "--nodes"]) == 0
    shown = capsys.readouterr().out
    assert "two\\nlines\\x1b[31m  Relu" in shown
    assert main(["run", "node.delete", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "o"), "--nodes", "a\nb"]) == 3
    assert capsys.readouterr().err.startswith("graftwerk: a\\nb: ")


@pytest.mark.skipif(sys.platform == "win32", reason="shells and devices of Unix")
def test_standard_streams_may_be_closed_full_or_narrow(digits: Path) -> None:
    folder = digits.parent
    assert shell("graftwerk build m.onnx -o d.engine >&- 2>&-", folder) == 0
    assert (folder / "d.engine").stat().st_size > 1000
    assert onnx.load(digits).graph.node
    narrow = {"PYTHONIOENCODING": "ascii"}
    done = start(["info", "m.onnx"], folder, narrow)
    assert b"operators Conv ?" in done.communicate()[0]
    assert done.returncode == 0
    if os.path.exists("/dev/full"):
        assert shell("graftwerk info m.onnx >/dev/full 2>said", folder) == 3
        assert len((folder / "said").read_text().splitlines()) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Unix")
def test_a_reader_that_has_gone_changes_no_answer(digits: Path, models: Path) -> None:
    for arguments, answer in ((["diff", "m.onnx", str(models / "encoder.onnx")], 1), (["ops"], 0)):
        end, out = os.pipe()
        os.close(end)
        line = [*COMMAND, *arguments]
        done = subprocess.run(line, cwd=digits.parent, stdout=out, stderr=subprocess.PIPE, check=False)
        os.close(out)
        assert (done.returncode, done.stderr) == (answer, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="displays of Linux")
def test_no_display_and_no_folder_are_said(digits: Path) -> None:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    done = start(["m.onnx"], digits.parent, without=hidden)
    said = done.communicate()[1].decode()
    assert done.returncode == 3
    assert "no display" in said
    assert "graftwerk shot" in said
    done = start(["other.onnx"], digits.parent, without=hidden)
    assert "other.onnx: There is no such file" in done.communicate()[1].decode()
    assert done.returncode == 3
    gone = digits.parent / "gone"
    gone.mkdir()
    line = f"cd {gone}; rmdir {gone}; {' '.join(COMMAND)} info {digits}"
    ended = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr.startswith("graftwerk: The folder")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of Unix")
@pytest.mark.parametrize("arguments", [["profile", "m.onnx", "--iterations", "1000000"], ["build", "m.onnx"]])
def test_a_terminated_command_leaves_nothing(digits: Path, arguments: list[str]) -> None:
    places = {name: digits.parent / name.lower() for name in ("TMPDIR", "XDG_CACHE_HOME")}
    for place in places.values():
        place.mkdir()
    if arguments[0] == "build":
        arguments = [*arguments, "-o", "d.engine", "--verbose"]
    done = start(arguments, digits.parent, {name: str(place) for name, place in places.items()})
    limit = time.monotonic() + 30
    jobs = places["XDG_CACHE_HOME"] / "graftwerk" / "jobs"
    while not list(jobs.glob("*/worker*.log")) and done.poll() is None:  # its worker has been started
        assert time.monotonic() < limit
    done.send_signal(signal.SIGTERM)
    done.communicate(timeout=30)
    assert done.returncode == 143
    assert not list(places["TMPDIR"].glob("graftwerk-*"))
    assert not [path for path in jobs.iterdir() if path.is_dir()]
    assert not (digits.parent / "d.engine").exists()
