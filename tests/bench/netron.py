"""The peer Netron, measured by ../shared/bench/netron_time.mjs in a headless Chromium.

Node and Chromium have to be installed; playwright-core and Netron are fetched once, into the user's cache folder.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from platformdirs import user_cache_dir

from tests.bench.rows import SHARED

SCRIPT = SHARED / "bench" / "netron_time.mjs"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
#: Runs, of which the median counts, and the seconds that each may take.
REPEATS, PATIENCE = 3, 60


def netron_seconds(path: Path) -> tuple[float | None, str]:
    """Seconds from navigation to the painted graph, the median; or None and what is missing."""
    folder, missing = _peer()
    if missing:
        return None, missing
    chromium = next(filter(None, map(shutil.which, CHROMIUM)))
    with tempfile.TemporaryDirectory() as temporary:
        # node looks for modules beside the script: so it is given one, by links
        script, out = Path(temporary) / "netron_time.mjs", Path(temporary) / "out.json"
        script.symlink_to(SCRIPT)
        (Path(temporary) / "node_modules").symlink_to(folder / "node_modules")
        command: list[str | Path] = [
            "node", "--preserve-symlinks", "--preserve-symlinks-main", script, "--repeat", str(REPEATS),
            "--timeout", str(PATIENCE), "--port", str(_free_port()),
            "--exe", chromium, "--python", folder / "venv" / "bin" / "python", "--out", out, path,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not out.is_file():
            return None, f"netron_time.mjs: {done.stderr.strip().splitlines()[-1:]}"
        times = sorted(run["t"]["painted"] / 1e3 for run in json.loads(out.read_text()) if run.get("ok"))
    return (times[len(times) // 2], "") if times else (None, "Netron did not show it")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@cache
def _peer() -> tuple[Path, str]:
    """The folder with node_modules and venv; and what keeps it from being there."""
    folder = Path(user_cache_dir("graftwerk-bench")) / "netron"
    for what, found in (
        ("node", shutil.which("node")), ("Chromium", any(map(shutil.which, CHROMIUM))),
        (SCRIPT.name, SCRIPT.is_file()),
    ):  # fmt: skip
        if not found:
            return folder, f"needs {what}"
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    steps = {
        "playwright-core": (folder / "node_modules" / "playwright-core",
                            [["npm", "install", "--no-audit", "--no-fund", "playwright-core"]]),
        "Netron": (folder / "venv" / "bin" / "netron",
                   [[sys.executable, "-m", "venv", "venv"], [str(python), "-m", "pip", "install", "-q", "netron"]]),
    }  # fmt: skip
    for what, (there, commands) in steps.items():
        for command in commands if not there.exists() else []:
            if shutil.which(command[0]) is None or subprocess.run(command, cwd=folder, capture_output=True).returncode:
                return folder, f"needs {what}"
    return folder, ""
