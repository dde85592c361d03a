"""Read the layer information that TensorRT 8.6 writes (trtexec --exportLayerInfo, detailed) as layers. Runs on 3.9."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from graftwerk.backend.engines.report import Layer, LayerTensor
from graftwerk.backend.fault import Fault

_DTYPE = re.compile(r"\b(FP32|FP16|BF16|Int8|FP8|Int32|Int64|Bool)\b")
_NODE = re.compile(r"\[ONNX Layer: ([^\]\x1e]+)\]")
_WEIGHTS = {"Float": "FP32", "Half": "FP16", "Int8": "INT8", "BFloat16": "BF16", "FP8": "FP8"}


def read_layers(path: Path) -> tuple[Layer, ...]:
    """The layers of one engine, in the order they run. Raises Fault where the file is not such a report."""
    try:
        # TensorRT leaves the separators of its metadata unescaped: control characters inside of strings.
        records = json.loads(path.read_text(encoding="utf-8"), strict=False)["Layers"]
        return tuple(_layer(record) for record in records)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Fault(
            "This is no layer information of TensorRT's", str(path),
            f"Export it from an engine that was built with detailed profiling verbosity ({error!r})",
        ) from error


def _layer(record: dict[str, Any]) -> Layer:
    weights = record.get("Weights", {}).get("Type", "")
    return Layer(
        name=record["Name"],
        kind=record["LayerType"],
        precision=_WEIGHTS.get(weights, ""),
        inputs=tuple(_tensor(tensor) for tensor in record["Inputs"]),
        outputs=tuple(_tensor(tensor) for tensor in record["Outputs"]),
        tactic=record.get("TacticName", ""),
        onnx_nodes=tuple(dict.fromkeys(_NODE.findall(record.get("Metadata", "")))),
    )


def _tensor(record: dict[str, Any]) -> LayerTensor:
    text = record["Format/Datatype"]
    found = _DTYPE.search(text)
    if found is None:
        raise ValueError(f"unknown datatype {text!r}")
    return LayerTensor(record["Name"], found[1].upper(), text, tuple(record["Dimensions"]))
