"""Where along the network a quantized model departs from the float one: the error of every tensor that both have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graftwerk.backend.engines.feeds import Array
from graftwerk.backend.engines.onnxruntime import Runner
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.standin import with_stand_ins
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job
from graftwerk.backend.quantize.calibrate import measured
from graftwerk.backend.quantize.collect import data_options
from graftwerk.backend.quantize.data import DataOptions, batches, samples
from graftwerk.backend.quantize.pairs import find_pairs, per_channel, quantized_dtype, scales
from graftwerk.backend.quantize.scales import DTYPES, LARGEST


@dataclass
class TensorError:
    """The error of a tensor over all data. `sqnr` in dB, None where nothing differs; `largest` is the largest absolute
    difference in units of the tensor; `saturated` the share of the float values beyond what its pair holds, None
    without a pair."""

    tensor: str
    op: str
    sqnr: float | None
    cosine: float
    largest: float
    saturated: float | None


@job("errors.onnxruntime")
@dataclass(frozen=True)
class MeasureErrors:
    """Runs both models on the same data. `tensors` are what both have, by the operator that makes them; `ranges` the
    magnitudes that pairs hold. The result is `{"errors": [TensorError as JSON, …], "batches": n, "words": …}`, in the
    order of `tensors`. Raises Fault for data that doesn't fit."""

    reference: str
    model: str
    tensors: Any
    ranges: Any
    data: Any
    batch: int = 1
    threads: int = 0

    def run(self, context: JobContext) -> dict[str, Any]:
        context.phase("Loading the models")
        names = tuple(self.tensors)
        first, second = (Runner(Path(path), names, self.threads, "basic") for path in (self.reference, self.model))
        options = data_options(self.data)
        found = samples(options, first.inputs)
        sums = {name: _Sums() for name in names}
        context.phase("Running the data")
        count = 0
        for feed in batches(found, self.batch, options.most):
            if context.cancelled():
                raise Cancelled
            count += 1
            one, other = first.run(feed), second.run(feed)
            for name, each in sums.items():
                each.add(one[name], other[name], self.ranges.get(name), name)
        if not count:
            raise Fault("There is no data", found.words)
        errors = [asdict(sums[name].error(name, op)) for name, op in self.tensors.items()]
        return {"errors": errors, "batches": count, "words": found.words, "tool": f"onnxruntime {first.version}"}


@dataclass
class _Sums:
    noise: float = 0.0
    power: float = 0.0
    other: float = 0.0
    product: float = 0.0
    largest: float = 0.0
    beyond: int = 0
    count: int = 0
    known: bool = False

    def add(self, one: Array, other: Array, limit: float | None, name: str) -> None:
        if one.shape != other.shape:
            raise Fault(f"The shapes differ: {one.shape} and {other.shape}", name, "Are these the same network?")
        a, b = one.astype("float64").reshape(-1), other.astype("float64").reshape(-1)
        self.noise += float(((a - b) ** 2).sum())
        self.power += float((a**2).sum())
        self.other += float((b**2).sum())
        self.product += float((a * b).sum())
        self.largest = max(self.largest, float(abs(a - b).max(initial=0.0)))
        self.count += a.size
        if limit is not None:
            self.known = True
            self.beyond += int((abs(a) > limit * (1 + 1e-6)).sum())

    def error(self, name: str, op: str) -> TensorError:
        ratio = None
        if self.noise:
            ratio = 10 * math.log10(self.power / self.noise) if self.power else -math.inf
            ratio = max(ratio, -200.0)
        size = math.sqrt(self.power * self.other)
        cosine = self.product / size if size else float(self.power == self.other)
        share = self.beyond / self.count if self.known and self.count else None
        return TensorError(name, op, ratio, cosine, self.largest, share)


def errors_job(reference: Graph, model: Graph, folder: Path, options: DataOptions, batch: int) -> MeasureErrors:
    """Stages both models. Their tensors are matched by name, as placing and removing pairs keeps names. Raises Fault
    where they share none."""
    there = measured(model)
    shared = {name: op for name, op in measured(reference).items() if name in there and op}
    if not shared:
        raise Fault("The two models have no tensor in common", "", "Tensors are matched by name")
    paths = []
    for name, graph in (("reference", reference), ("model", model)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        paths.append(str(stage(with_stand_ins(graph)[0], folder / name)))
    return MeasureErrors(paths[0], paths[1], shared, held(model), asdict(options), batch)


def held(graph: Graph) -> dict[str, float]:
    """The largest magnitude that the pair on an activation holds, by tensor."""
    words = {number: word for word, number in DTYPES.items()}
    found: dict[str, float] = {}
    for pair in find_pairs(graph).values():
        word = words.get(quantized_dtype(graph, pair))
        values = scales(graph, pair)
        if pair.quantize is not None and word and values is not None and not per_channel(graph, pair):
            found[pair.source] = float(values[0]) * LARGEST[word]
    return found


def read_errors(result: Mapping[str, Any]) -> list[TensorError]:
    """What the job has found."""
    return [TensorError(**one) for one in result["errors"]]
