"""The real window, with settings of its own, closed after each test with everything that it started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from graftwerk.app.settings import Settings
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.operations.registry import apply, make
from tests.app.driving import children, wait_until

Open = Callable[..., Tab]


@pytest.fixture
def settings(qapp: QApplication, tmp_path: Path) -> Settings:
    return Settings(tmp_path / "settings" / "window.ini")


@pytest.fixture
def window(qtbot: QtBot, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    """A shown window without a model. Its end leaves no process behind."""
    before = children()
    made = Window(settings)
    made.resize(1600, 1000)
    made.show()
    qtbot.waitExposed(made)
    yield made
    monkeypatch.setattr(made.files, "may_close", lambda tab: True)  # nobody wants a test's changes
    made.close()
    made.deleteLater()
    assert children() <= before


@pytest.fixture
def open_model(window: Window) -> Open:
    """Opens a file in the window and waits for the types of its tensors."""

    def opened(path: Path) -> Tab:
        window.files.open([path])
        tab = window.tab
        assert tab is not None
        assert tab.document.path == path
        wait_until(lambda: tab.inference.known)
        return tab

    return opened


@pytest.fixture
def digits(open_model: Open, models: Path) -> Tab:
    return open_model(models / "digits.onnx")


@pytest.fixture
def quantized_digits(models: Path, tmp_path: Path) -> Path:
    """The digits with the convolution behind a pooling quantized, as a file."""
    graph = load(models / "digits.onnx")
    path = tmp_path / "quantized.onnx"
    save(apply(make("qdq.insert_layer", {"node": "/mixed/branch_pool/conv/Conv"}), graph), path)
    return path
