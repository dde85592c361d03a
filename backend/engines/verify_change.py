"""Whether an edit left what a model computes as it was: before and after on several sets of inputs.

Runs on Python 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass

from graftwerk.backend.engines.report import Verification


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


def verdict(found: tuple[Verification, ...]) -> Verdict:
    """The verdict of some verifications of the same two models."""
    if not found:
        return Verdict("not verified", "not verified: nothing was run")
    first = found[0]
    outputs = [output for one in found for output in one.outputs]
    largest = max((output.largest for output in outputs), default=0.0)
    tolerance = f"tolerance {first.relative:g} relative + {first.absolute:g}"
    runs = f"{len(found)} set{'s' if len(found) > 1 else ''} of inputs"
    if not any(output.elements for output in outputs):
        text = "not verified: the outputs have no elements to compare"
        return Verdict("not verified", text, 0.0, first.relative, first.absolute)
    missing = [text for one in found for text in one.not_checked if text.startswith("output ")]
    bad = next((output for output in outputs if not output.same), None)
    if bad is not None:
        text = f"differs: {bad.name} by up to {bad.largest:.2g} ({tolerance})"
        return Verdict("differs", text, largest, first.relative, first.absolute)
    if missing:
        return Verdict("not verified", f"not verified: {missing[0]}", largest, first.relative, first.absolute)
    text = f"verified: max error {largest:.2g} ({tolerance}, {runs})"
    return Verdict("verified", text, largest, first.relative, first.absolute)
