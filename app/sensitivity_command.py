"""`graftwerk sensitivity`: which layers suffer from INT8, and the model that keeps just enough of them in float."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftwerk.app.output import print_json, print_line
from graftwerk.backend.fault import Fault

if TYPE_CHECKING:
    from graftwerk.backend.operations.qdq_place import PlaceQdq
    from graftwerk.backend.quantize.score import Score
    from graftwerk.backend.quantize.sensitivity import Trial

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add(commands: Commands) -> None:
    """Adds the command to the program's."""
    one = commands.add_parser(
        "sensitivity",
        help="which layers suffer from quantization",
        description="Quantizes each layer alone, or leaves it alone in float, and scores the model against itself in "
        "float with ONNX Runtime. Scores are kept: the same run again takes no time. With a budget the layers that "
        "hurt most stay in float, one after the other, until the score keeps it.",
    )
    one.add_argument("model", type=Path, help="in float")
    one.add_argument("--calibration", type=Path, required=True, help="as calibrate writes it, or TensorRT's cache")
    one.add_argument("--data", nargs="+", required=True, metavar="DATA", help="as for calibrate, but other samples")
    one.add_argument("--labels", default="", metavar="FILE", help="FILE.npy, or FILE.npz:KEY")
    text = "top1 (with --labels, the default then), or file.py:function(outputs, labels); higher is better"
    one.add_argument("--metric", default="", help=text)
    one.add_argument("--mode", choices=["only", "all but"], default="only", help="what of the layers is quantized")
    one.add_argument("--budget", type=float, help="how much may be lost: percent of the metric, or dB below 60 of SQNR")
    one.add_argument("-o", "--output", type=Path, help="with --budget: the model that keeps it")
    one.add_argument("--attention", action="store_true", help="the products of two activations too")
    one.add_argument("--batch", type=int, default=32)
    one.add_argument("--most", type=int, default=0, metavar="N", help="samples at most")
    one.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    one.add_argument("--json", action="store_true")
    one.set_defaults(function=_sensitivity)


def _sensitivity(parsed: argparse.Namespace) -> int:
    from graftwerk.app.commands import load_typed
    from graftwerk.backend.graph.files import save, stage
    from graftwerk.backend.graph.graph import NodeRef
    from graftwerk.backend.graph.shapes import typed
    from graftwerk.backend.operations.qdq_place import PlaceQdq
    from graftwerk.backend.operations.registry import FilePath, apply
    from graftwerk.backend.output_paths import check_outputs
    from graftwerk.backend.quantize.sensitivity import ALL, FLOAT, ranked, trials

    if parsed.output is not None:
        check_outputs({"model": parsed.output}, [parsed.model])
    if (parsed.output is None) != (parsed.budget is None):
        raise Fault("A budget and a file for its model belong together", "--budget", "Give both, or none")
    graph = typed(load_typed(parsed.model))
    place = PlaceQdq(FilePath(str(parsed.calibration.resolve())), attention=parsed.attention)
    with tempfile.TemporaryDirectory(prefix="graftwerk-") as name:
        run = _Runs(parsed, stage(graph, Path(name)), place)
        scores = run.scores(trials(graph, place, parsed.mode))
        order = ranked(scores, parsed.mode)
        steps = _within(run, place, order, scores[FLOAT], scores[ALL], parsed.budget)
    if parsed.output is not None:
        save(apply(replace(place, keep=tuple(map(NodeRef, steps[-1][0]))), graph), parsed.output)
    _tell(parsed, scores, order, steps)
    return 0


