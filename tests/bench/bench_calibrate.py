"""Calibrating ResNet-50 at 224×224 on 64 images: time against ONNX Runtime's inference alone with every tensor as an
output, memory against ONNX Runtime's own calibrator. Each in processes of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.bench.resnet50 import write
from tests.bench.rows import ROOT, Row

IMAGES = 64

_PLAIN = """
import sys, time, numpy, onnx, onnxruntime
model = onnx.load(sys.argv[1])
known = {info.name for info in model.graph.output}
names = [name for node in model.graph.node for name in node.output]
model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
images = numpy.load(sys.argv[2])["input"]
session.run(None, {"input": images[:1]})
begin = time.perf_counter()
for at in range(len(images)):
    session.run(None, {"input": images[at:at + 1]})
print(time.perf_counter() - begin)
"""

_OURS = """
import resource, sys, tempfile, time
from pathlib import Path
from graftwerk.app.quantize_commands import run_jobs
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.shapes import typed
from graftwerk.backend.quantize.calibrate import plan, together
from graftwerk.backend.quantize.data import DataOptions
graph = typed(load(Path(sys.argv[1])))
with tempfile.TemporaryDirectory() as folder:
    begin = time.perf_counter()
    made = plan(graph, DataOptions((sys.argv[2],)), 1, Path(folder))
    found = together(made, run_jobs(made, int(sys.argv[3])), "resnet50")
    print(time.perf_counter() - begin, len(found.histograms),
          resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""

_THEIRS = """
import resource, sys, time, numpy
from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator
class Reader(CalibrationDataReader):
    def __init__(self):
        self.images, self.at = numpy.load(sys.argv[2])["input"], 0
    def get_next(self):
        self.at += 1
        return {"input": self.images[self.at - 1:self.at]} if self.at <= len(self.images) else None
begin = time.perf_counter()
calibrator = create_calibrator(sys.argv[1], calibrate_method=CalibrationMethod.Entropy,
                               augmented_model_path=sys.argv[3])
calibrator.collect_data(Reader())
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, data = folder / "resnet50.onnx", folder / "images.npz"
        write(model)
        images = np.random.default_rng(1).normal(size=(IMAGES, 3, 224, 224)).astype(np.float32)
        np.savez(data, input=images)
        (plain,) = _run(_PLAIN, model, data)
        ours, tensors, memory = _run(_OURS, model, data, 2)
        one, _, alone = _run(_OURS, model, data, 1)
        theirs, their_memory = _run(_THEIRS, model, data, folder / "augmented.onnx")
        title = f"calibrating ResNet-50, {IMAGES} images, {tensors:.0f} tensors"
        return [
            Row(f"{title}, 2 processes, against inference with all outputs", ours, "s", plain, 1.3),
            Row("… 1 process", one, "s", plain),
            Row("… against ONNX Runtime's calibrator", ours, "s", theirs, 1.0),
            Row("memory of a process, model included, against that one", memory, "MiB", their_memory, 1.0),
            Row("… 1 process", alone, "MiB", their_memory, 1.0),
        ]


def _run(script: str, *arguments: object) -> list[float]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return [float(word) for word in said.strip().splitlines()[-1].split()]
