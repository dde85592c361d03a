"""The sweep over opsets: the command, and the table in the window."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from PySide6.QtTest import QTest

from graftwerk.app.main import main
from graftwerk.app.opset_control import sweep
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.table_dialog import TableDialog
from tests.app import driving
from tests.app.driving import dialog_of, finish

NEWEST = onnx.defs.onnx_opset_version()


def test_the_command_tells_every_opset(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opsets", str(models / "digits.onnx"), "13", "14", "17", str(NEWEST), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    old, first, current, newest = result["opsets"]
    assert result["current"] == 17
    assert (old["converter"], old["checker"], old["parser"]) == ("refused", "not tried", "not tried")
    assert old["where"] == "/stem/relu/Relu"
    assert old["why"] == "Relu changed with opset 14, and onnx's converter knows no way back to opset 13"
    for each in (first, current, newest):
        assert (each["converter"], each["checker"], each["parser"]) == ("passed", "passed", "passed")
    assert main(["opsets", str(models / "digits.onnx"), "13"]) == 1
    assert "Relu changed with opset 14" in capsys.readouterr().out


def test_what_the_parser_refuses_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "trt.plugins" : 1]>
        g (float[2,3] x) => (float[2,3] y) { y = trt.plugins.Own(x) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "plugin.onnx")
    assert main(["opsets", str(tmp_path / "plugin.onnx"), "17", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["opsets"]
    assert (found["converter"], found["checker"], found["parser"]) == ("passed", "passed", "refused")
    assert "no operator Own" in found["why"]


def test_the_table_converts(window: Window, digits: Tab) -> None:
    task = finish(sweep(window))
    assert task.view.total == NEWEST
    dialog = dialog_of(window, TableDialog)
    places = [dialog.table.model().index(row, 0) for row in range(dialog.table.rowCount())]
    cells = {place.data(): [place.siblingAtColumn(column).data() for column in range(1, 6)] for place in places}
    assert cells["17 (now)"][:3] == ["passed", "passed", "passed"]
    assert cells["13"][0] == "refused"
    assert cells["13"][3] == "/stem/relu/Relu"
    place = places[list(cells).index("15")]
    dialog.table.scrollTo(place)
    at = dialog.table.visualRect(place).center()
    QTest.mouseClick(dialog.table.viewport(), driving.LEFT, driving.NONE, at)
    QTest.mouseClick(dialog.buttons["convert"], driving.LEFT)
    form = dialog_of(window, OperationDialog)
    QTest.mouseClick(form.apply_button, driving.LEFT)
    assert digits.document.graph.opset() == 15
    dialog.close()
