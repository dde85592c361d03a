"""One test of the laws, over every registered operation; an operation that has no case here fails it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import graftwerk.backend.operations.all  # noqa: F401 - registers the operations
from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.diff import diff
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.recipe import Recipe, replay
from graftwerk.backend.operations.registry import Selection, apply, make, operations, parameters, why_blocked
from tests.backend.operations import law_models as models
from tests.backend.operations.law_case import Case
from tests.backend.operations.law_cases import CASES
from tests.backend.operations.laws import (
    checked,
    computes_the_same,
    fingerprint,
    indexes_are_fresh,
    shares_the_rest,
)

MODELS = [
    models.chain, models.residual, models.branches, models.loop, models.dead, models.constants, models.quantized,
    models.plugin, models.old_inputs, models.unnamed, models.digits_bn, models.encoder,
]  # fmt: skip


def test_every_operation_has_a_case() -> None:
    missing = {id for id in operations() if id.partition(".")[0] != "test"} - {case.id for case in CASES}
    assert not missing


@pytest.mark.parametrize("case", CASES, ids=str)
def test_laws(case: Case) -> None:
    graph = case.model()
    for id, values in case.first:
        graph = apply(make(id, values), graph)
    before, bytes_before = fingerprint(graph), to_model(graph).SerializeToString(deterministic=True)
    operation = make(case.id, case.parameters)
    assert why_blocked(operation, graph) is None

    document = Document(graph)
    result = document.apply(operation)
    assert fingerprint(graph) == before, "a record of the input graph was changed"
    shares_the_rest(graph, result)
    other = graph.outputs != result.outputs or graph.functions != result.functions or graph.model != result.model
    assert other or not diff(graph, result).empty
    checked(result)
    indexes_are_fresh(result)

    document.undo()
    assert document.graph is graph
    assert to_model(document.graph).SerializeToString(deterministic=True) == bytes_before
    document.redo()
    assert document.graph is result

    recipe = Recipe.loads(Recipe.of((operation,), "model.onnx").dumps())
    assert recipe.operations() == (operation,)
    assert make(case.id, parameters(operation)) == operation
    replayed = replay(recipe, graph)
    assert to_model(replayed).SerializeToString(deterministic=True) == to_model(result).SerializeToString(
        deterministic=True
    )
    if operation.info.preserves:
        computes_the_same(graph, result)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("id", sorted(operations()))
def test_suggestions_fit_or_say_why(id: str, model: Callable[[], Graph]) -> None:
    """Whatever is selected, a menu gets an operation or a reason, and forcing what is blocked is a Fault."""
    graph = model()
    nodes, tensors = list(graph.nodes)[:5], list(graph.tensors())[:5]
    selections = [Selection(), Selection(tuple(nodes)), Selection(tuple(nodes[1:3]), tuple(tensors[1:2]))]
    selections += [Selection((node,)) for node in nodes] + [Selection((), (tensor,)) for tensor in tensors]
    before = fingerprint(graph)
    for selection in selections:
        suggested = operations()[id].cls.suggest(graph, selection)
        if isinstance(suggested, Reason):
            assert suggested.text
            continue
        reason = why_blocked(suggested, graph)
        if reason is not None:
            assert reason.text
            with pytest.raises(Fault):
                apply(suggested, graph)
    assert fingerprint(graph) == before


def test_operations_explain_themselves() -> None:
    for found in operations().values():
        assert len(found.doc) > 40, found.id
        assert found.title
        assert found.menu
        assert all(parameter.label for parameter in found.parameters)
