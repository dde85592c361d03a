"""What edits took from elsewhere (a pasted fragment, replaced weights), kept once by its content in the user's data
folder, so that it is still there when the edit is replayed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from graftwerk.backend.atomic import atomic
from graftwerk.backend.fault import Fault


def folder() -> Path:
    """Where kept files lie: in `$GRAFTWERK_DATA`, else where the system keeps programs' data."""
    from platformdirs import user_data_path  # not needed to open a model

    place = os.environ.get("GRAFTWERK_DATA")
    return (Path(place) if place else user_data_path("graftwerk", appauthor=False)) / "files"


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex. Raises Fault where it can't be read."""
    import hashlib  # here: it loads OpenSSL, and the window opens without it

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Fault(f"Can't read: {error.strerror}", str(path), "Does it exist, and may you read it?") from error


def keep(content: bytes | Path, suffix: str = "") -> Path:
    """Keeps bytes, or a copy of a file, under its hash; says where. What is there already is not written again.

    Raises Fault where it can't be read or written.
    """
    if isinstance(content, Path):
        name = digest(content) + (suffix or content.suffix)
    else:
        import hashlib

        name = hashlib.sha256(content).hexdigest() + suffix
    path = folder() / name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
            else:
                file.write(content)
    except OSError as error:
        raise Fault(f"Can't keep a copy: {error.strerror}", str(path), "Is there space left?") from error
    return path
