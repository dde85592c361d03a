"""Verification: two models on the same inputs, output by output, with ONNX Runtime.

What it says is about the graphs, not about an engine: no TensorRT kernel runs here. Runs on Python 3.9.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from graftwerk.backend.engines.feeds import Array, Feeds
from graftwerk.backend.engines.onnxruntime import Trial, run_again, run_trial
from graftwerk.backend.engines.report import OutputDifference, Verification
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import job

#: Why an input or output can't be compared.
GONE, ADDED = "which only the reference has", "which only the edited model has"


@job("verify.onnxruntime")
@dataclass(frozen=True)
class VerifyModel:
    """Run `reference` and `model` on the same inputs and compare the outputs that both have.

    `files` and `shapes` are for the inputs, see `feeds.feeds`. Two elements are the same where |a - b| is at most
    `absolute` + `relative` * |a| (numpy.isclose). `permuted` are inputs and outputs whose axes the edited model has in
    another order, as numpy.transpose takes it. The result is `{"verification": path of it as JSON}`. Raises Fault
    where one of the models can't be run, or they have no inputs or no outputs in common.
    """

    reference: str
    model: str
    files: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0
    relative: float = 1e-3
    absolute: float = 1e-5
    stand_ins: tuple[str, ...] = ()
    permuted: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def run(self, context: JobContext) -> dict[str, Any]:
        context.phase("Running the reference")
        first = run_trial(Path(self.reference), self.files, self.shapes, self.seed)
        context.phase("Running the model")
        try:
            second = run_again(Path(self.model), self._given(first.given), self.seed)
        except Fault as fault:
            raise Fault(f"the edited model can't be run: {fault.message}", fault.where, fault.hint) from fault
        context.phase("Comparing")
        path = context.folder / "verification.json"
        path.write_text(json.dumps(asdict(self._compare(first, second))), encoding="utf-8")
        return {"verification": str(path)}

    def _given(self, known: Feeds) -> Feeds:
        return replace(known, arrays={name: self._in_order(name, array) for name, array in known.arrays.items()})

    def _in_order(self, name: str, array: Array) -> Array:
        if name not in self.permuted:
            return array
        return np.ascontiguousarray(np.transpose(array, self.permuted[name]))

    def _compare(self, first: Trial, second: Trial) -> Verification:
        common = [name for name in first.outputs if name in second.outputs]
        if not common:
            hint = f"The reference has {', '.join(first.outputs)}; the model {', '.join(second.outputs)}."
            raise Fault("the two models have no output in common", hint=hint)
        pairs = ((name, self._in_order(name, first.outputs[name]), second.outputs[name]) for name in common)
        outputs = tuple(difference(name, one, other, self.relative, self.absolute) for name, one, other in pairs)
        empty = [f"output {one.name}, which has 0 elements" for one in outputs if one.same and not one.elements]
        empty += [f"output {o.name}, which is all NaN in both" for o in outputs if o.same and 0 < o.elements == o.nans]
        missing = [f"output {name}, {GONE}" for name in first.outputs.keys() - second.outputs.keys()]
        added = [f"output {name}, {ADDED}" for name in second.outputs.keys() - first.outputs.keys()]
        extra = [f"input {name}, {GONE}" for name in first.given.arrays.keys() - second.given.arrays.keys()]
        extra += [f"input {name}, {ADDED}" for name in second.given.arrays.keys() - first.given.arrays.keys()]
        return Verification(
            backend="onnxruntime",
            version=second.version,
            device=second.device,
            precision=second.precision,
            relative=self.relative,
            absolute=self.absolute,
            outputs=outputs,
            inputs=first.given.words,
            not_checked=(*sorted(missing), *sorted(added), *sorted(extra), *empty, "what TensorRT's kernels compute"),
            stand_ins=self.stand_ins,
        )


def difference(name: str, one: Array, other: Array, relative: float, absolute: float) -> OutputDifference:
    """How far an array is from its reference `one`. Arrays of other shapes or datatypes are never the same."""
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        equal, shape, elements = np.array_equal(np.asarray(one, object), np.asarray(other, object)), (), 1
    elif one.shape != other.shape or one.dtype.kind not in "fiub":
        equal, shape = one.shape == other.shape and np.array_equal(one, other), tuple(other.shape)
        elements = int(one.size)
    else:
        return _numeric(name, one, other, relative, absolute)
    same = bool(equal)
    return OutputDifference(name, shape, 0.0 if same else math.inf, 0.0, None, same, same, elements)


def _numeric(name: str, one: Array, other: Array, relative: float, absolute: float) -> OutputDifference:
    a, b = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    error = np.abs(np.subtract(a, b, where=finite, out=np.zeros(a.shape)))
    return OutputDifference(
        name=name,
        shape=tuple(other.shape),
        largest=float(error.max(initial=0.0)),
        scale=float(np.abs(a[finite]).max(initial=0.0)),
        sqnr_db=_sqnr(a[finite], error[finite]),
        same=bool(np.isclose(b, a, rtol=relative, atol=absolute, equal_nan=True).all()) and one.dtype == other.dtype,
        identical=one.dtype == other.dtype and one.tobytes() == other.tobytes(),
        elements=int(a.size),
        nans=int(np.isnan(a).sum()),
        other_nans=int(np.isnan(b).sum()),
    )


def _sqnr(values: Array, error: Array) -> Optional[float]:
    signal, noise = float(np.square(values).sum()), float(np.square(error).sum())
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None

