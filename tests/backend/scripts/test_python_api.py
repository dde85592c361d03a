"""The script for our own interface, run as it is written, gives what the recipe gives."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.step import Step
from graftwerk.backend.scripts.python_api import script_of
from graftwerk.resources import model as bundled


@pytest.mark.parametrize("name", ["who", "model", "class"])
def test_it_gives_what_the_recipe_gives(name: str, tmp_path: Path) -> None:
    steps = (
        Step("node.rename", {"node": "/stem/conv/Conv", "name": "{a} $$ ${" + name + "}"}, "braces,\nand a dollar"),
        Step("node.rename", {"node": "/stem/relu/Relu", "name": f"${name}"}),
        Step("qdq.insert", {"tensor": "@graph.input [0]", "scale": "$scale"}),
        Step("node.delete", {"nodes": ["gone"]}, enabled=False),
        Step("node.insert", {"tensor": "@out0: op=Gemm", "op_type": "Softmax", "attributes": {"axis": -1}}),
    )
    recipe = Recipe(steps, "digits.onnx", {name: "it's", "scale": 0.5})
    (tmp_path / "edit.py").write_text(script_of(recipe, "edit.py"))
    out = tmp_path / "out.onnx"
    with patch.object(sys, "argv", ["edit.py", str(bundled("digits")), str(out)]):
        runpy.run_path(str(tmp_path / "edit.py"))
    expected = replay(recipe, load(bundled("digits")))
    assert to_model(load(out)) == to_model(expected)
    assert "{a} $ it's" in expected.names