class _Runs:
    """Runs trials in several processes, and keeps their scores by what they are of."""

    def __init__(self, parsed: argparse.Namespace, model: Path, place: PlaceQdq) -> None:
        from graftwerk.app.quantize_commands import data_path
        from graftwerk.backend import assets
        from graftwerk.backend.quantize.data import DataOptions

        self.parsed, self.model, self.place = parsed, model, place
        self.data = asdict(DataOptions(tuple(map(data_path, parsed.data)), most=parsed.most))
        self.labels = _resolved(parsed.labels)
        self.metric = parsed.metric if parsed.metric in ("", "top1") else _resolved(parsed.metric)
        if self.labels and not self.metric:
            self.metric = "top1"
        self.folder = assets.folder().parent / "sensitivity" / self._key()
        self.folder.mkdir(parents=True, exist_ok=True)

    def _key(self) -> str:
        """Of the model with its weights, the calibration, the data and the metric."""
        import hashlib
        import json

        told = hashlib.sha256()
        for path in sorted(one for one in self.model.parent.rglob("*") if one.is_file()):
            told.update(path.read_bytes())
        told.update(self.parsed.calibration.read_bytes())
        named = [*self.data["paths"], self.labels, self.metric]
        files = [Path(path) for text in named for path in (text, text.rpartition(":")[0]) if path]
        real = [path for path in files if path.exists()]
        there = [one for path in real for one in (sorted(path.rglob("*")) if path.is_dir() else [path])]
        stamps = [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in there]
        rest = [self.data, self.labels, self.metric, stamps, self.parsed.attention]
        told.update(json.dumps(rest, sort_keys=True, default=str).encode())
        return told.hexdigest()[:24]

    def scores(self, asked: Sequence[Trial]) -> dict[str, Score]:
        from graftwerk.app.quantize_commands import run_all
        from graftwerk.backend.quantize.sensitivity import jobs, read_scores

        workers = min(self.parsed.workers, len(asked))
        threads = max(1, (os.cpu_count() or 1) // workers)
        more = {"batch": self.parsed.batch, "labels": self.labels, "metric": self.metric}
        run_all(list(jobs(self.model, self.place, asked, self.data, self.folder, workers, threads, **more)), "layers")
        return read_scores(self.folder, asked)


def _resolved(text: str) -> str:
    path, colon, rest = text.rpartition(":")
    return f"{Path(path).resolve()}:{rest}" if colon else str(Path(text).resolve()) if text else ""


def _within(
    run: _Runs, place: PlaceQdq, order: Sequence[tuple[str, float]], best: Score, score: Score, budget: float | None
) -> list[tuple[tuple[str, ...], Score]]:
    """What is kept in float and its score, from nothing on, until the budget is kept or nothing is left to keep."""
    from graftwerk.backend.quantize.sensitivity import Trial

    kept = tuple(map(str, place.keep))
    steps = [(kept, score)]
    for name, _ in order if budget is not None else ():
        if _lost(best, steps[-1][1]) <= (budget or 0.0):
            break
        kept = (*kept, name)
        steps.append((kept, run.scores([Trial(f"mixed {len(kept)}", kept)])[f"mixed {len(kept)}"]))
    return steps


def _lost(best: Score, score: Score) -> float:
    """Percent of the metric that are lost, or dB of SQNR below 60."""
    if best.task is not None and score.task is not None:
        return 100 * (best.task - score.task)
    return 60.0 - score.sqnr


def _tell(
    parsed: argparse.Namespace, scores: Mapping[str, Score], order: Sequence[tuple[str, float]],
    steps: Sequence[tuple[tuple[str, ...], Score]],
) -> None:  # fmt: skip
    from graftwerk.backend.quantize.sensitivity import ALL, FLOAT

    if parsed.json:
        facts: dict[str, Any] = {
            "float": _json(scores[FLOAT]), "all": _json(scores[ALL]), "mode": parsed.mode,
            "layers": [{"layer": name, "harm": harm, **_json(scores[name])} for name, harm in order],
            "mixed": [{"keep": list(keep), **_json(score)} for keep, score in steps] if parsed.output else [],
        }  # fmt: skip
        print_json(facts)
        return
    print_line(f"in float: {_words(scores[FLOAT])}; all quantized: {_words(scores[ALL])}")
    for name, _ in order:
        print_line(f"{name}: {_words(scores[name])}")
    if parsed.output:
        keep, score = steps[-1]
        print_line(f"{parsed.output}: {len(keep)} layers in float, {_words(score)}")
        if _lost(scores[FLOAT], score) > parsed.budget:
            print_line("the budget is not kept: what is left is not lost in these layers")


def _json(score: Score) -> dict[str, Any]:
    """A ratio without noise is infinite, which JSON has no number for: null."""
    return {**asdict(score), "sqnr": score.sqnr if score.sqnr != float("inf") else None}


def _words(score: Score) -> str:
    task = "" if score.task is None else f"{100 * score.task:.2f} %, "
    return f"{task}SQNR {score.sqnr:.1f} dB, cosine {score.cosine:.5f}"
