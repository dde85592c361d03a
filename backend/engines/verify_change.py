"""Whether an edit left what a model computes as it was: before and after on several sets of inputs.

Runs on Python 3.9.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from graftwerk.backend.engines.report import Verification
from graftwerk.backend.engines.report_file import read_verification
from graftwerk.backend.engines.verify import ADDED, VerifyModel
from graftwerk.backend.fault import Fault
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job

VERIFIED, DIFFERS, NOT_VERIFIED = "verified", "differs", "not verified"


@dataclass(frozen=True)
class Verdict:
    """What came of verifying an edit. `state` is "verified", "differs" or "not verified"; `text` says it to people.

    `largest` is the largest max|a - b| over all outputs and sets of inputs; tolerances as in `verify.VerifyModel`.
    """

    state: str
    text: str
    largest: float = 0.0
    relative: float = 0.0
    absolute: float = 0.0


@job("verify.change")
@dataclass(frozen=True)
class VerifyChange:
    """Compare `reference` and `model` as `VerifyModel` does, with random inputs of each of `seeds`, and with `files`.

    `note` says in the verdict how the model was changed to be run; `invalid`, where it is not, why it can't be: a copy
    that can be run would prove nothing. `permuted` is as in `VerifyModel`. The result is a `Verdict`'s fields. A model
    that can't be run is no Fault: it is not verified, and the verdict says why.
    """

    reference: str
    model: str
    seeds: tuple[int, ...] = (0, 1)
    files: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    relative: float = 1e-3
    absolute: float = 1e-5
    stand_ins: tuple[str, ...] = ()
    note: str = ""
    invalid: str = ""
    permuted: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def run(self, context: JobContext) -> dict[str, Any]:
        runs: list[tuple[int, tuple[str, ...]]] = [(seed, ()) for seed in self.seeds]
        if self.files:
            runs.append((0, self.files))
        if self.invalid:
            text = f"not verified: {self.invalid}"
            return asdict(Verdict(NOT_VERIFIED, text, 0.0, self.relative, self.absolute))
        found = []
        try:
            for done, (seed, files) in enumerate(runs):
                context.progress(done, len(runs))
                if context.cancelled():
                    raise Cancelled
                found.append(self._compared(context, seed, files))
        except Fault as fault:
            return asdict(Verdict(NOT_VERIFIED, f"not verified: {fault}", 0.0, self.relative, self.absolute))
        return asdict(verdict(tuple(found), self.note))

    def _compared(self, context: JobContext, seed: int, files: tuple[str, ...]) -> Verification:
        compare = VerifyModel(
            self.reference, self.model, files, self.shapes, seed, self.relative, self.absolute, self.stand_ins,
            self.permuted,
        )
        return read_verification(Path(compare.run(context)["verification"]))


def verdict(found: tuple[Verification, ...], note: str = "") -> Verdict:
    """The verdict of some verifications of the same two models."""
    if not found:
        return Verdict(NOT_VERIFIED, "not verified: nothing was run")
    first = found[0]
    outputs = [output for one in found for output in one.outputs]
    largest = max((output.largest for output in outputs), default=0.0)
    tolerance = f"tolerance {first.relative:g} relative + {first.absolute:g}"
    runs = f"{len(found)} set{'s' if len(found) > 1 else ''} of inputs"
    if not any(output.elements for output in outputs):
        text = "not verified: the outputs have no elements to compare"
        return Verdict(NOT_VERIFIED, text, 0.0, first.relative, first.absolute)
    unpaired = [text for text in first.not_checked if text.startswith("output ")]
    added = [text for text in unpaired if text.endswith(ADDED)]
    missing = [text for text in unpaired if text not in added]
    bad = next((output for output in outputs if not output.same), None)
    if bad is not None:
        text = f"differs: {bad.name} by up to {bad.largest:.2g} ({tolerance})"
        return Verdict(DIFFERS, text, largest, first.relative, first.absolute)
    if missing:
        return Verdict(NOT_VERIFIED, f"not verified: {missing[0]}", largest, first.relative, first.absolute)
    if added:
        more = f"{len(added)} added output{'s' if len(added) > 1 else ''} not compared"
        note = ", ".join(filter(None, [note, more]))
    text = f"verified: max error {largest:.2g} ({', '.join(filter(None, [tolerance, runs, note]))})"
    return Verdict(VERIFIED, text, largest, first.relative, first.absolute)
