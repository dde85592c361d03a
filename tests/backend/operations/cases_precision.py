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
]
