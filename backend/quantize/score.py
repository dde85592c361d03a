"""How far a quantized model's outputs are from those in float, and how well it does its task."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graftwerk.backend.engines.feeds import Array
from graftwerk.backend.fault import Fault

#: What a user's metric is given: the outputs of all samples together by name, and the labels, None without any.
Metric = Callable[[Mapping[str, Array], Any], float]


@dataclass(frozen=True)
class Score:
    """Of the worst output: signal-to-quantization-noise ratio in dB, cosine similarity; the mean squared error over
    all; `task` is the metric's value, higher is better, None without a metric."""

    sqnr: float
    cosine: float
    mse: float
    task: float | None = None


def compared(reference: Mapping[str, Array], outputs: Mapping[str, Array], task: float | None = None) -> Score:
    """The score of outputs by name against the same in float. Outputs of integers are left out."""
    pairs = [(reference[name].astype(np.float64), outputs[name].astype(np.float64)) for name in reference
             if reference[name].dtype.kind == "f"]  # fmt: skip
    if not pairs:
        return Score(float("inf"), 1.0, 0.0, task)
    noise = [float(((one - other) ** 2).sum()) for one, other in pairs]
    power = [float((one**2).sum()) for one, _ in pairs]
    ratios = (there / lost if lost and there else float("inf") for there, lost in zip(power, noise, strict=True))
    sqnr = 10 * np.log10(min(ratios))
    cosine = min(_cosine(one, other) for one, other in pairs)
    return Score(float(sqnr), cosine, sum(noise) / sum(one.size for one, _ in pairs), task)


def _cosine(one: Array, other: Array) -> float:
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / size if size else 1.0


def top1(outputs: Mapping[str, Array], labels: Any) -> float:
    """The share of samples whose largest value of the first output, along its last axis, is at the label's place."""
    scores = next(iter(outputs.values()))
    found = scores.argmax(-1).reshape(-1)
    if found.size != np.asarray(labels).size:
        raise Fault(f"There are {np.asarray(labels).size} labels for {found.size} samples", "labels")
    return float((found == np.asarray(labels).reshape(-1)).mean())


def metric_of(text: str) -> Metric:
    """"top1", or `file.py:function` of the user's. Raises Fault where there is no such function."""
    if text == "top1":
        return top1
    file, colon, name = text.rpartition(":")
    spec = importlib.util.spec_from_file_location("graftwerk_metric", file) if colon and Path(file).is_file() else None
    if spec is None or spec.loader is None:
        raise Fault("There is no such metric", text, "top1, or file.py:function(outputs, labels)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found = getattr(module, name)
    except Exception as error:  # the user's code may raise anything
        raise Fault(f"{type(error).__name__}: {error}", text, "It is a function of outputs and labels") from error

    def metric(outputs: Mapping[str, Array], labels: Any) -> float:
        try:
            return float(found(outputs, labels))
        except Exception as error:
            words = f"The metric failed: {type(error).__name__}: {error}"
            raise Fault(words, text, "Finished layers are kept") from error

    return metric


def read_labels(text: str) -> Array:
    """Labels from FILE.npy, or FILE.npz:KEY. Raises Fault where there are none."""
    path, colon, key = text.rpartition(":")
    if not (colon and path.endswith(".npz")):
        path, key = text, ""
    try:
        found = np.load(path, allow_pickle=False)
        return found[key] if key else np.asarray(found)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise Fault(f"No labels: {error}", text, "FILE.npy, or FILE.npz:KEY") from None


def joined(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The outputs of all batches together."""
    return {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in parts[0]}
