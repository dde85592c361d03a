from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend import assets
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import make
from graftwerk.backend.recovery import Base, Leftovers, Saved, Session, Watch, restore, saved

RENAME = make("node.rename", {"node": "/stem/conv/Conv", "name": "first"})


def content(graph: Graph) -> bytes:
    return bytes(to_model(graph).SerializeToString(deterministic=True))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own; gives the one for the edits."""
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "autosave"


@pytest.fixture
def opened(models: Path, tmp_path: Path) -> Document:
    return Document.open(Path(shutil.copy(models / "digits.onnx", tmp_path / "digits.onnx")))


def kept(document: Document, watch: Watch) -> Saved:
    path = str(document.path) if document.path else ""
    found = saved(document.history, watch.bases, path, document.origin)
    assert found is not None
    return found


def test_a_run_that_is_gone_is_offered_once_and_a_running_one_never(place: Path, opened: Document) -> None:
    watch = Watch(opened)
    opened.apply(RENAME)
    session = Session()
    session.write(1, kept(opened, watch))
    assert not Leftovers().entries
    session.release()
    first, second = Leftovers(), Leftovers()
    assert [entry.title for entry in first.entries.values()] == ["digits.onnx"]
    assert not second.entries
    first.remove(next(iter(first.entries)))
    assert not session.path.exists()


def test_steps_that_were_undone_can_be_redone_after_it(place: Path, opened: Document) -> None:
    watch = Watch(opened)
    opened.apply(RENAME)
    opened.apply(make("tensor.rename", {"tensor": "logits", "name": "scores"}))
    last = content(opened.graph)
    opened.undo()
    found = restore(kept(opened, watch))
    assert content(found.graph) == content(opened.graph)
    assert found.dirty
    assert found.path == opened.path
    found.redo()
    assert content(found.graph) == last
    found.go(0)
    assert not found.can_undo


def test_files_that_steps_read_are_kept_once_and_the_models_own_never(
    place: Path, opened: Document, tmp_path: Path
) -> None:
    watch = Watch(opened)
    weight = next(one for one in opened.graph.initializers.values() if len(one.dims) == 1)
    np.save(tmp_path / "values.npy", np.full(weight.dims, 2, np.float32))
    for _ in range(2):
        step = {"tensor": weight.name, "file": str(tmp_path / "values.npy")}
        opened.apply(make("weights.replace", step))
    first = kept(opened, watch)
    second = kept(opened, watch)
    assert first.files == second.files
    (copy,) = first.files.values()
    assert [path.name for path in assets.folder().iterdir()] == [Path(copy).name]
    np.save(tmp_path / "values.npy", np.zeros(weight.dims, np.float32))
    assert content(restore(first).graph) == content(opened.graph)


def test_a_model_that_lies_in_no_file_yet(place: Path, models: Path) -> None:
    document = Document(load(models / "digits.onnx"))
    session, watch = Session(), Watch(document)
    watch.bases = (Base.of(session.stage(document.graph), document.graph.revision),)
    document.apply(RENAME)
    session.write(1, kept(document, watch))
    session.release()
    left = Leftovers()
    (entry,) = left.entries.values()
    assert (entry.title, entry.model) == ("untitled", "")
    heir = Session()
    adopted = heir.adopt(entry)
    left.remove(next(iter(left.entries)))
    found = restore(adopted)
    assert content(found.graph) == content(document.graph)
    assert found.path is None
    heir.close()
    assert not heir.path.exists()


def test_a_model_that_is_gone_can_not_be_restored_and_stays(place: Path, opened: Document) -> None:
    watch = Watch(opened)
    opened.apply(RENAME)
    entry = kept(opened, watch)
    assert opened.path is not None
    opened.path.unlink()
    assert entry.base.state() == "missing"
    with pytest.raises(Fault, match="read the model"):
        restore(entry)


def test_a_step_that_can_not_be_done_any_more_waits_with_those_behind_it(
    place: Path, opened: Document, models: Path
) -> None:
    watch = Watch(opened)
    opened.apply(RENAME)
    opened.apply(make("tensor.rename", {"tensor": "stem.conv.bias", "name": "b"}))
    entry = kept(opened, watch)
    shutil.copy(models / "digits_bn.onnx", entry.base.path)
    found = restore(entry)
    assert found.at == 1
    assert found.history.stopped is not None
    assert len(found.history.waiting) == 1


def test_a_damaged_file_is_put_aside(place: Path) -> None:
    session = Session()
    (session.path / "1.json").write_text("{")
    (session.path / "2.json").write_text('{"base": {}, "steps": []}')
    session.release()
    assert not Leftovers().entries
