"""Law cases of edits inside bodies and functions."""

from __future__ import annotations

from typing import Any

from tests.backend.operations import law_models as models
from tests.backend.operations import subgraph_models as subgraphs
from tests.backend.operations.law_case import Case


def _within(model: Any, path: list[str], operation: str, **values: Any) -> Case:
    return Case("graph.within", model, {"path": path, "step": {"operation": operation, **values}})


_THEN, _LOOP = ["If_1", "then_branch"], ["Loop_2", "body"]
_DEEP = ["If_2", "then_branch", "out", "body"]
CASES = [
    _within(models.branches, _THEN, "node.insert", tensor="inner", op_type="Relu"),
    _within(models.branches, _THEN, "node.insert", tensor="r", op_type="Neg"),
    _within(models.branches, _THEN, "tensor.rename", tensor="inner", name="middle"),
    _within(models.branches, _THEN, "tensor.rename", tensor="out", name="result"),
    _within(models.branches, _THEN, "node.delete", nodes=["inner"], through="r"),
    _within(models.branches, _THEN, "node.delete", nodes=["out"], through="inner"),
    _within(models.branches, _THEN, "qdq.insert", tensor="inner", scale=0.1),
    _within(models.branches, _THEN, "plugin.replace", nodes=["inner", "out"], op_type="Mine"),
    _within(models.branches, ["If_1", "else_branch"], "node.rewire", node="out", input=0, tensor="x"),
    _within(models.branches, ["If_1", "else_branch"], "node.rename", node="other", name="negative"),
    _within(models.loop, _LOOP, "node.insert", tensor="state", op_type="Tanh"),
    _within(models.loop, _LOOP, "tensor.rename", tensor="state", name="sum"),
    _within(models.loop, _LOOP, "interface.set_input", tensor="i", name="turn"),
    _within(subgraphs.deep, _DEEP, "node.insert", tensor="step", op_type="Neg"),
    _within(subgraphs.deep, _DEEP, "node.rewire", node="step", input=1, tensor="far"),
    _within(subgraphs.deep, _DEEP, "qdq.insert", tensor="near", scale=0.1),
    _within(subgraphs.deep, ["If_2", "then_branch"], "tensor.rename", tensor="near", name="captured"),
    _within(models.dead, ["function::local::Twice"], "node.insert", tensor="v", op_type="Relu"),
    _within(models.dead, ["y", "Twice"], "node.rename", node="w", name="sum"),
    _within(subgraphs.functions, ["function::local::Leaky"], "node.insert", tensor="u", op_type="Abs"),
    _within(subgraphs.functions, ["function::local::Leaky"], "tensor.rename", tensor="v", name="given"),
    _within(subgraphs.functions, ["function::local::Leaky"], "qdq.insert", tensor="u", scale=0.1),
    _within(subgraphs.functions, ["function::local::Twice"], "node.insert", tensor="w", op_type="Relu"),
    _within(subgraphs.functions, ["function::local::Choose", "w", "then_branch"], "node.insert", tensor="v",
            op_type="Neg"),
]  # fmt: skip
