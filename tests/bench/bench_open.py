"""From the start of the process to the first complete picture of a graph, and what the window holds in memory then.

Peers, in the same run: importing PySide6, onnx and numpy alone, and Netron from navigation to paint.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.netron import netron_seconds
from tests.bench.rows import Row, model

REPEATS = 7
HERE = Path(__file__).resolve().parent
IMPORTS = "import os, PySide6.QtWidgets, onnx, numpy; os._exit(0)"
#: Times importing, and times Netron.
AGAINST_IMPORTS = {"llm10k": 2.0, "moe50k": 4.0}
AGAINST_NETRON = {"llm1k": 0.5, "gpt2_ts": 0.5}


def main() -> list[Row]:
    names = (*AGAINST_NETRON, *AGAINST_IMPORTS)
    opened: dict[str, list[float]] = {name: [] for name in names}
    imports: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": home}
        environment["PYTHONPYCACHEPREFIX"] = home  # bytecode as an installation has it, whatever the shell says
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        opening(model("llm1k"), environment)  # once, so that files and bytecode are where they stay
        for _ in range(REPEATS):  # in turn: what disturbs the machine disturbs both
            begin = time.monotonic()
            subprocess.run([sys.executable, "-c", IMPORTS], env=environment, check=True)
            imports.append(time.monotonic() - begin)
            for name in names:
                opened[name].append(opening(model(name), environment)[0]["seconds"])
        settled = opening(model("llm10k"), environment, "--settle")[-1]
    alone = median(imports)
    rows = [Row(f"open {name} (peer: imports alone)", median(opened[name]), "s", alone, bound)
            for name, bound in AGAINST_IMPORTS.items()]
    for name, bound in AGAINST_NETRON.items():
        theirs, missing = netron_seconds(model(name))
        rows.append(Row(f"open {name} (peer: Netron)", median(opened[name]), "s", theirs, bound, missing))
    rows.append(Row("memory of the window on llm10k (RSS), workers apart", settled["rss_mb"], "MB", bound=500.0))
    rows.append(Row("memory of its workers (PSS)", settled["workers_mb"], "MB"))
    return rows


def opening(path: Path, environment: dict[str, str], *options: str) -> list[dict[str, Any]]:
    """What first_picture.py tells of a model."""
    command: list[str | Path] = [sys.executable, HERE / "first_picture.py", *options, repr(time.monotonic()), path]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return [json.loads(line) for line in done.stdout.splitlines()]
