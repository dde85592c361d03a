"""Pictures of the window and the unattended run: what they leave behind is whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PySide6.QtGui import QImage

from graftwerk.app.main import main
from graftwerk.backend.engines.onnxruntime import run_model

ROOT = Path(__file__).resolve().parents[2]


def colors_of(image: QImage) -> int:
    """How many colours a picture has, looked at every few pixels."""
    points = ((x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 5))
    return len({image.pixel(x, y) for x, y in points})


def shoot(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a user gives it, in a process of its own: a picture's scale is that of its process."""
    command = [sys.executable, "-m", "graftwerk.app.main", "shot", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (["--size", "1000x650", "--overlay", "fusion"], (1000, 650)),
        (["--size", "900x600", "--scale", "2", "--theme", "dark", "--overlay", "precision"], (1800, 1200)),
        (["--size", "1600x1000", "--overlay", "time", "--select", "/stem/conv/Conv", "--zoom", "1.5"], (1600, 1000)),
    ],
)
def test_a_picture_has_the_size_asked_for(
    models: Path, tmp_path: Path, arguments: list[str], size: tuple[int, int]
) -> None:
    target = tmp_path / "window.png"
    done = shoot(str(models / "digits.onnx"), "-o", str(target), *arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    image = QImage(str(target))
    assert (image.width(), image.height()) == size
    assert colors_of(image) > 20
    assert (image.pixelColor(image.width() // 3, image.height() // 3).lightness() < 128) is ("dark" in arguments)


def test_what_cannot_be_pictured_is_a_fault(models: Path, tmp_path: Path) -> None:
    digits = str(models / "digits.onnx")
    for more in (["--select", "nowhere"], ["--target", "sm12", "--overlay", "fusion"], ["--target", "sm99"]):
        done = shoot(digits, "-o", str(tmp_path / "x.png"), *more)
        assert done.returncode == 3, more
        assert done.stderr.startswith("graftwerk: "), done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "x.png").exists()
    for place, reason in (("no/x.png", "folder"), ("x.xyz", "kind of picture")):
        done = shoot(digits, "-o", str(tmp_path / place))
        assert done.returncode == 3
        assert reason in done.stderr


def test_the_unattended_run_leaves_everything(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    environment = {name: value for name, value in os.environ.items() if name != "QT_QPA_PLATFORM"}
    command = [sys.executable, "-m", "graftwerk.app.unattended", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert str(out) in done.stdout
    assert len(done.stderr.splitlines()) < 3, done.stderr

    edited, recipe = out / "digits_int8.onnx", out / "digits.recipe.json"
    replayed = tmp_path / "replayed.onnx"
    assert main(["apply", str(recipe), str(models / "digits.onnx"), "-o", str(replayed)]) == 0
    assert onnx.load(replayed) == onnx.load(edited)
    evaluation = np.load(models / "digits_eval.npz")
    (logits,) = run_model(edited, {"input": evaluation["input"]}).values()
    assert (logits.argmax(axis=1) == evaluation["label"]).mean() > 0.95

    report = json.loads((out / "digits_int8.report.json").read_text())
    (engine,) = out.glob("*.engine")
    assert engine.stat().st_size == report["engine_bytes"] > 0
    assert report["targets"] == ["sm89"]
    assert sum(layer["precision"] == "INT8" for layer in report["layers"]) >= 10
    profile = json.loads((out / "digits_int8.profile.json").read_text())
    assert profile["backend"] == "onnxruntime"
    assert profile["layers"]
    assert profile["latency_milliseconds"]
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) >= 4
    for picture in pictures:
        image = QImage(str(picture))
        assert (image.width(), image.height()) == (1600, 1000)
        assert colors_of(image) > 20
    assert {path.suffix for path in out.iterdir()} == {".onnx", ".json", ".engine", ".png"}


def test_the_unattended_run_says_what_went_wrong(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    command = [sys.executable, "-m", "graftwerk.app.unattended", str(tmp_path / "out"), str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "bad.onnx" in done.stderr
    assert "Traceback" not in done.stderr
