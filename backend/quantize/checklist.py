"""What practitioners ask first when a quantized model has lost accuracy, answered from its measured errors.

The questions are those of TensorRT's and ONNX Runtime's debugging guides, in our words; each answer has its evidence,
and where the data doesn't tell, it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.quantize.calibration import Calibration
from graftwerk.backend.quantize.errors import TensorError
from graftwerk.backend.quantize.methods import METHODS, judged
from graftwerk.backend.quantize.pairs import find_pairs

#: Decibels below which a tensor has lost what a task needs, and that one layer may cost: 8 bits hold about 40.
LOW, STEP = 20.0, 10.0
#: Values that a pair may cut off, and samples that a calibration needs.
CUT, FEW = 0.001, 32
#: Tensors of which all methods are tried: entropy takes 30 ms of each.
_MOST = 50
#: Operators that lose much in 8 bits: their inputs have a wide range, or their outputs are normalized.
_TENDER = ("Softmax", "LayerNormalization", "InstanceNormalization", "Exp", "Pow", "Sigmoid", "Gelu", "Erf")


@dataclass(frozen=True)
class Answer:
    """`verdict` is "yes" (this may be the fault), "no" or "not known"; `where` are tensors or nodes."""

    question: str
    verdict: str
    evidence: str
    where: tuple[str, ...] = ()


def checklist(
    graph: Graph, errors: Sequence[TensorError], calibration: Calibration | None = None, batch: int = 0
) -> list[Answer]:
    """The answers for a quantized graph, with the errors of its tensors in the order of the network. `batch` is how
    many samples were run at once, 0 where that is not known."""
    return [
        _ends(graph), _outputs(graph, errors), _fall(errors), _cut(errors), *_data(calibration, batch),
        _method(errors, calibration), _tender(graph),
    ]  # fmt: skip


def _ends(graph: Graph) -> Answer:
    ends = {info.name for info in (*graph.inputs, *graph.outputs)}
    pairs = find_pairs(graph).values()
    found = tuple(pair.source for pair in pairs if pair.source in ends or pair.output in ends)
    text = f"{len(found)} of the model's inputs and outputs have a pair" if found else "none of them has a pair"
    return Answer("Are inputs or outputs quantized?", "yes" if found else "no", text, found)


def _outputs(graph: Graph, errors: Sequence[TensorError]) -> Answer:
    question = "Have all outputs fallen, or one?"
    names = {info.name for info in graph.outputs}
    ends = [one for one in errors if one.tensor in names]
    if not ends:
        return Answer(question, "not known", "no output was compared")
    low = tuple(one.tensor for one in ends if one.sqnr is not None and one.sqnr < LOW)
    worst = min((one.sqnr for one in ends if one.sqnr is not None), default=None)
    shown = "identical" if worst is None else f"the lowest has {worst:.1f} dB"
    return Answer(question, "yes" if low else "no", f"{len(low)} of {len(ends)} are below {LOW:g} dB; {shown}", low)


def _fall(errors: Sequence[TensorError]) -> Answer:
    question = "Is there one layer where it falls?"
    known = [(one.sqnr, one) for one in errors if one.sqnr is not None]
    steps = [(before - after, one) for (before, _), (after, one) in pairwise(known)]
    if not steps:
        return Answer(question, "not known", "fewer than two tensors differ")
    fall, at = max(steps, key=lambda step: step[0])
    text = f"the largest fall is {fall:.1f} dB, at {at.tensor} ({at.op})"
    return Answer(question, "yes" if fall > STEP else "no", text, (at.tensor,))


def _cut(errors: Sequence[TensorError]) -> Answer:
    found = [one for one in errors if one.saturated is not None and one.saturated > CUT]
    worst = max(found, key=lambda one: one.saturated or 0.0, default=None)
    text = f"no pair cuts off more than {100 * CUT:g} % of its values" if worst is None else \
        f"{len(found)} do, most {worst.tensor}: {100 * (worst.saturated or 0.0):.2f} %"  # fmt: skip
    return Answer("Do pairs cut values off?", "yes" if found else "no", text, tuple(one.tensor for one in found))


def _data(calibration: Calibration | None, batch: int) -> list[Answer]:
    few, small = "Was there too little data?", "Was the batch too small?"
    if calibration is None or not calibration.samples:
        return [Answer(few, "not known", "no calibration of ours was given"), _batch(small, batch)]
    text = f"{calibration.samples} samples were seen; {FEW} are few"
    return [Answer(few, "yes" if calibration.samples < FEW else "no", text), _batch(small, batch)]


def _batch(question: str, batch: int) -> Answer:
    if not batch:
        return Answer(question, "not known", "how many samples were run at once is not known")
    text = f"{batch} at once; but for moving_average, ranges are of all samples, whatever the batch"
    return Answer(question, "no", text)


def _method(errors: Sequence[TensorError], calibration: Calibration | None) -> Answer:
    question = "Is it the wrong method of calibration?"
    if calibration is None or not calibration.histograms:
        return Answer(question, "not known", "no calibration with histograms was given")
    better: dict[str, str] = {}
    paired = sorted((one for one in errors if one.saturated is not None), key=lambda one: one.sqnr or 0.0)
    for name in (one.tensor for one in paired[:_MOST]):
        histogram, amax = calibration.histograms.get(name), calibration.amax(name)
        if histogram is None or not amax:
            continue
        now = judged(histogram, amax).sqnr
        other = ((calibration.amax_by(name, method), method) for method in METHODS)
        ranks = [(judged(histogram, value).sqnr, method) for value, method in other if value]
        ratio, best = max(ranks, default=(now, ""))
        if ratio > now + STEP / 2:
            better[name] = best
    text = f"no method is {STEP / 2:g} dB better on any of the {min(len(paired), _MOST)} worst tensors"
    if better:
        text = f"{len(better)} tensors would be {STEP / 2:g} dB better, the first with {next(iter(better.values()))}"
    return Answer(question, "yes" if better else "no", text, tuple(better))


def _tender(graph: Graph) -> Answer:
    paired = {pair.output for pair in find_pairs(graph).values()}
    found = tuple(graph.ref(node) for node, record in graph.nodes.items()
                  if record.op_type in _TENDER and any(name in paired for name in record.input))  # fmt: skip
    text = f"{len(found)} nodes such as {found[0]} read quantized tensors" if found else \
        f"none of {', '.join(_TENDER[:3])} … reads a quantized tensor"  # fmt: skip
    return Answer("Are layers quantized that should not be?", "yes" if found else "no", text, found)
