"""Recipes: parameters, comments, steps that are left out, files, older and newer formats, and rewriting one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend import assets
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.recipe_lines import as_parameter, edited, moved, with_selector
from graftwerk.backend.operations.registry import make
from graftwerk.backend.operations.step import Step
from tests.backend.operations import law_models as models


def recipe(*steps: dict[str, Any], **more: Any) -> Recipe:
    return Recipe.loads(json.dumps({"graftwerk_recipe": 2, "steps": steps, **more}))


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes.values()]


RENAME = {"operation": "node.rename", "node": "Relu_0", "name": "$who"}
LAST = {"operation": "node.rename", "node": "Neg_2", "name": "${who}_last"}


def test_parameters_stand_for_values_and_for_parts_of_texts() -> None:
    made = recipe(RENAME, LAST, parameters={"who": "first"})
    assert names(replay(made, models.chain())) == ["first", "Sigmoid_1", "first_last"]
    assert names(replay(made, models.chain(), {"who": "other"}))[0] == "other"
    assert Recipe.loads(made.dumps()) == made
    with pytest.raises(Fault, match="no parameter whom"):
        replay(made, models.chain(), {"whom": "x"})
    with pytest.raises(Fault, match="no parameter who") as caught:
        recipe(RENAME)
    assert "step 1" in caught.value.where
    assert "$$" in caught.value.hint


def test_numbers_may_be_parameters() -> None:
    step = {"operation": "qdq.insert", "tensor": "r", "scale": "$scale"}
    (made,) = recipe(step, parameters={"scale": 0.25}).operations()
    assert made.scale == 0.25  # type: ignore[attr-defined]
    with pytest.raises(Fault, match=r"step 1, qdq\.insert: scale: Expected `float`, got `str`$"):
        recipe(step, parameters={"scale": "wide"})


def test_a_dollar_sign_in_a_name_means_itself() -> None:
    operation = make("node.rename", {"node": "Relu_0", "name": "cash$who ${x} $$"})
    made = Recipe.loads(Recipe.of((operation,)).dumps())
    assert made.operations() == (operation,)
    old = Recipe.loads(json.dumps({"graftwerk_recipe": 1, "steps": [{**RENAME, "name": "$who"}]}))
    assert names(replay(old, models.chain()))[0] == "$who"


def test_comments_and_steps_that_are_left_out() -> None:
    made = recipe({**RENAME, "name": "a", "enabled": False, "comment": "not now"}, {**LAST, "name": "b"})
    assert [(step.enabled, step.comment) for step in made.steps] == [(False, "not now"), (True, "")]
    assert names(replay(made, models.chain())) == ["Relu_0", "Sigmoid_1", "b"]
    assert Recipe.loads(made.dumps()) == made
    with pytest.raises(Fault, match="true or false"):
        recipe({**RENAME, "name": "a", "enabled": "no"})


def test_formats_that_are_not_known() -> None:
    with pytest.raises(Fault) as newer:
        Recipe.loads('{"graftwerk_recipe": 3, "steps": []}')
    assert "newer" in newer.value.hint
    with pytest.raises(Fault, match="not known"):
        Recipe.loads('{"graftwerk_recipe": "x", "steps": []}')
    with pytest.raises(Fault, match="parameters is no object"):
        Recipe.loads('{"graftwerk_recipe": 2, "parameters": [1], "steps": []}')


def test_a_step_that_no_longer_applies_says_what_is_near() -> None:
    with pytest.raises(Fault) as caught:
        replay(recipe({**LAST, "name": "b"}, {**RENAME, "node": "Relu_7", "name": "a"}), models.chain())
    assert caught.value.where == "step 2 (node.rename), Relu_7"
    assert "Closest are Relu_0 (Relu)" in caught.value.hint


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAFTWERK_DATA", str(tmp_path / "data"))
    return tmp_path


def test_files_are_named_from_the_recipe_and_known_by_their_hash(data: Path) -> None:
    folder = data / "work"
    folder.mkdir()
    weights = folder / "w.npy"
    np.save(weights, np.arange(6, dtype=np.float32).reshape(2, 3))
    step = Step("weights.replace", {"tensor": "w", "file": str(weights)})
    Recipe((step,)).save(folder / "r.json")
    written = json.loads((folder / "r.json").read_text())
    assert written["steps"][0]["file"] == "w.npy"
    assert list(written["files"]) == ["w.npy"]
    read = Recipe.load(folder / "r.json")
    assert read.steps[0].values["file"] == str(weights.resolve())
    graph = replay(read, models.branches())
    assert graph.initializers["w"].array().tolist() == [[0, 1, 2], [3, 4, 5]]
    np.save(weights, np.zeros((2, 3), np.float32))
    with pytest.raises(Fault, match="not the one that the recipe was made with"):
        replay(read, models.branches())


def test_what_the_program_keeps_is_copied_beside_the_recipe(data: Path) -> None:
    np.save(data / "w.npy", np.ones((2, 3), np.float32))
    kept = assets.keep(data / "w.npy")
    assert assets.keep((data / "w.npy").read_bytes(), ".npy") == kept
    Recipe((Step("weights.replace", {"tensor": "w", "file": str(kept)}),)).save(data / "edit.recipe.json")
    assert (data / "edit.files" / kept.name).read_bytes() == kept.read_bytes()
    kept.unlink()
    graph = replay(Recipe.load(data / "edit.recipe.json"), models.branches())
    assert graph.initializers["w"].array().max() == 1


def test_a_step_that_finds_nothing_to_do_is_no_obstacle() -> None:
    steps = (Step("cleanup.sort"), Step("node.rename", {"node": "Relu_0", "name": "a"}), Step("graph.remove_unused"))
    told: list[tuple[int, str]] = []
    graph = replay(Recipe(steps), models.chain(), on_settled=lambda number, fault: told.append((number, str(fault))))
    assert next(iter(graph.nodes.values())).name == "a"
    assert [number for number, _ in told] == [1, 3]
    document = Document(models.chain())
    document.rewrite(document.rewritten(steps, {}))
    assert (document.at, document.history.stopped) == (3, None)


def test_rewriting_replays_from_the_first_step_that_differs() -> None:
    document = Document(models.chain())
    first = document.apply(make("node.rename", {"node": "Relu_0", "name": "a"}))
    document.apply(make("node.rename", {"node": "Neg_2", "name": "c"}))
    steps = [*document.recipe.steps, Step("node.rename", {"node": "Sigmoid_1", "name": "b"})]
    document.rewrite(document.rewritten(steps, {}))
    assert document.revisions[1].graph is first
    assert names(document.graph) == ["a", "b", "c"]
    document.undo()
    assert names(document.graph) == ["a", "Sigmoid_1", "c"]
    document.redo()
    assert names(document.graph) == ["a", "b", "c"]

    off = Step(steps[1].id, steps[1].values, "later", False)
    document.rewrite(document.rewritten(moved([steps[0], off, steps[2]], 2, 0), {}))
    assert names(document.graph) == ["a", "b", "Neg_2"]
    assert [step.enabled for step in document.recipe.steps] == [True, True, False]
    assert replayed(document) == saved(document.graph)


def replayed(document: Document) -> bytes:
    return saved(replay(document.recipe, document.revisions[0].graph))


def saved(graph: Graph) -> bytes:
    return bytes(to_model(graph).SerializeToString(deterministic=True))


def test_a_step_that_stops_leaves_the_rest_waiting_and_in_the_recipe() -> None:
    document = Document(models.chain())
    steps = [
        Step("node.rename", {"node": "Relu_0", "name": "a"}), Step("node.rename", {"node": "gone", "name": "b"}),
        Step("node.rename", {"node": "Neg_2", "name": "c"}),
    ]  # fmt: skip
    document.rewrite(document.rewritten(steps, {}))
    assert names(document.graph) == ["a", "Sigmoid_1", "Neg_2"]
    assert document.history.stopped is not None
    assert document.history.stopped.where == "step 2 (node.rename), gone"
    assert document.history.waiting == tuple(steps[1:])
    assert document.recipe.steps == tuple(steps)
    document.rewrite(document.rewritten([steps[0], steps[2]], {}))
    assert document.history.stopped is None
    assert names(document.graph) == ["a", "Sigmoid_1", "c"]


def test_lines_become_parameters_and_selectors_and_keep_them_when_their_form_is_used() -> None:
    step = Step("node.rename", {"node": "Relu_0", "name": "a"}, "why")
    step, values = as_parameter(step, "name", {})
    assert (step.values["name"], values, step.comment) == ("$name", {"name": "a"}, "why")
    _, more = as_parameter(Step("node.rename", {"node": "Neg_2", "name": "b"}), "name", values)
    assert more == {"name": "a", "name_2": "b"}
    chosen = with_selector(step, models.chain())[0]
    assert chosen.values["node"] == "@op=Relu"
    operation = make("node.rename", {"node": "@op=Relu", "name": "a"})
    assert edited(chosen, operation, values) == chosen
    other = make("node.rename", {"node": "@op=Relu", "name": "z"})
    assert edited(chosen, other, values).values == {"node": "@op=Relu", "name": "z"}
