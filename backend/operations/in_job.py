"""Slow operations in a process of their own: the revision goes there as a file, and what came of it is read back as one
revision that shares everything the operation left alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import graftwerk.backend.operations.all  # noqa: F401 - a worker registers them by importing this file
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load, save, stage
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.jobs.context import JobContext
from graftwerk.backend.jobs.protocol import job
from graftwerk.backend.operations.effect import effect
from graftwerk.backend.operations.registry import Operation, apply, make, parameters


@job("operation.apply")
@dataclass(frozen=True)
class ApplyOperation:
    """Apply one operation to the model in a file. `types` is a file of inferred types.

    Gives `{"model": path, "effect": fields of an Effect}`.
    """

    model: str
    types: str
    operation: str
    parameters: dict[str, Any]

    def run(self, context: JobContext) -> dict[str, Any]:
        step = make(self.operation, self.parameters)
        context.phase(step.info.title)
        types = msgspec.json.decode(Path(self.types).read_bytes(), type=dict[str, TensorType])
        graph = load(Path(self.model)).with_types(types)
        result = apply(step, graph)
        found = effect(graph, result, step.remarks(graph, result))
        path = Path(self.model).with_name("result.onnx")
        save(result, path)
        return {"model": str(path), "effect": asdict(found)}


def apply_job(graph: Graph, operation: Operation, folder: Path) -> ApplyOperation:
    """Writes a revision into `folder` and makes the job that applies an operation to it."""
    model = stage(graph, folder)
    types = folder / "types.json"
    types.write_bytes(msgspec.json.encode(dict(graph.types)))
    operation = operation.for_job(graph)
    return ApplyOperation(str(model), str(types), operation.info.id, parameters(operation))


def take_result(graph: Graph, path: Path) -> Graph:
    """The revision that the model in a file is of `graph`: records that are the same are shared."""
    result = load(path)
    edit = Edit(graph)
    _take_tensors(edit, result)
    _take_nodes(edit, result)
    if result.model.SerializeToString() != graph.model.SerializeToString():
        edit.model.CopyFrom(result.model)
    edit.functions = list(result.functions)
    if result.incomplete is not None:
        edit.mark_incomplete(result.incomplete)
    edit.set_inputs(_shared(graph.inputs, result.inputs))
    edit.set_outputs(_shared(graph.outputs, result.outputs))
    edit.value_infos = {info.name: info for info in _shared(graph.value_infos.values(), result.value_infos.values())}
    return edit.commit()


def _take_nodes(edit: Edit, result: Graph) -> None:
    before = {_key(record): node for node, record in edit.nodes.items()}
    after = {_key(record): record for record in result.nodes.values()}
    for key, node in before.items():
        if key not in after:
            edit.remove_node(node)
    for key, record in after.items():
        if key not in before:
            edit.add_record(record)


def _key(record: Any) -> bytes:
    return bytes(record.SerializeToString(deterministic=True))


def _take_tensors(edit: Edit, result: Graph) -> None:
    for name in edit.initializers.keys() - result.initializers.keys():
        edit.remove_initializer(name)
    removed = [node for node, record in edit.nodes.items() if result.initializers.keys() & set(record.output)]
    for node in removed:
        edit.remove_node(node)
    for name, weight in result.initializers.items():
        if name not in edit.initializers or not _same(edit.initializers[name], weight):
            edit.set_initializer(weight)


def _same(one: Initializer, other: Initializer) -> bool:
    if other.external and not one.external:  # moved out of a model that is too large for one file
        alike = (one.dtype, one.dims, one.nbytes) == (other.dtype, other.dims, other.nbytes)
        return alike and np.array_equal(one.raw(), other.raw())
    if _key(one.proto) != _key(other.proto):
        return False
    if one.span is None or other.span is None:
        return one.span is other.span
    if one.external or one.missing:
        return one.span.length == other.span.length
    return np.array_equal(one.span.read(), other.span.read())


def _shared(before: Any, after: Any) -> list[Any]:
    known = {_key(info): info for info in before}
    return [known.get(_key(info), info) for info in after]
