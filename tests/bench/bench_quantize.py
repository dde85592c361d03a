"""Placing Q/DQ pairs in 10,000 nodes, and trying layers one by one in one process and in two."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.app.quantize_commands import run_all
from graftwerk.backend.graph.files import load, stage
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.operations.qdq_place import PlaceQdq
from graftwerk.backend.operations.registry import apply
from graftwerk.backend.quantize.data import DataOptions
from graftwerk.backend.quantize.sensitivity import jobs, trials
from tests.bench.rows import Row, model

#: Twice as many cores are to make it so much faster.
FASTER = 1.7


def main() -> list[Row]:
    graph = typed(load(model("llm10k")), symbolic=False)
    begin = perf_counter()
    apply(PlaceQdq(), graph)
    return [Row("Q/DQ placed in 10,000 nodes", perf_counter() - begin, bound=1.0), _sensitivity()]


def _sensitivity() -> Row:
    graph = typed(load(model("resnet50")), symbolic=False)
    place = PlaceQdq()
    data = asdict(DataOptions(random=512))
    seconds = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            path = stage(graph, Path(folder) / "model")
            asked = trials(graph, place, "only")
            begin = perf_counter()
            run_all(list(jobs(path, place, asked, data, Path(folder), workers, 1, batch=32)), "layers")
            seconds[workers] = perf_counter() - begin
    return Row("54 layers of ResNet-50 tried by two processes", seconds[2], "s", seconds[1], 1 / FASTER)
