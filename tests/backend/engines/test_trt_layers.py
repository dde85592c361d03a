from pathlib import Path

import pytest

from graftwerk.backend.engines.trt_layers import read_layers
from graftwerk.backend.fault import Fault


def test_a_report_of_tensorrt_8_6(shared: Path) -> None:
    folder = shared / "trt86-h200/qdq-placement"
    layers = read_layers(folder / "b32_int8_expert.layers.json")
    assert len(layers) == 65
    assert sum(layer.kind == "Reformat" for layer in layers) == 8
    conv = next(layer for layer in layers if "/layer1.0.conv1/Conv" in layer.onnx_nodes and layer.precision)
    assert (conv.precision, conv.inputs[0].dtype, conv.inputs[0].shape) == ("INT8", "INT8", (32, 64, 56, 56))
    half = read_layers(folder / "b32_fp16.layers.json")
    assert {layer.precision for layer in half} == {"FP16", ""}


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"Layers": ["only names"]}')
    with pytest.raises(Fault, match="no layer information"):
        read_layers(tmp_path / "x.json")
