"""Every clean-up of every bundled model, and of the models that others exported, agrees with ONNX Runtime."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.cleanup_versions import ConvertOpset
from graftwerk.backend.operations.registry import Operation, apply, make, operations, why_blocked
from tests.backend.operations.law_models import typed
from tests.backend.operations.laws import checked, computed, random_feeds, runs

BUNDLED = ("digits", "digits_bn", "encoder")
SHARED = ("resnet50", "resnet50_bn", "bert_ts", "gpt2_ts")
#: What these leave alone, whatever the model: they are blocked, or find nothing to do.
_NOTHING = ("nothing left for", "Nothing could be folded", "Nothing is computed twice")


@pytest.fixture(params=(*BUNDLED, *SHARED))
def model(request: pytest.FixtureRequest, models: Path) -> Graph:
    if request.param in BUNDLED:
        return loaded(models / f"{request.param}.onnx")
    return loaded(request.getfixturevalue("shared") / "models" / f"{request.param}.onnx")


@functools.cache
def loaded(path: Path) -> Graph:
    return typed(load(path))


def clean_ups(graph: Graph) -> list[Operation]:
    """All with their parameters as they are offered; of opsets the newest and the one before, of IR versions one."""
    converting = [ConvertOpset((graph.opset() or 0) + 1), ConvertOpset(21), make("cleanup.convert_ir", {"version": 9})]
    others = [info.id for info in operations().values() if info.tells and info.preserves]
    return [*(make(id, {}) for id in others if not id.startswith("cleanup.convert")), *converting]


def test_every_clean_up_agrees(model: Graph) -> None:
    assert "cleanup.convert_opset" in agreeing(model)


def test_clean_ups_of_odd_models_agree(shared: Path) -> None:
    """Of those of them that can be opened and that ONNX Runtime runs before they are cleaned up."""
    done = 0
    for path in sorted((shared / "onnx-edge").glob("*.onnx")):
        try:
            graph = loaded(path)
        except Fault:
            continue
        if can_be_fed(graph) and runs(graph):
            agreeing(graph)
            done += 1
    assert done >= 18


def can_be_fed(graph: Graph) -> bool:
    """Whether random values can be made for its inputs: some have sizes of -1, or no shape."""
    shapes = [kind.shape if (kind := graph.type_of(info.name)) is not None else None for info in graph.inputs]
    return all(shape is not None and all(not isinstance(d, int) or d >= 0 for d in shape) for shape in shapes)


def valid(graph: Graph) -> bool:
    try:
        checked(graph)
    except onnx.checker.ValidationError:
        return False
    return True


def agreeing(model: Graph) -> set[str]:
    """The clean-ups that do something to a model; each computes what it computed."""
    feeds = random_feeds(model)
    before = computed(model, feeds)
    done, well = set(), valid(model)
    for step in clean_ups(model):
        if why_blocked(step, model) is not None:
            continue
        try:
            after = apply(step, model)
        except Fault as fault:
            if any(words in fault.message for words in _NOTHING):
                continue
            raise
        assert valid(after) or not well
        for info, old, new in zip(model.outputs, before, computed(after, feeds), strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-5, err_msg=f"{step} {info.name}")
        done.add(step.info.id)
    return done
