"""The Python interface: `graftwerk.open`, operations as functions, recipe, undo, what notebooks show; and the guide's
examples, which are run as they stand."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

import graftwerk
from graftwerk.backend.fault import Fault
from graftwerk.resources import model as bundled

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "python.md"


def test_a_model_is_edited_and_saved(tmp_path: Path) -> None:
    model = graftwerk.open(bundled("digits"))
    assert model.nodes("@op=Conv [0]") == ["/stem/conv/Conv"]
    model.ops.node.rename(node="@op=Conv [0]", name="first")
    model.ops.qdq.insert(tensor="@graph.input [0]", scale=np.float32(0.05))
    assert len(model.recipe.steps) == 2
    model.save(tmp_path / "out.onnx")
    assert onnx.load(tmp_path / "out.onnx").graph.node[0].op_type == "QuantizeLinear"
    assert model.undo().nodes("first") == ["first"]
    again = graftwerk.open(bundled("digits")).replay(model.redo().recipe)
    assert [again.graph.nodes[node].name for node in again.graph.nodes] == [
        model.graph.nodes[node].name for node in model.graph.nodes
    ]


def test_faults_leave_the_model_as_it_was() -> None:
    model = graftwerk.open(bundled("digits"))
    graph = model.graph
    with pytest.raises(Fault, match="no such node"):
        model.ops.node.rename(node="gone", name="x")
    with pytest.raises(Fault, match="no parameter"):
        model.ops.node.rename(node="/stem/conv/Conv", nam="x")
    with pytest.raises(Fault, match="nothing to undo"):
        model.undo()
    assert model.graph is graph
    with pytest.raises(AttributeError, match="no operation"):
        model.ops.node.paint  # noqa: B018
    with pytest.raises(AttributeError, match="no family"):
        model.ops.colour  # noqa: B018


def test_operations_are_functions_with_signature_and_text() -> None:
    model = graftwerk.open(bundled("digits"))
    assert "qdq" in dir(model.ops)
    assert "insert_layer" in dir(model.ops.qdq)
    assert str(inspect.signature(model.ops.node.rename)) == "(*, node, name)"
    assert "another name" in (inspect.getdoc(model.ops.node.rename) or "")
    assert set(graftwerk.operations()) >= {"node.delete", "qdq.insert"}


def test_notebooks_show_a_model() -> None:
    model = graftwerk.open(bundled("digits"))
    model.ops.node.rename(node="/stem/conv/Conv", name="<first>")
    assert repr(model) == "<Model digits.onnx: 31 nodes, 1 edit>"
    html = model._repr_html_()
    assert "N×1×8×8 FP32" in html
    assert "&lt;first&gt;" in html


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))
def test_the_examples_of_the_guide_run(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.onnx").write_bytes(bundled("digits").read_bytes())
    edited = graftwerk.open("digits.onnx").ops.node.rename(node="@op=Conv [0]", name="first")
    edited.recipe.save(tmp_path / "edits.recipe.json")
    exec(compile(example, str(GUIDE), "exec"), {})
