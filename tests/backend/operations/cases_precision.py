"""Law cases of precisions."""

from __future__ import annotations

from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case

CASES = [
    Case("precision.retype", models.chain, {"to": "FP16"}),
    Case("precision.retype", models.chain, {"to": "BF16", "interface": "convert"}),
    Case("precision.retype", models.residual, {"to": "FP16", "keep_ops": ["Neg"]}),
    Case("precision.retype", models.residual, {"to": "FP16", "keep_tensors": ["a"]}),
    Case("precision.retype", models.branches, {"to": "FP16"}),
    Case("precision.retype", models.loop, {"to": "FP16", "interface": "convert"}),
    Case("precision.retype", models.constants, {"to": "FP16"}),
    Case("precision.retype", models.quantized, {"to": "FP16"}),
    Case("precision.retype", models.digits_bn, {"to": "mixed FP16"}),
    Case("precision.retype", models.encoder, {"to": "FP16"}),
    Case("precision.retype", models.encoder, {"to": "BF16", "only": ["@op=MatMul"]}),
    Case("precision.retype", models.encoder, {"to": "FP32"}, (("precision.retype", {"to": "FP16"}),)),
    Case("precision.paint", models.residual, {"nodes": {"Neg_1": "FP16", "Add_2": "BF16"}}),
    Case("precision.paint", models.digits, {"nodes": {"/stem/conv/Conv": "INT8", "/maxpool/MaxPool": "FP16"}}),
    Case("precision.paint", models.digits, {
        "nodes": {"/layer2/layer2.0/conv1/Conv": "INT8", "/layer2/layer2.0/downsample/downsample.0/Conv": "INT8"},
        "scales": {"/maxpool/MaxPool_output_0": 0.02},
    }),
    Case("precision.paint", models.digits, {"nodes": {"/stem/conv/Conv": "FP32"}},
         (("precision.paint", {"nodes": {"/stem/conv/Conv": "INT8"}}),)),
]  # fmt: skip
