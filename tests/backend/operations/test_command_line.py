"""`graftwerk run` does what the same operation does in the window, for every operation."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from graftwerk.app.commands import command
from graftwerk.backend.graph.files import load, save
from graftwerk.backend.operations.registry import apply, info, make
from tests.backend.operations.law_case import Case
from tests.backend.operations.law_cases import CASES
from tests.backend.operations.law_models import typed


def options(case: Case) -> list[str]:
    """Parameters as somebody types them."""
    found: list[str] = []
    for parameter in info(case.id).parameters:
        if parameter.name not in case.parameters:
            continue
        value, name = case.parameters[parameter.name], parameter.name.replace("_", "-")
        match parameter.kind:
            case "flag":
                found.append(f"--{name}" if value else f"--no-{name}")
            case "nodes" | "tensors" | "texts":
                found += [f"--{name}", *value]
            case "json" | "mapping":
                found.append(f"--{name}={json.dumps(value)}")
            case _:
                found.append(f"--{name}={value}")
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_run(case: Case, tmp_path: Path) -> None:
    graph = case.model()
    for id, values in case.first:
        graph = apply(make(id, values), graph)
    save(graph, tmp_path / "in.onnx")
    assert command(["run", case.id, str(tmp_path / "in.onnx"), "-o", str(tmp_path / "out.onnx"), *options(case)]) == 0
    expected = apply(make(case.id, case.parameters), typed(load(tmp_path / "in.onnx")))
    save(expected, tmp_path / "expected.onnx")
    assert onnx.load(tmp_path / "out.onnx") == onnx.load(tmp_path / "expected.onnx")
