"""The laws that every operation and every revision keeps, as checks."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from graftwerk.backend.engines.onnxruntime import run_model
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.decode import decode
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.index import Index, ordered
from graftwerk.backend.graph.standin import with_stand_ins


def fingerprint(graph: Graph) -> str:
    """A hash of every record of a graph and of everything that names them: a changed record changes it."""
    found = hashlib.sha256()
    records: list[Any] = [graph.model, graph.skeleton, *graph.nodes.values(), *graph.inputs, *graph.outputs]
    records += [*graph.value_infos.values(), *graph.functions, *(w.proto for w in graph.initializers.values())]
    for record in records:
        found.update(record.SerializeToString(deterministic=True) + b"|")
    tables = (graph.nodes.keys(), graph.initializers.keys(), graph.producers, graph.users, graph.names, graph.types)
    found.update(repr([list(t.items() if hasattr(t, "items") else t) for t in tables]).encode())
    return found.hexdigest()


def checked(graph: Graph) -> None:
    """Passes onnx.checker, unless the edit says that it leaves the model incomplete."""
    if graph.incomplete is None:
        onnx.checker.check_model(to_model(graph))


def indexes_are_fresh(graph: Graph) -> None:
    """Producers, users, names and holders are those of the same graph read from bytes, and the order is topological."""
    again = decode(to_model(graph).SerializeToString(), None, graph.folder)
    place = {node: at for at, node in enumerate(graph.nodes)}
    assert {tensor: place[node] for tensor, node in graph.producers.items()} == again.producers
    for table, fresh in ((graph.users, again.users), (graph.names, again.names)):
        assert {key: tuple(sorted(place[node] for node in nodes)) for key, nodes in table.items()} == fresh
    assert {place[node] for node in graph.holders} == again.holders
    assert ordered(Index(graph.producers, graph.users, graph.names), graph.nodes)
    assert graph.next_id > max(graph.nodes, default=-1)


def shares_the_rest(before: Graph, after: Graph) -> None:
    """What an edit did not touch is the same object, and what it touched is named."""
    differing = {node for node, record in after.nodes.items() if before.nodes.get(node) is not record}
    differing |= before.nodes.keys() - after.nodes.keys()
    assert differing <= after.touched
    assert after.parent == before.revision


def random_feeds(graph: Graph) -> dict[str, NDArray[Any]]:
    """Values for the graph inputs that are not weights, in their order."""
    random = np.random.default_rng(5)
    feeds = {}
    for name in _fed(graph):
        known = graph.type_of(name)
        assert known is not None
        assert known.shape is not None
        shape = [size if isinstance(size, int) else 2 for size in known.shape]
        kind = onnx.helper.tensor_dtype_to_np_dtype(known.dtype)
        values = random.normal(0, 1, shape) if kind.kind == "f" else random.integers(0, 2, shape)
        feeds[name] = values.astype(kind)
    return feeds


def _fed(graph: Graph) -> list[str]:
    return [info.name for info in graph.inputs if info.name not in graph.initializers]


def computed(graph: Graph, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """What ONNX Runtime computes, the original subgraphs standing in for plugins. Feeds of inputs that are gone are
    left out; those of an input under a new name are found by what is left."""
    runnable, _ = with_stand_ins(graph)
    names = _fed(graph)
    old = [name for name in feeds if name not in names]
    renamed = dict(zip((name for name in names if name not in feeds), old, strict=False))
    found = run_model(to_model(runnable), {name: feeds[renamed.get(name, name)] for name in names})
    return [found[info.name] for info in graph.outputs]


def runs(graph: Graph) -> bool:
    """Whether ONNX Runtime can run it at all: an earlier edit may have left it with types that don't fit."""
    try:
        computed(graph, random_feeds(graph))
    except Fault:
        return False
    return True


def computes_the_same(before: Graph, after: Graph) -> None:
    feeds = random_feeds(before)
    small = any(kind.dtype in (TensorProto.FLOAT16, TensorProto.BFLOAT16) for kind in before.types.values())
    # Where two edits around FP16 round to it at different places, both are right to its last bit.
    rtol, atol = (1e-2, 1e-2) if small else (1e-5, 1e-6)
    random = {output for node in before.nodes.values() if node.op_type.startswith("Random") for output in node.output}
    pairs = zip(before.outputs, computed(before, feeds), computed(after, feeds), strict=True)
    for info, old, new in pairs:
        if old.dtype.kind not in "fc":
            np.testing.assert_array_equal(new, old)
        elif info.name not in random:
            np.testing.assert_allclose(new, old, rtol=rtol, atol=atol)
