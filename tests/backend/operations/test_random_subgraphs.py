"""Random parts of models: wrapped, inlined, edited inside, extracted and split; what they compute stays the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import numpy as np
import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.crop import around, cut_at, fed
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.nested import inside, labels, path_to
from graftwerk.backend.operations.keep import extracted
from graftwerk.backend.operations.registry import apply, make
from graftwerk.backend.operations.within import Within
from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models as subgraphs
from tests.backend.operations.laws import checked, computes_the_same, indexes_are_fresh, random_feeds

MODELS: list[Callable[[], Graph]] = [
    models.digits, models.encoder, models.branches, models.loop, models.dead, models.residual, subgraphs.deep,
    subgraphs.functions, subgraphs.gelu,
]  # fmt: skip


def some(graph: Graph, random: Random) -> list[NodeId]:
    """A run of nodes, often with one more from anywhere."""
    nodes = list(graph.nodes)
    start = random.randrange(len(nodes))
    chosen = set(nodes[start : start + random.choice([1, 2, 3, 6, 12])])
    return sorted(chosen | ({random.choice(nodes)} if random.random() < 0.3 else set()))


def paths(graph: Graph, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """All that can be opened in a graph, and in what is opened there."""
    shown = inside(graph, path)
    found = [path_to(shown, path, node, label) for node in shown.nodes for label in labels(shown, node)]
    return found + [deeper for each in found for deeper in paths(graph, each)]


def sound(before: Graph, after: Graph) -> None:
    checked(after)
    indexes_are_fresh(after)
    with no_refusal():
        computes_the_same(before, after)


@contextmanager
def no_refusal() -> Iterator[None]:
    """Only an operation may refuse; a result that can't be run is wrong."""
    try:
        yield
    except Fault as fault:
        raise AssertionError(str(fault)) from fault


def wrap(graph: Graph, random: Random) -> None:
    nodes = [graph.ref(node) for node in some(graph, random)]
    wrapped = apply(make("function.wrap", {"nodes": nodes, "name": "Block"}), graph)
    sound(graph, wrapped)
    sound(graph, apply(make("function.inline", {"nodes": ["Block"], "deep": random.random() < 0.5}), wrapped))


def edit_inside(graph: Graph, random: Random) -> None:
    there = paths(graph)
    if not there:
        return
    path = random.choice(there)
    shown = inside(graph, path)
    tensor, nodes = random.choice(list(shown.tensors())), [shown.ref(node) for node in some(shown, random)]
    step = random.choice(
        [
            make("node.insert", {"tensor": tensor, "op_type": "Identity"}),
            make("tensor.rename", {"tensor": tensor, "name": "new"}),
            make("function.wrap", {"nodes": nodes, "name": "Block"}),
            make("plugin.replace", {"nodes": nodes, "op_type": "Mine"}),
        ]
    )
    sound(graph, apply(Within.of(path, step), graph))


def split(graph: Graph, random: Random) -> None:
    live = sorted(fed(graph))
    cut = [name for name in graph.nodes[random.choice(live)].output if name][:1]
    first, second = (extracted(graph, crop) for crop in cut_at(graph, cut, complete=True))
    feeds = random_feeds(graph)
    found: dict[str, Any] = {}
    with no_refusal():
        expected = run_model(to_model(graph), feeds)
        for part in (first, second):
            checked(part)
            indexes_are_fresh(part)
            there = {**feeds, **found}
            found.update(run_model(to_model(part), {info.name: there[info.name] for info in part.inputs}))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


def extract(graph: Graph, random: Random) -> None:
    part = extracted(graph, around(graph, set(some(graph, random))))
    checked(part)
    indexes_are_fresh(part)


@pytest.mark.parametrize("work", [wrap, edit_inside, split, extract], ids=lambda work: work.__name__)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_random_parts(model: Callable[[], Graph], work: Callable[[Graph, Random], None]) -> None:
    graph, done = model(), 0
    for seed in range(6):
        try:
            work(graph, Random(seed))
            done += 1
        except Fault as fault:  # what can't be done is refused with a text, and nothing else is raised
            assert fault.message  # noqa: PT017
    assert done
