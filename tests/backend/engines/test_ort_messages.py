"""What ONNX Runtime refuses is said plainly, with the node and a way out."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import parser

from graftwerk.backend.engines.onnxruntime import ProfileOnnxRuntime
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.pool import run_here

START = '<ir_version: 9, opset_import: ["": 17, "trt.plugins": 1]> g '
AB = {"a": (2, 4), "b": (3, 4)}


def refusal(path: Path, out: Path, shapes: dict[str, tuple[int, ...]]) -> Fault:
    with pytest.raises(Fault) as caught:
        run_here(ProfileOnnxRuntime(str(path), shapes=shapes, warmup=0, iterations=1), out, lambda event: None)
    return caught.value


@pytest.mark.parametrize(("body", "shapes", "message", "hint"), [
    ("(float[2,4] a, float[3,4] b) => (float[2,4] c) { [n] c = Add(a, b) }", {}, "Incompatible dimensions",
     "dimensions"),
    ("(float[N,4] a, float[M,4] b) => (float[N,4] c) { [n] c = Add(a, b) }", AB,
     "its inputs don't fit together: sizes 2 and 3 of one axis can't be broadcast", "data or shapes"),
    ("(float[N,4] a, float[M,4] b) => (float[2,4] c) { [n] c = MatMul(a, b) }", AB, "MatMul dimension mismatch",
     "data or shapes"),
    ("(float[2,4] a, int64[2,4] b) => (float[2,4] c) { [n] c = Add(a, b) }", {},
     "Add reads different datatypes, tensor(float) and tensor(int64)", "Cast"),
    ("(float[N,4] a, int64[2] b) => (float[2,4] c) { [n] c = Reshape(a, b) }", {"a": (1, 4)},
     "The input tensor cannot be reshaped to the requested shape. Input shape:{1,4}, requested shape:{1,1}",
     "data or shapes"),
    ("(float[2,4] a) => (float[2,4] c) { [n] c = trt.plugins.MHA(a) }", {},
     "there is no operator MHA in the domain trt.plugins", "stand-in"),
    ("(float[2,4] a) => (float[2,4] c) { [n] c = TopK(a) }", {},
     "TopK (opset 11) has input size 1 not in range [min=2, max=2].", "export the model again"),
])  # fmt: skip
def test_a_refusal_names_the_node_and_the_reason(
    tmp_path: Path, body: str, shapes: dict[str, tuple[int, ...]], message: str, hint: str
) -> None:
    onnx.save(parser.parse_model(START + body), tmp_path / "m.onnx")
    fault = refusal(tmp_path / "m.onnx", tmp_path, shapes)
    assert (fault.message, fault.where) == (f"ONNX Runtime: {message}", "n")
    assert hint in fault.hint


def test_a_node_that_the_runtime_fused_is_led_back(models: Path, tmp_path: Path) -> None:
    """With all optimizations a Conv and the Relu behind it go by the name of a tensor."""
    model = onnx.load(models / "digits.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(model, tmp_path / "m.onnx")
    fault = refusal(tmp_path / "m.onnx", tmp_path, {})
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    assert fault.where == conv.name
    assert fault.message == "ONNX Runtime: its input has 3 channels, its weights are for 1"


def test_a_model_that_is_too_new_says_so(tmp_path: Path) -> None:
    model = parser.parse_model(START + "(float[2,4] a) => (float[2,4] c) { c = Relu(a) }")
    model.ir_version = 99
    onnx.save(model, tmp_path / "m.onnx")
    fault = refusal(tmp_path / "m.onnx", tmp_path, {})
    assert fault.message.startswith("ONNX Runtime: Unsupported model IR version: 99")
    assert "newer" in fault.hint


def test_weights_that_are_not_there_are_asked_for(models: Path, tmp_path: Path) -> None:
    model = onnx.load(models / "digits.onnx")
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="gone.bin", size_threshold=0)
    (tmp_path / "gone.bin").unlink()
    assert "beside the model" in refusal(tmp_path / "m.onnx", tmp_path, {}).hint
