"""A document's edits as a script of either kind."""

from __future__ import annotations

from pathlib import Path

from graftwerk.backend.atomic import atomic
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.scripts import graphsurgeon, python_api

KINDS = ("graphsurgeon", "graftwerk")


def write_script(document: Document, path: Path, kind: str) -> tuple[str, ...]:
    """Writes a document's edits as a script; says what the script's result lacks. Raises Fault where it can't."""
    if kind == "graftwerk":
        try:
            with atomic(path) as file:
                file.write(python_api.script_of(document.recipe, path.name).encode())
        except OSError as error:
            raise Fault(f"Can't write: {error.strerror}", str(path), "Is the folder there, and writable?") from error
        return ()
    shown = document.revisions[: document.at + 1]
    titles = [_title(revision.operation.summary() if revision.operation else "left out") for revision in shown[1:]]
    graphs = [revision.graph for revision in shown]
    script = graphsurgeon.script_of(graphs, titles, document.origin, path.name)
    script.save(path)
    return script.lost


def _title(text: str) -> str:
    return " ".join(text.split())
