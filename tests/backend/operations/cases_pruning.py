"""Law cases of pruning."""

from __future__ import annotations

from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case

CASES = [
    Case("weights.prune_2_4", models.digits, {}),
    Case("weights.prune_2_4", models.digits, {"nodes": ["/layer1/layer1.0/conv1/Conv"]}),
    Case("weights.prune_channels", models.digits, {"ratio": 0.5}),
    Case("weights.prune_channels", models.digits, {"nodes": ["/layer2/layer2.0/conv1/Conv"], "multiple": "1"}),
    Case("weights.prune_channels", models.digits_bn, {"ratio": 0.5, "criterion": "batch norm scale"}),
]
