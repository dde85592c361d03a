"""A calibration: what was seen of each tensor on data, and how its range is made of that. A value, and a file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault
from graftwerk.backend.quantize.histogram import BINS, Histogram
from graftwerk.backend.quantize.methods import METHODS, PERCENTILE, Method, amax
from graftwerk.backend.quantize.scales import LARGEST

FORMAT = 1
DEFAULT: Method = "entropy"
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Calibration:
    """Histograms of tensors by name, and ranges that are given: by hand, or from a cache of TensorRT's.

    A range is made by the method of its tensor, else of the operator that makes it, else by the default one. `ops` has
    that operator by tensor. `model`, `data` and `tool` say in words what was run on what and with what.
    """

    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    given: Mapping[str, float] = field(default_factory=dict)
    method: Method = DEFAULT
    percentile: float = PERCENTILE
    by_op: Mapping[str, Method] = field(default_factory=dict)
    by_tensor: Mapping[str, Method] = field(default_factory=dict)
    ops: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    data: str = ""
    tool: str = ""
    samples: int = 0
    #: Ranges by tensor, method and percentile: those who share the histograms share them.
    _known: dict[tuple[str, Method, float], float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def tensors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.histograms, *self.given)))

    def method_of(self, tensor: str) -> Method:
        return self.by_tensor.get(tensor) or self.by_op.get(self.ops.get(tensor, "")) or self.method

    def amax(self, tensor: str) -> float | None:
        """The largest magnitude that is represented, in units of the tensor; None for one that is not known."""
        if tensor in self.given:
            return self.given[tensor]
        return self.amax_by(tensor, self.method_of(tensor)) if tensor in self.histograms else None

    def amax_by(self, tensor: str, method: Method) -> float:
        """The range that a method makes of a tensor's histogram. Raises KeyError where it has none."""
        key = (tensor, method, self.percentile)
        if key not in self._known:  # entropy takes 30 ms
            self._known[key] = amax(self.histograms[tensor], method, self.percentile)
        return self._known[key]

    def scale(self, tensor: str, dtype: str = "int8") -> float | None:
        """Units of the tensor per step, symmetric; None for a tensor that is not known, 0 for one that was all zero."""
        largest = self.amax(tensor)
        return None if largest is None else largest / LARGEST[dtype]

    def with_given(self, tensor: str, largest: float) -> Calibration:
        """Another one, with a range by hand."""
        return replace(self, given={**self.given, tensor: largest})

    def with_method(self, method: Method, tensor: str = "", op: str = "") -> Calibration:
        """Another one, with a method for a tensor, for all that an operator makes, or for all tensors.

        What was chosen for fewer of these tensors before is taken back, ranges by hand as well.
        """
        if tensor:
            chosen = {**self.by_tensor, tensor: method}
            return replace(self, by_tensor=chosen, given=_without(self.given, [tensor]))
        covered = [name for name in self.histograms if not op or self.ops.get(name) == op]
        rest = replace(self, by_tensor=_without(self.by_tensor, covered), given=_without(self.given, covered))
        return replace(rest, by_op={**self.by_op, op: method}) if op else replace(rest, method=method, by_op={})

    def save(self, path: Path) -> None:
        """Raises Fault where it can't be written."""
        names = list(self.histograms)
        found = list(self.histograms.values())
        meta = {
            "graftwerk_calibration": FORMAT, "tensors": names, "given": dict(self.given), "method": self.method,
            "percentile": self.percentile, "by_op": dict(self.by_op), "by_tensor": dict(self.by_tensor),
            "ops": {name: self.ops[name] for name in names if name in self.ops}, "model": self.model,
            "data": self.data, "tool": self.tool, "samples": self.samples,
            "negative": [histogram.negative for histogram in found],
        }  # fmt: skip
        try:
            with atomic(path) as file:
                np.savez_compressed(
                    file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **stacked(found)
                )
        except OSError as error:
            raise Fault(f"Can't write the calibration: {error.strerror}", str(path), "Is there space left?") from error


def _without(kept: Mapping[str, Kept], names: Iterable[str]) -> dict[str, Kept]:
    gone = set(names)
    return {name: value for name, value in kept.items() if name not in gone}


def stacked(histograms: Iterable[Histogram]) -> dict[str, Any]:
    """The numbers of histograms as arrays: counts (T, BINS), limit (T), largest (T), peaks (T, batches)."""
    found = list(histograms)
    counts = np.stack([one.counts for one in found]) if found else np.zeros((0, BINS), np.int64)
    if counts.max(initial=0) < 2**32:
        counts = counts.astype(np.uint32)  # packed in half the time
    return {
        "counts": counts,
        "limit": np.array([one.limit for one in found]), "largest": np.array([one.largest for one in found]),
        "peaks": np.array([one.peaks for one in found]),
    }  # fmt: skip


def unstacked(arrays: Mapping[str, Any], negative: Iterable[bool]) -> list[Histogram]:
    """The histograms of `stacked`."""
    rows = zip(arrays["counts"], arrays["limit"], arrays["largest"], arrays["peaks"], negative, strict=True)
    return [Histogram(counts.astype(np.int64), float(limit), float(largest), bool(below), tuple(map(float, peaks)))
            for counts, limit, largest, peaks, below in rows]  # fmt: skip


def load(path: Path) -> Calibration:
    """A calibration of ours, or a calibration cache of TensorRT's. Raises Fault where it is neither."""
    from graftwerk.backend.quantize.trt_cache import is_cache, read_cache

    try:
        if is_cache(path):
            return Calibration(given=read_cache(path), tool="TensorRT", data=f"calibration cache {path.name}")
        with np.load(path, allow_pickle=False) as arrays:
            meta = json.loads(arrays["meta"].tobytes())
            if meta["graftwerk_calibration"] != FORMAT:
                raise Fault("A calibration of a format that is not known here", str(path), "Update Graftwerk")
            histograms = unstacked({key: arrays[key] for key in ("counts", "limit", "largest", "peaks")},
                                   meta["negative"])  # fmt: skip
        made = dict(zip(meta["tensors"], histograms, strict=True))
        methods = {meta["method"], *meta["by_op"].values(), *meta["by_tensor"].values()}
        if not methods <= set(METHODS):
            raise ValueError(f"no such method: {sorted(methods - set(METHODS))}")
    except OSError as error:
        raise Fault(f"Can't read the calibration: {error.strerror}", str(path), "May you read it?") from error
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
        hint = "`graftwerk calibrate` writes one; TensorRT's caches are read too"
        raise Fault(f"Not a calibration: {error}", str(path), hint) from None
    return Calibration(made, **{key: meta[key] for key in _KEPT})


_KEPT = ("given", "method", "percentile", "by_op", "by_tensor", "ops", "model", "data", "tool", "samples")


@dataclass(frozen=True, slots=True)
class Difference:
    """How two calibrations differ about a tensor: the ranges, None where one has none, and how many times as large."""

    tensor: str
    before: float | None
    after: float | None

    @property
    def ratio(self) -> float | None:
        return self.after / self.before if self.before and self.after is not None else None


def differences(before: Calibration, after: Calibration, tolerance: float = 0.01) -> list[Difference]:
    """Tensors whose ranges differ by more than a share, those that differ most first."""
    found = []
    for tensor in dict.fromkeys((*before.tensors, *after.tensors)):
        one, other = before.amax(tensor), after.amax(tensor)
        if one is None or other is None or abs(one - other) > tolerance * max(one, other):
            found.append(Difference(tensor, one, other))
    return sorted(found, key=lambda each: -abs(np.log(each.ratio)) if each.ratio else -np.inf)
