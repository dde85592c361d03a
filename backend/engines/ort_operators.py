"""The operators that ONNX Runtime adds to ONNX, as it describes them itself."""

from __future__ import annotations

from typing import Any

from graftwerk.backend.fault import Fault

#: The domain of its operators; those of its other domains are made by its own optimizer only.
DOMAIN = "com.microsoft"


def contrib_schemas() -> tuple[str, list[Any]]:
    """The version of ONNX Runtime, and the schemas of its domain; they have the fields of onnx's.

    Importing it takes a tenth of a second. Raises Fault where it is not installed.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise Fault(f"ONNX Runtime can't be imported: {error}", "", "pip install onnxruntime") from error
    return onnxruntime.__version__, [found for found in state.get_all_operator_schema() if found.domain == DOMAIN]
