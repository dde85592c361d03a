"""Which layers suffer from quantization: each is quantized alone, or alone left in float, and the model is scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import graftwerk.backend.operations.all  # noqa: F401 - a worker registers them by importing this file
from graftwerk.backend.atomic import atomic
from graftwerk.backend.engines.feeds import Array
from graftwerk.backend.engines.onnxruntime import Runner
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph, NodeRef
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job
from graftwerk.backend.operations.qdq_place import PlaceQdq
from graftwerk.backend.operations.registry import apply, make, parameters
from graftwerk.backend.quantize.collect import data_options
from graftwerk.backend.quantize.data import batches, samples
from graftwerk.backend.quantize.score import Score, compared, joined, metric_of, read_labels

Mode = Literal["only", "all but"]
#: The trials of the model in float and of all that is quantized at once.
FLOAT, ALL = "in float", "all quantized"


@dataclass(frozen=True)
class Trial:
    """A model to score: what it is called, and the layers that stay in float."""

    name: str
    keep: tuple[str, ...]


def trials(graph: Graph, place: PlaceQdq, mode: Mode) -> list[Trial]:
    """One for each layer that would be quantized, and first the two that they are compared with."""
    made = place.plan(graph)
    layers = [graph.ref(node) for node in made.layers]
    if not layers:
        raise Fault("There is no layer to quantize", "", "See `graftwerk quantize`")
    kept = tuple(map(str, place.keep))
    each = [Trial(one, (*kept, *(other for other in layers if other != one)) if mode == "only" else (*kept, one))
            for one in layers]  # fmt: skip
    return [Trial(FLOAT, (*kept, *layers)), Trial(ALL, kept), *each]


@job("sensitivity.onnxruntime")
@dataclass(frozen=True)
class ScoreTrials:
    """Scores every `parts`-th trial from `part` on, with ONNX Runtime on the CPU, Q/DQ rounding as it is written.

    `place` are the parameters of `qdq.place`, `data` DataOptions as JSON. A score that is in `folder` already is not
    measured again. Raises Fault for data or a metric that fails; finished scores are kept.
    """

    model: str
    place: Any
    trials: tuple[Any, ...]
    data: Any
    folder: str
    batch: int = 32
    labels: str = ""
    metric: str = ""
    part: int = 0
    parts: int = 1
    threads: int = 1

    def run(self, context: JobContext) -> dict[str, Any]:
        mine = [Trial(one["name"], tuple(one["keep"])) for one in self.trials[self.part :: self.parts]]
        open_ones = [one for one in mine if not score_file(Path(self.folder), one).is_file()]
        if open_ones:
            context.phase("Running the model in float")
            graph = typed(load(Path(self.model)))
            score = self._scorer(graph)
            context.phase("Scoring the layers")
            for at, trial in enumerate(open_ones):
                if context.cancelled():
                    raise Cancelled
                with atomic(score_file(Path(self.folder), trial)) as file:
                    file.write(json.dumps(asdict(score(trial))).encode())
                context.progress(at + 1, len(open_ones))
        return {"measured": len(open_ones)}

    def _scorer(self, graph: Graph) -> Callable[[Trial], Score]:
        labels = read_labels(self.labels) if self.labels else None
        metric = metric_of(self.metric) if self.metric else None
        options = data_options(self.data)

        def outputs(model: Graph) -> dict[str, Array]:
            runner = Runner(to_model(model), (), self.threads, "basic", model.folder)
            found = [runner.run(feed) for feed in batches(samples(options, runner.inputs), self.batch, options.most)]
            if not found:
                raise Fault("There is no data", ", ".join(options.paths))
            return joined(found)

        reference = outputs(graph)
        place = make("qdq.place", self.place)
        assert isinstance(place, PlaceQdq)

        def score(trial: Trial) -> Score:
            chosen = replace(place, keep=tuple(map(NodeRef, trial.keep)))
            made = graph if trial.name == FLOAT else apply(chosen, graph)
            found = reference if trial.name == FLOAT else outputs(made)
            return compared(reference, found, metric(found, labels) if metric is not None else None)

        return score


def score_file(folder: Path, trial: Trial) -> Path:
    """Where a trial's score is kept: by what stays in float."""
    told = "\n".join((FLOAT if trial.name == FLOAT else "", *sorted(trial.keep)))
    return folder / f"{hashlib.sha256(told.encode()).hexdigest()[:24]}.json"


def read_scores(folder: Path, asked: Sequence[Trial]) -> dict[str, Score]:
    """The scores of all trials by name. Raises Fault where one is missing."""
    found = {}
    for trial in asked:
        try:
            found[trial.name] = Score(**json.loads(score_file(folder, trial).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise Fault("This layer was not scored", trial.name, "Run it again: finished ones are kept") from None
    return found


def jobs(model: Path, place: PlaceQdq, asked: Sequence[Trial], data: Mapping[str, Any], folder: Path, parts: int,
         threads: int, **more: Any) -> Iterator[ScoreTrials]:  # fmt: skip
    """The jobs of so many processes."""
    told = tuple(asdict(trial) for trial in asked)
    for part in range(parts):
        yield ScoreTrials(str(model), parameters(place), told, dict(data), str(folder), part=part, parts=parts,
                          threads=threads, **more)  # fmt: skip


def harm(score: Score, best: Score, mode: Mode, worst: Score) -> float:
    """How much a layer hurts, larger is worse: what it costs alone, or what the model gains with it in float; of the
    task's metric where there is one, with the noise to break ties, else of the noise-to-signal ratio."""
    noise = 10 ** (-score.sqnr / 10) if score.sqnr != float("inf") else 0.0
    if score.task is not None and best.task is not None and worst.task is not None:
        lost = best.task - score.task if mode == "only" else score.task - worst.task
        return lost + 1e-3 * (noise if mode == "only" else -noise)
    return noise if mode == "only" else -noise


def ranked(scores: Mapping[str, Score], mode: Mode) -> list[tuple[str, float]]:
    """Layers with their harm, the worst first."""
    layers = [name for name in scores if name not in (FLOAT, ALL)]
    found = [(name, harm(scores[name], scores[FLOAT], mode, scores[ALL])) for name in layers]
    return sorted(found, key=lambda one: -one[1])
