"""A real profile and a real engine's report of the bundled digits classifier, made once per test process."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from graftwerk.backend.engines.onnxruntime import ProfileOnnxRuntime
from graftwerk.backend.engines.report import Profile, Report
from graftwerk.backend.engines.report_file import read_profile, read_report
from graftwerk.backend.engines.tensorrt_rtx import BuildRtx
from graftwerk.backend.jobs.pool import run_here

DIGITS = Path(__file__).resolve().parents[3] / "resources" / "models" / "digits.onnx"


@cache
def digits_profile() -> Profile:
    """Four iterations on this machine's CPU."""
    with TemporaryDirectory() as folder:
        result = run_here(ProfileOnnxRuntime(str(DIGITS), warmup=1, iterations=4), Path(folder), lambda event: None)
        return read_profile(Path(result["profile"]))


@cache
def digits_report() -> Report:
    """Built for SM89; no device runs it, so it has no times."""
    with TemporaryDirectory() as folder:
        result = run_here(BuildRtx(str(DIGITS)), Path(folder), lambda event: None)
        return read_report(Path(result["report"]))
