"""The main job with nobody at the window: open, insert Q/DQ, build, profile, save. What `dev.py run` does where there
is no display; everything goes through the real window and its actions.

    python -m graftwerk.app.unattended OUT [MODEL]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from graftwerk import resources
from graftwerk.app.gui import make_application
from graftwerk.app.settings import Settings
from graftwerk.app.shot import save, wait
from graftwerk.app.window import Window
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.qdq_insert import InsertQdqLayer
from graftwerk.backend.operations.registry import why_blocked
from graftwerk.backend.quantize.pairs import DEQUANTIZE
from graftwerk.backend.quantize.scales import COMPUTE, scale_of

TARGET = "sm89"


def main(arguments: list[str]) -> int:
    """Does the whole job and says where the results lie. Returns an exit code."""
    if len(arguments) not in (1, 2):
        print("usage: python -m graftwerk.app.unattended OUT [MODEL]", file=sys.stderr)
        return 2
    out = Path(arguments[0])
    model = Path(arguments[1]) if len(arguments) == 2 else resources.model("digits.onnx")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        work(out, model)
    except (Fault, OSError) as error:
        print(f"graftwerk: {error}", file=sys.stderr)
        if isinstance(error, Fault) and error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 3
    return 0


def work(out: Path, model: Path) -> None:
    """Leaves in `out` the edited model, the recipe, the engine, the reports and pictures of the window."""
    out.mkdir(parents=True, exist_ok=True)
    make_application()
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as folder:
        settings = Settings(Path(folder) / "window.ini")
        settings.write("targets", [TARGET])
        window = Window(settings)
        try:
            _do(window, out, model)
        finally:
            window.shut()


def _do(window: Window, out: Path, model: Path) -> None:
    window.files.open([model])
    if window.tab is None:
        raise Fault("The model can't be opened", str(model), "Look at it with `graftwerk info`.")
    tab = window.tab
    window.show()
    window.engines.ask_library()
    wait(lambda: bool(window.engines.library or window.engines.missing))
    wait(lambda: tab.inference.known)
    _tell("open", f"{model} ({len(tab.document.graph.nodes)} nodes)")
    save(window, out / "1-opened.png")

    for step in quantize_layers(tab.document.graph, model):
        tab.document.apply(step)
    wait(lambda: tab.inference.known)
    _tell("edit", f"{len(tab.document.recipe.steps)} layers quantized")
    edited = out / f"{model.stem}_int8.onnx"
    tab.document.save(edited)
    tab.document.recipe.save(out / f"{model.stem}.recipe.json")

    task = window.engines.build()
    wait(lambda: task.over)
    if tab.engine is None or tab.report is None:
        raise Fault(task.view.failure.message if task.view.failure else "The build failed", str(model))
    shutil.copyfile(tab.engine, out / f"{model.stem}_int8.{TARGET}.engine")
    shutil.copyfile(f"{tab.engine}.json", out / f"{model.stem}_int8.report.json")
    int8 = sum(layer.precision == "INT8" for layer in tab.report.layers)
    _tell("build", f"{len(tab.report.layers)} layers for {TARGET.upper()}, {int8} of them in INT8")
    for overlay in ("fusion", "precision"):
        tab.set_overlay(overlay)
        tab.canvas.zoom_fit()
        save(window, out / f"2-{overlay}.png")

    task = window.engines.profile()
    wait(lambda: task.over)
    if tab.profile is None or task.handle is None:
        raise Fault(task.view.failure.message if task.view.failure else "The profile failed", str(model))
    shutil.copyfile(task.handle.folder / "profile.json", out / f"{model.stem}_int8.profile.json")
    latency = float(np.median(tab.profile.latency_milliseconds))
    _tell("profile", f"{tab.profile.backend} {tab.profile.version}: latency p50 {latency:.3f} ms")
    save(window, out / "3-time.png")
    print(f"\nThe results lie in {out.resolve()}:")
    for path in sorted(out.iterdir()):
        print(f"  {path.name:32} {path.stat().st_size:>10,} bytes")


def quantize_layers(graph: Graph, model: Path) -> list[InsertQdqLayer]:
    """A step for every layer that can be quantized, with measured scales where the model comes with calibration data
    (`NAME_calib.npz` beside it), and guessed ones else."""
    layers = [graph.ref(node) for node, record in graph.nodes.items() if record.op_type in COMPUTE]
    scales = measured_scales(graph, model.with_name(f"{model.stem}_calib.npz"))
    steps = []
    for ref in layers:
        record = graph.nodes[graph.find(ref)]
        data = record.input[0]
        made = graph.producer(data)
        if made is not None and graph.nodes[made].op_type == DEQUANTIZE:
            continue
        step = InsertQdqLayer(ref, {data: scales[data]} if data in scales else {})
        if why_blocked(step, graph) is None:
            steps.append(step)
    return steps


def measured_scales(graph: Graph, data: Path) -> dict[str, float]:
    """The scale at which the largest magnitude seen is just held, by tensor that a layer reads; empty without data."""
    if not data.is_file():
        return {}
    with np.load(data) as arrays:
        feeds = {name: arrays[name] for name in arrays.files if graph.is_input(name)}
    wanted = {record.input[0] for record in graph.nodes.values() if record.op_type in COMPUTE}
    made = sorted(name for name in wanted if graph.producer(name) is not None)
    found = {**feeds, **run_model(to_model(graph), feeds, made)}
    return {name: scale_of(float(np.abs(values).max())) for name, values in found.items() if name in wanted}


def _tell(step: str, text: str) -> None:
    print(f"{step:8} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
