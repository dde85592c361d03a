"""What a benchmark says, and the models that it is measured on."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


@dataclass(frozen=True)
class Row:
    """One figure. The bound is on ours / peer where there is a peer, else on ours; inf where nothing is promised.

    `missing` says why the peer could not be measured: such a row is not passed.
    """

    name: str
    ours: float
    unit: str = "s"
    peer: float | None = None
    bound: float = math.inf
    missing: str = ""

    @property
    def ratio(self) -> float | None:
        """None without a peer; a peer of 0 is matched by 0 only."""
        if self.peer is None:
            return None
        if self.peer == 0:
            return 1.0 if self.ours == 0 else math.inf
        return self.ours / self.peer

    @property
    def ok(self) -> bool:
        if self.missing:
            return False
        ratio = self.ratio
        return (self.ours if ratio is None else ratio) <= self.bound


def table(rows: list[Row]) -> str:
    """The rows, in columns: name | ours | peer | ratio | bound | ok."""
    cells = [("name", "ours", "peer", "ratio", "bound", "ok")]
    for row in rows:
        peer = row.missing if row.peer is None else f"{row.peer:.4g} {row.unit}".strip()
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        relative = row.peer is not None or row.missing
        bound = "" if math.isinf(row.bound) else f"{row.bound:g}" + ("×" if relative else f" {row.unit}")
        cells.append((row.name, f"{row.ours:.4g} {row.unit}".strip(), peer, ratio, bound, "ok" if row.ok else "NOT OK"))
    widths = [max(len(line[i]) for line in cells) for i in range(6)]
    return "\n".join(" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in cells)


def model(name: str) -> Path:
    """A model by name: one that is kept in ../shared/data/models, or one that ../shared/bench/gen_models.py makes.

    Made models stay in the user's cache folder. Raises SystemExit where ../shared is missing.
    """
    kept = SHARED / "data" / "models" / f"{name}.onnx"
    if kept.is_file():
        return kept
    folder = Path(user_cache_dir("graftwerk-bench"))
    made = folder / f"{name}.onnx"
    if not made.is_file():
        generator = SHARED / "bench" / "gen_models.py"
        if not generator.is_file():
            raise SystemExit(f"{name}: the benchmarks need {generator}")
        part = folder / f"part-{os.getpid()}"  # so that an interrupted run leaves no half model under the name
        part.mkdir(parents=True)
        subprocess.run([sys.executable, generator, part, name], check=True, stdout=subprocess.DEVNULL)
        for file in sorted(part.iterdir(), reverse=True):  # the model's external data first
            file.replace(folder / file.name)
        part.rmdir()
    return made
