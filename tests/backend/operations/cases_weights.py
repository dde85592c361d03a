"""Cases of the laws for the operations on weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from graftwerk.backend.graph.graph import Graph
from graftwerk.resources import model as bundled
from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case

_KEPT = tempfile.TemporaryDirectory(prefix="graftwerk-cases-")
FOLDER = Path(_KEPT.name)
NPY, NPZ = str(FOLDER / "w.npy"), str(FOLDER / "w.npz")
np.save(NPY, np.array([9, 8, 7, 6, 5, 4], np.float32))
np.savez(NPZ, other=np.zeros(2), w=np.arange(6, dtype=np.float64).reshape(2, 3))
STEM = "stem.conv.weight"


def twins() -> Graph:
    """Two pairs of equal weights, one of them read in a body; one that has the shape alone in common."""
    return models.graph_of(models.parsed(
        """g (float[3] x, bool c) => (float[3] y)
            <float[3] a = {1, 2, 3}, float[3] b = {1, 2, 3}, float[3] d = {3, 2, 1}, float[3] e = {3, 2, 1},
             float[3] f = {1, 2, 4}> {
            p = Add(x, a) q = Add(p, b) r = Mul(q, d)
            z = If (c) <then_branch = t () => (float[3] out) { out = Add(r, e) },
                        else_branch = u () => (float[3] out2) { out2 = Add(r, f) }>
            y = Neg(z)
        }"""
    ))  # fmt: skip


def constants() -> Graph:
    """Constant nodes in all their forms."""
    return models.small(
        """g (float[2,3] x) => (float[2,3] y) {
            k = Constant<value = float[3] {1, 2, 3}>() f = Constant<value_float = 2.0>()
            s = Constant<value_ints = [2, 3]>() a = Add(x, k) b = Mul(a, f) y = Reshape(b, s)
        }"""
    )


def weights_and_inputs() -> Graph:
    return models.small("g (float[2,3] x, float[n] v) => (float[2,3] y) <float[2,3] w = {1, 2, 3, 4, 5, 6}> "
                        "{ a = Mul(x, w) y = Add(a, v) }")  # fmt: skip


CASES = [
    Case("weights.set", models.branches, {"tensor": "w", "values": {"0,1": 2.5, "-1,-1": "nan"}}),
    Case("weights.set", models.digits, {"tensor": STEM, "values": {"0,0,0,0": 1}}),
    Case("weights.fill", models.branches, {"tensors": ["w"], "value": 3}),
    Case("weights.scale", models.branches, {"tensors": ["w"], "factor": 2.0, "offset": 1.0}),
    Case("weights.scale", models.loop, {"tensors": ["n"], "factor": 1.0, "offset": 2.0}),
    Case("weights.clip", models.digits, {"tensors": [STEM], "minimum": -0.1, "maximum": 0.1}),
    Case("weights.set_dtype", models.branches, {"tensors": ["w"], "dtype": "FP16"}),
    Case("weights.set_dtype", models.digits, {"tensors": [STEM], "dtype": "BF16", "accept_loss": True}),
    Case("weights.set_dtype", models.branches, {"tensors": ["w"], "dtype": "FP64", "cast_back": False}),
    Case("weights.reshape", models.branches, {"tensor": "w", "dims": "1,2,-1"}),
    Case("weights.replace", models.branches, {"tensor": "w", "file": NPY, "reshape": True}),
    Case("weights.replace", models.branches, {"tensor": "w", "file": NPZ, "member": "w", "cast": True}),
    Case("weights.deduplicate", twins, {}),
    Case("weights.to_external", models.digits, {}),
    Case("weights.to_external", models.digits, {"tensors": [STEM], "location": "parts", "files": "one for each"}),
    Case("weights.to_model", models.digits, {}, (("weights.to_external", {}),)),
    Case("weights.strip", models.digits, {}),
    Case("weights.put_back", models.digits, {"file": str(bundled("digits"))}, (("weights.strip", {}),)),
    Case("weights.from_constants", constants, {}),
    Case("weights.from_constants", constants, {"nodes": ["k"]}),
    Case("weights.to_constants", models.branches, {"tensors": ["w"]}),
    Case("weights.to_constants", models.digits, {"tensors": [STEM]}),
    Case("weights.to_inputs", models.branches, {"tensors": ["w"]}),
    Case("weights.to_inputs", models.branches, {"tensors": ["w"], "keep_value": True}),
    Case("weights.from_input", weights_and_inputs, {"tensor": "v", "value": [1, 2, 3]}),
    Case("weights.from_input", models.old_inputs, {"tensor": "w"}),
    Case("weights.from_input", models.dead, {"tensor": "spare", "value": 1.5}),
]  # fmt: skip
