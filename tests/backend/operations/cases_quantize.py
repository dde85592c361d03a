"""Law cases of calibration."""

from __future__ import annotations

import atexit
from pathlib import Path
from tempfile import TemporaryDirectory

from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.quantize.calibration import Calibration
from graftwerk.backend.quantize.trt_cache import write_cache
from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case
from tests.backend.operations.law_models import graph_of, parsed

_FOLDER = TemporaryDirectory(prefix="graftwerk-calibrations-")
atexit.register(_FOLDER.cleanup)
OURS, CACHE = Path(_FOLDER.name, "ranges.npz"), Path(_FOLDER.name, "ranges.cache")
_RANGES = {models.digits().inputs[0].name: 2.0, "/stem/relu/Relu_output_0": 3.0}
Calibration(given=_RANGES).save(OURS)
write_cache(CACHE, _RANGES)
_STEM = (("qdq.insert_layer", {"node": "/stem/conv/Conv"}),)

UNSIGNED = """unsigned (float[1,1,2,2] x) => (float[1,2,2,2] y)
    <float s = {0.1}, uint8 z = {0}, uint8 m = {128}, float[2] ws = {0.01, 0.02}, uint8[2] wz = {100, 128},
     uint8[2,1,1,1] w = {1, 200}, float[2] bs = {0.001, 0.002}, int32[2] bz = {0, 0}, int32[2] b = {1000, -500}> {
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) k = DequantizeLinear<axis = 0>(w, ws, wz)
        i = DequantizeLinear<axis = 0>(b, bs, bz) c = Conv(d, k, i) e = QuantizeLinear(c, s, m)
        y = DequantizeLinear(e, s, m)
    }"""


def unsigned() -> Graph:
    """As other tools quantize: unsigned, with zero points, weights and bias stored; a Relu in the range of x."""
    return graph_of(parsed(UNSIGNED))


CASES = [
    Case("qdq.make_symmetric", unsigned, {}),
    Case("qdq.make_symmetric", unsigned, {"nodes": ["DequantizeLinear_6"]}),
    Case("qdq.calibrate", models.digits, {"file": str(OURS)}, _STEM),
    Case("qdq.calibrate", models.digits, {"file": str(CACHE), "method": "max", "only_guessed": True}, _STEM),
]
_BETWEEN = (("qdq.insert", {"tensor": "/stem/conv/Conv_output_0"}),)
CASES += [
    Case("qdq.free_fusions", models.digits, {}, _BETWEEN),
    Case("qdq.free_fusions", models.digits, {"pairs": ["/stem/conv/Conv_output_0_DequantizeLinear"]}, _BETWEEN),
    Case("qdq.place", models.digits, {}),
    Case("qdq.place", models.digits, {"calibration": str(OURS), "skip_first": True, "keep_ops": ["Gemm"]}),
    Case("qdq.place", models.encoder, {"attention": True}),
]
