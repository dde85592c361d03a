"""Opening a model with 1.6 GB of external data: time against onnx.load, and how much resident memory grows."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from tests.bench.rows import ROOT, Row, model

REPEATS = 3
MEASURE = """
import json, sys, time
from pathlib import Path
import numpy, onnx
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.diagram_picture import draw
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
before, begin = resident(), time.perf_counter()
kept = draw(load(Path(sys.argv[2]))) if sys.argv[1] == "ours" else onnx.load(sys.argv[2])
print(json.dumps([time.perf_counter() - begin, resident() - before]))
"""


def main() -> list[Row]:
    path = str(model("big_ext"))
    runs: dict[str, list[list[float]]] = {"ours": [], "onnx": []}
    for _ in range(REPEATS):
        for who, found in runs.items():
            done = subprocess.run([sys.executable, "-c", MEASURE, who, path], cwd=ROOT, check=True, capture_output=True)
            found.append(json.loads(done.stdout))
    ours, theirs = ([median(column) for column in zip(*found, strict=True)] for found in runs.values())
    return [
        Row("open and lay out big_ext (peer: onnx.load)", ours[0], "s", theirs[0], 0.05),
        Row("resident memory grows, big_ext", ours[1], "MB", bound=200.0),
    ]
