"""Every operator that ONNX and ONNX Runtime know has a family."""

from __future__ import annotations

import onnx
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

from graftwerk.backend.graph import families
from graftwerk.backend.graph.families import FAMILIES, op_family

# Text, images, hashes, whole foreign programs: what no family of tensor arithmetic fits.
UNFIT = {
    "Gradient", "ImageDecoder", "RegexFullMatch", "StringNormalizer", "StringSplit", "TfIdfVectorizer",
    "EPContext", "MurmurHash3", "NGramHashMapping", "NGramRepeatBlock", "SampleOp", "Snpe", "Tokenizer",
    "VarlenNGramHashMapping",
}


def test_every_standard_operator_has_a_family() -> None:
    known = {(schema.name, schema.domain) for schema in onnx.defs.get_all_schemas_with_history()}
    assert len(known) > 200
    found = {op: op_family(*op) for op in known}
    assert not [op for op, family in found.items() if family == "plugin"]
    assert {op for (op, _), family in found.items() if family == "other"} <= UNFIT


def test_every_operator_of_onnx_runtime_has_a_family() -> None:
    known = {(schema.name, schema.domain) for schema in get_all_operator_schema() if schema.domain}
    assert len(known) > 100
    found = {op: op_family(*op) for op in known}
    assert not [op for op, family in found.items() if family == "plugin"]
    assert {op for (op, _), family in found.items() if family == "other"} <= UNFIT


def test_an_operator_stands_in_one_family_only() -> None:
    for table in (families._STANDARD, families._MICROSOFT):
        names = [op for ops in table.values() for op in ops.split()]
        assert len(names) == len(set(names))
        assert set(table) <= set(FAMILIES)


@pytest.mark.parametrize(
    ("op_type", "domain", "family"),
    [
        ("Conv", "", "compute"),
        ("Conv", "com.ms.internal.nhwc", "compute"),
        ("Relu", "ai.onnx", "activation"),
        ("SkipLayerNormalization", "com.microsoft", "normalization"),
        ("QuantizeLinear", "com.microsoft", "quantize"),
        ("TRT_FP8DequantizeLinear", "trt", "quantize"),
        ("DynamicQuantizeLinear", "", "quantize"),
        ("TRT_FP4DynamicQuantize", "trt", "quantize"),
        ("DynamicQuantizeLSTM", "com.microsoft", "compute"),
        ("EfficientNMS_TRT", "", "plugin"),
        ("SkipLayerNorm", "trt.plugins", "plugin"),
        ("NeverHeardOf", "com.microsoft", "other"),
        ("If", "", "control"),
    ],
)
def test_families_of_well_known_operators(op_type: str, domain: str, family: str) -> None:
    assert op_family(op_type, domain) == family
