"""Verification of a retyped model: its copy in which every small float is rounded, against the model as it was.

The copy is made by `graftwerk.backend.precision.rounded`. Runs on Python 3.9.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graftwerk.backend.engines.onnxruntime import run_trial
from graftwerk.backend.engines.ranges import BUDGET, TensorRange, measure
from graftwerk.backend.engines.verify import VerifyModel
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job


@job("verify.rounded")
@dataclass(frozen=True)
class VerifyRounded:
    """Compare the outputs as `VerifyModel` does, and find the tensors that are infinite or NaN by rounding.

    `tensors` are names in the copy by the name that each has in the retyped model. The result is `VerifyModel`'s with
    `"broken": [{"tensor", "infinite", "nans", "largest"}]`: tensors that have more infinite or NaN elements in the copy
    than in the reference (or any, where the reference has no such tensor), in the order of the nodes; `largest` is the
    reference's largest finite magnitude, 0 where it is not known.
    """

    reference: str
    model: str
    tensors: dict[str, str]
    files: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0
    relative: float = 1e-2
    absolute: float = 1e-2
    stand_ins: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    budget: int = BUDGET

    def run(self, context: JobContext) -> dict[str, Any]:
        compared = VerifyModel(
            self.reference, self.model, self.files, self.shapes, self.seed, self.relative, self.absolute, self.stand_ins
        ).run(context)
        context.phase("Looking for what overflows")
        given = run_trial(Path(self.reference), self.files, self.shapes, self.seed).given.arrays
        broken = self._broken(context, given)
        return {**compared, "broken": broken, "rounded": len(self.tensors)}

    def _broken(self, context: JobContext, given: Any) -> list[dict[str, Any]]:
        names = list(self.tensors.items())
        found: list[TensorRange] = []
        done, largest = 0, max([array.nbytes for array in given.values()], default=1)
        while done < len(names):
            if context.cancelled():
                raise Cancelled
            count = max(1, min(64, self.budget // max(largest, 1)))
            chunk = [TensorRange(copied) for _, copied in names[done : done + count]]
            largest = max(largest, measure(self.model, given, chunk))
            for (name, _), seen in zip(names[done : done + count], chunk):
                if seen.infinite or seen.nans:
                    found.append(TensorRange(name, infinite=seen.infinite, nans=seen.nans))
            done += count
            context.progress(min(done, len(names)), len(names))
        return self._against_reference(given, found)

    def _against_reference(self, given: Any, found: list[TensorRange]) -> list[dict[str, Any]]:
        there = set(self.known)
        broken = []
        for seen in found:
            before = TensorRange(seen.name)
            if seen.name in there:
                measure(self.reference, given, [before])
            if seen.infinite + seen.nans > before.infinite + before.nans:
                broken.append(
                    {"tensor": seen.name, "infinite": seen.infinite, "nans": seen.nans, "largest": before.largest}
                )
        return broken


def outcome(result: dict[str, Any]) -> dict[str, Any]:
    """The comparison of a result, as JSON, with what was found beside."""
    compared = json.loads(Path(result["verification"]).read_text(encoding="utf-8"))
    return {**compared, "broken": result["broken"], "rounded": result["rounded"]}
