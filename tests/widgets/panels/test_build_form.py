"""The dialogs before a build and before a profile: filled in from the graph, and right about what can't be run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from graftwerk.backend.engine_jobs import BuildSettings, profile_job
from graftwerk.backend.engines.onnxruntime import ProfileOnnxRuntime
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.widgets.panels.build_form import BuildDialog
from graftwerk.widgets.panels.option_form import format_bytes, parse_bytes
from graftwerk.widgets.panels.profile_form import ProfileDialog
from graftwerk.widgets.panels.shape_form import default_ranges

LIBRARY: dict[str, Any] = {
    "version": "1.7.1", "targets": ["sm75", "sm89", "sm120"], "options": [
        {"name": "flag.TF32", "kind": "bool", "default": True, "choices": [], "note": ""},
        {"name": "flag.REFIT", "kind": "bool", "default": False, "choices": [], "note": "needs a GPU to build"},
        {"name": "pool.WORKSPACE", "kind": "bytes", "default": 1 << 36, "choices": [], "note": ""},
        {"name": "max_aux_streams", "kind": "int", "default": -1, "choices": [], "note": ""},
        {"name": "tiling_optimization_level", "kind": "choice", "default": "NONE", "choices": ["NONE", "FAST"],
         "note": ""},
    ],
}  # fmt: skip


def build_dialog(model: Path, qtbot: QtBot, settings: BuildSettings | None = None, **more: Any) -> BuildDialog:
    given = {"library": LIBRARY, "engine_path": "", **more}
    dialog = BuildDialog(load(model), settings=settings or BuildSettings(), **given)
    qtbot.addWidget(dialog)
    return dialog


def test_a_build_that_was_not_touched_is_what_it_was(models: Path, tmp_path: Path, qtbot: QtBot) -> None:
    for settings in (
        BuildSettings(("sm75", "sm120"), str(tmp_path / "a.engine"), (), {"flag.TF32": False, "pool.WORKSPACE": 1}),
        BuildSettings(("sm89",), "", ({"input": ((1, 1, 8, 8), (4, 1, 8, 8), (16, 1, 8, 8))},),
                      {"max_aux_streams": 2, "tiling_optimization_level": "FAST"}),
    ):  # fmt: skip
        dialog = build_dialog(models / "digits.onnx", qtbot, settings)
        assert dialog.build_button.isEnabled(), dialog.reason.text()
        assert dialog.settings() == settings


def test_shapes_are_filled_in_and_checked(models: Path, qtbot: QtBot) -> None:
    dialog = build_dialog(models / "digits.onnx", qtbot)
    (lines,) = dialog.profiles[0].lines.values()
    expected = default_ranges(load(models / "digits.onnx"))["input"]
    assert [line.text() for line in lines] == ["x".join(map(str, shape)) for shape in expected]
    assert dialog.settings().profiles == ()
    for text, word in (("4x1x8", "dimensions"), ("1x1x7x8", "is 8"), ("some", "not a shape"), ("99x1x8x8", "MIN")):
        lines[0].setText(text)
        assert word in dialog.reason.text()
        assert not dialog.build_button.isEnabled()
        assert lines[0].property("invalid") is True
    lines[0].setText("1 × 1 × 8 × 8")
    lines[2].setText("32x1x8x8")
    assert dialog.build_button.isEnabled()
    assert dialog.settings().profiles == ({"input": ((1, 1, 8, 8), expected[1], (32, 1, 8, 8))},)


def test_profiles_are_added_and_removed(models: Path, qtbot: QtBot) -> None:
    dialog = build_dialog(models / "digits.onnx", qtbot)
    dialog._add_profile({})
    dialog.profiles[1].lines["input"][2].setText("64x1x8x8")
    assert [profile["input"][2] for profile in dialog.settings().profiles] == [(8, 1, 8, 8), (64, 1, 8, 8)]
    dialog.tabs.tabCloseRequested.emit(0)
    assert [profile["input"][2] for profile in dialog.settings().profiles] == [(64, 1, 8, 8)]
    dialog.tabs.tabCloseRequested.emit(0)
    assert len(dialog.profiles) == 1


def test_a_build_needs_a_target_and_a_folder(models: Path, tmp_path: Path, qtbot: QtBot) -> None:
    dialog = build_dialog(models / "digits.onnx", qtbot)
    dialog.targets["sm89"].setChecked(False)
    assert "target" in dialog.reason.text()
    dialog.targets["sm75"].setChecked(True)
    assert dialog.build_button.isEnabled()
    dialog.engine.setText(str(tmp_path / "none" / "x.engine"))
    assert "does not exist" in dialog.reason.text()
    assert not dialog.build_button.isEnabled()


def test_without_the_library_what_was_chosen_is_kept(models: Path, qtbot: QtBot) -> None:
    settings = BuildSettings(("sm89",), options={"flag.TF32": False})
    assert build_dialog(models / "digits.onnx", qtbot, settings, library={}).settings() == settings


def test_sizes_are_read_as_they_are_written() -> None:
    for count in (0, 1, 1000, 1024, 3 << 20, 1 << 36, 5 << 40):
        assert parse_bytes(format_bytes(count)) == count
    assert parse_bytes("1.5g") == 3 << 29
    with pytest.raises(Fault):
        parse_bytes("much")


def test_profile_settings_are_keyword_arguments_of_the_job(models: Path, tmp_path: Path, qtbot: QtBot) -> None:
    graph = load(models / "digits.onnx")
    dialog = ProfileDialog(graph, {})
    qtbot.addWidget(dialog)
    assert profile_job(graph, tmp_path, **dialog.settings()) == ProfileOnnxRuntime(str(next(tmp_path.glob("*.onnx"))))
    dialog.shapes.lines["input"][0].setText("5x1x8x8")
    dialog.numbers["iterations"].setValue(7)
    dialog.level.setCurrentIndex(1)
    dialog.add_files([str(models / "digits_calib.npz"), "notes.txt"])
    found = dialog.settings()
    assert found["shapes"] == {"input": (5, 1, 8, 8)}
    assert (found["iterations"], found["optimization"]) == (7, "basic")
    assert found["files"] == (str(models / "digits_calib.npz"),)
    again = ProfileDialog(graph, found)
    qtbot.addWidget(again)
    assert again.settings() == found


def test_a_profile_says_what_is_wrong(models: Path, tmp_path: Path, qtbot: QtBot) -> None:
    dialog = ProfileDialog(load(models / "digits.onnx"), {"files": (str(tmp_path / "gone.npz"),)})
    qtbot.addWidget(dialog)
    assert "gone" in dialog.reason.text()
    assert not dialog.profile_button.isEnabled()
    dialog.files.selectAll()
    dialog.remove_button.click()
    assert dialog.profile_button.isEnabled()
    dialog.shapes.lines["input"][0].setText("1x3x8x8")
    assert "is 1 in the model" in dialog.reason.text()
    assert not dialog.profile_button.isEnabled()
