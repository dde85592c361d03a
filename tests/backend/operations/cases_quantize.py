"""Law cases of calibration."""

from __future__ import annotations

import atexit
from pathlib import Path
from tempfile import TemporaryDirectory

from graftwerk.backend.quantize.calibration import Calibration
from graftwerk.backend.quantize.trt_cache import write_cache
from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case

_FOLDER = TemporaryDirectory(prefix="graftwerk-calibrations-")
atexit.register(_FOLDER.cleanup)
OURS, CACHE = Path(_FOLDER.name, "ranges.npz"), Path(_FOLDER.name, "ranges.cache")
_RANGES = {models.digits().inputs[0].name: 2.0, "/stem/relu/Relu_output_0": 3.0}
Calibration(given=_RANGES).save(OURS)
write_cache(CACHE, _RANGES)
_STEM = (("qdq.insert_layer", {"node": "/stem/conv/Conv"}),)

CASES = [
    Case("qdq.calibrate", models.digits, {"file": str(OURS)}, _STEM),
    Case("qdq.calibrate", models.digits, {"file": str(CACHE), "method": "max", "only_guessed": True}, _STEM),
]
CASES += [
    Case("qdq.place", models.digits, {}),
    Case("qdq.place", models.digits, {"calibration": str(OURS), "skip_first": True, "keep_ops": ["Gemm"]}),
    Case("qdq.place", models.encoder, {"attention": True}),
]
