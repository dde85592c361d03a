"""How much each group of channels matters: the error of the outputs when that group alone is pruned.

Runs in a worker with the program's own Python: it applies operations.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graftwerk.backend.engines.feeds import Array
from graftwerk.backend.engines.onnxruntime import run_model, run_trial
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load, stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.shapes import infer
from graftwerk.backend.graph.standin import with_stand_ins
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import Cancelled, job
from graftwerk.backend.pruning.channels import Criterion, bytes_of, chosen, count_left, importance, prune
from graftwerk.backend.pruning.groups import Group, find_groups


@dataclass(frozen=True)
class GroupError:
    """A group by its layers, its channels and how many stay, the bytes that go, and the relative error of the outputs,
    |a - b| / |a| over all of them (Frobenius). `frozen` says why a group can't be pruned; its error is 0 then."""

    layers: tuple[str, ...]
    channels: int
    left: int
    bytes_saved: int = 0
    error: float = 0.0
    frozen: str = ""


@job("pruning.sensitivity")
@dataclass(frozen=True)
class MeasurePruning:
    """Prune one group of channels at a time and run the model with ONNX Runtime.

    Data as `feeds.feeds` takes or makes it. The result is `{"groups": path of a JSON list of GroupError}`. Raises Fault
    where the model can't be run, before or after.
    """

    model: str
    ratio: float = 0.25
    multiple: int = 8
    criterion: Criterion = "L1 norm"
    files: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0

    def run(self, context: JobContext) -> dict[str, Any]:
        context.phase("Running the whole model")
        graph = load(Path(self.model))
        graph = graph.with_types(infer(graph))
        trial = run_trial(Path(self.model), self.files, self.shapes, self.seed)
        groups = find_groups(graph)
        context.phase("Pruning group by group")
        found = []
        for number, group in enumerate(groups):
            if context.cancelled():
                raise Cancelled
            found.append(self._measure(context.folder, graph, group, trial.given.arrays, trial.outputs))
            context.progress(number + 1, len(groups))
        path = context.folder / "groups.json"
        path.write_text(json.dumps([asdict(each) for each in found]), encoding="utf-8")
        return {"groups": str(path), "inputs": trial.given.words}

    def _measure(
        self, folder: Path, graph: Graph, group: Group, given: Mapping[str, Array], whole: Mapping[str, Array]
    ) -> GroupError:
        layers = tuple(str(graph.ref(node)) for node in group.makers)
        left = count_left(group, self.ratio, self.multiple)
        frozen = group.frozen
        if self.criterion == "batch norm scale" and not group.norms:
            frozen = frozen or "no batch normalization is on these channels"
        if frozen or left == group.size:
            return GroupError(layers, group.size, group.size, frozen=frozen)
        edit = Edit(graph)
        prune(edit, [(group, chosen(importance(graph, group, self.criterion), group, left))])
        made = edit.commit()
        place = folder / "trial"
        try:
            found = run_model(stage(made, place), given)
        except Fault as fault:
            raise Fault(f"without channels of {layers[0]} it can't be run: {fault.message}", fault.where) from fault
        finally:
            shutil.rmtree(place, ignore_errors=True)
        saved = bytes_of(graph.initializers) - bytes_of(made.initializers)
        return GroupError(layers, group.size, left, saved, relative_error(whole, found))


def relative_error(whole: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """|a - b| / |a| over all float outputs; infinite where shapes differ or values are not finite."""
    lost, there = 0.0, 0.0
    for name, one in whole.items():
        other = found[name]
        if not isinstance(one, np.ndarray) or one.dtype.kind != "f":
            continue
        if one.shape != other.shape:
            return float("inf")
        difference = one.astype(np.float64) - other.astype(np.float64)
        lost += float(np.square(difference).sum())
        there += float(np.square(one.astype(np.float64)).sum())
    return float(np.sqrt(lost / there)) if there else 0.0


def sensitivity_job(graph: Graph, folder: Path, **settings: Any) -> MeasurePruning:
    """Writes a revision and makes the job; `settings` are the parameters of `MeasurePruning`."""
    runnable, _ = with_stand_ins(graph)
    return MeasurePruning(str(stage(runnable, folder / "whole")), **settings)


def read_errors(result: Mapping[str, Any]) -> list[GroupError]:
    """What the job measured."""
    rows = json.loads(Path(result["groups"]).read_text(encoding="utf-8"))
    return [GroupError(**{**row, "layers": tuple(row["layers"])}) for row in rows]
