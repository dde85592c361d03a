"""Small models in files, which others take in."""

from __future__ import annotations

import atexit
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from tests.backend.operations.law_models import parsed

_FOLDER = TemporaryDirectory(prefix="graftwerk-grafts-")
atexit.register(_FOLDER.cleanup)


def saved(name: str, model: ModelProto, folder: Path | None = None) -> str:
    """Writes a model and gives its path."""
    onnx.checker.check_model(model)
    path = (folder or Path(_FOLDER.name)) / f"{name}.onnx"
    onnx.save(model, path)
    return str(path)


#: a · scale + 1 of a 2×3 tensor, with names that `residual` and `chain` have too.
SCALE = saved(
    "scale",
    parsed("s (float[2,3] x) => (float[2,3] y) <float scale = {2}, float b = {1}> { a = Mul(x, scale) y = Add(a, b) }"),
)
#: Two inputs and two outputs, one of them of another shape, and an If with a body.
PAIR = saved(
    "pair",
    parsed(
        """p (float[2,3] left, bool c) => (float[2,3] both, float[3] rows) {
            both = If (c) < then_branch = t () => (float[2,3] r) { r = Relu(left) },
                            else_branch = e () => (float[2,3] inner) { inner = Neg(left) } >
            rows = ReduceSum<keepdims = 0>(both, axes)
        }""".replace("{\n            both", "<int64[1] axes = {0}> {\n            both", 1)
    ),
)
#: A call of a function.
CALL = saved(
    "call",
    onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        c (float[2,3] x) => (float[2,3] y) { y = local.Twice(x) }
        <domain: "local", opset_import: ["" : 17]> Twice (v) => (w) { w = Sub(v, v) }"""
    ),
)
#: Opset 11, where ReduceSum has its axes in an attribute.
OLD = saved(
    "old",
    parsed("o (float[2,3] x) => (float[3] y) { a = Relu(x) y = ReduceSum<axes = [0], keepdims = 0>(a) }", opset=11),
)


def external(folder: Path, name: str, values: list[float], location: str = "weights.bin") -> str:
    """x · w with w in a file beside the model."""
    model = parsed("e (float[2,3] x) => (float[2,3] y) { y = Mul(x, w) }")
    weight = numpy_helper.from_array(np.array(values, np.float32), "w")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / location).write_bytes(weight.raw_data)
    onnx.external_data_helper.set_external_data(weight, location)
    weight.ClearField("raw_data")
    model.graph.initializer.append(weight)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return str(path)
