"""The operation that CONTRIBUTING.md shows is a real one."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest

from graftwerk.backend.graph.files import load, save
from graftwerk.backend.operations import registry

GUIDE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
squares (float[3] x) => (float[3] y, float[3] z) <float two = {2}, float three = {3}> {
    [square] y = Pow(x, two)
    [cube] z = Pow(x, three)
}
"""


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The guide's source, imported from a file as it would be in the tree, and registered for this test alone."""
    (source,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    file = tmp_path / "square.py"
    file.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("square", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "square", module)
    monkeypatch.setattr(registry, "_registry", dict(registry.operations()))
    spec.loader.exec_module(module)
    return module


def outputs(model: Path) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {"x": np.array([-1.5, 0.0, 3.0], np.float32)})
    return dict(zip(names, values, strict=True))


@pytest.mark.usefixtures("example")
def test_guides_operation_does_what_it_says(tmp_path: Path) -> None:
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), before)
    graph = load(before)
    changed = registry.apply(registry.make("math.square", {"node": "square"}), graph)
    save(changed, after)
    onnx.checker.check_model(after, full_check=True)
    assert [node.op_type for node in changed.nodes.values()] == ["Mul", "Pow"]
    assert [node.op_type for node in graph.nodes.values()] == ["Pow", "Pow"]
    expected = outputs(before)
    for name, value in outputs(after).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


@pytest.mark.usefixtures("example")
def test_guides_operation_says_why_not(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(MODEL), tmp_path / "model.onnx")
    cube = registry.make("math.square", {"node": "cube"})
    reason = registry.why_blocked(cube, load(tmp_path / "model.onnx"))
    assert reason is not None
    assert reason.text == "The exponent is not the constant 2"
