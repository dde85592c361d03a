"""Undo, redo, dirty, recipe, saving."""

from __future__ import annotations

from pathlib import Path

import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.registry import make
from graftwerk.backend.operations.step import Step
from graftwerk.resources import model as bundled
from tests.backend.operations import law_models as models

RENAME = make("node.rename", {"node": "Relu_0", "name": "first"})
AGAIN = make("node.rename", {"node": "first", "name": "second"})
OTHER = make("node.rename", {"node": "Neg_2", "name": "last"})


def test_undo_and_redo() -> None:
    document = Document(models.chain())
    first = document.graph
    changes: list[int] = []
    document.listeners.append(lambda: changes.append(document.at))
    second = document.apply(RENAME)
    third = document.apply(AGAIN)
    assert (document.graph, document.can_undo, document.can_redo) == (third, True, False)
    document.undo()
    assert document.graph is second
    document.undo()
    assert (document.graph, document.can_undo, document.can_redo) == (first, False, True)
    with pytest.raises(IndexError):
        document.undo()
    document.go(2)
    assert document.graph is third
    assert changes == [1, 2, 1, 0, 2]
    assert [revision.operation for revision in document.revisions] == [None, RENAME, AGAIN]


def test_an_edit_after_undo_sets_what_could_be_redone_aside() -> None:
    document = Document(models.chain())
    document.apply(RENAME)
    document.apply(AGAIN)
    document.go(1)
    document.apply(OTHER)
    assert [revision.operation for revision in document.revisions] == [None, RENAME, OTHER]
    assert document.recipe.operations() == (RENAME, OTHER)
    with pytest.raises(IndexError):
        document.redo()
    assert document.aside == ((Step.of(AGAIN),),)
    document.rewrite(document.with_aside(0))
    assert document.recipe.operations() == (RENAME, OTHER, AGAIN)
    document.undo()
    assert document.recipe.operations() == (RENAME, OTHER)
    document.forget_aside(0)
    assert not document.aside


def test_a_change_of_the_recipe_is_undone_after_later_edits_too() -> None:
    document = Document(models.chain())
    document.apply(RENAME)
    document.apply(AGAIN)
    document.rewrite(document.rewritten([Step.of(RENAME)], {}))
    document.rewrite(document.rewritten([], {}))
    document.apply(OTHER)
    for expected in [(), (RENAME,), (RENAME, AGAIN), (RENAME,), ()]:
        document.undo()
        assert document.recipe.operations() == expected
    assert not document.can_undo
    for expected in [(RENAME,), (RENAME, AGAIN), (RENAME,), (), (OTHER,)]:
        document.redo()
        assert document.recipe.operations() == expected
    assert not document.can_redo


def test_an_edit_in_place_of_a_change_of_the_recipe_keeps_its_steps() -> None:
    document = Document(models.chain())
    document.apply(RENAME)
    document.rewrite(document.rewritten([Step.of(RENAME), Step.of(AGAIN)], {}))
    document.undo()
    document.apply(OTHER)
    assert document.aside == ((Step.of(AGAIN),),)
    assert not document.can_redo


def test_a_blocked_operation_leaves_the_document() -> None:
    document = Document(models.chain())
    with pytest.raises(Fault):
        document.apply(AGAIN)
    assert (document.at, len(document.revisions), document.dirty) == (0, 1, False)


def test_dirty_follows_what_is_saved(tmp_path: Path) -> None:
    document = Document(models.chain(), tmp_path / "a.onnx")
    assert not document.dirty
    document.apply(RENAME)
    assert document.dirty
    document.save()
    assert not document.dirty
    document.undo()
    assert document.dirty
    document.redo()
    assert not document.dirty
    document.undo()
    document.apply(OTHER)  # what was saved can't be reached any more
    assert document.dirty
    document.undo()
    assert document.dirty
    document.save(tmp_path / "b.onnx")
    assert (document.dirty, document.path) == (False, tmp_path / "b.onnx")
    assert next(node.name for node in load(tmp_path / "a.onnx").nodes.values()) == "first"


def test_a_save_that_fails_leaves_it_dirty(tmp_path: Path) -> None:
    document = Document(models.chain(), tmp_path / "missing" / "a.onnx")
    document.apply(RENAME)
    with pytest.raises(Fault):
        document.save()
    assert document.dirty
    with pytest.raises(ValueError, match="path"):
        Document(models.chain()).save()


def test_types_reach_their_revision_only() -> None:
    document = Document(models.chain())
    first = document.graph
    document.apply(RENAME)
    found = {"r": TensorType(10, (7,))}
    assert document.set_types(first, found)
    assert document.graph.type_of("r") == TensorType(1, (2, 3))
    document.undo()
    assert document.graph.type_of("r") == TensorType(10, (7,))
    document.redo()
    gone = document.graph
    document.undo()
    document.apply(OTHER)
    assert not document.set_types(gone, found)


def test_the_recipe_replays_on_the_file(tmp_path: Path) -> None:
    document = Document.open(bundled("digits"))
    document.apply(make("node.delete", {"nodes": ["/stem/relu/Relu"]}))
    document.apply(make("tensor.rename", {"tensor": "logits", "name": "scores"}))
    recipe = document.recipe
    assert recipe.model == "digits.onnx"
    recipe.save(tmp_path / "recipe.json")
    again = replay(Recipe.load(tmp_path / "recipe.json"), load(bundled("digits")))
    assert list(again.nodes.values()) == list(document.graph.nodes.values())
    assert again.is_output("scores")
