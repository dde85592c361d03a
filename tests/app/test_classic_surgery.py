"""The classic surgery: each Add with a constant scalar becomes an AddScalar plugin node with the attribute `scalar`; by
mouse, by recipe, and by the exported script, which give the same model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper
from onnx.helper import get_attribute_value
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from graftwerk.app.main import main
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.widgets.panels.form import OperationDialog
from tests.app import driving
from tests.app.driving import answering, choose, click, context_menu, dialog_of, finish, nodes_of, pick, point_of

Open = Callable[[Path], Tab]
#: Output of a node, the scalar's bits, and what is read beside it.
Facts = dict[str, tuple[bytes, str]]


def by_hand(model: ModelProto) -> Facts:
    """What the result has to be, found with onnx alone."""
    values = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    found: Facts = {}
    for node in model.graph.node:
        if node.op_type == "Add":
            scalars = [name for name in node.input if name in values and values[name].size == 1]
            if scalars:
                (other,) = [name for name in node.input if name not in scalars]
                found[node.output[0]] = np.float32(values[scalars[0]]).tobytes(), other
    return found


def plugins(model: ModelProto) -> Facts:
    found: Facts = {}
    for node in model.graph.node:
        if node.op_type == "AddScalar":
            attributes = {one.name: get_attribute_value(one) for one in node.attribute}
            assert attributes["plugin_version"] == b"1"
            assert list(attributes) == ["scalar", "plugin_version", "plugin_namespace"]
            (read,) = node.input
            found[node.output[0]] = np.float32(attributes["scalar"]).tobytes(), read
    return found


def test_by_mouse_by_recipe_and_by_script(window: Window, open_model: Open, models: Path, tmp_path: Path) -> None:
    source = models / "encoder.onnx"
    expected = by_hand(onnx.load(source))
    assert len(expected) == 7

    tab = open_model(source)
    one = next(node for node in nodes_of(tab.graph, "Add") if tab.graph.nodes[node].output[0] in expected)
    click(tab, one)
    with context_menu(tab, point_of(tab, one)) as menu:
        pick(menu, "Replace all like this")
    dialog = dialog_of(window, OperationDialog)
    typed = {"pattern": "y = Add(x, #c:scalar)", "op_type": "AddScalar", "attributes": '{"scalar": "=c"}'}
    for name, text in typed.items():
        editor = dialog.form.editors[name].input
        QTest.keyClick(editor, Qt.Key.Key_A, driving.CONTROL)
        QTest.keyClicks(editor, text)
    driving.wait_until(dialog.apply_button.isEnabled, "for the form")
    QTest.mouseClick(dialog.apply_button, driving.LEFT)
    finish(window.jobs.tasks[-1])
    with answering(choose(tmp_path / "mouse.onnx")):
        window.menus.shown["file.save_as"].trigger()
    by_mouse = onnx.load(tmp_path / "mouse.onnx")
    assert plugins(by_mouse) == expected
    onnx.checker.check_model(by_mouse)

    window.need_tab().document.recipe.save(tmp_path / "recipe.json")
    recipe = str(tmp_path / "recipe.json")
    assert main(["apply", recipe, str(source), "-o", str(tmp_path / "recipe.onnx")]) == 0
    assert onnx.load(tmp_path / "recipe.onnx") == by_mouse

    script = tmp_path / "edit.py"
    assert main(["export", recipe, str(source), "-o", str(script)]) == 0
    subprocess.run([sys.executable, script, source, tmp_path / "script.onnx"], check=True, cwd=tmp_path)
    by_script = onnx.load(tmp_path / "script.onnx")
    assert plugins(by_script) == expected
    assert [(n.op_type, list(n.input), list(n.output)) for n in by_script.graph.node] == [
        (n.op_type, list(n.input), list(n.output)) for n in by_mouse.graph.node
    ]
