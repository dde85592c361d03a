"""What every test stands on: an offscreen Qt, settings of its own, and where the models are."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Before anything imports Qt or asks for a settings folder, here and in the processes that tests start.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
_HOME = tempfile.TemporaryDirectory(prefix="graftwerk-tests-")
for _name in ("CONFIG", "DATA", "STATE", "CACHE"):
    _folder = Path(_HOME.name, _name.lower())
    _folder.mkdir()
    os.environ[f"XDG_{_name}_HOME"] = str(_folder)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The models and logs kept beside the repository, for tests that a clone alone can't run; read in place."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data, which lies beside the repository")
    return folder


@pytest.fixture(scope="session")
def models() -> Path:
    """The bundled models."""
    return ROOT / "resources" / "models"
