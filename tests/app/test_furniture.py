"""The legend and the minimap can be hidden, in all tabs and for good."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from graftwerk.app.settings import Settings
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window


def shown(tab: Tab) -> dict[str, bool]:
    canvas = tab.canvas
    legend = canvas.furniture.legend_rect(canvas.picture, canvas.look, canvas.camera)
    return {"legend": not legend.isEmpty(), "minimap": not canvas.furniture.map_rect(canvas.camera).isEmpty()}


@pytest.mark.parametrize("name", ["legend", "minimap"])
def test_hidden_furniture_stays_hidden(
    name: str, window: Window, settings: Settings, digits: Tab, models: Path, qtbot: QtBot
) -> None:
    action = window.menus.shown[f"view.{name}"]
    assert action.isChecked()
    assert shown(digits) == {"legend": True, "minimap": True}
    action.trigger()
    assert not action.isChecked()
    hidden = {"legend": True, "minimap": True} | {name: False}
    assert shown(digits) == hidden
    window.files.open([models / "encoder.onnx"])
    assert window.tab is not None
    assert window.tab is not digits
    assert shown(window.tab) == hidden
    again = Window(settings)
    qtbot.addWidget(again)
    try:
        assert not again.menus.shown[f"view.{name}"].isChecked()
    finally:
        again.shut()
    action.trigger()
    assert action.isChecked()
    assert shown(digits) == {"legend": True, "minimap": True}
