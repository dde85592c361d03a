"""What the program ships beside its code: icons, sample models and their data. Made models: see make_models.py."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent

# In the order in which the program offers them; the first is the one that a new user sees.
_MODELS = ("digits", "digits_bn", "encoder")


def bundled_models() -> list[Path]:
    """The sample models, the one to start with first."""
    return [model(name) for name in _MODELS]


def model(name: str) -> Path:
    """A file of resources/models: a sample model ("digits") or data that belongs to one ("digits_calib.npz").

    Raises FileNotFoundError where there is none of that name.
    """
    return _existing(_FOLDER / "models" / (name if "." in name else f"{name}.onnx"))


def icon(name: str) -> Path:
    """An SVG of resources/icons ("open"), or the program's own mark ("graftwerk").

    Raises FileNotFoundError where there is none of that name.
    """
    return _existing(_FOLDER / f"{name}.svg" if name == "graftwerk" else _FOLDER / "icons" / f"{name}.svg")


def data(name: str) -> Path:
    """A file beside this one ("patterns.json"). Raises FileNotFoundError where there is none of that name."""
    return _existing(_FOLDER / name)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no such resource: {path.relative_to(_FOLDER)}")
    return path
