"""The values that a model's tensors take on given data, tensor by tensor, with ONNX Runtime on the CPU.

Every tensor has to be an output to be seen, so they are taken in chunks that fit into a budget of memory: the model
runs once for each chunk and sample. Runs on Python 3.9.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graftwerk.backend.engines.feeds import Array
from graftwerk.backend.engines.onnxruntime import run_model, run_trial
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job

#: Bytes of tensors that are held at once, unless a single one is larger.
BUDGET = 256 << 20
#: The least magnitudes that FP16 holds: normal, and at all (half of the least subnormal rounds to zero).
NORMAL, LEAST, GREATEST = 2.0**-14, 2.0**-25, 65504.0


@dataclass
class TensorRange:
    """What was seen of a tensor over all samples. `largest` and `smallest` are magnitudes of finite values that are
    not zero; `elements` were seen, `infinite` and `nans` of them; FP16 holds `overflow` as infinity and `lost` as zero.
    """

    name: str
    elements: int = 0
    largest: float = 0.0
    smallest: float = 0.0
    zeros: int = 0
    infinite: int = 0
    nans: int = 0
    overflow: int = 0
    lost: int = 0

    def add(self, values: Array) -> None:
        for start in range(0, values.size, 1 << 22):
            self._add(np.abs(values.reshape(-1)[start : start + (1 << 22)].astype(np.float64)))

    def _add(self, sizes: Array) -> None:
        finite = sizes[np.isfinite(sizes)]
        there = finite[finite > 0]
        self.elements += int(sizes.size)
        self.zeros += int(finite.size - there.size)
        self.infinite += int(np.isinf(sizes).sum())
        self.nans += int(np.isnan(sizes).sum())
        if there.size:
            self.largest = max(self.largest, float(there.max()))
            least = float(there.min())
            self.smallest = min(self.smallest, least) if self.smallest else least
            # 65520 is the least number that rounds to infinity: half a step above the largest.
            self.overflow += int((there >= 65520.0).sum())
            self.lost += int((there <= LEAST).sum())


@job("ranges.onnxruntime")
@dataclass(frozen=True)
class MeasureRanges:
    """Run a model on samples and measure `tensors`.

    `samples` are lists of input files, one list for each run (see `feeds.feeds`); without any, `random` runs on random
    data with the seeds 0, 1 … The result is `{"ranges": path of a JSON list of TensorRange, "inputs": in words}`.
    Raises Fault where the model can't be run.
    """

    model: str
    tensors: tuple[str, ...]
    samples: tuple[tuple[str, ...], ...] = ()
    shapes: Any = None
    random: int = 1
    budget: int = BUDGET

    def run(self, context: JobContext) -> dict[str, Any]:
        context.phase("Reading the inputs")
        runs = [(files, 0) for files in self.samples] or [((), seed) for seed in range(self.random)]
        trials = [run_trial(Path(self.model), files, self.shapes or {}, seed).given for files, seed in runs]
        context.phase("Measuring the tensors")
        found = [TensorRange(name) for name in self.tensors]
        done, largest = 0, max([array.nbytes for given in trials for array in given.arrays.values()], default=1)
        while done < len(found):
            count = max(1, min(64, self.budget // max(largest, 1)))
            chunk = found[done : done + count]
            for given in trials:
                if context.cancelled():
                    raise Cancelled
                largest = max(largest, measure(self.model, given.arrays, chunk))
            done += len(chunk)
            context.progress(done, len(found))
        path = context.folder / "ranges.json"
        path.write_text(json.dumps([asdict(each) for each in found]), encoding="utf-8")
        return {"ranges": str(path), "inputs": trials[0].words if trials else {}, "runs": len(trials)}


def measure(model: str, arrays: Any, chunk: Sequence[TensorRange]) -> int:
    """Adds one run to the ranges of some tensors; gives the bytes of the largest."""
    names = [each.name for each in chunk if each.name not in arrays]
    made = {**arrays, **(run_model(model, arrays, names) if names else {})}
    for each in chunk:
        each.add(made[each.name])
    return max(int(made[each.name].nbytes) for each in chunk)
